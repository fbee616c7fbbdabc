"""Predictions of labelled frames by models that did not see their labels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_semimultipose.config import Config
from napari_semimultipose.errors import LabelsError, TrainingError
from napari_semimultipose.poses import IntArray, Poses, Source
from napari_semimultipose.training.events import Event, Failed, Step

if TYPE_CHECKING:
    from napari_semimultipose.io.frames import Frames

BLOCKS_PER_FOLD = 4
"""A fold is so many stretches of labelled frames: neighbours, which look alike, are learned or left out
together, and every fold has all parts of the recording."""


@dataclass(frozen=True)
class FoldProgress:
    """How far the cross-fitting is.

    Attributes
    ----------
    fold, folds : int
        The model that is being trained, from 1, and their number.
    share : float
        Share of the whole work that is done.
    event : Event
        What its training says.
    """

    fold: int
    folds: int
    share: float
    event: Event


def folds_of(labels: Poses, folds: int) -> IntArray:
    """Assign the labelled frames to folds.

    Parameters
    ----------
    labels : Poses
        F frames; those without an animal that a person labelled belong to no fold.
    folds : int
        2 or more.

    Returns
    -------
    array [F]
        Fold of each row; -1 for none.

    Raises
    ------
    LabelsError
        When there are fewer labelled frames than folds.
    """
    human = (labels.present & (labels.source != Source.PREDICTED)).any(1)
    rows = np.flatnonzero(human)
    if len(rows) < max(2, folds):
        raise LabelsError(
            f"{len(rows)} labelled frames are too few for {folds} folds: label more, or take fewer folds"
        )
    rows = rows[np.lexsort((labels.frame[rows], labels.video[rows]))]
    blocks = min(len(rows), BLOCKS_PER_FOLD * folds)
    out = np.full(len(labels), -1, np.int64)
    # The longer blocks come first, so that every fold gets as many of them.
    for block, part in enumerate(np.array_split(rows, blocks)):
        out[part] = block % folds
    return out


def cross_fitted(
    labels: Poses,
    config: Config,
    frames: Mapping[int, Frames],
    folds: int,
    exclude: Collection[tuple[int, int]] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[FoldProgress | Poses]:
    """Predict each labelled frame with a model that was trained without it.

    Parameters
    ----------
    labels : Poses
        Labelled animals.
    config : Config
        Settings of each training; `train.minutes` is the time for one fold.
    frames : mapping of int to Frames
        The recording of each index into ``labels.videos``; labels of other videos are left out.
    folds : int
        Number of models.
    exclude : collection of (video, frame)
        Frames that cannot be used, because their pictures are missing.
    should_stop : callable
        True ends it; the folds that are complete are predicted.

    Yields
    ------
    FoldProgress, and in the end Poses
        The predictions, on the labelled frames.

    Raises
    ------
    LabelsError
        When there are too few labels.
    TrainingError
        When a training fails.
    """
    fold_of = folds_of(labels, folds)
    places = list(zip(labels.video.tolist(), labels.frame.tolist(), strict=True))
    fold_of[[v not in frames or (v, f) in exclude for v, f in places]] = -1
    parts: list[Poses] = []
    with tempfile.TemporaryDirectory(prefix="semimultipose-check-") as place:
        for fold in range(folds):
            rows = np.flatnonzero(fold_of == fold)
            if not len(rows) or should_stop():
                continue
            folder = Path(place) / f"fold{fold}"
            left_out = {places[r] for r in rows} | set(exclude)
            for share, event in _trained_without(
                labels, left_out, config, frames, folder, should_stop
            ):
                if isinstance(event, Failed):
                    raise TrainingError(f"model {fold + 1} of {folds}: {event.message}")
                yield FoldProgress(fold + 1, folds, (fold + share) / folds, event)
            if should_stop():
                break  # half a training would say little
            parts += _predicted(labels, rows, frames, folder)
    yield (Poses.concatenate(parts) if parts else Poses.empty(labels.skeleton, labels.videos))


def _trained_without(
    labels: Poses,
    left_out: set[tuple[int, int]],
    config: Config,
    frames: Mapping[int, Frames],
    folder: Path,
    should_stop: Callable[[], bool],
) -> Iterator[tuple[float, Event]]:
    """Train a model that never sees some frames; yield the share that is done, and what is told."""
    from napari_semimultipose.training import loop

    places = zip(labels.video.tolist(), labels.frame.tolist(), strict=True)
    labelled = labels.labelled_rows()  # where rows are given, all of them count as looked at
    known = [
        i for i, p in enumerate(places) if labelled[i] and p[0] in frames and p not in left_out
    ]
    share = 0.0
    for event in loop.train(
        labels,
        folder,
        config,
        frames=frames,
        labeled_rows=known,
        exclude=left_out,
        should_stop=should_stop,
    ):
        if isinstance(event, Step):
            share = event.progress
        yield share, event


def _predicted(
    labels: Poses, rows: IntArray, frames: Mapping[int, Frames], folder: Path
) -> list[Poses]:
    """Return what a model sees on the frames of some rows, by video."""
    from napari_semimultipose.inference.predict import Predictor, predict_stream
    from napari_semimultipose.models.checkpoint import read_info

    predictor = Predictor.from_folder(folder, read_info(folder).config.predict)
    out = []
    for video in np.unique(labels.video[rows]).tolist():
        numbers = np.unique(labels.frame[rows][labels.video[rows] == video]).tolist()
        for chunk in predict_stream(predictor, frames[video], frame_range=numbers, follow=False):
            poses = chunk.poses
            out.append(
                replace(
                    poses,
                    skeleton=labels.skeleton,
                    video=np.full(len(poses), video),
                    videos=labels.videos,
                )
            )
    return out
