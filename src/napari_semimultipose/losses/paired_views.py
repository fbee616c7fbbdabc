"""Multi-view PCA between instances: the views of an animal are instances of their own.

Under an affine camera model, the positions of a body part in V views span three dimensions of 2V (Lightning
Pose, Biderman et al. 2024). What this says of instances, and which of them are one animal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Self

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

_ACCEPTED = 3.0  # a pair may be this many tolerances off
_MARGIN = 2.0  # and its rivals must be this many times worse
_ENOUGH = 3  # common keypoints of a pair, or all if there are fewer
_TINY = 1e-6

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class PairedViews:
    """Distance of animals, each seen in V views, from what bodies in space can give.

    Parameters
    ----------
    subspace : Subspace
        Of concatenated positions [2V] in px.
    epsilon : array [V]
        Tolerance in each view, px.
    """

    def __init__(self, subspace: Subspace, epsilon: Array) -> None:
        self.subspace = subspace
        self.mean = torch.from_numpy(subspace.mean).float()
        self.basis = torch.from_numpy(subspace.basis).float()
        self.epsilon = torch.from_numpy(np.asarray(epsilon)).float()

    @property
    def n_views(self) -> int:
        """Number of views V."""
        return len(self.epsilon)

    def to(self, device: torch.device) -> Self:
        """Move to a device, in place."""
        self.epsilon = self.epsilon.to(device)
        self.mean, self.basis = self.mean.to(device), self.basis.to(device)
        return self

    def match(self, xy: Array, sure: Flags, frame: Ints, view: Ints) -> Ints:
        """Instances [T, V] that are one animal; -1 where it was not found in a view.

        Every view is matched to the first one. A pair is made when its median residual is at most three
        tolerances, and all other pairs of its two instances are at least twice as bad. With three views or
        more, instances stay together only where all views agree with each other.

        Parameters
        ----------
        xy : array [M, K, 2]
            px.
        sure : array [M, K] of bool
            Keypoints that count.
        frame, view : arrays [M] of int
            Frame and view of each instance; instances of the view -1 do not take part.
        """
        seen: Flags = np.asarray(sure.any(1))
        order = np.argsort(frame, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(frame[order])) + 1) if len(order) else []
        rows: list[Ints] = []
        for part in parts:
            here = [part[(view[part] == v) & seen[part]] for v in range(self.n_views)]
            if len(here[0]) and sum(len(h) > 0 for h in here) > 1:
                rows.append(self._match_frame(xy, sure, here))
        if not rows:
            return np.zeros((0, self.n_views), np.int64)
        return np.concatenate(rows)

    def _match_frame(self, xy: Array, sure: Flags, here: Sequence[Ints]) -> Ints:
        made = np.full((len(here[0]), self.n_views), -1, np.int64)
        made[:, 0] = here[0]
        cost: dict[tuple[int, int], Array] = {}
        for a, b in combinations(range(self.n_views), 2):
            cost[a, b] = self._costs(xy, sure, here[a], here[b], (a, b))
        for v in range(1, self.n_views):
            i, j = _clear_pairs(cost[0, v])
            made[i, v] = here[v][j]
        place = [{int(m): i for i, m in enumerate(h.tolist())} for h in here]
        for row in made:
            for a, b in combinations(range(1, self.n_views), 2):
                if row[a] >= 0 and row[b] >= 0:
                    away = cost[a, b][place[a][int(row[a])], place[b][int(row[b])]]
                    if not away <= _ACCEPTED:
                        row[b] = -1
        return made[np.asarray(made[:, 1:] >= 0).any(1)]

    def _costs(self, xy: Array, sure: Flags, a: Ints, b: Ints, views: tuple[int, int]) -> Array:
        """Median residual [A, B] of instances of two views, in tolerances; infinite with too little in common."""
        k = xy.shape[1]
        both = sure[a][:, None] & sure[b][None]  # [A, B, K]
        if not both.size:
            return np.full(both.shape[:2], np.inf)
        device = self.mean.device
        points = np.zeros((*both.shape, self.n_views, 2))
        weight = np.zeros(points.shape)
        for v, index in zip(views, (a[:, None], b[None]), strict=True):
            points[..., v, :] = np.nan_to_num(xy[np.broadcast_to(index, both.shape[:2])])
            weight[..., v, :] = both[..., None]
        rows = torch.from_numpy(points).float().to(device).view(-1, 2 * self.n_views)
        each = torch.from_numpy(weight).float().to(device).view(rows.shape)
        away = (rows - nearest(rows, each, self.mean, self.basis)).view(-1, self.n_views, 2)
        relative = away.norm(dim=-1) / self.epsilon.clamp(min=_TINY)
        mean = relative[:, list(views)].mean(1).double().cpu().numpy().reshape(both.shape)
        median = _median(np.where(both, mean, np.nan))
        return np.where(both.sum(-1) >= min(_ENOUGH, k), median, np.inf)

    def distances(self, xy: Tensor, weight: Tensor, tuples: Ints) -> tuple[Tensor, Tensor]:
        """Distances of keypoints [M, K] in px, and where they are known [M, K]: with two views or more.

        The gradient moves the views of an animal towards each other, those of small weight the most.

        Parameters
        ----------
        xy : Tensor [M, K, 2]
            px.
        weight : Tensor [M, K]
            Confidence; 0 for keypoints that say nothing.
        tuples : array [T, V] of int
            Instances that are one animal; see `match`.
        """
        m, k = xy.shape[:2]
        error = torch.zeros((m, k), dtype=xy.dtype, device=xy.device) + 0.0 * xy.nan_to_num().sum()
        known = torch.zeros((m, k), dtype=torch.bool, device=xy.device)
        if not len(tuples):
            return error, known
        index = torch.from_numpy(tuples).to(xy.device)
        there = index >= 0
        points = torch.nan_to_num(xy)[index.clamp(min=0)]  # [T, V, K, 2]
        w = weight[index.clamp(min=0)] * there[..., None]  # [T, V, K]
        v = self.n_views
        rows = points.permute(0, 2, 1, 3).reshape(-1, 2 * v)
        each = w.permute(0, 2, 1).reshape(-1, v).repeat_interleave(2, 1)
        with torch.no_grad():
            target = nearest(rows, each, self.mean, self.basis)
        away = (rows - target + 1e-9).view(-1, k, v, 2).norm(dim=-1).permute(0, 2, 1)  # [T, V, K]
        use = (w > 0) & ((w > 0).sum(1, keepdim=True) >= 2)
        where = index[there]
        return error.index_add(0, where, away[there]), known.index_put((where,), use[there])

    def excess(self, error: Tensor, known: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        """Mean excess of distances [M, K] over tolerances [M], px, and the share of them in excess."""
        excess = (error - limit[:, None]).clamp(min=0)
        count = known.sum().clamp(min=1)
        active = ((excess > 0) & known).sum() / count
        return torch.where(known, excess, 0.0).sum() / count, active.detach()


def _median(value: Array) -> Array:
    """Median over the last axis, without NaN; infinite where there is nothing."""
    known = np.isfinite(value)
    order = np.sort(np.where(known, value, np.inf), axis=-1)
    middle = (np.maximum(known.sum(-1), 1) - 1) // 2
    return np.asarray(np.take_along_axis(order, middle[..., None], -1)[..., 0])


def _clear_pairs(cost: Array) -> tuple[Ints, Ints]:
    """Pairs of rows and columns with the smallest summed cost that are good, and clearly so."""
    if not cost.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)

    from scipy.optimize import linear_sum_assignment  # slow to import

    i, j = linear_sum_assignment(np.minimum(cost, 1e6))
    rivals = cost.copy()
    rivals[i, j] = np.inf
    best = np.minimum(rivals[i].min(1), rivals[:, j].min(0))
    clear = (cost[i, j] <= _ACCEPTED) & (best >= _MARGIN * cost[i, j])
    return i[clear], j[clear]


def rows_of_animals(
    poses: Array, frame: Ints, animal: Ints, view: Ints, n_views: int
) -> tuple[Array, Ints]:
    """Body parts of labelled animals in all views.

    Parameters
    ----------
    poses : array [N, K, 2]
        Labelled instances in px; NaN: missing.
    frame, animal, view : arrays [N] of int
        Instances of one frame and animal are the same in different views; -1: unknown.

    Returns
    -------
    rows : array [R, 2V]
        Positions of a body part in the views, NaN where it is missing; at least one view has it.
    frame : array [R]
        Frame of each row.
    """
    k = poses.shape[1]
    use = np.flatnonzero((animal >= 0) & (view >= 0))
    keys, which = np.unique(
        np.stack([frame[use], animal[use]], 1).reshape(-1, 2), axis=0, return_inverse=True
    )
    rows = np.full((len(keys), k, n_views, 2), np.nan)
    rows[which.reshape(-1), :, view[use]] = poses[use]
    flat = rows.reshape(len(keys) * k, 2 * n_views)
    of_frame = np.repeat(keys[:, 0], k)
    some = np.isfinite(flat).any(1)
    return flat[some], of_frame[some]


def fit_views(
    rows: Array, frame: Ints, *, epsilon: float | Array = 0.0, seed: int = 0
) -> tuple[Subspace, Array]:
    """Fit the subspace of body parts seen in several views, and its tolerance in each view, px.

    Parameters
    ----------
    rows : array [R, 2V]
        See `rows_of_animals`.
    frame : array [R] of int
        Frame of each row.
    epsilon : float or array [V]
        Tolerance in px instead of the measured one: the 99th percentile in labels that the subspace has not
        seen (five-fold cross-validation by frames).
    """
    n_views = rows.shape[1] // 2
    subspace = fit_subspace(rows, 3)
    given = np.broadcast_to(np.asarray(epsilon, np.float64), (n_views,))
    if (given > 0).all():
        return subspace, given.copy()
    frames, which = np.unique(frame, return_inverse=True)
    folds = (np.random.default_rng(seed).permutation(len(frames)) % FOLDS)[which.reshape(-1)]
    complete = np.isfinite(rows).all(1)
    held = np.full((len(rows), n_views), np.nan)
    for fold in range(FOLDS):
        test = complete & (folds == fold)
        if not test.any():
            continue
        other = fit_subspace(rows[folds != fold], 3)
        x = torch.from_numpy(rows[test])
        close = nearest(
            x, torch.ones_like(x), torch.from_numpy(other.mean), torch.from_numpy(other.basis)
        )
        held[test] = (x - close).view(-1, n_views, 2).norm(dim=-1).numpy()
    return subspace, tolerances(held)
