"""Suggest frames that are worth labelling: evenly spaced, of different looks, or where a model is unsure.

The work is done by generators that yield `Progress` and return the suggestions; `should_stop` ends the
reading of frames early, and what was seen until then is used. Labelled frames are never suggested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.labeling.alignment import (
    labelled_frames,
    poses_of_recording,
    same_keypoints,
    with_empty_frames,
)
from napari_semimultipose.labeling.appearance import (
    Features,
    FrameCover,
    cluster,
    frame_features,
    grid_of,
    squared_distances,
)
from napari_semimultipose.labeling.doubt import all_doubt, measures_of
from napari_semimultipose.labeling.measure import Measure
from napari_semimultipose.labeling.residuals import Judge
from napari_semimultipose.labeling.spread import fill_gaps, spread, time_bins
from napari_semimultipose.poses import IntArray, Poses, Source

Criterion = Literal["even", "diverse", "uncertain"]
CRITERIA: tuple[Criterion, ...] = ("even", "diverse", "uncertain")

MOST_READ = 20_000
"""Of longer recordings only every second, third, ... frame is looked at."""

MOST_KNOWN = 500
"""So many labelled frames say which looks are labelled already."""

CENTRAL = 0.25
"""Share of the frames of a group that are near enough to its centre to stand for it."""

POOL = 5
"""For one uncertain frame wanted, the looks of so many are compared."""


@dataclass(frozen=True)
class Progress:
    """How far the search is; `what` is being done."""

    done: int
    total: int
    what: str


@dataclass(frozen=True)
class Suggestion:
    """A frame worth labelling, and why.

    Attributes
    ----------
    frame : int
        Index into the recording.
    kind : str
        What speaks for it: ``gap`` (evenly spaced), ``look`` (diverse), or the doubt that weighs most:
        ``animal score``, ``keypoint score``, ``count``, ``jump``, ``shape``, ``pose``, ``views``,
        ``spread``, ``disagreement``, ``turned``.
    value : float
        What the reason is about: frames to the nearest labelled or suggested one (gap); share of the
        frames that look alike (look); a score; a number of animals too many or too few (count); px
        (jump, pose, views, spread, disagreement, turned); deviations (shape). NaN where nothing could be measured.
    reason : str
        The same in words.
    doubt : float or None
        Of uncertain frames: 0 (like most frames) to 1 (certainly wrong).
    """

    frame: int
    kind: str
    value: float
    reason: str
    doubt: float | None = None


Work = Generator[Progress, None, list[Suggestion]]


def criterion(name: str) -> Criterion:
    """Return the way of choosing frames that has a name.

    Raises
    ------
    ConfigError
        When there is none.
    """
    for known in CRITERIA:
        if known == name:
            return known
    raise ConfigError(f"frames cannot be suggested by {name!r}: choose {', '.join(CRITERIA)}")


def suggest_frames(
    frames: Frames,
    by: Criterion,
    count: int = 20,
    *,
    predictions: Sequence[Poses] = (),
    labels: Sequence[Poses] = (),
    judge: Judge | None = None,
    copies: Sequence[Poses] = (),
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Work:
    """Suggest frames of a recording.

    Parameters
    ----------
    frames : Frames
        The recording.
    by : {"even", "diverse", "uncertain"}
    count : int
        Number of suggestions; fewer come when there are not enough frames.
    predictions : sequence of Poses
        For ``uncertain``: those of one model, or of several whose disagreement counts; the first ones
        are judged.
    labels : sequence of Poses
        What is labelled already, perhaps of more or of other recordings, told by their names. The most of them with the keypoints of
        the predictions say which shape is usual.
    judge : callable, optional
        Measures predictions against what labels allow: a generator of the share that is done, which
        returns metrics (see `metrics`).
    copies : sequence of Poses
        For ``uncertain``: what the model finds on mirrored or turned copies of some of the frames.
    seed : int
        Of the clustering for ``diverse``; equal seeds give equal suggestions.
    should_stop : callable
        Asked while frames are read.

    Returns
    -------
    list of Suggestion
        The most important ones first; evenly spaced ones in the order of time.

    Raises
    ------
    ConfigError
        When `by` needs predictions and there are none, or `count` is less than 1.
    LabelsError
        When predictions do not belong to the recording, or have other keypoints.
    """
    if count < 1:
        raise ConfigError(f"the number of suggestions must be 1 or more, got {count}")
    aligned = [poses_of_recording(poses, frames, by_name=True) for poses in labels]
    known: frozenset[int] = frozenset().union(*map(labelled_frames, aligned))
    if by == "even":
        return suggest_even(frames, count, known)
    if by == "diverse":
        return (yield from suggest_diverse(frames, count, known, seed, should_stop))
    if not predictions:
        raise ConfigError(
            "uncertain frames are found in predictions: give some, or choose another way"
        )
    tables = [poses_of_recording(poses, frames) for poses in predictions]
    if not all(len(table) for table in tables):
        raise LabelsError("the predictions hold no frame of this recording: give those made on it")
    first = with_empty_frames(tables[0])
    others = [with_empty_frames(same_keypoints(first, table)) for table in tables[1:]]
    names = set(first.skeleton.keypoints)
    human = [p.keep(p.source == Source.HUMAN) for p in labels]
    fitting = [same_keypoints(first, p) for p in human if set(p.skeleton.keypoints) == names]
    usual = max(fitting, key=lambda p: p.n_instances, default=None)
    seen = [same_keypoints(first, copy) for copy in copies]
    work = suggest_uncertain(first, count, known, others, usual, frames, judge, seen, should_stop)
    return (yield from work)


# ----------------------------------------------------------------------- even


def suggest_even(frames: Frames, count: int, labelled: Collection[int] = ()) -> list[Suggestion]:
    """Frames in the largest gaps between labelled ones, evenly spaced; see `suggest_frames`."""
    return _even(available_frames(frames), count, labelled)


def _even(
    available: range | Sequence[int], count: int, labelled: Collection[int]
) -> list[Suggestion]:
    n = len(available)
    where = available.index if isinstance(available, range) else _lookup(available)
    known = sorted(where(f) for f in labelled if f in available)
    chosen = [available[place] for place in fill_gaps(n, known, count)]
    taken = np.array(sorted({*chosen, *(available[place] for place in known)}))
    out = []
    for frame in chosen:
        others = taken[taken != frame]
        if len(others):
            distance = int(np.abs(others - frame).min())
            text = f"{distance} frames to the next labelled or suggested frame"
            out.append(Suggestion(frame, "gap", float(distance), text))
        else:
            out.append(Suggestion(frame, "gap", float(n), "in the middle of the recording"))
    return out


def _lookup(values: Sequence[int]) -> Callable[[int], int]:
    place = {value: i for i, value in enumerate(values)}
    return place.__getitem__


# -------------------------------------------------------------------- diverse


def suggest_diverse(
    frames: Frames,
    count: int,
    labelled: Collection[int] = (),
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Work:
    """Frames of different looks, and unlike the labelled ones; see `suggest_frames`.

    The recording is streamed: memory does not depend on its length.
    """
    available = available_frames(frames)
    step = max(1, -(-len(available) // MOST_READ))
    grid = grid_of(*frames.shape[1:3])
    known = sorted(f for f in labelled if 0 <= f < len(frames))
    known = known[:: max(1, -(-len(known) // MOST_KNOWN))]
    stored = set(available) if frames.stored is not None else None
    known = [f for f in known if stored is None or f in stored]
    sights = [frame_features(frames[f], grid) for f in known]
    cover = FrameCover(max(1000, 20 * count))
    skip = frozenset(labelled)
    total = -(-len(available) // step)
    for seen, (i, picture) in enumerate(frames.iterate(step=step)):
        if should_stop():
            break
        if i not in skip:
            cover.add(i, frame_features(picture, grid))
        if seen % 50 == 0:
            yield Progress(min(seen, total), total, "looking at frames")
    index, features, weight = cover.result()
    if not len(index):
        return []
    fixed = np.stack(sights) if sights else None
    rng = np.random.default_rng(seed)
    # Square roots: what is seen for long counts more, but not so much that the rest is forgotten.
    centres, member = cluster(features, np.sqrt(weight), count, rng, fixed)
    share = np.array([weight[member == c].sum() for c in range(len(centres))]) / weight.sum()
    words = " and unlike the labelled ones" if known else ""
    out: list[Suggestion] = []
    for c in np.argsort(-share, kind="stable").tolist():
        mine = np.flatnonzero(member == c)
        if len(mine):
            away = squared_distances(features[mine], centres[[c]])[:, 0]
            central = index[mine[away <= np.quantile(away, CENTRAL)]]
            frame = _farthest(central, [*known, *(s.frame for s in out)])
            text = f"stands for {_percent(share[c])} of the frames, which look like it{words}"
            out.append(Suggestion(frame, "look", float(share[c]), text))
    if len(out) < count and not should_stop():  # pictures that do not differ
        taken = {*labelled, *(s.frame for s in out)}
        out += _even(available, count - len(out), taken)
    return out


def _farthest(frames: IntArray, taken: Sequence[int]) -> int:
    """Return the frame that is farthest in time from those that are taken."""
    if not taken:
        return int(frames[0])
    gap = np.abs(frames[:, None] - np.array(taken)).min(1)
    return int(frames[gap.argmax()])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "less than 1 %"


# ------------------------------------------------------------------ uncertain


def suggest_uncertain(
    predictions: Poses,
    count: int,
    labelled: Collection[int] = (),
    others: Sequence[Poses] = (),
    labels: Poses | None = None,
    frames: Frames | None = None,
    judge: Judge | None = None,
    copies: Sequence[Poses] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Work:
    """Frames on which predictions are doubtful, spread over time and over looks; see `suggest_frames`.

    Parameters
    ----------
    predictions, others : Poses
        Of one recording, sorted, with the same keypoints; `others` are those of further models.
    labels : Poses, optional
        With the same keypoints; they say what the usual shape is.
    frames : Frames, optional
        Pictures, to choose frames that look different.
    judge : callable, optional
        See `suggest_frames`.
    copies : sequence of Poses
        What the model finds on mirrored or turned copies of some frames.
    """
    work = measures_of(predictions, others, labels, judge, copies)
    while True:
        try:
            share = next(work)
        except StopIteration as end:
            measures: list[Measure] = end.value
            break
        yield Progress(round(100 * share), 100, "judging predictions")
    doubt = all_doubt(measures)
    taken = np.isin(predictions.frame, list(labelled))
    if frames is not None and frames.stored is not None:
        taken |= ~np.isin(predictions.frame, frames.stored)
    doubt = np.where(taken, -1.0, doubt)
    known = np.array(sorted(labelled), np.int64)
    parts = time_bins(predictions.frame, count)
    rows = spread(doubt, predictions.frame, POOL * count, known, parts)
    if frames is not None and len(rows) > count:
        numbers = predictions.frame[rows]
        looks = yield from _looks(frames, numbers, should_stop)
        rows = rows[spread(doubt[rows], numbers, count, known, parts[rows], looks)]
    return [
        _doubtful(predictions, row, measures, float(doubt[row])) for row in rows[:count].tolist()
    ]


def _looks(
    frames: Frames, numbers: IntArray, should_stop: Callable[[], bool]
) -> Generator[Progress, None, Features | None]:
    """Features [P, D] of some frames; None when they were not all read."""
    grid = grid_of(*frames.shape[1:3])
    found: dict[int, Features] = {}
    for done, place in enumerate(np.argsort(numbers).tolist()):  # the order that suits a video
        if should_stop():
            return None
        found[place] = frame_features(frames[int(numbers[place])], grid)
        yield Progress(done + 1, len(numbers), "comparing frames")
    return np.stack([found[place] for place in range(len(numbers))])


def _doubtful(poses: Poses, row: int, measures: Sequence[Measure], doubt: float) -> Suggestion:
    """Say of a row what speaks most for it, and what else does."""
    ranked = sorted(measures, key=lambda m: -float(m.excess[row]))
    words = [ranked[0].describe(row)]
    words += [m.describe(row) for m in ranked[1:3] if m.doubt[row] >= 0.3]
    if ranked[0].excess[row] == 0:
        words = ["no doubt, but far from the other frames in time"]
    return Suggestion(
        int(poses.frame[row]), ranked[0].kind, float(ranked[0].value[row]), "; ".join(words), doubt
    )


# ------------------------------------------------------------------- plumbing


def available_frames(frames: Frames) -> range | Sequence[int]:
    """Frames that hold a picture."""
    return range(len(frames)) if frames.stored is None else sorted(frames.stored)


def drain(work: Work, on_progress: Callable[[Progress], Any] | None = None) -> list[Suggestion]:
    """Run the work to its end and return the suggestions."""
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            result: list[Suggestion] = end.value
            return result
        if on_progress is not None:
            on_progress(progress)
