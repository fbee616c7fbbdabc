"""From heat maps to the one animal of each frame."""

from __future__ import annotations

import numpy as np

from napari_semimultipose.inference.follow import Animals
from napari_semimultipose.models.heatmap import HeatmapOutput, HeatmapTracker, decode_surer


def one_animal(
    network: HeatmapTracker,
    output: HeatmapOutput,
    ratio: tuple[float, float],
    score_threshold: float,
) -> list[Animals]:
    """Decode heat maps to the animal of each frame, or none where it is too unsure.

    All keypoints are given, however unsure. The score of an animal is the mean confidence of the surer
    half of its keypoints, so that hidden ones do not make it doubtful.

    Parameters
    ----------
    ratio : (float, float)
        Size of the network's picture relative to the frame (x, y).
    score_threshold : float
        Animals with a lower score are left out.
    """
    positions = decode_surer(output, network.config.heatmap.sigma_cells)
    confidence = network.confidence(positions.mass)
    half = confidence.topk(-(-confidence.shape[1] // 2), dim=1).values.mean(1)
    xy = (positions.xy.double().cpu().numpy() + 0.5) / np.array(ratio) - 0.5
    scores = confidence.double().cpu().numpy()
    animal = half.double().cpu().numpy()
    return [
        Animals(xy[i : i + n], scores[i : i + n], animal[i : i + n])
        for i, n in enumerate((animal >= score_threshold).astype(int))
    ]
