"""Which recordings are cameras of one session: names of cameras in the names of files.

``run1_top.mp4`` and ``run1_side.mp4`` are two cameras, top and side, of the session ``run1_*``; so are
``run1/top.mp4`` and ``run1/side.mp4``, and the images ``run1_top/img12.png`` and ``run1_side/img12.png``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from napari_semimultipose.errors import ConfigError
from napari_semimultipose.io.locate import VIDEO_SUFFIXES
from napari_semimultipose.io.places import name_parts

_ANY = "*"  # stands for the name of the camera


@dataclass(frozen=True)
class Sighting:
    """What the name of a recording or picture says.

    Attributes
    ----------
    camera : int
        Index of its camera; -1 where the name has none.
    session : int
        Number of its session, from 0 on; -1 without a camera.
    """

    camera: int = -1
    session: int = -1


def sightings(names: Sequence[str], cameras: Sequence[str]) -> tuple[list[Sighting], list[str]]:
    """Sort names of recordings or pictures by camera and session.

    The last part of a path that has the name of a camera as a whole word counts (``top`` is one in
    ``run1_top``, and none in ``laptop``); without any, a camera that is some part of the last one. Names are
    of one session when they are equal but for the camera from that part on, or, where this is true of two
    recordings of one camera, over the whole path. Endings of videos do not count.

    Parameters
    ----------
    names : sequence of str
        Paths, different from each other.
    cameras : sequence of str
        See `check_cameras`.

    Returns
    -------
    list of Sighting
        One for each name.
    list of str
        How to call the sessions, by their numbers: ``run1_*``.

    Raises
    ------
    ConfigError
        When a name has several cameras in it, or two names are one camera of one session.
    """
    read = [_read(name, cameras) for name in names]
    crowded = _crowded((r.camera, r.tail) for r in read if r)
    keys = [None if r is None else r.whole if r.tail in crowded else r.tail for r in read]
    numbers: dict[str, int] = {}
    titles: list[str] = []
    taken: dict[Sighting, str] = {}
    out: list[Sighting] = []
    for name, one, key in zip(names, read, keys, strict=True):
        if one is None or key is None:
            out.append(Sighting())
            continue
        if key not in numbers:
            numbers[key] = len(numbers)
            titles.append(key)
        seen = Sighting(one.camera, numbers[key])
        if seen in taken:
            raise ConfigError(
                f"{taken[seen]} and {name} are both of camera {cameras[seen.camera]}, and of one session by their "
                "names: leave one out, or give the sessions different names"
            )
        taken[seen] = name
        out.append(seen)
    return out, titles


def check_cameras(cameras: Sequence[str], names: Sequence[str]) -> None:
    """Refuse cameras that cannot be told apart, or that no recording or picture is of.

    Raises
    ------
    ConfigError
        Says which names there are.
    """
    if len(cameras) < 2 or len(set(cameras)) < len(cameras) or not all(cameras):
        raise ConfigError(
            f"video.cameras: {', '.join(map(repr, cameras))}: name two different cameras or more, each by what "
            "the names of its recordings have and those of the others do not"
        )
    found = {r.camera for name in names if (r := _read(name, cameras))}
    missing = [camera for i, camera in enumerate(cameras) if i not in found]
    if missing:
        some = sorted({"/".join(name_parts(name)[-2:]) for name in names})
        have = ", ".join(some[:4]) + (f" and {len(some) - 4} more" if len(some) > 4 else "")
        raise ConfigError(
            f"no recording and no labelled picture has the camera {', '.join(missing)} in its name; there are "
            f"{have or 'none'}. Correct the names of the cameras (video.cameras)"
        )


@dataclass(frozen=True)
class _Read:
    """A camera, and a name with a star in its place: from the part that has it on, and from the start on."""

    camera: int
    tail: str
    whole: str


def _read(name: str, cameras: Sequence[str]) -> _Read | None:
    parts = list(name_parts(name))
    words = [_word(camera) for camera in cameras]
    place = len(parts)
    here: list[int] = []
    for place in reversed(range(len(parts))):
        here = [c for c, word in enumerate(words) if word.search(parts[place])]
        if here:
            break
    if not here and parts:
        place = len(parts) - 1
        words = [re.compile(re.escape(camera)) for camera in cameras]
        here = [c for c, word in enumerate(words) if word.search(parts[place])]
    # A name may be part of another one: the longest counts.
    here = [c for c in here if not any(o != c and cameras[c] in cameras[o] for o in here)]
    if not here:
        return None
    if len(here) > 1:
        raise ConfigError(
            f"{name} has the names of several cameras in it ({', '.join(cameras[c] for c in here)}): give the "
            "cameras names (video.cameras) of which the name of a recording has one"
        )
    blank = [words[here[0]].sub(_ANY, parts[place]), *parts[place + 1 :]]
    # Folders may be those of a camera, too (side/run1_side.mp4), or be called like one (the project top).
    above = [_blanked(part, cameras) for part in parts[:place]]
    blank[-1] = _without_suffix(blank[-1])
    return _Read(here[0], "/".join(blank), "/".join([*above, *blank]))


def _word(camera: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![0-9A-Za-z]){re.escape(camera)}(?![0-9A-Za-z])")


def _blanked(part: str, cameras: Sequence[str]) -> str:
    for camera in sorted(cameras, key=len, reverse=True):
        part = _word(camera).sub(_ANY, part)
    return part


def _without_suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in VIDEO_SUFFIXES else name


def _crowded(seen: Iterable[tuple[int, str]]) -> set[str]:
    """Return the tails that two names of one camera have."""
    return {tail for (_, tail), count in Counter(seen).items() if count > 1}
