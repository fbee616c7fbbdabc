"""How far several answers about the same animals lie apart: of models, of copies of a picture, of members."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_semimultipose.labeling.measure import Measure, animals, block_of, excess, largest
from napari_semimultipose.labeling.pairs import paired, pairwise_distances
from napari_semimultipose.labeling.shapes import body_px
from napari_semimultipose.poses import FloatArray, IntArray, Poses

_FLOOR = 0.05  # body lengths: answers that differ by less are the same

Work = Generator[float, None, Measure]


def of_models(poses: Poses, others: Sequence[Poses]) -> Work:
    """Largest distance of a keypoint between the predictions of several models.

    Each is compared with the first: where two others differ, at least one of them differs from it by
    half as much. An animal that only one of them sees counts as a whole body length.

    Parameters
    ----------
    poses : Poses
        On F frames of one recording.
    others : sequence of Poses
        With the same keypoints, on some or all of these frames.

    Yields
    ------
    float
        Share that is done.
    """
    size, names = body_px(poses), poses.skeleton.keypoints
    gap = yield from _farthest(poses, others)

    def describe(row: int) -> str:
        if gap.surplus[row]:
            one, two = gap.counts(row)
            return f"one model sees {animals(one)}, another {two or 'none'}"
        return f"the models differ by {_px(gap.px[row], size)} on '{names[gap.keypoint[row]]}'"

    return Measure("disagreement", gap.px, excess(gap.px / size, _FLOOR), describe)


def of_copies(poses: Poses, copies: Sequence[Poses]) -> Work:
    """Largest distance of a keypoint between predictions of pictures and of turned copies; see `of_models`."""
    size, names = body_px(poses), poses.skeleton.keypoints
    gap = yield from _farthest(poses, copies)

    def describe(row: int) -> str:
        if gap.surplus[row]:
            one, two = gap.counts(row)
            return f"the model sees {animals(one)}, and {two or 'none'} when the picture is turned"
        return f"'{names[gap.keypoint[row]]}' moves by {_px(gap.px[row], size)} when the picture is turned"

    return Measure("turned", gap.px, excess(gap.px / size, _FLOOR), describe)


def known_to(poses: Poses) -> Measure:
    """Largest standard deviation of a position, where poses have one: of the members of an ensemble.

    Of the two directions the root of the summed squares counts.
    """
    size, names = body_px(poses), poses.skeleton.keypoints
    assert poses.spread is not None
    px, keypoint = largest(np.asarray(np.hypot(poses.spread[..., 0], poses.spread[..., 1])))
    return Measure(
        "spread",
        px,
        excess(px / size, _FLOOR),
        lambda row: f"'{names[keypoint[row]]}' is only known to {_px(px[row], size)}",
    )


@dataclass(frozen=True)
class _Gap:
    """The largest difference on each of F frames.

    ``px`` [F], NaN where nothing was compared; the ``keypoint`` [F] that it is about; ``count`` [F] of
    animals, and how many more (``surplus`` [F]) the other answer has.
    """

    px: FloatArray
    keypoint: IntArray
    count: IntArray
    surplus: IntArray

    def counts(self, row: int) -> tuple[int, int]:
        """Animals in both answers."""
        return int(self.count[row]), int(self.count[row] + self.surplus[row])


def _farthest(poses: Poses, others: Sequence[Poses]) -> Generator[float, None, _Gap]:
    size = body_px(poses)
    value, keypoint = np.full(len(poses), np.nan), np.full(len(poses), -1)
    surplus = np.zeros(len(poses), np.int64)
    for number, other in enumerate(others):
        _, here, there = np.intersect1d(poses.frame, other.frame, return_indices=True)
        block = block_of(poses, max(1, other.xy.shape[1]))
        for start in range(0, len(here), block):
            rows, rows_other = here[start : start + block], there[start : start + block]
            a, b = poses.xy[rows], other.xy[rows_other]
            place = paired(pairwise_distances(a, b))
            if b.shape[1]:
                partner = np.take_along_axis(b, np.maximum(place, 0)[..., None, None], axis=1)
                partner = np.where((place >= 0)[..., None, None], partner, np.nan)
            else:
                partner = np.full_like(a, np.nan)
            most, where = largest(np.linalg.norm(a - partner, axis=-1))
            differs = other.present[rows_other].sum(1) - poses.present[rows].sum(1)
            most = np.where(differs != 0, np.fmax(most, size), np.nan_to_num(most))
            worse = ~(most <= value[rows])
            value[rows[worse]], keypoint[rows[worse]] = most[worse], where[worse]
            surplus[rows[worse]] = differs[worse]
            yield (number + min(1.0, (start + block) / len(here))) / len(others)
    return _Gap(value, keypoint, poses.present.sum(1), surplus)


def _px(px: float, size: float) -> str:
    return f"{px:.0f} px ({px / size:.1f} body lengths)"
