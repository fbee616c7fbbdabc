"""What makes predicted poses doubtful, measured on each frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_semimultipose.labeling.alignment import usual_step
from napari_semimultipose.labeling.pairs import paired, pairwise_distances, positions_on
from napari_semimultipose.labeling.shapes import UsualShape, body_px, examples_of
from napari_semimultipose.metrics import POSE, VIEWS, Metric
from napari_semimultipose.poses import FloatArray, IntArray, Poses

Judge = Callable[[Poses], Generator[float, None, Mapping[str, Metric]]]
"""Measures predictions; see `plausibility`, which labelling must not know."""

BLOCK_VALUES = 2_000_000
"""Numbers that are held at once while poses are compared."""

NORMAL = 2.5
"""Up to so many deviations from the median a frame is like the others."""

HALF = 5.0
"""So many deviations more are half of the way to certainty."""

OFTEN = 5.0
"""What is as bad on every tenth frame counts as no more deviations than this: rare faults come first."""

COUNT_WINDOW = 31
"""Frames over which the number of animals is expected to stay."""


@dataclass(frozen=True)
class Measure:
    """One way to doubt the poses of F frames.

    Attributes
    ----------
    kind : str
        Short name.
    value : array [F]
        What was measured, in its own unit.
    excess : array [F]
        By how many deviations a frame is worse than the median frame; 0 or more.
    describe : callable
        Says of a row what was found there.
    """

    kind: str
    value: FloatArray
    excess: FloatArray
    describe: Callable[[int], str]

    @property
    def doubt(self) -> FloatArray:
        """Doubt [F] from 0 (like most frames) to almost 1."""
        beyond = np.maximum(self.excess - NORMAL, 0)
        return beyond / (beyond + HALF)


def excess(value: ArrayLike, floor: float, usual: ArrayLike | None = None) -> FloatArray:
    """By how many robust standard deviations values [F] are larger than the median; 0 or more.

    Parameters
    ----------
    value : array [F]
        NaN where nothing is known, which is no reason to doubt.
    floor : float
        Least standard deviation: differences that are small against it mean nothing.
    usual : array, optional
        Values whose median and deviation are meant; by default those of `value`.
    """
    values = np.asarray(value, np.float64)
    known = np.isfinite(values)
    reference = values[known] if usual is None else np.asarray(usual, np.float64)
    reference = reference[np.isfinite(reference)]
    if not len(reference):
        return np.zeros(len(values))
    median = np.median(reference)
    often = float(np.quantile(reference, 0.9) - median) / OFTEN
    deviation = max(floor, often, 1.4826 * float(np.median(np.abs(reference - median))))
    return np.where(known, np.maximum(np.nan_to_num(values) - median, 0) / deviation, 0.0)


def all_doubt(measures: Sequence[Measure]) -> FloatArray:
    """Doubt [F] in 0..1: that at least one of the measures is right to doubt (noisy or).

    Frames that no measure doubts are still in order, by the measure that comes closest.
    """
    certain = np.prod([1 - m.doubt for m in measures], axis=0)
    nearest = np.max([m.excess / (1 + m.excess) for m in measures], axis=0)
    return np.asarray(0.999 * (1 - certain) + 0.001 * nearest)


def measures_of(
    poses: Poses,
    others: Sequence[Poses] = (),
    labels: Poses | None = None,
    judge: Judge | None = None,
) -> Generator[float, None, list[Measure]]:
    """Measure all that can make poses doubtful; yields the share that is done.

    Parameters
    ----------
    poses : Poses
        Predictions on F frames of one recording, sorted.
    others : sequence of Poses
        Predictions of other models on the same recording, with the same keypoints.
    labels : Poses, optional
        Labelled animals with the same keypoints, which say what poses are usual.
    judge : callable, optional
        Measures the metrics of the predictions; those that compare with labels count.

    Returns
    -------
    list of Measure
    """
    out = [*_confidence(poses), _count(poses)]
    yield 0.1
    work: list[Generator[float, None, list[Measure]]] = [_jumps(poses), _shapes(poses, labels)]
    if judge is not None:
        work.append(_residuals(poses, judge))
    work += [_disagreement(poses, others)] if others else []
    share = 0.9 / (len(work) + max(0, len(others) - 1))
    for done, make in enumerate(work):
        last = len(others) if others and done == len(work) - 1 else 1
        out += yield from _scaled(make, 0.1 + share * done, share * last)
    return out


def _scaled(
    work: Generator[float, None, list[Measure]], start: float, share: float
) -> Generator[float, None, list[Measure]]:
    while True:
        try:
            done = next(work)
        except StopIteration as end:
            result: list[Measure] = end.value
            return result
        yield min(1.0, start + share * done)


# ---------------------------------------------------------------- confidence


def _confidence(poses: Poses) -> list[Measure]:
    """Lowest score of an animal, and of a keypoint against what is usual for it."""
    names = poses.skeleton.keypoints
    present = poses.present
    if not present.any():
        nothing = np.full(len(poses), np.nan)
        return [Measure("animal score", nothing, excess(nothing, 1), lambda row: "no animal")]
    animal = np.where(present, poses.instance_score, np.inf).min(1, initial=np.inf)
    animal[~present.any(1)] = np.nan
    usual_animal = float(np.median(poses.instance_score[present]))
    usual = np.median(poses.score[present], axis=0)
    lack = np.where(present[..., None], usual - poses.score, -np.inf)
    lack_of_row = lack.reshape(len(poses), -1)
    worst = lack_of_row.argmax(1)
    keypoint = worst % len(names)
    value = np.take_along_axis(poses.score.reshape(len(poses), -1), worst[:, None], 1)[:, 0]
    largest = np.where(present.any(1), lack_of_row.max(1), np.nan)
    # Keypoints that are often hidden would drown the others: what counts is what is rare.
    return [
        Measure(
            "animal score",
            animal,
            excess(-animal, 0.03),
            lambda row: (
                f"an animal has the score {animal[row]:.2f} (usual score {usual_animal:.2f})"
            ),
        ),
        Measure(
            "keypoint score",
            np.where(present.any(1), value, np.nan),
            excess(largest, 0.05),
            lambda row: (
                f"'{names[keypoint[row]]}' "
                + (f"has the score {value[row]:.2f}" if value[row] > 0 else "is missing")
                + f" (usual score {usual[keypoint[row]]:.2f})"
            ),
        ),
    ]


# --------------------------------------------------------------------- count


def _count(poses: Poses) -> Measure:
    """Difference of the number of animals from that on the frames around."""
    from scipy.ndimage import median_filter

    count = poses.present.sum(1)
    around = median_filter(count, size=COUNT_WINDOW, mode="nearest") if len(count) else count
    difference = (count - around).astype(np.float64)
    return Measure(
        "count",
        difference,
        excess(np.abs(difference), 0.1),
        lambda row: f"{_animals(int(count[row]))}, but {around[row]} on the frames around",
    )


def _animals(n: int) -> str:
    return "no animal" if n == 0 else f"{n} animal{'s' if n > 1 else ''}"


# --------------------------------------------------------------------- jumps


def _jumps(poses: Poses) -> Generator[float, None, list[Measure]]:
    """Distance of a keypoint from the middle between its places one frame before and after."""
    size, names = body_px(poses), poses.skeleton.keypoints
    jump, keypoint = np.full(len(poses), np.nan), np.zeros(len(poses), np.int64)
    step = usual_step(poses)
    block = _block(poses, poses.xy.shape[1])
    for start in range(1, len(poses) - 1, block):
        stop = min(start + block, len(poses) - 1)
        rows = np.arange(start, stop)
        neighbours = [positions_on(poses, rows, rows + d, step * d) for d in (-1, 1)]
        away = np.linalg.norm(poses.xy[rows] - (neighbours[0] + neighbours[1]) / 2, axis=-1)
        jump[rows], keypoint[rows] = _largest(away)
        yield stop / len(poses)
    return [
        Measure(
            "jump",
            jump,
            excess(jump / size, 0.05),
            lambda row: (
                f"'{names[keypoint[row]]}' is {jump[row]:.0f} px ({jump[row] / size:.1f} body lengths) "
                "off the way between the frames before and after"
            ),
        )
    ]


# -------------------------------------------------------------------- shapes


def _shapes(poses: Poses, labels: Poses | None) -> Generator[float, None, list[Measure]]:
    """Deviation of the distances between keypoints from the usual ones; see `shapes.UsualShape`."""
    names = poses.skeleton.keypoints
    k = len(names)
    value, keypoint = np.full(len(poses), np.nan), np.zeros(len(poses), np.int64)
    ordinary = np.zeros(0)
    if k > 1 and poses.n_instances:
        examples = examples_of(poses, labels)
        usual = UsualShape.of(examples, body_px(poses))
        chosen = np.linspace(0, len(examples) - 1, min(2000, len(examples))).astype(np.int64)
        ordinary = _largest(usual.deviations(examples[chosen, None]))[0]
        block = _block(poses, k)
        for start in range(0, len(poses), block):
            rows = slice(start, start + block)
            value[rows], keypoint[rows] = _largest(usual.deviations(poses.xy[rows]))
            yield min(1.0, (start + block) / len(poses))
    return [
        Measure(
            "shape",
            value,
            excess(value, 0.5, ordinary),
            lambda row: (
                f"unusual shape: the distances of '{names[keypoint[row]]}' from the other keypoints are "
                f"{value[row]:.1f} deviations off"
            ),
        )
    ]


# ----------------------------------------------------------------- residuals

_RESIDUALS = {
    POSE: ("pose", "unlike the labelled poses: '{name}' is {px:.0f} px off"),
    VIEWS: ("views", "the views disagree by {px:.0f} px on '{name}'"),
}


def _residuals(poses: Poses, judge: Judge) -> Generator[float, None, list[Measure]]:
    """Distances from what labels allow; within their tolerance nothing is doubtful."""
    metrics = yield from judge(poses)
    return [
        _beyond(poses, metrics[name], *words)
        for name, words in _RESIDUALS.items()
        if name in metrics and poses.xy.shape[1]
    ]


def _beyond(poses: Poses, metric: Metric, kind: str, words: str) -> Measure:
    names = poses.skeleton.keypoints
    ratio, keypoint = _largest(metric.ratio)
    place = np.nan_to_num(metric.ratio, nan=-np.inf).reshape(len(poses), -1).argmax(1)
    px = np.take_along_axis(metric.px.reshape(len(poses), -1), place[:, None], 1)[:, 0]
    found = excess(ratio, 0.25)
    found = np.where(ratio > 1, found, np.minimum(found, NORMAL))

    def describe(row: int) -> str:
        text = words.format(name=names[keypoint[row]], px=px[row])
        return f"{text}, {ratio[row]:.1f} times what labels allow"

    return Measure(kind, px, found, describe)


# -------------------------------------------------------------- disagreement


def _disagreement(poses: Poses, others: Sequence[Poses]) -> Generator[float, None, list[Measure]]:
    """Largest distance of a keypoint between the predictions of several models.

    Each is compared with the first: where two others differ, at least one of them differs from it by
    half as much. An animal that only one of them sees counts as a whole body length.
    """
    size, names = body_px(poses), poses.skeleton.keypoints
    value, keypoint = np.full(len(poses), np.nan), np.full(len(poses), -1)
    surplus = np.zeros(len(poses), np.int64)
    for number, other in enumerate(others):
        _, here, there = np.intersect1d(poses.frame, other.frame, return_indices=True)
        block = _block(poses, max(1, other.xy.shape[1]))
        for start in range(0, len(here), block):
            rows, rows_other = here[start : start + block], there[start : start + block]
            a, b = poses.xy[rows], other.xy[rows_other]
            place = paired(pairwise_distances(a, b))
            if b.shape[1]:
                partner = np.take_along_axis(b, np.maximum(place, 0)[..., None, None], axis=1)
                partner = np.where((place >= 0)[..., None, None], partner, np.nan)
            else:
                partner = np.full_like(a, np.nan)
            largest, where = _largest(np.linalg.norm(a - partner, axis=-1))
            seen = other.present[rows_other].sum(1)
            differs = seen - poses.present[rows].sum(1)
            largest = np.where(differs != 0, np.fmax(largest, size), np.nan_to_num(largest))
            worse = ~(largest <= value[rows])
            value[rows[worse]], keypoint[rows[worse]] = largest[worse], where[worse]
            surplus[rows[worse]] = differs[worse]
            yield (number + min(1.0, (start + block) / len(here))) / len(others)
    count = poses.present.sum(1)

    def describe(row: int) -> str:
        if surplus[row]:
            one, two = int(count[row]), int(count[row] + surplus[row])
            return f"one model sees {_animals(one)}, another {two or 'none'}"
        return (
            f"the models differ by {value[row]:.0f} px ({value[row] / size:.1f} body lengths) "
            f"on '{names[keypoint[row]]}'"
        )

    return [Measure("disagreement", value, excess(value / size, 0.05), describe)]


# ------------------------------------------------------------------ plumbing


def _largest(value: FloatArray) -> tuple[FloatArray, IntArray]:
    """Largest of values [B, N, K] of each row, NaN where there is none, and its last index."""
    flat = np.where(np.isfinite(value), value, -np.inf).reshape(len(value), -1)
    if not flat.shape[1]:
        return np.full(len(value), np.nan), np.zeros(len(value), np.int64)
    place = flat.argmax(1)
    largest = flat[np.arange(len(flat)), place]
    return np.where(np.isfinite(largest), largest, np.nan), place % value.shape[-1]


def _block(poses: Poses, others: int) -> int:
    """Rows that are compared at once."""
    n, k = poses.xy.shape[1:3]
    return max(16, BLOCK_VALUES // int(max(1, n * k * max(1, others))))
