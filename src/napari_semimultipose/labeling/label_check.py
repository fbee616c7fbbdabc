"""Labels that are likely to be wrong: swapped sides, duplicates, odd shapes, other places than a model's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.pairing import pair_frames
from napari_semimultipose.labeling.pairs import paired, pairwise_distances
from napari_semimultipose.labeling.problems import Kind, Problem
from napari_semimultipose.labeling.shapes import (
    ENOUGH_POSES,
    UsualShape,
    body_px,
    part_name,
    parts_of,
)
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses, Source
from napari_semimultipose.sides import swapped

LEAST_DOUBT = 0.3
"""What is less doubtful is not listed."""

NORMAL, HALF = 3.0, 5.0
"""Up to `NORMAL` deviations a label is like the others; `HALF` more are half of the way to certainty."""

_SAME_PX = 0.1  # mean distance, in lengths of an animal, below which two animals are one
_FAR = 0.5  # a prediction farther away from a label than this is of another animal
_SURE = 0.5  # share of its usual score that a predicted keypoint needs to contradict a label
_WORD = 0.05  # the word of a model about sides is wrong at least so often


@dataclass(frozen=True)
class LabelProblem(Problem):
    """A label that is likely to be wrong, with what would mend it.

    Parameters
    ----------
    video : int
        Video of the frame.
    pairs : tuple of (int, int)
        Mirrored pairs of keypoints that are likely to have each other's places.
    proposal : tuple of (keypoint, x, y)
        Where a model sees the keypoints that are off.
    """

    video: int = 0
    pairs: tuple[tuple[int, int], ...] = ()
    proposal: tuple[tuple[int, float, float], ...] = ()


@dataclass(frozen=True)
class _Labels:
    """M labelled animals and, where a model has seen them, its poses."""

    poses: Poses
    row: IntArray
    slot: IntArray
    xy: FloatArray
    size_px: float
    seen: FloatArray  # [M, K, 2], NaN where the model sees nothing
    score: FloatArray  # [M, K]

    def problem(
        self, kind: Kind, i: int, value: float, doubt: float, text: str, slots: tuple[int, ...] = (),
        pairs: tuple[tuple[int, int], ...] = (),
        proposal: tuple[tuple[int, float, float], ...] = (),
    ) -> LabelProblem:  # fmt: skip
        row = int(self.row[i])
        frame = int(self.poses.frame[row])
        return LabelProblem(
            kind, frame, frame, frame, row, slots or (int(self.slot[i]),), value,
            doubt / LEAST_DOUBT, text, video=int(self.poses.video[row]), pairs=pairs,
            proposal=proposal,
        )  # fmt: skip


def check_labels(labels: Poses, predictions: Poses | None = None) -> list[LabelProblem]:
    """List labels that are likely to be wrong, the most doubtful first.

    Positions alone tell swapped sides (`sides.swapped`), animals that are labelled twice, and shapes
    that are unlike the others. Predictions of models that did not see the labels, such as those of
    `crossfit.cross_fitted`, tell positions that differ, and have a say in what is left and right.

    Parameters
    ----------
    labels : Poses
        Labelled animals of one or more videos; predicted ones among them are passed over.
    predictions : Poses, optional
        Of the same frames (see `io.pairing.pair_frames`) and keypoints.

    Returns
    -------
    list of LabelProblem
        ``severity`` is the doubt, 0 to 1, as a multiple of the least one that is listed.

    Raises
    ------
    LabelsError
        When the predictions have other keypoints, or are of other frames.
    """
    if predictions is not None and predictions.skeleton.keypoints != labels.skeleton.keypoints:
        raise LabelsError(
            "the predictions have other keypoints than the labels: "
            f"{', '.join(predictions.skeleton.keypoints)}"
        )
    row, slot = np.nonzero(labels.present & (labels.source != Source.PREDICTED))
    if not len(row):
        return []
    xy = labels.xy[row, slot]
    seen, score = _seen_by_model(labels, row, slot, predictions)
    table = _Labels(labels, row, slot, xy, body_px(labels), seen, score)
    found = [*_sides(table), *_duplicates(table), *_shapes(table), *_positions(table)]
    return sorted(found, key=lambda p: (-p.severity, p.video, p.frame, p.slots))


# ------------------------------------------------------------------------ sides


def _sides(table: _Labels) -> list[LabelProblem]:
    """Animals whose left and right keypoints have each other's places."""
    skeleton = table.poses.skeleton.with_guessed_symmetry()
    if not skeleton.symmetry:
        return []
    geometry = swapped(table.xy, skeleton)
    model = np.stack([_word(table, pair) for pair in skeleton.symmetry], 1)
    known = np.isfinite(geometry) | np.isfinite(model)
    odds = _log_odds(np.where(np.isfinite(geometry), geometry, 0.5))
    odds += _log_odds(np.clip(np.where(np.isfinite(model), model, 0.5), _WORD, 1 - _WORD))
    doubt = np.where(known, np.maximum(2 / (1 + np.exp(-odds)) - 1, 0), 0.0)
    problems = []
    for i in np.flatnonzero(doubt.max(1) >= LEAST_DOUBT).tolist():
        chosen = np.flatnonzero(doubt[i] >= LEAST_DOUBT).tolist()
        pairs = tuple(skeleton.symmetry[p] for p in chosen)
        names = ", ".join(part_name(skeleton, pair) for pair in pairs)
        worst = int(doubt[i].argmax())
        reasons = []
        if geometry[i, worst] > 0.5:
            reasons.append(
                f"{100 * geometry[i, worst]:.0f} % of such animals are the other way round"
            )
        if model[i, worst] > 0.5:
            reasons.append("a model sees them the other way round")
        text = f"{names} swapped: {', '.join(reasons)}"
        value = float(doubt[i, worst])
        problems.append(table.problem(Kind.SIDES, i, value, value, text, pairs=pairs))
    return problems


