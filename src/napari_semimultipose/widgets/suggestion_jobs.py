"""What the Suggest widget runs in worker threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_semimultipose.io.frames import Frames, Picture
from napari_semimultipose.labeling.suggest import (
    Criterion,
    Progress,
    Suggestion,
    suggest_frames,
)
from napari_semimultipose.plausibility import judge_of
from napari_semimultipose.poses import Poses, Source
from napari_semimultipose.second_look import suggest_with_model
from napari_semimultipose.widgets.preload import import_quietly

ShouldStop = Callable[[], bool]

THUMBNAIL_PX = (112, 84)
"""Largest width and height of a thumbnail."""


@dataclass(frozen=True)
class SuggestionJob:
    """Everything that a search for frames needs; see `labeling.suggest.suggest_frames`.

    With a `model`, `second_look.suggest_with_model` is asked, and its labels say which poses are usual.
    """

    frames: Frames
    by: Criterion
    count: int
    predictions: Sequence[Poses] = ()
    labels: Sequence[Poses] = ()
    seed: int = 0
    model: Path | None = None


@dataclass(frozen=True)
class Suggested:
    """The end of a search."""

    suggestions: tuple[Suggestion, ...]
    stopped: bool


@dataclass(frozen=True)
class Thumbnail:
    """A small picture [h, w, 3] of a frame."""

    frame: int
    picture: Picture


def suggestion_events(
    job: SuggestionJob, should_stop: ShouldStop
) -> Generator[Progress | Suggested, None, None]:
    """Search; yields `Progress`, and `Suggested` at the end.

    Raises
    ------
    SemiMultiPoseError
        When predictions do not belong to the recording, or frames or the model cannot be read.
    """
    human = any(((poses.source == Source.HUMAN) & poses.present).any() for poses in job.labels)
    if job.by == "uncertain" and human:
        import_quietly("napari_semimultipose.training.subspaces")
    judge = judge_of(job.labels, job.model, job.predictions)
    if job.model is not None:
        import_quietly("napari_semimultipose.inference.copies")
        found = yield from suggest_with_model(
            job.model,
            job.frames,
            job.count,
            predictions=job.predictions,
            labels=job.labels,
            judge=judge,
            should_stop=should_stop,
        )
        yield Suggested(tuple(found), should_stop())
        return
    found = yield from suggest_frames(
        job.frames,
        job.by,
        job.count,
        predictions=job.predictions,
        labels=job.labels,
        judge=judge,
        seed=job.seed,
        should_stop=should_stop,
    )
    yield Suggested(tuple(found), should_stop())


def thumbnail_events(
    frames: Frames, wanted: Sequence[int], should_stop: ShouldStop
) -> Iterator[Thumbnail]:
    """Read frames and make them small, in the order that suits a video."""
    for frame in sorted(set(wanted)):
        if should_stop():
            return
        yield Thumbnail(frame, small(frames[frame]))


def small(picture: Picture) -> Picture:
    """Scale a picture [H, W, C] down to [h, w, 3], at most `THUMBNAIL_PX` wide and high."""
    height, width = picture.shape[:2]
    shrink = max(1.0, width / THUMBNAIL_PX[0], height / THUMBNAIL_PX[1])
    n_rows, n_columns = (max(1, int(side / shrink)) for side in (height, width))
    out = picture.astype(np.float32)
    for axis, n in enumerate((n_rows, n_columns)):
        start = np.arange(n) * out.shape[axis] // n
        size = np.diff(np.append(start, out.shape[axis]))
        out = np.add.reduceat(out, start, axis=axis)
        out /= size.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return np.ascontiguousarray(np.broadcast_to(np.rint(out), (*out.shape[:2], 3)).astype(np.uint8))
