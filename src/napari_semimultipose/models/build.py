"""The network that the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence

from napari_semimultipose.config import Config
from napari_semimultipose.models.directpose import DirectPose, Output
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.models.peaks import HeatmapOutput

Network = DirectPose | HeatmapTracker
NetworkOutput = Output | HeatmapOutput


def build_network(config: Config, keypoints: Sequence[str]) -> Network:
    """Build the network of some settings, with random or pretrained weights.

    ``model.kind`` 'auto' means DirectPose here: training has put in what it chose.

    Parameters
    ----------
    config : Config
    keypoints : sequence of str
        Names of the K keypoints.

    Raises
    ------
    ModelError
        If pretrained weights cannot be downloaded.
    """
    if config.model.kind == "heatmap":
        return HeatmapTracker(config, keypoints)
    return DirectPose(config.model, keypoints)
