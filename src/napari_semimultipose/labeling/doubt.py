"""What makes predicted poses doubtful, measured on each frame."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from napari_semimultipose.labeling.alignment import usual_step
from napari_semimultipose.labeling.disagreement import known_to, of_copies, of_models
from napari_semimultipose.labeling.measure import Measure, animals, block_of, excess, largest
from napari_semimultipose.labeling.pairs import positions_on
from napari_semimultipose.labeling.residuals import Judge, residuals_of
from napari_semimultipose.labeling.shapes import UsualShape, body_px, examples_of
from napari_semimultipose.poses import FloatArray, Poses

COUNT_WINDOW = 31
"""Frames over which the number of animals is expected to stay."""


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
    copies: Sequence[Poses] = (),
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
    copies : sequence of Poses
        What the model finds on mirrored or turned copies of some of the frames.

    Returns
    -------
    list of Measure
    """
    out = [*_confidence(poses), _count(poses)]
    if poses.spread is not None:
        out.append(known_to(poses))
    yield 0.1
    work = [(_alone(_jumps(poses)), 1), (_alone(_shapes(poses, labels)), 1)]
    if judge is not None:
        work.append((residuals_of(poses, judge), 1))
    if others:
        work.append((_alone(of_models(poses, others)), len(others)))
    if copies:
        work.append((_alone(of_copies(poses, copies)), len(copies)))
    share, start = 0.9 / sum(weight for _, weight in work), 0.1
    for make, weight in work:
        out += yield from _scaled(make, start, weight * share)
        start += weight * share
    return out


def _alone(work: Generator[float, None, Measure]) -> Generator[float, None, list[Measure]]:
    return [(yield from work)]


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
        lambda row: f"{animals(int(count[row]))}, but {around[row]} on the frames around",
    )


# --------------------------------------------------------------------- jumps


def _jumps(poses: Poses) -> Generator[float, None, Measure]:
    """Distance of a keypoint from the middle between its places one frame before and after."""
    size, names = body_px(poses), poses.skeleton.keypoints
    jump, keypoint = np.full(len(poses), np.nan), np.zeros(len(poses), np.int64)
    step = usual_step(poses.frame)
    block = block_of(poses, poses.xy.shape[1])
    for start in range(1, len(poses) - 1, block):
        stop = min(start + block, len(poses) - 1)
        rows = np.arange(start, stop)
        neighbours = [positions_on(poses, rows, rows + d, step * d) for d in (-1, 1)]
        away = np.linalg.norm(poses.xy[rows] - (neighbours[0] + neighbours[1]) / 2, axis=-1)
        jump[rows], keypoint[rows] = largest(away)
        yield stop / len(poses)
    return Measure(
        "jump",
        jump,
        excess(jump / size, 0.05),
        lambda row: (
            f"'{names[keypoint[row]]}' is {jump[row]:.0f} px ({jump[row] / size:.1f} body lengths) "
            "off the way between the frames before and after"
        ),
    )


# -------------------------------------------------------------------- shapes


def _shapes(poses: Poses, labels: Poses | None) -> Generator[float, None, Measure]:
    """Deviation of the distances between keypoints from the usual ones; see `shapes.UsualShape`."""
    names = poses.skeleton.keypoints
    k = len(names)
    value, keypoint = np.full(len(poses), np.nan), np.zeros(len(poses), np.int64)
    ordinary = np.zeros(0)
    if k > 1 and poses.n_instances:
        examples = examples_of(poses, labels)
        usual = UsualShape.of(examples, body_px(poses))
        chosen = np.linspace(0, len(examples) - 1, min(2000, len(examples))).astype(np.int64)
        ordinary = largest(usual.deviations(examples[chosen, None]))[0]
        block = block_of(poses, k)
        for start in range(0, len(poses), block):
            rows = slice(start, start + block)
            value[rows], keypoint[rows] = largest(usual.deviations(poses.xy[rows]))
            yield min(1.0, (start + block) / len(poses))
    return Measure(
        "shape",
        value,
        excess(value, 0.5, ordinary),
        lambda row: (
            f"unusual shape: the distances of '{names[keypoint[row]]}' from the other keypoints are "
            f"{value[row]:.1f} deviations off"
        ),
    )
