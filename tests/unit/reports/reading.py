"""Reads reports back: what stands in their tables, tiles, notes and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_EMPTY = {"meta", "img", "i", "path", "use", "image", "rect", "stop", "br"}


@dataclass
class Report(HTMLParser):
    """A report as lists of texts."""

    path: Path
    text: str = ""
    headings: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    tiles: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    images: int = 0
    plots: int = 0
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, str]] = []
        self._words = ""
        self._value = ""
        self.source = self.path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self._open, "a tag was not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        self.links += [given[n] for n in ("href", "xlink:href", "src") if n in given]
        assert not any(name.startswith("on") for name in given)
        assert tag != "script"
        if tag == "img":
            self.images += 1
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag == "figure" and given.get("class") == "plot":
            self.plots += 1
        if tag not in _EMPTY:
            self._open.append((tag, given.get("class", "")))
            self._words = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _EMPTY:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        self._words += data
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in _EMPTY:
            return
        opened, kind = self._open.pop()
        assert opened == tag, f"{opened} is closed by {tag}"
        if tag in ("th", "td"):
            self.tables[-1][-1].append(self._words)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(self._words)
        if tag == "strong":
            self._value = self._words
        if tag == "span" and self._value:
            self.tiles[self._words], self._value = self._value, ""
        if tag == "p" and kind == "note":
            self.notes.append(self._words)
        if tag == "figcaption":
            self.captions.append(self._words)

    def table(self, first: str) -> dict[str, list[str]]:
        """Rows of the table whose first heading, or else first cell, is given: the rest by the first."""
        for rows in self.tables:
            if rows and rows[0][0] == first:
                return {row[0]: row[1:] for row in rows}
        raise AssertionError(f"there is no table that begins with {first}: {self.tables}")
