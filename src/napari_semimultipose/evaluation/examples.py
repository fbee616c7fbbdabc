"""Which animals were found well and which badly: the pairs behind the scores, one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.evaluation.detection import match_one_to_one, oks_with_swaps
from napari_semimultipose.evaluation.scores import animal_areas
from napari_semimultipose.io.pairing import keypoint_index, pair_frames
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses, Visibility

_POOL = 4  # examples are taken from so many times their number
_BLOCK = 1_000_000  # pairs of keypoints that are compared at once: some 50 MB
_LEAST_OKS = 1e-3
"""Pairs below it are an animal that was missed and a detection of something else."""


@dataclass(frozen=True)
class Outcomes:
    """What became of P animals and detections.

    Attributes
    ----------
    row, partner : arrays [P]
        Rows of the truth and of the predictions; -1 for a frame without predictions.
    animal, detection : arrays [P]
        Slots on these rows; -1 for a detection of nothing and for an animal that was missed.
    oks : array [P]
        0 where one of the two is lacking.
    error_px : array [P, K]
        Distances of the keypoints of the truth; NaN without a label, inf where the detection lacks it.
    """

    row: IntArray
    partner: IntArray
    animal: IntArray
    detection: IntArray
    oks: FloatArray
    error_px: FloatArray

    @property
    def found(self) -> BoolArray:
        """Which of them are an animal with its detection."""
        return np.asarray((self.animal >= 0) & (self.detection >= 0))

    def median_error_px(self, i: int) -> float:
        """Median error of an animal in px; NaN without any."""
        error = self.error_px[i]
        error = error[np.isfinite(error)]
        return float(np.median(error)) if len(error) else float("nan")


def outcomes_of(prediction: Poses, truth: Poses, config: EvaluateConfig | None = None) -> Outcomes:
    """Pair detections with true animals, one to one, as `scores.evaluate` does.

    Parameters
    ----------
    prediction, truth : Poses
        Frames and keypoints are paired as in `scores.evaluate`.
    config : EvaluateConfig, optional

    Raises
    ------
    LabelsError
        When frames or keypoints do not fit.
    """
    config = config or EvaluateConfig()
    partner = pair_frames(prediction, truth)
    keypoints = keypoint_index(prediction, truth)
    names = truth.skeleton.keypoints
    swaps = np.array([[names.index(name) for name in pair] for pair in config.swap], np.int64)
    swaps = swaps.reshape(-1, 2)
    area = animal_areas(truth, config)
    slots = max(prediction.xy.shape[1], 1)
    size = max(_BLOCK // max(truth.xy.shape[1] * slots * len(names), 1), 1)
    parts = [
        _block(
            prediction, truth, np.arange(start, min(start + size, len(truth))),
            partner, keypoints, swaps, area, config,
        )
        for start in range(0, len(truth), size)
    ]  # fmt: skip
    if not parts:
        none = np.zeros(0, np.int64)
        return Outcomes(none, none, none, none, np.zeros(0), np.zeros((0, len(names))))
    return Outcomes(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _block(
    prediction: Poses,
    truth: Poses,
    rows: IntArray,
    partner: IntArray,
    keypoints: IntArray,
    swaps: IntArray,
    area: FloatArray,
    config: EvaluateConfig,
) -> tuple[IntArray, IntArray, IntArray, IntArray, FloatArray, FloatArray]:
    other = partner[rows]
    there = other >= 0
    xy = np.full((len(rows), prediction.xy.shape[1], len(keypoints), 2), np.nan)
    known = keypoints >= 0
    xy[np.ix_(there, np.arange(xy.shape[1]), known)] = prediction.xy[other[there]][
        :, :, keypoints[known]
    ]
    present = np.zeros(xy.shape[:2], bool)
    present[there] = prediction.present[other[there]]
    similarity, swapped = oks_with_swaps(
        xy, truth.xy[rows], area[rows], config.sigma, config.oks_form, swaps
    )
    animals = truth.present[rows]
    similarity[~(present[:, :, None] & animals[:, None, :])] = -1.0
    several = max(similarity.shape[1:]) > 1  # of one animal, the detection is its own, however far
    least = max(config.match_min_oks, _LEAST_OKS) if several else config.match_min_oks
    f, d, g = match_one_to_one(similarity, least)
    column = np.tile(np.arange(len(keypoints)), (len(f), 1))
    for n, (i, j) in enumerate(swaps.tolist()):
        trade = swapped[f, d, g, n]
        column[trade, i], column[trade, j] = j, i
    target = np.take_along_axis(truth.xy[rows][f, g], column[..., None], 1)
    visible = np.take_along_axis(truth.visible[rows][f, g], column, 1)
    error = np.linalg.norm(xy[f, d] - target, axis=-1)
    error = np.where(np.isnan(error), np.inf, error)
    error[visible == Visibility.ABSENT] = np.nan
    missed, surplus = animals.copy(), present.copy()
    missed[f, g] = False
    surplus[f, d] = False
    mf, mg = np.nonzero(missed)
    sf, sd = np.nonzero(surplus)
    frame = np.concatenate([f, mf, sf])
    lacking = len(mf) + len(sf)
    return (
        rows[frame],
        other[frame],
        np.concatenate([g, mg, np.full(len(sf), -1)]),
        np.concatenate([d, np.full(len(mf), -1), sd]),
        np.concatenate([similarity[f, d, g], np.zeros(lacking)]),
        np.concatenate([error, np.full((lacking, len(keypoints)), np.nan)]),
    )


def best(outcomes: Outcomes, truth: Poses, count: int) -> list[int]:
    """Return the places of the animals that were found most exactly, spread over the frames."""
    order = np.flatnonzero(outcomes.found)
    order = order[np.argsort(-outcomes.oks[order], kind="stable")]
    return _spread(outcomes, truth, order, count)


def worst(outcomes: Outcomes, prediction: Poses, truth: Poses, count: int) -> list[int]:
    """Return the places of the animals that went most wrong, spread over the frames.

    A third each, as far as there are so many: animals that were missed, those with the most labelled
    keypoints first; detections of nothing, the surest first; and the least similar pairs.
    """
    kinds: list[IntArray] = []
    missed = np.flatnonzero(outcomes.detection < 0)
    labelled = (truth.visible[outcomes.row[missed], outcomes.animal[missed]] > 0).sum(-1)
    kinds.append(missed[np.argsort(-labelled, kind="stable")])
    surplus = np.flatnonzero(outcomes.animal < 0)
    score = prediction.instance_score[outcomes.partner[surplus], outcomes.detection[surplus]]
    kinds.append(surplus[np.argsort(-score, kind="stable")])
    found = np.flatnonzero(outcomes.found)
    kinds.append(found[np.argsort(outcomes.oks[found], kind="stable")])
    shares = [_spread(outcomes, truth, kind, count // 3) for kind in kinds[:2]]
    rest = count - sum(len(share) for share in shares)
    return [*shares[0], *shares[1], *_spread(outcomes, truth, kinds[2], rest)]


def _spread(outcomes: Outcomes, truth: Poses, order: IntArray, count: int) -> list[int]:
    """Return the first places of an order, with a distance in time as far as there are enough.

    Frames that follow each other look alike: among the first of the order, what is within a fraction of
    the recording of an earlier one comes after all that is not.
    """
    order = order[: _POOL * count]
    video, frame = truth.video[outcomes.row[order]], truth.frame[outcomes.row[order]]
    least = np.ptp(frame) / (2 * count) if len(frame) and count else 0.0
    free = np.ones(len(order), bool)
    chosen: list[int] = []
    while len(chosen) < count and free.any():
        i = int(free.argmax())
        chosen.append(i)
        free &= (video != video[i]) | (np.abs(frame - frame[i]) > least)
    rest = np.setdiff1d(np.arange(len(order)), chosen)
    return order[[*chosen, *rest.tolist()][:count]].tolist() if len(order) else []
