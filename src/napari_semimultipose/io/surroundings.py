"""The frames just before and after a frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from napari_semimultipose.io.frames import Frames

REACH = 2
"""So many frames before and after a frame are its surroundings."""

Place = TypeVar("Place")


def surroundings(centre: Place, beside: Callable[[int], Place | None]) -> tuple[Place, ...]:
    """Return a frame between those before and after it, `REACH` on each side.

    A missing one is replaced by its neighbour on the side of the centre, so that recordings go on
    with their first and last frame.

    Parameters
    ----------
    centre : frame
    beside : callable
        Returns the frame so many steps (-2, -1, 1, 2) from the centre, or None.
    """
    sides = []
    for direction in (-1, 1):
        frames, last = [], centre
        for step in range(1, REACH + 1):
            found = beside(direction * step)
            last = last if found is None else found
            frames.append(last)
        sides.append(frames)
    return (*reversed(sides[0]), centre, *sides[1])


def indices_around(frames: Frames, index: int, without: Collection[int] = ()) -> tuple[int, ...]:
    """Return the indices of the surroundings of a frame of a recording; see `surroundings`.

    Frames that are not there, of another size, or in `without` count as missing.
    """
    size = frames.frame_shape(index)

    def beside(step: int) -> int | None:
        other = index + step
        if not 0 <= other < len(frames) or other in without:
            return None
        if frames.stored is not None and other not in frames.stored:
            return None
        return other if frames.frame_shape(other) == size else None

    return surroundings(index, beside)


def file_beside(file: Path, step: int) -> Path | None:
    """Return the image whose number, the last one in the name, is larger by `step`; None without one.

    Lightning Pose keeps the frames around a labelled one in this way: ``img0007.png`` to ``img0011.png``.
    """
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", file.stem)
    if found is None:
        return None
    start, digits, end = found.groups()
    number = int(digits) + step
    if number < 0:
        return None
    other = file.with_name(f"{start}{number:0{len(digits)}d}{end}{file.suffix}")
    return other if other.is_file() else None
