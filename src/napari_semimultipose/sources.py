"""From what people name - images, frame numbers, folders - to places in a table of poses.

Lists are text files with one entry a line (or sequences of such entries). An entry is the name of an
image as the labels file writes it, or as much of its end as is unique (``img012.png``); for
videos it is a frame number (``12``), a range (``0:900`` or ``0:900:9``, the end not included), and,
where the labels belong to several videos, ``clip.mp4:12``. Empty lines and lines that start with
``#`` are skipped.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.places import full_name, match_names, name_parts
from napari_semimultipose.poses import Poses

Place = tuple[int, int]
"""Index of a video and of a frame in it."""

Entries = str | os.PathLike[str] | Sequence[str | int]
"""A text file with one entry a line, or the entries themselves."""

_NUMBERS = re.compile(
    r"(?:(?P<video>.*?[^\d:].*?):)?(?P<start>\d+)(?::(?P<stop>\d+)(?::(?P<step>[1-9]\d*))?)?"
)


def read_entries(source: Entries) -> list[str]:
    """Return the entries of a list.

    Parameters
    ----------
    source : path or sequence
        Text file, or the entries themselves.

    Raises
    ------
    LabelsError
        When the file is missing, is no text, or names nothing.
    """
    if not isinstance(source, (str, os.PathLike)):
        return [str(entry) for entry in source]
    path = Path(source)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise LabelsError(f"there is no file {path} (a text file, one name a line)") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise LabelsError(f"{path} is no text file; write one name a line") from None
    entries = [line.strip() for line in lines]
    entries = [entry for entry in entries if entry and not entry.startswith("#")]
    if not entries:
        raise LabelsError(f"{path} names no image and no frame")
    return entries


class KnownImages:
    """Recognises the images of poses among files, whatever folder they lie in.

    Only as many folders are compared as are needed to tell the images of the poses from one
    another, so that a copy in another folder is recognised.
    """

    def __init__(self, poses: Poses, also: Iterable[str] = ()) -> None:
        names = {name_parts(name) for video in poses.videos for name in video.images}
        names |= {name_parts(name) for name in also}
        self._ends: set[tuple[str, ...]] = set()
        self.depth = 0
        while len(self._ends) < len(names) and self.depth < 4:
            self.depth += 1
            self._ends = {name[-self.depth :] for name in names}

    def __contains__(self, path: str | os.PathLike[str]) -> bool:
        parts = name_parts(os.fspath(path))
        return any(parts[-n:] in self._ends for n in range(1, self.depth + 1))


def find_places(entries: Iterable[str], poses: Poses) -> tuple[dict[str, list[Place]], list[str]]:
    """Places of the entries of a list, and the entries that name nothing in `poses`.

    Numbers of frames are taken at their word for videos: a frame need not have labels.

    Raises
    ------
    LabelsError
        When an entry fits several images or videos.
    """
    entries = list(entries)
    images: list[tuple[str, Place]] = []
    written: dict[str, list[Place]] = defaultdict(list)
    for v, video in enumerate(poses.videos):
        for f, name in enumerate(video.images):
            images.append((full_name(video.path, name), (v, f)))
            written[name].append((v, f))
    rest = [entry for entry in entries if len(written.get(entry, ())) != 1]
    matches = dict(zip(rest, match_names(rest, [name for name, _ in images]), strict=True))
    found: dict[str, list[Place]] = {}
    lost: list[str] = []
    for entry in entries:
        match = matches.get(entry)
        if entry not in matches:
            places = written[entry]
        else:
            places = _numbered(entry, poses) if match is None else [images[match][1]]
        if places:
            found[entry] = places
        else:
            lost.append(entry)
    return found, lost


def _numbered(entry: str, poses: Poses) -> list[Place]:
    """Places of an entry that is a frame number or a range, with or without the video's name."""
    match = _NUMBERS.fullmatch(entry)
    if match is None:
        return []
    if match["video"] is not None:
        wanted = name_parts(match["video"])
        videos = [v for v, x in enumerate(poses.videos) if _same_end(wanted, name_parts(x.path))]
    else:
        videos = list(range(len(poses.videos)))
    if len(videos) > 1:
        names = some(poses.videos[v].name or f"video {v}" for v in videos)
        raise LabelsError(
            f"frame {entry!r} could be of any of {len(videos)} videos ({names}); write video:frame"
        )
    start = int(match["start"])
    stop = int(match["stop"]) if match["stop"] is not None else start + 1
    frames = range(start, stop, int(match["step"] or 1))
    for v in videos:
        images = len(poses.videos[v].images)
        return [(v, f) for f in frames if not images or f < images]
    return []


def rows_named(poses: Poses, source: Entries, what: str) -> list[int]:
    """Rows of `poses` that a list names, sorted.

    Parameters
    ----------
    source : path or sequence
        See `read_entries`.
    what : str
        Name of the list, for errors.

    Raises
    ------
    LabelsError
        When an entry names nothing in `poses`, or a frame without a row.
    """
    found, lost = find_places(read_entries(source), poses)
    row_at = {
        (int(v), int(f)): i for i, (v, f) in enumerate(zip(poses.video, poses.frame, strict=True))
    }
    rows: set[int] = set()
    for entry, places in found.items():
        here = {row_at[place] for place in places if place in row_at}
        if not here:
            lost.append(entry)
        rows |= here
    if lost:
        raise LabelsError(
            f"{what}: {some(lost)} {_are(lost)} not among the labels ({_holds(poses)})"
        )
    return sorted(rows)


def some(names: Iterable[str], limit: int = 3) -> str:
    """Return the first few names as text: ``'a', 'b', 'c' and 4 more``."""
    listed = list(names)
    text = ", ".join(repr(name) for name in listed[:limit])
    return text + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _holds(poses: Poses) -> str:
    """Say what kind of entries these poses have, for errors."""
    if any(video.images for video in poses.videos):
        return f"images such as {some([n for v in poses.videos for n in v.images], 2)}"
    if not len(poses):
        return "there are none"
    return f"frames {poses.frame.min()} to {poses.frame.max()}"


def _same_end(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    n = min(len(a), len(b))
    return n > 0 and a[len(a) - n :] == b[len(b) - n :]
