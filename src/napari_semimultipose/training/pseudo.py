"""Labels made by a teacher network on a plain view, carried over to the view of the pupil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from napari_semimultipose.config import LossConfig
from napari_semimultipose.data.pseudo import PseudoPoses
from napari_semimultipose.inference.decode import (
    Detections,
    candidates,
    local_peaks,
    sample_heat,
    suppress,
)
from napari_semimultipose.inference.pairs import PairParting
from napari_semimultipose.inference.plausible import PlausibleChoice
from napari_semimultipose.inference.single import plausible_positions
from napari_semimultipose.losses.objective import Labels
from napari_semimultipose.losses.targets import boxes_of, widened
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.models.peaks import HeatmapOutput

_MIN_PEAK = 0.3


def map_points(affine: Tensor, xy: Tensor) -> Tensor:
    """Apply an affine map [2, 3] to positions [..., 2]."""
    return xy @ affine[:, :2].T + affine[:, 2]


def confirmed(
    teacher: Output, config: LossConfig, part: PairParting | None = None
) -> tuple[Detections, Tensor, Tensor]:
    """Return the animals of a teacher, their keypoints [M, K, 2], and where both branches agree [M, K].

    A keypoint that `part` has moved counts where its own heat map has a peak.
    """
    found = candidates(teacher, config.delta, peaks=True)
    found = suppress(found, "oks", 0.5)
    peaks = local_peaks(teacher, found, radius=max(config.agreement_cells, 1.0))
    agree = peaks.probability > _MIN_PEAK
    if config.agreement_cells:
        agree &= peaks.shift_cells <= config.agreement_cells
        xy = torch.where(agree[..., None], peaks.xy, found.xy.detach())
    else:
        agree = torch.ones_like(agree)
        xy = found.xy.detach()
    if part is not None:
        parted = part(teacher, found, xy)
        moved = (parted != xy).any(-1)
        seen = sample_heat(teacher, replace(found, xy=parted))
        xy, agree = parted, torch.where(moved, seen > _MIN_PEAK, agree)
    return found, xy, agree


def confident_score(config: LossConfig, share: float) -> float:
    """Return the least score of a certain animal at a share 0..1 of training (``loss.tau``)."""
    low, high = config.tau
    return low + (high - low) * share


def pseudo_poses(
    teacher: Output,
    size: tuple[int, int],
    config: LossConfig,
    confident: float,
    part: PairParting | None = None,
) -> PseudoPoses:
    """Turn a teacher's predictions on a whole frame into its pseudo labels.

    Parameters
    ----------
    teacher : Output
        Of one frame (B = 1).
    size : (int, int)
        Width and height of the frame without padding, px.
    confident : float
        Least score of a certain animal.
    part : PairParting, optional
        Parts mirrored keypoints that the teacher has put at one place.
    """
    found, xy, agree = confirmed(teacher, config, part)
    inside = ((xy >= 0) & (xy <= xy.new_tensor(size) - 1)).all(-1)
    agree = agree & inside
    sure = (found.score >= confident) & (agree.sum(1) >= max(1, agree.shape[1] // 2))
    doubtful = widened(boxes_of(xy[~sure], torch.ones_like(agree[~sure])))
    return PseudoPoses(
        xy[sure].double().cpu().numpy(),
        agree[sure].cpu().numpy(),
        doubtful.double().cpu().numpy().reshape(-1, 4),
    )


def pseudo_pose(
    network: HeatmapTracker,
    teacher: HeatmapOutput,
    size: tuple[int, int],
    choice: PlausibleChoice,
) -> PseudoPoses:
    """Turn a heat-map tracker's prediction on a whole frame into its pseudo labels: the plausible pose.

    Known are the keypoints with a sure peak that are within the tolerances of labelled poses and of the views.

    Parameters
    ----------
    teacher : HeatmapOutput
        Of one frame (B = 1).
    size : (int, int)
        Width and height of the frame without padding, px.
    choice : PlausibleChoice
    """
    config = network.config.heatmap
    positions = plausible_positions(teacher, config.sigma_cells, choice)
    xy, known = positions.xy, positions.mass >= config.teach_mass
    known &= choice.distance(xy) <= 1
    known &= ((xy >= 0) & (xy <= xy.new_tensor(size) - 1)).all(-1)
    sure = known.sum(1) >= max(1, known.shape[1] // 2)
    return PseudoPoses(xy[sure].double().cpu().numpy(), known[sure].cpu().numpy(), np.zeros((0, 4)))


def pseudo_labels(
    teacher: Output,
    to_view: Tensor,
    size: int,
    config: LossConfig,
    confident: float,
    mirror: Tensor,
    part: PairParting | None = None,
) -> list[Labels]:
    """Turn a teacher's predictions on plain views into labels of the altered views.

    Animals with a score of at least `confident` become labels; a keypoint is known only where the two
    branches of the teacher agree (a heat-map peak within ``agreement_cells``). Around the less sure animals,
    and outside what the teacher saw, nothing is trained.

    Parameters
    ----------
    teacher : Output
        Predictions on the plain views.
    to_view : Tensor [U, 2, 3]
        Maps from plain to altered views.
    size : int
        Side of the views, px.
    mirror : Tensor [K] of int
        Order of the keypoints in a mirrored view.
    part : PairParting, optional
        As in `pseudo_poses`.
    """
    found, xy, agree = confirmed(teacher, config, part)
    out = []
    for image in range(len(to_view)):
        affine = to_view[image]
        here = found.image == image
        points = map_points(affine, xy[here])
        known = agree[here]
        if torch.linalg.det(affine[:, :2]) < 0:
            points, known = points[:, mirror], known[:, mirror]
        sure = (found.score[here] >= confident) & (known.sum(1) >= max(1, known.shape[1] // 2))
        inside = ((points > -0.5) & (points < size - 0.5)).all(-1)
        doubtful = widened(boxes_of(xy[here][~sure], torch.ones_like(known[~sure])))
        out.append(
            Labels(
                points[sure],
                known[sure],
                known[sure] & inside[sure],
                Unknown(doubtful, affine, (size, size)),
                torch.ones_like(known[sure]),
            )
        )
    return out


class Unknown:
    """Where a teacher was unsure, or saw nothing.

    Parameters
    ----------
    boxes : Tensor [D, 4]
        Of the animals that it was unsure of, px of what it saw.
    affine : Tensor [2, 3]
        Map from what it saw to the view.
    size : (int, int)
        Width and height of what it saw, px.
    """

    def __init__(self, boxes: Tensor, affine: Tensor, size: tuple[int, int]) -> None:
        self._boxes = boxes
        turn = torch.linalg.inv(affine[:, :2])
        self._back = torch.cat([turn, -(turn @ affine[:, 2:])], 1)
        self._last = torch.tensor(size, device=affine.device) - 1

    def __call__(self, points: Tensor) -> Tensor:
        """Tell of which positions [P, 2] in the view nothing is known."""
        seen = map_points(self._back, points)
        unknown = ((seen < 0) | (seen > self._last)).any(-1)
        if len(self._boxes):
            low, high = self._boxes[:, :2], self._boxes[:, 2:]
            inside = (seen[:, None] >= low) & (seen[:, None] <= high)
            unknown |= inside.all(-1).any(1)
        return unknown
