"""A stand-in for a trained network, and pictures for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from napari_semimultipose.config import Config, PredictConfig
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.models.checkpoint import ModelInfo
from napari_semimultipose.models.directpose import LevelOutput, Output
from napari_semimultipose.poses import Skeleton

SKELETON = Skeleton(("spot",))
PLAIN = PredictConfig(device="cpu", precision="32", refine_cells=3)


class SpotFinder(nn.Module):
    """Stands for a trained network: an animal wherever the picture is bright."""

    def forward(self, images: Tensor) -> Output:
        bright = images.mean(1, keepdim=True).clamp(1e-4, 1 - 1e-4)
        heat = torch.logit(bright[..., 2::4, 2::4])  # what is at the place of a cell
        cls = torch.logit(bright[..., 4::8, 4::8])
        b, _, h, w = cls.shape
        offsets = torch.zeros(b, 1, 2, h, w)
        return Output([LevelOutput(8, cls, torch.full_like(cls, 6.0), offsets, offsets)], heat, 4)


def spots(places: list[tuple[float, float]], height: int = 150, width: int = 210) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width))
    for px, py in places:
        image = np.maximum(image, np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 9.0**2)))
    return (240 * image).astype(np.uint8)[..., None]


def predictor(
    scale: float = 1.0, config: PredictConfig = PLAIN, network: SpotFinder | None = None
) -> Predictor:
    return Predictor(network or SpotFinder(), ModelInfo(SKELETON, Config(), scale), config)  # type: ignore[arg-type]
