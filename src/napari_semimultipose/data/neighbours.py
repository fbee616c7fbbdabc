"""The frames around labelled frames, for networks that look at five frames."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.data.frames import FrameRef, spread_evenly
from napari_semimultipose.data.split import TrainingData
from napari_semimultipose.io.images import ImageFrames
from napari_semimultipose.io.surroundings import (
    REACH,
    file_beside,
    indices_around,
    surroundings,
)

if TYPE_CHECKING:
    from napari_semimultipose.io.frames import Frames

_LABELLED = 0.5  # with more labelled ones among them, the numbers of images count labels
_ALIKE = 0.7  # neighbours differ less than this share of what other images do
_COMPARED = 16  # images that are compared
_GRID = 32  # blocks along each axis whose means are compared: noise must not count

ADVICE = (
    "label frames of a video, or keep the two frames before and after each labelled image beside it, "
    "by their numbers (img0010.png to img0014.png around img0012.png)"
)


def with_neighbours(
    data: TrainingData, frames: Mapping[int, Frames], exclude: Collection[tuple[int, int]] = ()
) -> TrainingData:
    """Return the data with the neighbours of the labelled frames.

    Frames of videos and stacks have the frames before and after them; labelled images those whose
    number in the name is next to theirs, in the same folder, if these are no labelled images
    themselves (then the numbers count labels) and resemble them (then the numbers are those of frames).
    A missing neighbour is replaced by the next one towards the labelled frame. Without any, the result
    has no `neighbours` at all; its notes say why.

    Parameters
    ----------
    data : TrainingData
    frames : mapping of int to Frames
        The recording of each index into the videos of the labels.
    exclude : collection of (video, frame)
        Frames that training must not see.
    """
    refs = [*data.train, *data.validation]
    found: dict[Hashable, tuple[FrameRef, ...]] = {}
    excluded: dict[int, set[int]] = {}
    for video, index in exclude:
        excluded.setdefault(video, set()).add(index)
    stills = []
    for ref in refs:
        if isinstance(ref.frames, ImageFrames):
            stills.append(ref)
            continue
        video = _video(ref)
        banned = excluded.get(video, set())
        around = [
            FrameRef(ref.frames, i, (video, i))
            for i in indices_around(ref.frames, ref.index, without=banned)
        ]
        found[ref.key] = (*around[:REACH], *around[REACH + 1 :])
    beside, why = _images_beside(data, stills, frames, excluded)
    found |= beside
    alone = sum(
        all(n.index == r.index and n.frames is r.frames for n in found[r.key]) for r in refs
    )
    if alone == len(refs):
        return replace(
            data, notes=(*data.notes, f"no neighbouring frames are used: {why}; {ADVICE}")
        )
    notes = data.notes
    if alone:
        notes = (
            *notes,
            f"{alone} of {len(refs)} labelled frames have no neighbouring frames"
            + (f" ({why})" if why else "")
            + ": they stand for these themselves",
        )
    return replace(data, notes=notes, neighbours=found)


def _video(ref: FrameRef) -> int:
    assert isinstance(ref.key, tuple)  # `prepare` has made it
    return int(ref.key[0])


def _images_beside(
    data: TrainingData,
    refs: Sequence[FrameRef],
    frames: Mapping[int, Frames],
    excluded: Mapping[int, Collection[int]],
) -> tuple[dict[Hashable, tuple[FrameRef, ...]], str]:
    """Return the neighbours of labelled images; those without are their own. Also why there are none."""
    alone = {ref.key: (ref,) * (2 * REACH) for ref in refs}
    banned = _files(frames, excluded)
    rows = {
        v: set(data.poses.frame[data.poses.video == v].tolist())
        for v in np.unique(data.poses.video).tolist()
    }
    labelled = _files(frames, rows)
    around: dict[Hashable, tuple[Path, ...]] = {}
    for ref in refs:
        file = _file(ref)

        def beside(step: int, file: Path = file) -> Path | None:
            other = file_beside(file, step)
            return None if other in banned else other

        around[ref.key] = surroundings(file, beside)
    others = [f for ref in refs for f in around[ref.key] if f != _file(ref)]
    if not others:
        return alone, "there are none" if refs else ""
    if np.mean([f in labelled for f in others]) > _LABELLED:
        return alone, "the numbers in the names of images count labelled images"
    if _likeness(refs, around) > _ALIKE:
        return alone, "images with consecutive numbers are not alike, as frames in a row would be"
    files = list(dict.fromkeys(others))
    pictures = ImageFrames(files, names=tuple(map(str, files)), source=files)
    place = {file: i for i, file in enumerate(files)}

    def ref_of(file: Path, centre: FrameRef) -> FrameRef:
        index = place.get(file)
        if index is None or pictures.frame_shape(index) != centre.frames.frame_shape(centre.index):
            return centre
        return FrameRef(pictures, index, ("beside", index))

    out: dict[Hashable, tuple[FrameRef, ...]] = {}
    for ref in refs:
        five = [ref_of(f, ref) for f in around[ref.key]]
        out[ref.key] = (*five[:REACH], *five[REACH + 1 :])
    return out, ""


def _file(ref: FrameRef) -> Path:
    assert isinstance(ref.frames, ImageFrames)
    return ref.frames.files[ref.index]


def _files(frames: Mapping[int, Frames], indices: Mapping[int, Collection[int]]) -> set[Path]:
    """Return the files of some images that are not at other places, too.

    Where an image is missing, another one stands in its place.
    """
    inside: set[Path] = set()
    outside: set[Path] = set()
    for video, recording in frames.items():
        if isinstance(recording, ImageFrames):
            chosen = indices.get(video, ())
            for i, file in enumerate(recording.files):
                (inside if i in chosen else outside).add(file)
    return inside - outside


def _likeness(refs: Sequence[FrameRef], around: Mapping[Hashable, Sequence[Path]]) -> float:
    """Median difference of images from their next neighbour relative to that from other labelled images.

    The differences are root mean squares over the means of blocks.
    """
    some = [r for r in refs if any(f != _file(r) for f in around[r.key])]
    some = [some[i] for i in spread_evenly(len(some), _COMPARED)]
    grids = [_blocks(r.frames[r.index]) for r in some]
    ratios = []
    for place, (ref, grid) in enumerate(zip(some, grids, strict=True)):
        near = [f for f in around[ref.key][REACH - 1 : REACH + 2] if f != _file(ref)]
        if not near:
            continue
        files = [near[0]]
        beside = _blocks(ImageFrames(files, names=(str(near[0]),), source=files)[0])
        far = [
            _difference(grid, other)
            for other in (*grids[:place], *grids[place + 1 :])
            if other.shape == grid.shape
        ]
        if beside.shape == grid.shape and far and np.median(far) > 0:
            ratios.append(_difference(grid, beside) / float(np.median(far)))
    return float(np.median(ratios)) if ratios else 0.0


def _blocks(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean grey of blocks of a picture [H, W, C]."""
    grey = picture.mean(-1)
    high, wide = (max(1, side // _GRID) for side in grey.shape)
    rows, columns = grey.shape[0] // high, grey.shape[1] // wide
    cut = grey[: rows * high, : columns * wide]
    return np.asarray(cut.reshape(rows, high, columns, wide).mean((1, 3)))


def _difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))
