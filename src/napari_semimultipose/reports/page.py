"""A page of text, tables, plots and pictures: one HTML file that needs nothing else.

Plots are drawn as SVG in the colours of the text around them, so that they are readable on light and
on dark screens; on paper the page is always black on white. There is no script in it.
"""

from __future__ import annotations

import base64
import html
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.io.frames import Picture
from napari_semimultipose.reports.style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".html", ".htm")
_JPEG_QUALITY = 88


@dataclass(frozen=True)
class Image:
    """A picture with a caption.

    Parameters
    ----------
    picture : array uint8 [H, W, 3]
    caption : str
    """

    picture: Picture
    caption: str


@dataclass
class Section:
    """A part of a page with a heading.

    Parameters
    ----------
    title : str
    """

    title: str
    _parts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is something in it."""
        return bool(self._parts)

    def heading(self, text: str) -> None:
        """Add a heading within the section."""
        self._parts.append(f"<h3>{escaped(text)}</h3>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{escaped(text)}</p>")

    def note(self, text: str) -> None:
        """Add a remark about what is missing or left out."""
        self._parts.append(f'<p class="note">{escaped(text)}</p>')

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Add names and their values, two columns."""
        rows = "".join(
            f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value)}</td></tr>'
            for name, value in facts
        )
        if rows:
            self._parts.append(f'<table class="facts"><tbody>{rows}</tbody></table>')

    def highlights(self, numbers: Iterable[tuple[str, str]]) -> None:
        """Add the numbers that matter most, large."""
        tiles = "".join(
            f"<div><strong>{escaped(value)}</strong><span>{escaped(name)}</span></div>"
            for name, value in numbers
        )
        if tiles:
            self._parts.append(f'<div class="tiles">{tiles}</div>')

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> None:
        """Add a table; the first column is text, the others are numbers unless they look otherwise.

        Parameters
        ----------
        head : sequence of str
        rows : iterable of sequences of str
            As long as `head`.
        caption : str
        """
        listed = [list(row) for row in rows]
        numeric = [i > 0 and all(_is_number(row[i]) for row in listed) for i, _ in enumerate(head)]

        def cell(tag: str, i: int, text: str) -> str:
            kind = ' class="n"' if numeric[i] else ""
            return f"<{tag}{kind}>{escaped(text)}</{tag}>"

        top = "".join(cell("th", i, text) for i, text in enumerate(head))
        body = "".join(
            "<tr>" + "".join(cell("td", i, text) for i, text in enumerate(row)) + "</tr>"
            for row in listed
        )
        title = f'<p class="caption">{escaped(caption)}</p>' if caption else ""
        self._parts.append(
            f'<div>{title}<div class="scroll"><table><thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div></div>"
        )

    def plot(self, figure: Figure, caption: str) -> None:
        """Add a figure as SVG."""
        self._parts.append(
            f'<figure class="plot" role="img" aria-label="{escaped(caption)}">'
            f"{svg_of(figure)}<figcaption>{escaped(caption)}</figcaption></figure>"
        )

    @contextmanager
    def row(self) -> Iterator[None]:
        """Put what is added meanwhile side by side, where the page is wide enough."""
        start = len(self._parts)
        yield
        inside = "".join(self._parts[start:])
        self._parts[start:] = [f'<div class="row">{inside}</div>']

    def gallery(self, images: Iterable[Image]) -> None:
        """Add pictures side by side."""
        shown = "".join(
            f'<figure><img alt="{escaped(image.caption)}" src="{jpeg_of(image.picture)}">'
            f"<figcaption>{escaped(image.caption)}</figcaption></figure>"
            for image in images
        )
        if shown:
            self._parts.append(f'<div class="gallery">{shown}</div>')

    def folded(self, title: str, text: str) -> None:
        """Add a long text that is shown on a click."""
        self._parts.append(
            f"<details><summary>{escaped(title)}</summary><pre>{escaped(text)}</pre></details>"
        )

    def key(self, colours: Mapping[str, str]) -> None:
        """Say what the colours of pictures mean: CSS colours by meaning."""
        items = "".join(
            f'<span><i style="background:{colour}"></i>{escaped(name)}</span>'
            for name, colour in colours.items()
        )
        self._parts.append(f'<p class="key">{items}</p>')

    def _html(self, anchor: str) -> str:
        return (
            f'<section id="{anchor}"><h2>{escaped(self.title)}</h2>{"".join(self._parts)}</section>'
        )


@dataclass
class Page:
    """A report.

    Parameters
    ----------
    title : str
    subtitle : str
    """

    title: str
    subtitle: str = ""
    sections: list[Section] = field(default_factory=list)

    def section(self, title: str) -> Section:
        """Begin a section; it is left out in the end when nothing is put into it."""
        section = Section(title)
        self.sections.append(section)
        return section

    def html(self) -> str:
        """Return the page as text."""
        from napari_semimultipose import __version__

        shown = [section for section in self.sections if section]
        links = "".join(f'<a href="#s{i}">{escaped(s.title)}</a>' for i, s in enumerate(shown))
        body = "".join(section._html(f"s{i}") for i, section in enumerate(shown))
        made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta name="generator" content="napari-semimultipose {__version__}">'
            f"<title>{escaped(self.title)}</title><style>{STYLE}</style></head><body><main>"
            f"<header><h1>{escaped(self.title)}</h1><p>{escaped(self.subtitle)}</p>"
            f"<nav>{links}</nav></header>{_with_own_ids(body)}"
            f"<footer>napari-semimultipose {__version__}, {escaped(made)}</footer>"
            "</main></body></html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page; an old file stays until the new one is complete."""
        text = self.html()
        with replace_file(path) as fresh:
            fresh.write_text(text, encoding="utf-8")


def checked_name(path: str | os.PathLike[str]) -> Path:
    """Return the path of a report to write.

    Raises
    ------
    SemiMultiPoseError
        When its ending is not that of a page.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise SemiMultiPoseError(
            f"{target}: reports are written as .html; a browser prints them to PDF"
        )
    return target


def escaped(text: Any) -> str:
    """Return text as it must stand in HTML, also within quotes."""
    return html.escape(str(text), quote=True)


def number(value: float | None, form: str = ".3f", unit: str = "") -> str:
    """Write a number; a dash where it is unknown."""
    if value is None or not np.isfinite(value):
        return "–"
    return format(value, form) + (f" {unit}" if unit else "")


def jpeg_of(picture: Picture) -> str:
    """Return a picture [H, W, 3] as a data URL."""
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.fromarray(picture).save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def svg_of(figure: Figure) -> str:
    """Return a figure as an SVG element; what is black in it takes the colour of the text."""
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", dpi=150, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = text.replace("#000000", "currentColor").replace("#dddddd", "var(--line)")
    text = text.replace("#555555", "var(--soft)")
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _with_own_ids(body: str) -> str:
    """Make the ids inside the SVGs of one page differ: each figure numbers its parts from 1."""
    count = iter(range(len(body)))

    def renamed(match: re.Match[str]) -> str:
        prefix = f"p{next(count)}-"
        text = re.sub(r'\bid="', f'id="{prefix}', match.group())
        text = re.sub(r'href="#', f'href="#{prefix}', text)
        return text.replace("url(#", f"url(#{prefix}")

    return re.sub(r"<svg.*?</svg>", renamed, body, flags=re.S)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-–+]?[\d.,]*\s?%?", text) is not None
