"""Which of the peaks of the heat maps belong together: the plausible pose among those that are likely."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor

from napari_semimultipose.errors import ModelError
from napari_semimultipose.models.peaks import Peaks
from napari_semimultipose.shapes.multiview import MultiviewPCA
from napari_semimultipose.shapes.pca import PosePCA

MOST = 4
"""Peaks of a heat map that are looked at."""
_LEAST = 0.03  # mass of a peak that may be chosen instead of the highest one
_UNSEEN = 0.02  # added to masses, so that no peak is impossible
_CAP = 3.0  # of the squared distance in tolerances: one wrong keypoint must not decide about all
_SWEEPS = 3
_TOGETHER = 3  # views whose peaks are combined: 4 to the power of their number


class PlausibleChoice:
    """Chooses one peak for each keypoint, so that all together are likely and like labelled poses.

    Minimises, by coordinate descent from the highest peaks on, the sum over the keypoints of
    ``-log(mass + 0.02)`` and of ``r / (1 + r / 3)``, where r is the squared distance from the subspace of
    labelled poses, in tolerances, and likewise from what a point in space gives in several views
    (`PosePCA`, `MultiviewPCA`). One step chooses anew for one body part, in all views at once.

    Parameters
    ----------
    pose : PosePCA, optional
    views : MultiviewPCA, optional
        Both in px of the network input; at least one is needed.
    least_px : float
        Least tolerance, px: distances that the heat maps do not resolve.
    """

    def __init__(self, pose: PosePCA | None, views: MultiviewPCA | None, least_px: float) -> None:
        self.pose, self.views, self.least_px = pose, views, least_px

    @property
    def can_teach(self) -> bool:
        """Whether it tells wrong poses well enough for a network to learn from those it accepts.

        Poses of few keypoints in the body's own frame differ from labelled ones in hardly any direction.
        """
        if self.views is not None:
            return True
        assert self.pose is not None
        return 2 * self.pose.free_directions >= len(self.pose.epsilon)

    def to(self, device: torch.device) -> PlausibleChoice:
        """Move to a device, in place."""
        if self.pose is not None:
            self.pose.to(device)
        if self.views is not None:
            self.views.to(device)
        return self

    @classmethod
    def of(cls, shapes: Mapping[str, Any], least_px: float) -> PlausibleChoice | None:
        """Make one from the ``shapes`` of a `ModelInfo`; None where it has none.

        Raises
        ------
        ModelError
            If they are damaged.
        """
        try:
            pose = PosePCA.of_numbers(shapes["pose"]) if "pose" in shapes else None
            views = MultiviewPCA.of_numbers(shapes["views"]) if "views" in shapes else None
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the shapes of the labelled poses in the model are damaged ({error}): copy the folder again, train "
                "anew, or predict with predict.plausible=false"
            ) from None
        return cls(pose, views, least_px) if pose is not None or views is not None else None

    @torch.no_grad()
    def __call__(self, peaks: Peaks) -> Tensor:
        """Return the index [B, K] of the peak of each keypoint."""
        xy, mass = peaks.xy, peaks.mass
        b, k, _ = mass.shape
        chosen = torch.zeros((b, k), dtype=torch.long, device=mass.device)
        allowed = mass >= _LEAST
        allowed[..., 0] = True
        open_ = allowed.sum(2) > 1
        rows = torch.nonzero(open_.any(1))[:, 0]
        if not len(rows):
            return chosen
        xy, mass, allowed, open_ = xy[rows], mass[rows], allowed[rows], open_[rows]
        likely = torch.where(allowed, -torch.log(mass + _UNSEEN), torch.inf)
        now = chosen[rows]
        for _ in range(_SWEEPS):
            before = now.clone()
            for part in self._parts(k):
                undecided = torch.nonzero(open_[:, part].any(1))[:, 0]
                if len(undecided):
                    here = now[undecided]
                    now[undecided] = self._best(xy[undecided], likely[undecided], here, part)
            if torch.equal(now, before):
                break
        chosen[rows] = now
        return chosen

    def _parts(self, n_keypoints: int) -> list[list[int]]:
        """Keypoints that are chosen together: a body part in all views, unless these are many."""
        parts: list[list[int]] = []
        if self.views is not None and len(self.views.views) <= _TOGETHER:
            parts = self.views.views.T.tolist()
        known = {k for part in parts for k in part}
        return [*parts, *([k] for k in range(n_keypoints) if k not in known)]

    def _best(self, xy: Tensor, likely: Tensor, now: Tensor, part: list[int]) -> Tensor:
        """Return the choice [B, K] with the best combination for the keypoints of a body part."""
        b, k, m = likely.shape
        options = torch.tensor(list(product(range(m), repeat=len(part))), device=now.device)
        tried = now[:, None].repeat(1, len(options), 1)
        tried[:, :, part] = options
        cost = torch.gather(likely, 2, tried.transpose(1, 2)).sum(1)  # [B, options]
        image, option = torch.nonzero(torch.isfinite(cost)).T
        flat = tried[image, option]
        keypoint = torch.arange(k, device=now.device)
        poses = xy[image[:, None], keypoint, flat]
        cost[image, option] += self._implausible(poses)
        return tried[torch.arange(b, device=now.device), cost.argmin(1)]

    def _implausible(self, xy: Tensor) -> Tensor:
        """Cost [M] of poses [M, K, 2]."""
        return torch.stack([_capped(part).sum(1) for part in self._distances(xy)]).sum(0)

    @torch.no_grad()
    def distance(self, xy: Tensor) -> Tensor:
        """Distances [M, K] of poses [M, K, 2] from what is plausible, in tolerances: the largest of each keypoint."""
        return torch.stack(self._distances(xy)).amax(0)

    def _distances(self, xy: Tensor) -> list[Tensor]:
        """Distances [M, K] between views and from labelled poses, in tolerances."""
        out = []
        one = xy.new_ones(xy.shape[:2])
        if self.views is not None:
            error, _ = self.views.errors(xy, one)
            apart = xy.new_zeros(xy.shape[:2])
            limits = self.views.epsilon.clamp(min=self.least_px)
            for view, index in enumerate(self.views.views):
                apart[:, index] = error[:, view] / limits[view]
            out.append(apart)
        if self.pose is not None:
            error, size = self.pose.errors(xy, one)
            out.append(error / (self.pose.epsilon * size[:, None]).clamp(min=self.least_px))
        return out


def _capped(tolerances: Tensor) -> Tensor:
    squared = tolerances.square()
    return squared / (1 + squared / _CAP)
