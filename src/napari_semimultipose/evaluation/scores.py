"""How good predicted poses are: average precision, pixel errors, PCK, counts and identities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.evaluation.confidence import reliability_scores
from napari_semimultipose.evaluation.detection import (
    OKS_THRESHOLDS,
    RECALL_POINTS,
    PrecisionRecall,
    match_by_score,
    match_one_to_one,
    oks_with_swaps,
)
from napari_semimultipose.evaluation.tracks import track_scores
from napari_semimultipose.io.pairing import keypoint_index, pair_frames
from napari_semimultipose.matching import pose_area
from napari_semimultipose.poses import (
    BoolArray,
    FloatArray,
    IntArray,
    Poses,
    Skeleton,
    Visibility,
)

# Pairs of keypoints that are compared at once: bounds the memory to some 100 MB.
_BLOCK = 2_000_000
_FOUND_OKS = 0.5
_QUANTILES = np.linspace(0.0, 1.0, 51)


def true_poses(truth: Poses) -> tuple[Poses, int]:
    """Return what counts as true, and how many animals do not.

    Among labels, animals that a network predicted and nobody accepted are no truth, as they are no labels in training;
    frames that hold nothing else are left out. Where all animals are predicted, they are taken for the truth.
    """
    predicted = truth.predicted
    if not predicted.any() or not (truth.present & ~predicted).any():
        return truth, 0
    labels = truth.select(truth.labelled_rows())
    return labels.keep(~labels.predicted), int(predicted.sum())


def evaluate(
    prediction: Poses,
    truth: Poses,
    config: EvaluateConfig | None = None,
    *,
    rows: ArrayLike | None = None,
) -> dict[str, Any]:
    """Score predicted against true poses on the frames of the truth.

    Frames are paired by `pairing.pair_frames`. A frame of the truth without predictions counts as
    one without detections; predictions on other frames are ignored; a frame of the truth without
    animals only adds false positives. An animal without a labelled keypoint is none.

    Parameters
    ----------
    prediction, truth : Poses
        Keypoints are paired by name; those that only the predictions have are ignored.
    config : EvaluateConfig, optional
        Definition of the scores.
    rows : array of int or mask [F], optional
        Rows of `truth` to score; all by default.

    Returns
    -------
    dict
        Ready for JSON; numbers that are undefined are None. ``ap`` (mean over OKS .50:.05:.95),
        ``ap50``, ``ap75``, ``ar``: COCO's average precision and recall over all detections.
        ``recall``: share of the animals that a one-to-one matching (largest summed OKS) finds with
        an OKS of .5 or more. ``matched``, ``points``, ``points_missed``, ``median_error_px``,
        ``p95_error_px``, ``mean_oks``, ``pck``, ``pck_px``: labelled keypoints of matched animals
        (OKS above `match_min_oks`), ``..._found_px`` of those with an OKS of .5 or more, ``pck_all`` of all
        animals. ``precision``, ``recall_at_score``, ``count_error`` (mean absolute difference of
        the number of animals a frame), ``count_bias``: detections with `score_threshold` or more;
        ``by_score`` and ``best_f1``: the same at other limits. ``per_keypoint``,
        ``by_visibility``, ``curves``, ``confidence`` (`confidence.reliability_scores`; None without
        confidences of keypoints) and, when both have tracks, ``tracks``
        (`tracks.track_scores`). A keypoint that the prediction lacks counts in ``points_missed``
        and as wrong in the PCK, and has no pixel error.

    Raises
    ------
    LabelsError
        When there is no true animal to compare with, or frames or keypoints do not fit.
    ConfigError
        When the pairs to swap are not pairs of different keypoints.
    """
    config = config or EvaluateConfig()
    if rows is not None:
        truth = truth.select(rows)
    if not truth.n_instances:
        raise LabelsError(
            "there is nothing to compare with: the true poses have no animal with a labelled "
            "keypoint on these frames. Check that the labels file is the right one."
        )
    partner = pair_frames(prediction, truth)
    keypoints = keypoint_index(prediction, truth)
    swaps = _swap_index(truth.skeleton, config)
    area = animal_areas(truth, config)
    size = _animal_size(truth, config)

    score: list[FloatArray] = []
    hit: list[BoolArray] = []
    pairs: list[_Matched] = []
    predicted_count = np.zeros(len(truth), np.int64)
    for block in _blocks(truth, prediction):
        xy, confidence, present, sure = _aligned(prediction, partner[block], keypoints)
        similarity, swapped = oks_with_swaps(
            xy, truth.xy[block], area[block], config.sigma, config.oks_form, swaps
        )
        possible = present[:, :, None] & truth.present[block][:, None, :]
        similarity[~possible] = -1.0
        hits = match_by_score(similarity, confidence, present, OKS_THRESHOLDS)
        score.append(confidence[present])
        hit.append(hits[present])
        predicted_count[block] = (present & (confidence >= config.score_threshold)).sum(1)
        pairs.append(
            _Matched.compare(
                xy, sure, truth, block, similarity, swapped, swaps, config.match_min_oks
            )
        )

    animals = truth.n_instances
    pooled = PrecisionRecall.pool(np.concatenate(score), np.concatenate(hit), animals)
    matched = _Matched.join(pairs)
    result: dict[str, Any] = {
        "frames": len(truth),
        "frames_without_prediction": int((partner < 0).sum()),
        "animals": animals,
        "predictions": len(pooled.score),
        **_detection_scores(pooled, matched, config.score_threshold),
        **_counts(predicted_count, truth),
        **_location_scores(matched, size, truth, config),
        "per_keypoint": _per_keypoint(matched, size, truth.skeleton, config),
        "by_visibility": _by_visibility(matched, size, config),
        "confidence": reliability_scores(
            matched.score.ravel(), matched.error_px.ravel(), truth.animal_size_px
        ),
        "curves": _curves(pooled),
        "settings": config.model_dump(mode="json"),
    }
    if (truth.track >= 0).any() and (prediction.track >= 0).any():
        result["tracks"] = track_scores(prediction, truth, config)
    return {key: _plain(value) for key, value in result.items()}


def animal_areas(truth: Poses, config: EvaluateConfig) -> FloatArray:
    """Areas [F, G] of the true animals in px^2, as the settings define them; NaN in empty slots."""
    if config.area == "constant":
        return np.where(truth.present, config.area_px2, np.nan)
    return pose_area(truth.xy, config.area_margin_px if config.area == "extent" else 0.0)


@dataclass(frozen=True)
class _Matched:
    """The M matched pairs of a detection and an animal.

    Columns are the keypoints of the detection: where two keypoints of the truth trade places, they
    count under the names that the detection gives them.
    """

    oks: FloatArray  # [M]
    error_px: FloatArray  # [M, K]; NaN: not labelled, inf: labelled, but the detection lacks it
    visible: IntArray  # [M, K]; of the truth
    score: FloatArray  # [M, K]; confidence, NaN where the detection lacks the keypoint

    @classmethod
    def compare(
        cls,
        xy: FloatArray,
        sure: FloatArray,
        truth: Poses,
        block: slice,
        similarity: FloatArray,
        swapped: BoolArray,
        swaps: IntArray,
        least: float,
    ) -> _Matched:
        frame, detection, animal = match_one_to_one(similarity, least)
        column = np.tile(np.arange(len(truth.skeleton)), (len(frame), 1))
        for n, (i, j) in enumerate(swaps.tolist()):
            trade = swapped[frame, detection, animal, n]
            column[trade, i], column[trade, j] = j, i
        target = truth.xy[block][frame, animal]
        target = np.take_along_axis(target, column[..., None], 1)
        visible = np.take_along_axis(truth.visible[block][frame, animal], column, 1)
        error = np.linalg.norm(xy[frame, detection] - target, axis=-1)
        error = np.where(np.isnan(error), np.inf, error)
        there = np.isfinite(xy[frame, detection]).all(-1)
        score = np.where(there, sure[frame, detection], np.nan)
        error[visible == Visibility.ABSENT] = np.nan
        return cls(similarity[frame, detection, animal], error, visible.astype(np.int64), score)

    @classmethod
    def join(cls, parts: Sequence[_Matched]) -> _Matched:
        return cls(
            np.concatenate([p.oks for p in parts]),
            np.concatenate([p.error_px for p in parts]),
            np.concatenate([p.visible for p in parts]),
            np.concatenate([p.score for p in parts]),
        )


def _blocks(truth: Poses, prediction: Poses) -> Iterator[slice]:
    """Cut the rows of the truth into runs that can be compared at once."""
    per_frame = truth.xy.shape[1] * max(prediction.xy.shape[1], 1) * len(truth.skeleton)
    step = max(_BLOCK // max(per_frame, 1), 1)
    return (slice(start, start + step) for start in range(0, len(truth), step))


def _aligned(
    prediction: Poses, partner: IntArray, keypoints: IntArray
) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
    """Predictions [F, D, K, 2], scores and presence [F, D], confidences [F, D, K] on frames of the truth.

    An instance that has none of the compared keypoints is still a detection.
    """
    slots = prediction.xy.shape[1]
    xy = np.full((len(partner), slots, len(keypoints), 2), np.nan)
    score = np.zeros((len(partner), slots))
    present = np.zeros((len(partner), slots), bool)
    sure = np.zeros(xy.shape[:3])
    has = np.flatnonzero(partner >= 0)
    row = partner[has]
    known = np.flatnonzero(keypoints >= 0)
    xy[has[:, None], :, known] = prediction.xy[row[:, None], :, keypoints[known]]
    score[has] = np.nan_to_num(prediction.instance_score[row], nan=0.0)
    present[has] = prediction.present[row]
    sure[has[:, None], :, known] = prediction.score[row[:, None], :, keypoints[known]]
    return xy, score, present, sure


def _detection_scores(
    pooled: PrecisionRecall, matched: _Matched, least: float
) -> dict[str, float | list | dict | None]:
    precision = pooled.interpolated_precision()
    ap = precision.mean(0)
    ar = pooled.recall[-1] if len(pooled.score) else np.zeros(len(OKS_THRESHOLDS))

    def at(limit: float) -> dict[str, float | None]:
        kept, true = pooled.at_score(limit)
        return {
            "precision": true / kept if kept else None,
            "recall_at_score": true / pooled.animals,
        }

    return {
        "ap": ap.mean(),
        "ap50": ap[0],
        "ap75": ap[5],
        "ar": ar.mean(),
        "recall": (matched.oks >= _FOUND_OKS).sum() / pooled.animals,
        **at(least),
        "by_score": [{"score": v / 10, **at(v / 10)} for v in range(10)],
        "best_f1": pooled.best_f1(),
    }


def _counts(predicted: IntArray, truth: Poses) -> dict[str, float]:
    difference = predicted - truth.present.sum(1)
    return {"count_error": np.abs(difference).mean(), "count_bias": difference.mean()}


def _location_scores(
    matched: _Matched, size: float, truth: Poses, config: EvaluateConfig
) -> dict[str, Any]:
    error = matched.error_px
    labeled = error[~np.isnan(error)]
    found = error[matched.oks >= _FOUND_OKS]
    all_labeled = int((truth.visible > 0).sum())
    return {
        "matched": len(matched.oks),
        **_errors(error, size, config),
        "median_error_found_px": _quantile(found, 0.5),
        "p95_error_found_px": _quantile(found, 0.95),
        "mean_oks": matched.oks.mean() if len(matched.oks) else None,
        "size_px": size,
        "pck_all": (labeled <= config.pck * size).sum() / all_labeled if size > 0 else None,
        "pck_px": {
            f"{limit:g}": (labeled <= limit).mean() if labeled.size else None
            for limit in config.pck_px
        },
    }


def _errors(error: FloatArray, size: float, config: EvaluateConfig) -> dict[str, Any]:
    """Numbers of a set of errors, NaN where there is no label and inf where no prediction."""
    labeled = error[~np.isnan(error)]
    return {
        "points": labeled.size,
        "points_missed": int(np.isinf(labeled).sum()),
        "median_error_px": _quantile(labeled, 0.5),
        "p95_error_px": _quantile(labeled, 0.95),
        "pck": (labeled <= config.pck * size).mean() if labeled.size and size > 0 else None,
    }


def _per_keypoint(
    matched: _Matched, size: float, skeleton: Skeleton, config: EvaluateConfig
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            **_errors(matched.error_px[:, k], size, config),
            "error_quantiles_px": _quantiles(matched.error_px[:, k]),
        }
        for k, name in enumerate(skeleton.keypoints)
    }


def _by_visibility(
    matched: _Matched, size: float, config: EvaluateConfig
) -> dict[str, dict[str, Any]]:
    return {
        kind.name.lower(): _errors(matched.error_px[matched.visible == kind], size, config)
        for kind in (Visibility.VISIBLE, Visibility.OCCLUDED)
    }


def _curves(pooled: PrecisionRecall) -> dict[str, Any]:
    precision = pooled.interpolated_precision()
    return {
        "recall": RECALL_POINTS,
        "precision": {f"{OKS_THRESHOLDS[t]:.2f}": precision[:, t].round(4) for t in (0, 5, 8, 9)},
    }


def _quantile(error: FloatArray, share: float) -> float | None:
    finite = error[np.isfinite(error)]
    return float(np.quantile(finite, share)) if finite.size else None


def _quantiles(error: FloatArray) -> list[float]:
    finite = error[np.isfinite(error)]
    return np.quantile(finite, _QUANTILES).round(3).tolist() if finite.size else []


def _animal_size(truth: Poses, config: EvaluateConfig) -> float:
    """Length in px that the PCK refers to; NaN when it cannot be known."""
    if config.pck_reference is None:
        return truth.animal_size_px
    a, b = (_keypoint(truth.skeleton, name) for name in config.pck_reference)
    length = np.linalg.norm(truth.xy[:, :, a] - truth.xy[:, :, b], axis=-1)
    length = length[np.isfinite(length)]
    return float(np.median(length)) if length.size else float("nan")


def _swap_index(skeleton: Skeleton, config: EvaluateConfig) -> IntArray:
    pairs = np.array(
        [[_keypoint(skeleton, name) for name in pair] for pair in config.swap], np.int64
    ).reshape(-1, 2)
    if len(set(pairs.ravel().tolist())) < pairs.size:
        raise ConfigError(
            "swap: a keypoint can be in one pair only, and a pair needs two keypoints"
        )
    return pairs


def _keypoint(skeleton: Skeleton, name: str) -> int:
    if name not in skeleton.keypoints:
        raise ConfigError(
            f"there is no keypoint {name!r}; the truth has {', '.join(skeleton.keypoints)}"
        )
    return skeleton.keypoints.index(name)


def _plain(value: Any) -> Any:
    """Return the same in types of JSON: undefined numbers are None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
