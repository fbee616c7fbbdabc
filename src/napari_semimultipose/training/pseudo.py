"""Labels made by a teacher network on a plain view, carried over to the view of the pupil."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_semimultipose.config import LossConfig
from napari_semimultipose.inference.decode import candidates, local_peaks, suppress
from napari_semimultipose.losses.objective import Labels
from napari_semimultipose.losses.targets import boxes_of
from napari_semimultipose.models.directpose import Output

_MIN_PEAK = 0.3


def map_points(affine: Tensor, xy: Tensor) -> Tensor:
    """Apply an affine map [2, 3] to positions [..., 2]."""
    return xy @ affine[:, :2].T + affine[:, 2]


def pseudo_labels(
    teacher: Output,
    to_view: Tensor,
    size: int,
    config: LossConfig,
    confident: float,
    mirror: Tensor,
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
        doubtful = boxes_of(points[~sure], torch.ones_like(known[~sure]))
        out.append(
            Labels(
                points[sure],
                known[sure],
                known[sure] & inside[sure],
                _Unknown(doubtful, affine, size),
            )
        )
    return out


class _Unknown:
    """Where a teacher was unsure, or saw nothing."""

    def __init__(self, boxes: Tensor, affine: Tensor, size: int) -> None:
        self._boxes = boxes
        turn = torch.linalg.inv(affine[:, :2])
        self._back = torch.cat([turn, -(turn @ affine[:, 2:])], 1)
        self._size = size

    def __call__(self, points: Tensor) -> Tensor:
        seen = map_points(self._back, points)
        unknown = ((seen < 0) | (seen > self._size - 1)).any(-1)
        if len(self._boxes):
            low, high = self._boxes[:, :2], self._boxes[:, 2:]
            inside = (points[:, None] >= low) & (points[:, None] <= high)
            unknown |= inside.all(-1).any(1)
        return unknown
