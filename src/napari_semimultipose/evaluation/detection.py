"""Matching of detections to true animals on many frames at once, and average precision from it.

The rules are those of the COCO keypoint evaluation, without its limit of 20 detections an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_semimultipose.matching import OksForm, oks, present_keypoints
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray

OKS_THRESHOLDS: FloatArray = np.linspace(0.5, 0.95, 10)
RECALL_POINTS: FloatArray = np.linspace(0.0, 1.0, 101)


def oks_with_swaps(
    predicted: ArrayLike,
    truth: ArrayLike,
    area: ArrayLike,
    sigma: float,
    form: OksForm,
    swaps: IntArray,
) -> tuple[FloatArray, BoolArray]:
    """OKS of the best arrangement when some keypoints of the truth may trade places.

    Parameters
    ----------
    predicted, truth : arrays [..., D, K, 2] and [..., G, K, 2]
        Poses in px, NaN where absent.
    area : array [..., G]
        Areas of the true animals in px^2.
    sigma, form
        As in `matching.oks`.
    swaps : array [S, 2] of int
        Disjoint pairs of keypoint indices.

    Returns
    -------
    similarity : array [..., D, G]
    swapped : array [..., D, G, S] of bool
        Which pairs trade places; only where that is strictly better.
    """
    p, t = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    similarity = oks(p, t, area, sigma, form)
    swapped = np.zeros((*similarity.shape, len(swaps)), bool)
    seen = present_keypoints(t)
    count = np.maximum(seen.sum(-1), 1)
    # OKS is a mean over keypoints and the pairs are disjoint: each pair decides for itself.
    for n, (i, j) in enumerate(swaps.tolist()):
        straight = oks(p[..., [i, j], :], t[..., [i, j], :], area, sigma, form)
        crossed = oks(p[..., [j, i], :], t[..., [i, j], :], area, sigma, form)
        share = seen[..., [i, j]].sum(-1) / count
        better = similarity + (crossed - straight) * share[..., None, :]
        swapped[..., n] = better > similarity
        similarity = np.maximum(similarity, better)
    return similarity, swapped


def match_by_score(
    similarity: FloatArray, score: FloatArray, present: BoolArray, thresholds: FloatArray
) -> BoolArray:
    """COCO's greedy matching: the surest detection first takes the most similar free animal.

    Parameters
    ----------
    similarity : array [F, D, G]
        OKS; slots without a true animal have a negative value.
    score : array [F, D]
        Confidence; equal ones are taken in the order of the slots.
    present : array [F, D] of bool
        Which slots hold a detection.
    thresholds : array [T]
        Least OKS of a match.

    Returns
    -------
    array [F, D, T] of bool
        Whether the detection is a true positive at the threshold.
    """
    f, d, g = similarity.shape
    hit = np.zeros((f, d, len(thresholds)), bool)
    if g == 0:
        return hit
    least = np.minimum(thresholds, 1.0 - 1e-10)
    order = np.argsort(np.where(present, -score, np.inf), axis=1, kind="stable")
    count = present.sum(1)
    taken = np.zeros((f, len(thresholds), g), bool)
    for rank in range(int(count.max(initial=0))):
        rows = np.flatnonzero(count > rank)
        slot = order[rows, rank]
        value = np.where(taken[rows], -1.0, similarity[rows, slot][:, None, :])
        # The last one of equal values, as pycocotools does.
        best = g - 1 - value[..., ::-1].argmax(-1)
        success = np.take_along_axis(value, best[..., None], -1)[..., 0] >= least
        hit[rows, slot] = success
        row, level = np.nonzero(success)
        taken[rows[row], level, best[row, level]] = True
    return hit


def match_one_to_one(
    similarity: FloatArray, least: float = 0.0
) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of a detection and an animal that maximise the summed OKS of each frame.

    Of these the pairs with an OKS above `least` are given. With 0, far detections may be paired
    with animals that nobody found, as long as rounding leaves them an OKS; which ones may then
    depend on the order of the slots.

    Parameters
    ----------
    similarity : array [F, D, G]
        OKS; slots without a detection or a true animal have a negative value.
    least : float

    Returns
    -------
    frame, detection, animal : arrays of int
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    found = [np.zeros((3, 0), np.int64)]
    for f in np.flatnonzero((similarity > least).any((1, 2))).tolist():
        detection = np.flatnonzero((similarity[f] >= 0).any(1))
        animal = np.flatnonzero((similarity[f] >= 0).any(0))
        value = similarity[f][np.ix_(detection, animal)]
        d, g = linear_sum_assignment(-value)
        kept = value[d, g] > least
        d, g = detection[d[kept]], animal[g[kept]]
        found.append(np.stack([np.full(len(d), f), d, g]))
    frame, detection, animal = np.concatenate(found, axis=1)
    return frame, detection, animal


@dataclass(frozen=True)
class PrecisionRecall:
    """Pooled detections of all frames by falling score.

    Parameters
    ----------
    score : array [M]
        Confidence.
    true_positives : array [M, T] of int
        Number among the first m + 1 detections, for each threshold of the OKS.
    animals : int
        Number of true animals.
    """

    score: FloatArray
    true_positives: IntArray
    animals: int

    @classmethod
    def pool(cls, score: FloatArray, hit: BoolArray, animals: int) -> PrecisionRecall:
        """From detections [M] in the order of the frames and their hits [M, T]."""
        order = np.argsort(-score, kind="stable")
        return cls(score[order], hit[order].cumsum(0), animals)

    @property
    def recall(self) -> FloatArray:
        """Share of the animals that the first m + 1 detections find, [M, T]."""
        return np.asarray(self.true_positives / self.animals)

    @property
    def precision(self) -> FloatArray:
        """Share of true positives among the first m + 1 detections, [M, T]."""
        return np.asarray(self.true_positives / np.arange(1, len(self.score) + 1)[:, None])

    def interpolated_precision(self) -> FloatArray:
        """Precision [101, T] at the recalls 0, .01, ..., 1: the best at that recall or more.

        Its mean over the recalls is the average precision (COCO, 101 points); 0 at recalls that
        are not reached.
        """
        recall, thresholds = self.recall, self.true_positives.shape[1]
        envelope = np.maximum.accumulate(self.precision[::-1], axis=0)[::-1]
        envelope = np.concatenate([envelope, np.zeros((1, thresholds))])
        out = np.zeros((len(RECALL_POINTS), thresholds))
        for t in range(thresholds):
            out[:, t] = envelope[np.searchsorted(recall[:, t], RECALL_POINTS, side="left"), t]
        return out

    def at_score(self, least: float, threshold: int = 0) -> tuple[int, int]:
        """Numbers of detections and of true positives among those with `least` score or more."""
        kept = int(np.searchsorted(-self.score, -least, side="right"))
        return kept, int(self.true_positives[kept - 1, threshold]) if kept else 0

    def best_f1(self, threshold: int = 0) -> dict[str, float] | None:
        """Score limit with the best harmonic mean of precision and recall; None without detections."""
        if not len(self.score):
            return None
        f1 = (
            2
            * self.true_positives[:, threshold]
            / (np.arange(1, len(self.score) + 1) + self.animals)
        )
        # A limit cannot separate equal scores.
        f1[:-1][self.score[1:] == self.score[:-1]] = -1.0
        best = int(f1.argmax())
        return {
            "score": float(self.score[best]),
            "f1": float(f1[best]),
            "precision": float(self.precision[best, threshold]),
            "recall": float(self.recall[best, threshold]),
        }
