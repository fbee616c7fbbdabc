"""What confidences mean: how often keypoints of a confidence are right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.poses import Poses

RIGHT = 0.05
"""A keypoint is right when it is off by at most this share of the animal's size."""
_PRIOR = 1.0  # weight of "no change"


def outcomes(
    prediction: Poses, truth: Poses, right: float = RIGHT
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidences of the predicted keypoints of one animal [n], and which of them are right [n].

    Keypoints without a label count as wrong: they are hidden, and whatever is predicted is not theirs.
    Frames without a true or without a predicted animal are left out.

    Parameters
    ----------
    prediction, truth : Poses
        One animal a frame.
    right : float
        Largest error, as a share of the median animal size.
    """
    limit = right * truth.animal_size_px
    places = {
        (int(v), int(f)): row
        for row, (v, f) in enumerate(zip(prediction.video, prediction.frame, strict=True))
    }
    scores, hits = [], []
    for row in range(len(truth)):
        at = places.get((int(truth.video[row]), int(truth.frame[row])))
        if at is None or not truth.present[row].any() or not prediction.present[at].any():
            continue
        n, m = int(truth.present[row].argmax()), int(prediction.present[at].argmax())
        error = np.linalg.norm(prediction.xy[at, m] - truth.xy[row, n], axis=-1)
        shown = (truth.visible[row, n] > 0) & np.isfinite(error)
        scores.append(prediction.score[at, m])
        hits.append(shown & (np.nan_to_num(error, nan=np.inf) <= limit))
    if not scores:
        return np.zeros(0), np.zeros(0, bool)
    score, hit = np.concatenate(scores), np.concatenate(hits)
    known = np.isfinite(score)
    return score[known], hit[known]


def calibration(prediction: Poses, truth: Poses) -> tuple[float, float]:
    """Slope and offset that make the logit of a confidence that of being right (Platt 1999).

    Fitted by maximum likelihood, with a prior that holds it near "no change" where there are few
    keypoints; exactly that (1, 0) without any keypoint or without a known animal size.
    """
    score, hit = outcomes(prediction, truth)
    if not len(score) or not np.isfinite(truth.animal_size_px):
        return 1.0, 0.0

    from scipy.optimize import minimize  # slow to import
    from scipy.special import logit

    x = logit(np.clip(score, 1e-4, 1 - 1e-4))

    def cost(p: NDArray[np.float64]) -> float:
        margin = np.where(hit, 1, -1) * (np.exp(p[0]) * x + p[1])
        return float(np.logaddexp(0, -margin).sum() + _PRIOR * (p**2).sum())

    log_slope, offset = minimize(cost, np.zeros(2), method="BFGS").x
    return float(np.exp(log_slope)), float(offset)


def reliability(
    score: NDArray[np.float64], hit: NDArray[np.bool_], bins: int = 10
) -> list[tuple[float, float, int]]:
    """Mean confidence, share that is right, and number of keypoints, in bins of equal width."""
    which = np.minimum((np.asarray(score) * bins).astype(int), bins - 1)
    return [
        (float(score[which == b].mean()), float(hit[which == b].mean()), int((which == b).sum()))
        for b in range(bins)
        if (which == b).any()
    ]


def reliability_scores(
    score: NDArray[np.float64], error_px: NDArray[np.float64], size_px: float
) -> dict[str, Any] | None:
    """Compare the confidences of predicted keypoints with how often they are right.

    Parameters
    ----------
    score : array [n]
        Confidences; NaN where nothing was predicted, which does not count.
    error_px : array [n]
        Distances from the labels; NaN where there is no label.
    size_px : float
        Size of the animals.

    Returns
    -------
    dict or None
        ``right_px``: what counts as right. ``points``, ``ece`` (`expected_calibration_error`) and ``bins``
        over all predicted keypoints of matched animals, those without a label being wrong;
        ``ece_labeled`` over those with a label. None without confidences that differ, or a size.
    """
    known = np.isfinite(score)
    score, error = np.clip(score[known], 0.0, 1.0), error_px[known]
    if not np.isfinite(size_px) or not len(score) or np.ptp(score) == 0:
        return None
    limit = RIGHT * size_px
    hit = np.nan_to_num(error, nan=np.inf) <= limit
    labelled = ~np.isnan(error)
    return {
        "right_px": limit,
        "points": len(score),
        "ece": expected_calibration_error(score, hit),
        "ece_labeled": expected_calibration_error(score[labelled], hit[labelled]),
        "bins": [
            {"confidence": c, "right": right, "points": n}
            for c, right, n in reliability(score, hit)
        ],
    }


def expected_calibration_error(
    score: NDArray[np.float64], hit: NDArray[np.bool_], bins: int = 10
) -> float:
    """Mean difference of confidence and share that is right, over the keypoints; NaN without any."""
    parts = reliability(score, hit, bins)
    total = sum(n for *_, n in parts)
    return sum(abs(c - h) * n for c, h, n in parts) / total if total else float("nan")
