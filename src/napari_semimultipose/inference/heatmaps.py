"""The heat maps of a model on single frames: where it believes each keypoint to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.inference.windows import window_of
from napari_semimultipose.models.context import WINDOW
from napari_semimultipose.models.peaks import HeatmapOutput, surer_maps

if TYPE_CHECKING:
    from napari_semimultipose.io.frames import Frames


@dataclass(frozen=True)
class HeatMaps:
    """Heat maps of one frame.

    Attributes
    ----------
    values : array [K, h, w] of float32
        Probability of each keypoint, 0..1.
    step_px : (float, float)
        Height and width of a cell in px of the frame.
    origin_px : (float, float)
        Row and column of the centre of the first cell in px of the frame.
    """

    values: NDArray[np.float32]
    step_px: tuple[float, float]
    origin_px: tuple[float, float]


@torch.inference_mode()
def heat_maps(predictor: Predictor, frames: Frames, index: int) -> HeatMaps:
    """Compute the heat maps of a frame.

    Those of a network that also looks at the frames around it are the surer ones of its two heads.

    Parameters
    ----------
    predictor : Predictor
    frames : Frames
    index : int
        Which frame.
    """
    picture = frames[index]
    around: list[NDArray] = []
    if predictor.looks_around:
        five = window_of(frames, follow=True)(index)
        around = [frames[i] for i in (*five[: WINDOW // 2], *five[WINDOW // 2 + 1 :])]
    output, loaded = predictor.output_of(picture, around)
    if isinstance(output, HeatmapOutput):
        # The mass of a map is 1: as high as the middle of a label's Gaussian counts as certain.
        sigma = predictor.info.config.heatmap.sigma_cells
        certain = 1 / (2 * np.pi * sigma**2)
        heat, stride = (surer_maps(output, sigma) / certain).clamp(max=1), output.stride
        centre = stride / 2
    else:
        heat, stride = output.heat.sigmoid(), output.heat_stride
        if output.context is not None:
            heat = torch.maximum(heat, output.context.heat.sigmoid())
        centre = stride // 2 + 0.5
    ratio_x, ratio_y = loaded.ratio
    height, width = picture.shape[:2]
    # Cells that lie on the padding at the right and at the bottom are left out.
    rows = int(np.ceil(height * ratio_y / stride))
    columns = int(np.ceil(width * ratio_x / stride))
    values = heat[0, :, :rows, :columns].float().cpu().numpy()
    return HeatMaps(
        values,
        (stride / ratio_y, stride / ratio_x),
        (centre / ratio_y - 0.5, centre / ratio_x - 0.5),
    )
