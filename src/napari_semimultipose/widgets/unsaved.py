"""Files with labels that nobody saved: their names, finding them, reading them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.journal import origin_of, recover
from napari_semimultipose.io.lock import Owner, in_use
from napari_semimultipose.poses import Poses

SUFFIX = ".semimultipose.journal"
OLD_SUFFIX = ".semimultipose.slp"
"""Earlier versions wrote the whole labels into such a file, again and again."""
DISCARDED = ".discarded"
DAMAGED = ".damaged"
_ASIDE = re.compile(rf"({DISCARDED}|{DAMAGED})(\.\d+)?{SUFFIX}$")


@dataclass(frozen=True, eq=False)
class Kept:
    """Labels that were never saved.

    Parameters
    ----------
    poses : Poses
    labels : path or None
        The labels file that they belong to.
    format : str or None
        Its format.
    """

    poses: Poses
    labels: Path | None = None
    format: str | None = None


def read(path: Path) -> Kept:
    """Read labels that were never saved.

    Raises
    ------
    LabelsError
        When there are none in the file.
    """
    from napari_semimultipose.io.labels import read_poses

    if not path.name.endswith(SUFFIX):
        return Kept(read_poses(path))
    found = recover(path)
    labels = Path(found.origin.labels) if found.origin.labels else None
    return Kept(found.poses, labels, found.origin.format or None)


def holds_no_more(path: Path, poses: Poses) -> bool:
    """Whether the unsaved labels in a file are just these."""
    try:
        kept = read(path).poses
    except LabelsError:
        return False
    kept, other = (p.keep(p.present) for p in (kept, poses))
    return kept.xy.shape == other.xy.shape and all(
        np.allclose(getattr(kept, name), getattr(other, name), equal_nan=True)
        for name in ("video", "frame", "visible", "track", "xy")
    )


def busy(place: Path) -> Owner | None:
    """Return who else labels a recording on this computer, without a labels file."""
    for path in candidates(place, SUFFIX, by_name=False):
        if not path.exists():
            return None
        owner = in_use(path)
        if owner is not None and owner.is_here:
            return owner
    return None


def found(
    place: Path, labels: Path | None = None, shape: tuple[int, int] | None = None
) -> list[Path]:
    """Files with unsaved labels of a recording or labels file, the newest first.

    Files that another window on this computer is writing to are not among them.

    Parameters
    ----------
    place : path
        The recording.
    labels : path, optional
        The labels file that is open.
    shape : (int, int), optional
        Height and width of a recording in memory, of which there may be several with one name.
    """
    wanted = [(place, _name(place))] + ([] if labels is None else [(labels, labels.name)])
    files = set()
    for anchor, name in wanted:
        for folder in {anchor.parent, user_folder()}:
            for path in folder.glob("*.semimultipose.*") if folder.is_dir() else ():
                if path.name.endswith(OLD_SUFFIX):
                    belongs = _is_named(path, name, OLD_SUFFIX)
                else:
                    beside = folder == anchor.parent
                    belongs = path.name.endswith(SUFFIX) and _belongs(
                        path, name, place, labels, beside=beside
                    )
                if belongs and not is_busy(path) and (shape is None or _can_be(path, shape)):
                    files.add(path)
    return sorted(files, key=lambda p: p.stat().st_mtime, reverse=True)


def _belongs(path: Path, name: str, place: Path, labels: Path | None, *, beside: bool) -> bool:
    """Whether a journal has labels of a recording or labels file, by its name or its content.

    In the user's folder the journals of many recordings lie together, and some have the same name: there it
    must not name another one that exists.
    """
    known = origin_of(path)
    if known is None:
        return False
    origin, videos = known
    recordings = {origin.recording, *(video.path for video in videos)}
    if not beside and not (
        any(_is_file(one, place) for one in recordings)
        or (labels is not None and _is_file(origin.labels, labels))
    ):
        namesakes = [one for one in recordings if Path(one).name == place.name]
        if any(is_elsewhere(one, place) for one in namesakes):
            return False
    if _is_named(path, name, SUFFIX):
        return True
    names = {Path(origin.recording).name, *(video.name for video in videos)}
    return place.name in names and _ASIDE.search(path.name) is None


def _can_be(path: Path, shape: tuple[int, int]) -> bool:
    """Whether unsaved labels can be those of pictures of a height and width, as far as these are known."""
    known = origin_of(path) if path.name.endswith(SUFFIX) else None
    shapes = set() if known is None else {video.shape for video in known[1]}
    return not shapes or None in shapes or shape in shapes


def _is_file(known: str, place: Path) -> bool:
    """Whether a stored path names this file, which may be gone."""
    if not known:
        return False
    path = Path(known)
    both = path.exists() and place.exists()
    return path.samefile(place) if both else path == place


def is_elsewhere(known: str, place: Path) -> bool:
    """Whether a stored path names another file than this one, and that is there."""
    return bool(known) and Path(known).exists() and not _is_file(known, place)


def _is_named(path: Path, name: str, suffix: str) -> bool:
    rest = path.name.removesuffix(suffix)
    return rest == name or (rest.startswith(f"{name}.") and rest[len(name) + 1 :].isdigit())


def is_busy(path: Path) -> bool:
    """Whether a window on this computer is writing to a file."""
    owner = in_use(path)
    return owner is not None and owner.is_here


def discard(path: Path) -> Path:
    """Put a file with unsaved labels aside, so that it is not offered again; it stays on disk."""
    aside = free_name(path, DISCARDED)
    path.rename(aside)
    return aside


def free_name(path: Path, mark: str) -> Path:
    """Return a name beside a file that no file has yet."""
    suffix = SUFFIX if path.name.endswith(SUFFIX) else OLD_SUFFIX
    name = path.name.removesuffix(suffix)
    names = (f"{name}{mark}{'' if n == 1 else f'.{n}'}{suffix}" for n in range(1, 10_000))
    return next(p for p in map(path.with_name, names) if not p.exists())


def candidates(anchor: Path, suffix: str, by_name: bool) -> Iterator[Path]:
    """Paths for the unsaved labels of a labels file (`by_name`) or recording."""
    folder, name = folder_of(anchor), anchor.name if by_name else _name(anchor)
    return (folder / f"{name}{'' if n == 1 else f'.{n}'}{suffix}" for n in range(1, 1000))


def folder_of(place: Path) -> Path:
    """Folder of the recording, or the user's data folder where it cannot be written to."""
    parent = place.parent
    existing = next((p for p in (parent, *parent.parents) if p.exists()), parent)
    return parent if os.access(existing, os.W_OK) else user_folder()


def user_folder() -> Path:
    """Return the folder for recordings in places that cannot be written to."""
    return Path.home() / "semimultipose"


def _name(place: Path) -> str:
    return place.name if place.is_dir() else place.stem
