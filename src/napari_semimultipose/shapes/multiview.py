"""Multi-view PCA: one body part in several views at once (Lightning Pose, Biderman et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.shapes.subspace import (
    FOLDS,
    Array,
    Subspace,
    fit_subspace,
    nearest,
    tolerances,
)


class MultiviewPCA:
    """Distance of one body part, seen in several views at once, from what a point in space can give.

    Under an affine camera model, the positions of a point in V views span three dimensions of 2V.

    Parameters
    ----------
    views : array [V, P] of int
        Keypoint indices: column j is the same body part in all views.
    subspace : Subspace
        Of concatenated positions [2V] in px.
    epsilon : array [V]
        Tolerance in each view, px.
    """

    def __init__(self, views: NDArray[np.int64], subspace: Subspace, epsilon: Array) -> None:
        self.views = torch.from_numpy(views)
        self.subspace = subspace
        self.mean = torch.from_numpy(subspace.mean).float()
        self.basis = torch.from_numpy(subspace.basis).float()
        self.epsilon = torch.from_numpy(np.asarray(epsilon)).float()

    def to(self, device: torch.device) -> MultiviewPCA:
        """Move to a device, in place."""
        self.views, self.epsilon = self.views.to(device), self.epsilon.to(device)
        self.mean, self.basis = self.mean.to(device), self.basis.to(device)
        return self

    def numbers(self) -> dict[str, Any]:
        """Return what `of_numbers` makes an equal one of, as plain numbers."""
        return {
            "views": self.views.tolist(),
            "epsilon": self.epsilon.tolist(),
            **self.subspace.numbers(),
        }

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> MultiviewPCA:
        """Make one from its `numbers`."""
        views = np.array(numbers["views"], np.int64)
        return cls(views, Subspace.of_numbers(numbers), np.array(numbers["epsilon"], np.float64))

    def errors(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Distances [M, V, P] in px, and where they are known [M, V, P]: where all views are.

        The gradient moves all views towards each other, those of small weight the most.

        Parameters
        ----------
        xy : Tensor [M, K, 2]
            px.
        weight : Tensor [M, K]
            Confidence; 0 for keypoints that say nothing.
        """
        m = len(xy)
        v, p = self.views.shape
        points = torch.nan_to_num(xy)[:, self.views]  # [M, V, P, 2]
        w = weight[:, self.views]
        rows = points.permute(0, 2, 1, 3).reshape(m * p, 2 * v)
        each = w.permute(0, 2, 1).reshape(m * p, v).repeat_interleave(2, 1)
        with torch.no_grad():
            target = nearest(rows, each.clamp(min=1e-3), self.mean, self.basis)
        error = (rows - target + 1e-9).view(m, p, v, 2).norm(dim=-1).permute(0, 2, 1)
        known = (w > 0).all(1, keepdim=True).expand_as(error)
        return error, known

    def loss(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean excess of the distances over the tolerance, px, and the share of them in excess."""
        error, known = self.errors(xy, weight)
        excess = (error - self.epsilon[:, None]).clamp(min=0)
        count = known.sum().clamp(min=1)
        active = ((excess > 0) & known).sum() / count
        return torch.where(known, excess, 0.0).sum() / count, active.detach()


def fit_multiview_pca(
    poses: Array, views: NDArray[np.int64], *, epsilon: float = 0.0, seed: int = 0
) -> MultiviewPCA:
    """Fit the three-dimensional subspace of body parts seen in several views, and its tolerance.

    Parameters
    ----------
    poses : array [N, K, 2]
        Labelled poses in px; NaN: missing.
    views : array [V, P] of int
        See `MultiviewPCA`.
    epsilon : float
        Tolerance in px instead of the measured one (see `fit_pose_pca`).
    """
    n = len(poses)
    v, p = views.shape
    rows = poses[:, views].transpose(0, 2, 1, 3).reshape(n * p, 2 * v)
    frame = np.repeat(np.arange(n), p)
    some = np.isfinite(rows).any(1)
    rows, frame = rows[some], frame[some]
    complete = np.isfinite(rows).all(1)

    def fit(chosen: NDArray[np.bool_]) -> Subspace:
        return fit_subspace(rows[chosen], 3)

    def distances(of: Array, model: Subspace) -> Array:
        x = torch.from_numpy(of)
        mean, basis = torch.from_numpy(model.mean), torch.from_numpy(model.basis)
        rest = (x - nearest(x, torch.ones_like(x), mean, basis)).numpy()
        return np.asarray(np.linalg.norm(rest.reshape(-1, v, 2), axis=-1))

    everything = np.ones(len(rows), bool)
    subspace = fit(everything)
    if epsilon > 0:
        return MultiviewPCA(views, subspace, np.full(v, epsilon))
    folds = (np.random.default_rng(seed).permutation(n) % FOLDS)[frame]
    held = np.full((len(rows), v), np.nan)
    for fold in range(FOLDS):
        test = complete & (folds == fold)
        rest = folds != fold
        if test.any() and (complete & rest).any():
            held[test] = distances(rows[test], fit(rest))
    return MultiviewPCA(views, subspace, tolerances(held))


def why_no_multiview_pca(poses: Array, views: NDArray[np.int64]) -> str:
    """Say what labelled poses lack for multi-view PCA; empty when nothing."""
    if views.size == 0 or len(views) < 2:
        return (
            "multi-view PCA needs to know which keypoints are the same body part in several views: "
            "name them with the view as ending (nose_top, nose_bot), or set video.views; for cameras with recordings of "
            "their own set video.cameras"
        )
    complete = np.isfinite(poses[:, views]).all((1, 3)).sum(1)
    need, frames = max(10, 4 * len(views)), int((complete > 0).sum())
    if complete.sum() < need or frames < 2:
        return (
            f"multi-view PCA needs {need} body parts that are labelled in all views of a frame, on two frames or more; "
            f"there are {int(complete.sum())} on {frames}"
        )
    return ""
