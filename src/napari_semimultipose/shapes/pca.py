"""Pose PCA: the subspace that labelled poses span, and how far others are from it.

After Lightning Pose (Biderman et al. 2024), with these differences: missing
keypoints are filled in by expectation maximisation, the tolerance comes from labels that the
subspace has not seen, the point of the subspace is found robustly, so that one wrong keypoint does not
pull the others along, and poses of animals that turn freely are compared in the body's own frame.
"""

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

_LEAST_POSES = 8
_ROBUST_STEPS = 8
_ALIGNMENTS = 5


def _align(xy: Tensor, weight: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
    """Centre [M, 2] and turn-and-scale [M, 2] (complex, as two numbers) from a mean shape to poses.

    Closed-form Procrustes without reflection: pose = centre + g * (shape - its own weighted centre).
    """
    w = weight / weight.sum(1, keepdim=True).clamp(min=1e-9)
    center = (w[..., None] * xy).sum(1)
    q = xy - center[:, None]
    m = shape - (w[..., None] * shape).sum(1, keepdim=True)
    real = (w * (q * m).sum(-1)).sum(1)
    imaginary = (w * (q[..., 1] * m[..., 0] - q[..., 0] * m[..., 1])).sum(1)
    norm = (w * m.square().sum(-1)).sum(1).clamp(min=1e-12)
    return center, torch.stack([real, imaginary], 1) / norm[:, None]


def _turn(g: Tensor, xy: Tensor) -> Tensor:
    """Multiply positions [M, K, 2] by complex numbers [M, 2]."""
    a, b = g[:, None, 0], g[:, None, 1]
    return torch.stack([a * xy[..., 0] - b * xy[..., 1], b * xy[..., 0] + a * xy[..., 1]], -1)


def _inverse(g: Tensor) -> Tensor:
    """Inverse of complex numbers [M, 2]."""
    return g * g.new_tensor([1.0, -1.0]) / g.square().sum(1, keepdim=True).clamp(min=1e-12)


class PosePCA:
    """Distance of poses from the subspace of the labelled ones.

    Parameters
    ----------
    subspace : Subspace
        Of flattened poses [2K], in px or in the body's own frame.
    body : bool
        Compare in the body's own frame: independent of place, direction and size.
    epsilon : array [K]
        Tolerances: px, or shares of the animal's size in the body's own frame.
    """

    def __init__(self, subspace: Subspace, *, body: bool, epsilon: Array) -> None:
        self.body = body
        self.subspace = subspace
        self.epsilon = torch.from_numpy(np.asarray(epsilon)).float()
        self.mean = torch.from_numpy(subspace.mean).float()
        self.basis = torch.from_numpy(subspace.basis).float()

    @property
    def free_directions(self) -> int:
        """In how many directions poses can differ from the plausible ones.

        The body's own frame takes four: two of place, one of heading, one of size. Keypoints without a tolerance,
        which no label has, tell nothing.
        """
        judged = 2 * int(torch.isfinite(self.epsilon).sum())
        kept = self.subspace.basis.shape[1]
        return int(judged - kept - (4 if self.body else 0))

    def to(self, device: torch.device) -> PosePCA:
        """Move to a device, in place."""
        self.epsilon = self.epsilon.to(device)
        self.mean, self.basis = self.mean.to(device), self.basis.to(device)
        return self

    def numbers(self) -> dict[str, Any]:
        """Return what `of_numbers` makes an equal one of, as plain numbers; None for no tolerance."""
        epsilon = [e if np.isfinite(e) else None for e in self.epsilon.tolist()]
        return {"body": self.body, "epsilon": epsilon, **self.subspace.numbers()}

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> PosePCA:
        """Make one from its `numbers`."""
        epsilon = np.array([np.inf if e is None else e for e in numbers["epsilon"]], np.float64)
        return cls(Subspace.of_numbers(numbers), body=bool(numbers["body"]), epsilon=epsilon)

    @torch.no_grad()
    def plausible(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Plausible poses near given ones, found robustly, and the sizes of the animals.

        Iteratively reweighted least squares: keypoints far from the subspace lose their weight.

        Parameters
        ----------
        xy : Tensor [M, K, 2]
            px.
        weight : Tensor [M, K]
            0 for keypoints that say nothing.

        Returns
        -------
        Tensor [M, K, 2], Tensor [M]
            Poses in px; sizes in px (1 where poses are compared in the picture).
        """
        m, k = xy.shape[:2]
        xy = torch.nan_to_num(xy)
        shape = self.mean.view(k, 2)
        weight = weight * torch.isfinite(self.epsilon)
        robust = weight
        size = torch.ones(m, device=xy.device)
        target = xy
        for _ in range(_ROBUST_STEPS):
            each = robust.repeat_interleave(2, 1)
            if self.body:
                center, g = _align(xy, robust, shape)
                z = _turn(_inverse(g), xy - center[:, None])
                # The centre of the shape under the same weights
                w = robust / robust.sum(1, keepdim=True).clamp(min=1e-9)
                offset = (w[..., None] * shape).sum(1, keepdim=True)
                fitted = nearest((z + offset).flatten(1), each, self.mean, self.basis)
                target = _turn(g, fitted.view(m, k, 2) - offset) + center[:, None]
                size = g.square().sum(1).sqrt()
            else:
                fitted = nearest(xy.flatten(1), each, self.mean, self.basis)
                target = fitted.view(m, k, 2)
            error = (xy - target).norm(dim=-1) / size.clamp(min=1e-6)[:, None]
            limit = (1.5 * self.epsilon).clamp(min=1e-6)
            robust = weight * (1 + (error / limit) ** 2) ** -2
        return target, size

    def errors(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Distances of keypoints [M, K] from plausible poses in px, and the animals' sizes [M].

        The gradient moves the keypoints alone: neither the plausible poses nor the sizes have one.
        """
        target, size = self.plausible(xy, weight)
        return (torch.nan_to_num(xy) - target + 1e-9).norm(dim=-1), size

    def loss(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean excess of the distances over the tolerance, px, and the share of keypoints in excess.

        The mean is over the keypoints with a weight and a tolerance; 0 without any.
        """
        error, size = self.errors(xy, weight)
        judged = torch.isfinite(self.epsilon)
        use = (weight > 0) & judged
        limit = torch.where(judged, self.epsilon, 0.0) * size[:, None]
        excess = (error - limit).clamp(min=0)
        count = use.sum().clamp(min=1)
        active = ((excess > 0) & use).sum() / count
        return torch.where(use, excess, 0.0).sum() / count, active.detach()


def align_poses(poses: Array) -> tuple[Array, Array]:
    """Generalised Procrustes: poses [N, K, 2] (NaN: missing) in a common frame, and their mean shape.

    The mean shape is centred, and the diagonal of its box is 1.
    """
    known = np.asarray(np.isfinite(poses).all(-1))
    xy = torch.from_numpy(np.nan_to_num(poses))
    weight = torch.from_numpy(known.astype(float))
    shape = poses[int(known.sum(1).argmax())].copy()
    there = np.isfinite(shape).all(-1)
    shape[~there] = shape[there].mean(0)
    aligned = poses
    for _ in range(_ALIGNMENTS):
        shape = shape - shape.mean(0)
        shape = shape / max(float(np.linalg.norm(np.ptp(shape, axis=0))), 1e-9)
        s = torch.from_numpy(shape)
        center, g = _align(xy, weight, s)
        w = weight / weight.sum(1, keepdim=True).clamp(min=1e-9)
        offset = (w[..., None] * s).sum(1, keepdim=True)
        aligned = (_turn(_inverse(g), xy - center[:, None]) + offset).numpy()
        count = known.sum(0)[:, None]
        mean = np.where(known[..., None], aligned, 0).sum(0) / np.maximum(count, 1)
        shape = np.where(count > 0, mean, shape)
    return np.where(known[..., None], aligned, np.nan), shape


def _labelled(poses: Array) -> NDArray[np.bool_]:
    """Which keypoints [K] of poses [N, K, 2] have a label at all."""
    return np.asarray(np.isfinite(poses).all(-1).any(0))


def _fit_once(poses: Array, *, body: bool) -> Subspace:
    k = int(_labelled(poses).sum())  # the others lie at the mean, and span nothing
    if body:
        aligned, _ = align_poses(poses)
        return fit_subspace(aligned.reshape(len(poses), -1), 0.95, max(1, 2 * k - 5))
    most = max(1, min(2 * k - 2, len(poses) // 3))
    return fit_subspace(poses.reshape(len(poses), -1), 0.99, most)


def fit_pose_pca(poses: Array, *, body: bool, epsilon: float = 0.0, seed: int = 0) -> PosePCA:
    """Fit the subspace of labelled poses, and its tolerance.

    The tolerance of a keypoint is the 99th percentile of its distances in labels that the subspace has
    not seen (five-fold cross-validation), measured by the estimator that the loss uses.

    Parameters
    ----------
    poses : array [N, K, 2]
        Labelled poses in px; NaN: missing. At least eight.
    body : bool
        Compare in the body's own frame.
    epsilon : float
        Tolerance instead of the measured one: px, or a share of the size in the body's own frame.
    """
    subspace = _fit_once(poses, body=body)
    if epsilon > 0:
        return PosePCA(
            subspace, body=body, epsilon=np.where(_labelled(poses), float(epsilon), np.inf)
        )
    known = np.isfinite(poses).all(-1)

    def distances(of: Array, model: PosePCA) -> Array:
        seen = np.isfinite(of).all(-1)
        error, size = model.errors(
            torch.from_numpy(np.nan_to_num(of)).float(), torch.from_numpy(seen).float()
        )
        relative = (error / size.clamp(min=1e-6)[:, None]).double().numpy()
        return np.where(seen, relative, np.nan)

    # A first guess of the tolerance, which the robust estimator needs.
    wide = PosePCA(subspace, body=body, epsilon=np.where(_labelled(poses), 1e6, np.inf))
    guess = tolerances(distances(poses, wide))
    folds = np.random.default_rng(seed).permutation(len(poses)) % FOLDS
    held = np.full(known.shape, np.nan)
    for fold in range(FOLDS):
        rest = _fit_once(poses[folds != fold], body=body)
        held[folds == fold] = distances(
            poses[folds == fold], PosePCA(rest, body=body, epsilon=guess)
        )
    return PosePCA(subspace, body=body, epsilon=tolerances(held))


def why_no_pose_pca(poses: Array) -> str:
    """Say what labelled poses [N, K, 2] lack for pose PCA; empty when nothing."""
    n, k = len(poses), int(_labelled(poses).sum())
    need = max(_LEAST_POSES, k)
    if k < 3:
        return f"pose PCA needs at least three labelled keypoints, there are {k}"
    if n < need:
        return (
            f"pose PCA needs {need} labelled animals for {k} keypoints, there are {n}: "
            f"label {need - n} more"
        )
    return ""