def _word(table: _Labels, pair: tuple[int, int]) -> FloatArray:
    """Return what a model says of a pair, [M]: 0 as labelled, 1 exchanged, NaN nothing."""
    a, b = pair
    kept = _away(table.xy, table.seen, a, a) + _away(table.xy, table.seen, b, b)
    exchanged = _away(table.xy, table.seen, a, b) + _away(table.xy, table.seen, b, a)
    with np.errstate(invalid="ignore", divide="ignore"):
        return kept / (kept + exchanged)


def _away(xy: FloatArray, seen: FloatArray, a: int, b: int) -> FloatArray:
    return np.asarray(np.hypot(*(xy[:, a] - seen[:, b]).T))


def _log_odds(share: FloatArray) -> FloatArray:
    share = np.clip(share, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(share / (1 - share)))


# ------------------------------------------------------------------- duplicates


def _duplicates(table: _Labels) -> list[LabelProblem]:
    """Animals of one frame that lie on top of each other."""
    problems = []
    limit = _SAME_PX * table.size_px if table.poses.skeleton.keypoints[1:] else 3.0
    complete = np.isfinite(table.xy[..., 0]).sum(1)
    starts = np.flatnonzero(np.diff(table.row, prepend=-1))
    for start, stop in zip(starts, np.append(starts[1:], len(table.row)), strict=True):
        xy = table.xy[start:stop]
        away = pairwise_distances(xy[None], xy[None])[0]
        for a, b in zip(*np.nonzero(np.triu(away < limit, 1)), strict=True):
            i, j = start + int(a), start + int(b)
            common = int((np.isfinite(table.xy[i, :, 0]) & np.isfinite(table.xy[j, :, 0])).sum())
            if common < min(2, xy.shape[1]):
                continue
            # The one with fewer keypoints is the duplicate: it is the one that goes.
            less, more = map(int, (i, j) if complete[i] < complete[j] else (j, i))
            doubt = 1 - 0.5 * float(away[a, b]) / limit
            problems.append(
                table.problem(
                    Kind.DUPLICATE, less, float(away[a, b]), doubt,
                    f"labelled twice: {common} keypoints are {away[a, b]:.1f} px from another animal's",
                    slots=(int(table.slot[less]), int(table.slot[more])),
                )
            )  # fmt: skip
    return problems


# ----------------------------------------------------------------------- shapes


