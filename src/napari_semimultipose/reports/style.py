"""How reports look: a style sheet for screens, light and dark, and for paper."""

STYLE = """
:root{color-scheme:light dark;--text:#1c2126;--soft:#5b6670;--line:#dddddd;--back:#ffffff;
--tile:#f3f5f7;--accent:#2f6f9f}
@media screen and (prefers-color-scheme:dark){:root{--text:#e6e9ec;--soft:#9aa5af;--line:#3a4149;
--back:#15181b;--tile:#20252a;--accent:#7db8e0}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:20px;margin:40px 0 10px;padding-bottom:4px;border-bottom:2px solid var(--accent)}
h3{font-size:16px;margin:24px 0 6px}
p{margin:8px 0;max-width:80ch;overflow-wrap:anywhere}
header p{color:var(--soft);margin:0 0 12px}
nav{display:flex;flex-wrap:wrap;gap:4px 16px}
a{color:var(--accent)}
.note{color:var(--soft);border-left:3px solid var(--line);padding-left:10px}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(132px,1fr));gap:8px;margin:12px 0}
.tiles div{background:var(--tile);border-radius:6px;padding:8px 12px}
.tiles strong{display:block;font-size:21px;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:10px 0;font-size:14px}
.caption{color:var(--soft);font-size:14px;margin:14px 0 -4px}
.row{display:flex;flex-wrap:wrap;gap:4px 32px;align-items:flex-start}
.row>.plot{flex:1 1 380px;max-width:620px}
th,td{text-align:left;padding:3px 14px 3px 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:break-word;max-width:40em}
thead th{max-width:8.5em;border-bottom:1px solid var(--soft);vertical-align:bottom}
th{font-weight:600}
.n{text-align:right;font-variant-numeric:tabular-nums}
td.n{white-space:nowrap}
.facts th{font-weight:400;color:var(--soft);white-space:nowrap}
figure{margin:12px 0;break-inside:avoid}
figcaption{color:var(--soft);font-size:13px;overflow-wrap:anywhere}
.plot svg{max-width:100%;height:auto;fill:currentColor;display:block}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:12px}
.gallery figure{margin:0}
.gallery img{width:100%;display:block;border-radius:4px}
.key span{margin-right:18px;white-space:nowrap}
.key i{display:inline-block;width:11px;height:11px;border-radius:6px;margin-right:6px;
border:1px solid var(--soft)}
pre{font:12px/1.4 ui-monospace,Menlo,Consolas,monospace;overflow-x:auto;white-space:pre-wrap}
summary{cursor:pointer;color:var(--accent)}
footer{margin-top:48px;color:var(--soft);font-size:13px}
@media print{@page{margin:16mm}body{font-size:11pt}main{max-width:none;padding:0}nav{display:none}
tr,.tiles div{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible}
.gallery{grid-template-columns:repeat(4,1fr)}.tiles{grid-template-columns:repeat(6,1fr)}
.row>.plot{flex-basis:300px}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
