"""Dialogs for labels files and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

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


def ask_save(parent: QWidget, path: Path, format: str | None) -> tuple[Path, str] | None:
    """Ask for a file and its format; the ending is added where it is missing."""
    known = {filter_of(f): f for f in FORMATS.values() if f.writes and f.suffixes}
    first = next((text for text, f in known.items() if f.name == format), next(iter(known)))
    name, chosen = QFileDialog.getSaveFileName(
        parent, "Save labels", str(path), ";;".join(known), first
    )
    if not name:
        return None
    kind = known.get(chosen, known[first])
    return with_ending(Path(name), kind), kind.name


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
