"""Frames on which a model is not of one mind: its predictions of pictures and of turned copies differ."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_semimultipose.labeling.alignment import labelled_frames, poses_of_recording
from napari_semimultipose.labeling.doubt import all_doubt, measures_of
from napari_semimultipose.labeling.residuals import Judge
from napari_semimultipose.labeling.spread import fill_gaps, spread, time_bins
from napari_semimultipose.labeling.suggest import (
    Progress,
    Work,
    available_frames,
    suggest_frames,
)
from napari_semimultipose.poses import BoolArray, IntArray, Poses

if TYPE_CHECKING:
    from napari_semimultipose.inference.copies import View
    from napari_semimultipose.inference.predict import Predictor
    from napari_semimultipose.io.frames import Frames

LOOKS = 10
"""For one frame that is wanted, so many are looked at: half of them doubtful, half evenly spaced."""

FEWEST_LOOKS, MOST_LOOKS = 60, 1000


def suggest_with_model(
    model: Path,
    frames: Frames,
    count: int = 20,
    *,
    predictions: Sequence[Poses] = (),
    labels: Sequence[Poses] = (),
    judge: Judge | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Work:
    """Suggest doubtful frames, where it also counts that a model differs from itself on turned copies.

    Copies of ten times as many frames as are wanted are predicted: of those that are doubtful anyway, and of
    evenly spaced ones. Without predictions the model makes them on the evenly spaced frames, and others
    are not suggested.

    Parameters
    ----------
    model : path
        A model folder, or an ensemble.
    frames, count, predictions, labels, judge, should_stop
        As in `labeling.suggest.suggest_frames`.

    Raises
    ------
    ModelError
        When `model` is no usable model folder.
    ConfigError
        When the model was trained with pictures that were neither mirrored nor turned.
    LabelsError
        When predictions do not belong to the recording, or have other keypoints than the model.
    """
    from napari_semimultipose.inference.copies import views_of
    from napari_semimultipose.inference.members import load_predictor
    from napari_semimultipose.models.checkpoint import read_info

    config = read_info(model).config
    views = views_of(config)
    # Averaged over turned copies, as pictures are, the model says the same of a turned copy by construction.
    config = config.with_settings({"predict.turns": 1})
    tables = [poses_of_recording(poses, frames) for poses in predictions]
    most = max((int(table.present.sum(1).max(initial=0)) for table in tables[:1]), default=0)
    if most:  # a model that sees more than was kept does not contradict itself by that
        config = config.with_settings({"predict.max_animals": most})
    known: frozenset[int] = frozenset().union(
        *(labelled_frames(poses_of_recording(poses, frames, by_name=True)) for poses in labels)
    )
    yield Progress(0, 1, "loading the model")
    predictor = load_predictor(model, config.predict)
    chosen = _to_look_at(frames, tables[0] if tables else None, count, known)
    if not tables:
        own = yield from _predicted(predictor, frames, None, chosen, should_stop)
        tables = [own] if len(own) else []
    copies = []
    for number, view in enumerate(views, 1):
        what = f"copy {number} of {len(views)}"
        copies.append((yield from _predicted(predictor, frames, view, chosen, should_stop, what)))
    if not tables:  # stopped before anything was seen
        return []
    return (
        yield from suggest_frames(
            frames,
            "uncertain",
            count,
            predictions=tables,
            labels=labels,
            judge=judge,
            copies=[copy for copy in copies if len(copy)],
            should_stop=should_stop,
        )
    )


def _to_look_at(
    frames: Frames, predictions: Poses | None, count: int, known: frozenset[int]
) -> list[int]:
    """Frames whose copies are predicted, rising."""
    wanted = min(max(LOOKS * count, FEWEST_LOOKS), MOST_LOOKS)
    if predictions is None or not len(predictions):
        unlabelled = [f for f in available_frames(frames) if f not in known]
        return [unlabelled[place] for place in fill_gaps(len(unlabelled), [], wanted)]
    free = np.isin(predictions.frame, list(known), invert=True)
    if frames.stored is not None:
        free &= np.isin(predictions.frame, frames.stored)
    rows = np.flatnonzero(free)
    evenly = rows[fill_gaps(len(rows), [], wanted // 2)]
    doubtful = _doubtful(predictions, free, wanted - len(evenly), known)
    return [int(f) for f in np.unique(predictions.frame[np.concatenate([evenly, doubtful])])]


def _doubtful(predictions: Poses, free: BoolArray, wanted: int, known: frozenset[int]) -> IntArray:
    work = measures_of(predictions)
    while True:
        try:
            next(work)
        except StopIteration as end:
            doubt = np.where(free, all_doubt(end.value), -1.0)
            break
    taken = np.array(sorted(known), np.int64)
    parts = time_bins(predictions.frame, wanted)
    return spread(doubt, predictions.frame, wanted, taken, parts)


def _predicted(
    predictor: Predictor,
    frames: Frames,
    view: View | None,
    chosen: list[int],
    should_stop: Callable[[], bool],
    what: str = "frames",
) -> Generator[Progress, None, Poses]:
    """Predict frames, or copies of them."""
    from napari_semimultipose.inference.copies import View, predict_copies

    parts: list[Poses] = []
    done = 0
    for poses in predict_copies(predictor, frames, view or View(), chosen, should_stop):
        parts.append(poses)
        done += len(poses)
        yield Progress(done, len(chosen), f"predicting {what}")
    return Poses.concatenate(parts) if parts else Poses.empty(predictor.skeleton)