def _shapes(table: _Labels) -> list[LabelProblem]:
    """Animals with a keypoint whose distances from the others are unlike those of other animals."""
    skeleton = table.poses.skeleton
    if len(table.xy) < ENOUGH_POSES or len(skeleton) < 2:
        return []
    shape = UsualShape.of(table.xy, table.size_px)
    deviations = np.nan_to_num(shape.deviations(table.xy))
    worst, value = deviations.argmax(1), deviations.max(1)
    doubt = _doubt(_robust(value, 0.5))
    parts = parts_of(skeleton)
    times, lengths = shape.excess(table.xy, parts)
    problems = []
    for i in np.flatnonzero(doubt >= LEAST_DOUBT).tolist():
        name = skeleton.keypoints[worst[i]]
        text = f"unusual shape: '{name}' is {value[i]:.1f} deviations off"
        part = int(np.where((parts == worst[i]).any(1), times[i], 0).argmax())
        if (parts[part] == worst[i]).any() and times[i, part] > 1:
            low, high = shape.usual_px(parts[part])
            text += (
                f"; {part_name(skeleton, parts[part])} is {lengths[i, part]:.0f} px long, "
                f"usually {low:.0f} to {high:.0f} px"
            )
        problems.append(table.problem(Kind.SHAPE, i, float(value[i]), float(doubt[i]), text))
    return problems


# -------------------------------------------------------------------- positions


def _positions(table: _Labels) -> list[LabelProblem]:
    """Animals with keypoints that a model sees elsewhere; exchanged sides do not count."""
    skeleton = table.poses.skeleton.with_guessed_symmetry()
    seen, score = table.seen.copy(), table.score
    for a, b in skeleton.symmetry:
        mirrored = np.flatnonzero(_word(table, (a, b)) > 0.5)
        seen[mirrored, a], seen[mirrored, b] = table.seen[mirrored, b], table.seen[mirrored, a]
    away = np.linalg.norm(table.xy - seen, axis=-1)
    if np.isfinite(away).sum() < ENOUGH_POSES:
        return []
    excess = np.zeros(away.shape)
    for k in range(len(skeleton)):
        usual = np.median(score[score[:, k] > 0, k]) if (score[:, k] > 0).any() else np.inf
        sure = score[:, k] >= _SURE * usual
        excess[:, k] = np.where(sure, _robust(away[:, k], 0.02 * table.size_px), 0.0)
    doubt = _doubt(excess)
    problems = []
    for i in np.flatnonzero(doubt.max(1) >= LEAST_DOUBT).tolist():
        off = np.flatnonzero(doubt[i] >= LEAST_DOUBT).tolist()
        worst = int(doubt[i].argmax())
        names = ", ".join(skeleton.keypoints[k] for k in off)
        text = f"a model that did not see this label puts {names} {away[i, worst]:.0f} px away"
        proposal = tuple((k, float(seen[i, k, 0]), float(seen[i, k, 1])) for k in off)
        problems.append(
            table.problem(
                Kind.MODEL, i, float(away[i, worst]), float(doubt[i, worst]), text,
                proposal=proposal,
            )
        )  # fmt: skip
    return problems


def _seen_by_model(
    labels: Poses, row: IntArray, slot: IntArray, predictions: Poses | None
) -> tuple[FloatArray, FloatArray]:
    """Poses [M, K, 2] and scores [M, K] of the predicted animals nearest to the labelled ones."""
    k = len(labels.skeleton)
    seen, score = np.full((len(row), k, 2), np.nan), np.zeros((len(row), k))
    if predictions is None:
        return seen, score
    mirror = labels.skeleton.with_guessed_symmetry().mirror_index
    limit = _FAR * body_px(labels)
    partner = pair_frames(predictions, labels)
    for r in np.unique(row).tolist():
        other = int(partner[r])
        if other < 0:
            continue
        members = np.flatnonzero(row == r)
        here, there = labels.xy[r, slot[members]][None], predictions.xy[other][None]
        # Who is who must not depend on the sides, which may be wrong.
        away = np.minimum(
            pairwise_distances(here, there), pairwise_distances(here[:, :, mirror], there)
        )
        animal = paired(np.where(away < limit, away, np.inf))[0]
        known: BoolArray = animal >= 0
        seen[members[known]] = predictions.xy[other, animal[known]]
        score[members[known]] = predictions.score[other, animal[known]]
    return seen, score


def _robust(value: FloatArray, floor: float) -> FloatArray:
    """By how many robust standard deviations values exceed their median; 0 where unknown."""
    known = value[np.isfinite(value)]
    if not len(known):
        return np.zeros(value.shape)
    median = float(np.median(known))
    deviation = max(floor, 1.4826 * float(np.median(np.abs(known - median))))
    return np.where(np.isfinite(value), np.maximum(np.nan_to_num(value) - median, 0) / deviation, 0)


def _doubt(excess: FloatArray) -> FloatArray:
    beyond = np.maximum(excess - NORMAL, 0)
    return np.asarray(beyond / (beyond + HALF))
