"""What the tables have in common: results that are kept run by run, Markdown, figures, and the peers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PEERS: dict[str, Any] = json.loads(Path(__file__).with_name("peers.json").read_text("utf-8"))
"""Figures of other tools, measured once on two cores (see "about" in the file)."""


class Results(Mapping[str, dict[str, Any]]):
    """Rows of a table in a JSON file, written after each run: what is there is not measured again.

    Parameters
    ----------
    folder : Path
        Where the files of the table go.
    name : str
        Name of the table and of its files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.path = folder / f"{name}.json"
        self._rows: dict[str, dict[str, Any]] = (
            json.loads(self.path.read_text("utf-8")) if self.path.is_file() else {}
        )

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row and write the file."""
        self._rows[key] = row
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self._rows, indent=1), "utf-8")
        beside.replace(self.path)

    def write_markdown(self, text: str) -> None:
        """Write the table as Markdown."""
        (self.folder / f"{self.name}.md").write_text(text, "utf-8")


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def mean_and_error(values: Sequence[float | None], digits: int = 3) -> str:
    """Return "mean ± standard error"; the mean alone of one value, "-" of none."""
    known = np.array([v for v in values if v is not None], float)
    if not known.size:
        return "-"
    text = f"{known.mean():.{digits}f}"
    if known.size > 1:
        text += f" ± {known.std(ddof=1) / known.size**0.5:.{digits}f}"
    return text


def bars(
    path: Path,
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    ylabel: str,
    lines: Mapping[str, float] | None = None,
) -> None:
    """Draw groups of bars (means, with the single values as dots) and horizontal lines of reference.

    Parameters
    ----------
    groups : mapping of str to mapping of str to values
        Group on the axis, then series, then its single values.
    lines : mapping of str to float, optional
        Named reference values.
    """
    from matplotlib.figure import Figure

    series = list(dict.fromkeys(name for values in groups.values() for name in values))
    figure = Figure(figsize=(max(4.0, 1.0 + 0.5 * len(series) * len(groups)), 3.2), layout="tight")
    axes = figure.subplots()
    width = 0.8 / max(1, len(series))
    for i, name in enumerate(series):
        found = [(x, np.array(v[name], float)) for x, v in enumerate(groups.values()) if name in v]
        places = np.array([x for x, _ in found]) + (i - (len(series) - 1) / 2) * width
        axes.bar(places, [v.mean() for _, v in found], 0.9 * width, label=name)
        for place, (_, values) in zip(places, found, strict=True):
            axes.plot(np.full(len(values), place), values, "k.", markersize=4)
    for name, value in (lines or {}).items():
        axes.axhline(value, color="0.4", linewidth=1, linestyle="--")
        axes.annotate(
            name, (0.01, value), xycoords=("axes fraction", "data"), va="bottom", fontsize=7
        )
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylabel(ylabel)
    axes.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=150)
