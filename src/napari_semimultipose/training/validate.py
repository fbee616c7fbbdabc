"""Score a network on labelled frames while it trains."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from napari_semimultipose.config import EvaluateConfig, PredictConfig
from napari_semimultipose.data.frames import FrameRef
from napari_semimultipose.data.split import with_points_inside
from napari_semimultipose.evaluation.confidence import calibration
from napari_semimultipose.evaluation.scores import evaluate
from napari_semimultipose.inference.predict import Predictor, to_poses
from napari_semimultipose.models.build import Network
from napari_semimultipose.models.checkpoint import ModelInfo
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.poses import Poses

SCORES = ("ap", "ap50", "ap75", "ap_loose", "median_error_px", "recall")
"""Scores that a validation reports; ``ap_loose`` is AP at OKS sigma 0.1."""


def validate(
    network: Network,
    info: ModelInfo,
    refs: Sequence[FrameRef],
    poses: Poses,
    device: str,
    neighbours: Mapping[Hashable, Sequence[FrameRef]] | None = None,
) -> dict[str, float]:
    """Predict the frames of `refs` and compare with their labels in `poses`.

    Parameters
    ----------
    neighbours : mapping, optional
        As `TrainingData.neighbours`.

    Returns
    -------
    dict of str to float
        The scores `SCORES`; NaN where there is nothing to score.
    """
    config = PredictConfig(
        **info.config.predict.model_dump() | {"score_threshold": 0.01, "device": device}
    )
    if isinstance(network, HeatmapTracker):
        network.calibration.copy_(network.calibration.new_tensor([1.0, 0.0]))
    predictor = Predictor(network, info, config)
    parts = []
    for ref in refs:
        around = [n.frames[n.index] for n in (neighbours or {}).get(ref.key, ())]
        animals = predictor.animals(*predictor.output_of(ref.frames[ref.index], around))
        video = int(poses.video[ref.row])
        parts.append(to_poses(info.skeleton, [ref.index], animals, poses.videos, video))
    truth = with_points_inside(poses, refs).select([r.row for r in refs])
    prediction = Poses.concatenate(parts)
    if isinstance(network, HeatmapTracker):
        network.calibration.copy_(network.calibration.new_tensor(calibration(prediction, truth)))
    tight = evaluate(prediction, truth, EvaluateConfig(sigma=0.05))
    loose = evaluate(prediction, truth, EvaluateConfig(sigma=0.1))
    found = {**tight, "ap_loose": loose["ap"]}
    return {
        name: float("nan") if found.get(name) is None else float(found[name]) for name in SCORES
    }
