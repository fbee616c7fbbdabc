"""From heat maps to the one animal of each frame."""

from __future__ import annotations

import numpy as np
import torch

from napari_semimultipose.inference.follow import Animals
from napari_semimultipose.inference.plausible import MOST, PlausibleChoice
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.models.peaks import HeatmapOutput, Peaks, Positions, decode_surer, peaks


def one_animal(
    network: HeatmapTracker,
    output: HeatmapOutput,
    ratio: tuple[float, float],
    score_threshold: float,
    choice: PlausibleChoice | None = None,
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
    choice : PlausibleChoice, optional
        Chooses among the peaks of the heat maps; without, each keypoint is at its highest one.
    """
    sigma = network.config.heatmap.sigma_cells
    if choice is None:
        positions = decode_surer(output, sigma)
    else:
        positions = plausible_positions(output, sigma, choice)
    confidence = network.confidence(positions.mass)
    half = confidence.topk(-(-confidence.shape[1] // 2), dim=1).values.mean(1)
    xy = (positions.xy.double().cpu().numpy() + 0.5) / np.array(ratio) - 0.5
    scores = confidence.double().cpu().numpy()
    animal = half.double().cpu().numpy()
    return [
        Animals(xy[i : i + n], scores[i : i + n], animal[i : i + n])
        for i, n in enumerate((animal >= score_threshold).astype(int))
    ]


def _all_peaks(output: HeatmapOutput, sigma_cells: float) -> Peaks:
    """Peaks of both heads together, best first."""
    first = peaks(output, sigma_cells, MOST)
    if output.context is None:
        return first
    second = peaks(output.context, sigma_cells, MOST)
    mass, order = torch.cat([first.mass, second.mass], 2).sort(2, descending=True)
    xy = torch.cat([first.xy, second.xy], 2)
    return Peaks(torch.gather(xy, 2, order[..., None].expand_as(xy)), mass)


def plausible_positions(
    output: HeatmapOutput, sigma_cells: float, choice: PlausibleChoice
) -> Positions:
    """Positions that belong together; see `PlausibleChoice`."""
    found = _all_peaks(output, sigma_cells)
    index = choice(found)[..., None]
    xy = torch.gather(found.xy, 2, index[..., None].expand(-1, -1, 1, 2))
    return Positions(xy[:, :, 0], torch.gather(found.mass, 2, index)[..., 0])
