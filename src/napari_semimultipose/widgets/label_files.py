"""Dialogs for labels files and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_semimultipose.io.labels import FORMATS, Format
from napari_semimultipose.layers.skeletons import labelled_counts
from napari_semimultipose.poses import Poses


def folder_formats() -> list[Format]:
    """Return the formats that are folders and can be written."""
    return [f for f in FORMATS.values() if f.writes and not f.suffixes]


def can_write(path: Path) -> bool:
    """Whether labels can be saved under this name again."""
    endings = tuple(s for f in FORMATS.values() if f.writes for s in f.suffixes)
    return path.name.lower().endswith(endings)


def ask_open(parent: QWidget, folder: Path) -> Path | None:
    """Ask for a labels file."""
    endings = sorted({f"*{s}" for f in FORMATS.values() if f.reads for s in f.suffixes})
    filters = f"Labels ({' '.join(endings)});;All files (*)"
    path, _ = QFileDialog.getOpenFileName(parent, "Open labels", str(folder), filters)
    return Path(path) if path else None


def ask_folder(parent: QWidget, title: str, folder: Path) -> Path | None:
    """Ask for a folder that exists."""
    path = QFileDialog.getExistingDirectory(parent, title, str(folder))
    return Path(path) if path else None


def ask_new_folder(parent: QWidget, folder: Path) -> Path | None:
    """Ask for a folder to write to, which need not exist."""
    path, _ = QFileDialog.getSaveFileName(parent, "Save as a new folder", str(folder / "labels"))
    return Path(path) if path else None


def ask_save(
    parent: QWidget, path: Path | None, format: str | None = None, title: str = "Save labels"
) -> tuple[Path, str] | None:
    """Ask for a file and its format; the ending is added where it is missing.

    The format is the one that was chosen from the list. Where the list was left alone, the ending that was typed
    decides.

    Parameters
    ----------
    path : Path, optional
        What to propose.
    format : str, optional
        The format that is chosen at first, a name of `FORMATS`.
    title : str
        Of the dialog.
    """
    known = {filter_of(f): f for f in FORMATS.values() if f.writes and f.suffixes}
    first = next((text for text, f in known.items() if f.name == format), next(iter(known)))
    while True:
        name, chosen = QFileDialog.getSaveFileName(
            parent, title, "" if path is None else str(path), ";;".join(known), first
        )
        if not name:
            return None
        kind = known.get(chosen, known[first])
        if kind is known[first]:
            kind = _format_of(Path(name), kind)
        file = with_ending(Path(name), kind)
        if may_replace(parent, title, Path(name), file):
            return file, kind.name


def ask_file(
    parent: QWidget, title: str, path: Path | None, filters: str, ending: str
) -> Path | None:
    """Ask for a file that is no labels file; `ending` is added where there is none."""
    while True:
        name, _ = QFileDialog.getSaveFileName(
            parent, title, "" if path is None else str(path), filters
        )
        if not name:
            return None
        file = Path(name)
        if not file.suffix:
            file = file.with_name(file.name + ending)
        if may_replace(parent, title, Path(name), file):
            return file


def may_replace(parent: QWidget, title: str, typed: Path, file: Path) -> bool:
    """Ask before a file is replaced that the dialog has not asked about, since it had another ending there."""
    if file == typed or not file.exists():
        return True
    answer = QMessageBox.question(
        parent, title, f"{file.name} exists already in {file.parent}. Replace it?"
    )
    return bool(answer == QMessageBox.StandardButton.Yes)


def _format_of(path: Path, proposed: Format) -> Format:
    """Return the format that a name says; `proposed` where it fits, or the name says none."""
    name = path.name.lower()
    fitting = [f for f in FORMATS.values() if f.writes and f.suffixes and name.endswith(f.suffixes)]
    return proposed if proposed in fitting or not fitting else fitting[0]


def filter_of(known: Format) -> str:
    """Return the entry of a format in the list of a file dialog."""
    return f"{known.title} ({' '.join(f'*{s}' for s in known.suffixes)})"


def with_ending(path: Path, known: Format) -> Path:
    """Give a path an ending of the format, unless it has one; endings of labels are replaced."""
    if path.name.lower().endswith(known.suffixes):
        return path
    others = sorted((s for f in FORMATS.values() for s in f.suffixes), key=len, reverse=True)
    name = path.name
    for ending in others:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return path.with_name(name + known.suffixes[0])


def lost_keypoints(poses: Poses, origin: Sequence[int | None]) -> str:
    """Name the labelled keypoints that a new skeleton would drop, with their number of labels."""
    counts = labelled_counts(poses)
    dropped = [i for i in range(len(poses.skeleton)) if i not in origin and counts[i]]
    names = poses.skeleton.keypoints
    return ", ".join(
        f"'{names[i]}' ({counts[i]} animal{'s' if counts[i] > 1 else ''})" for i in dropped
    )
