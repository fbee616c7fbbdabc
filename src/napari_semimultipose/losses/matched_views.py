"""Multi-view PCA for several animals: who is who in the views of one picture.

With mirrors beside an arena, every animal is there once in each view, as an instance of its own. Instances
are paired by what the views of the labelled animals have in common.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_semimultipose.losses.paired_views import (
    Flags,
    Ints,
    PairedViews,
    fit_views,
    rows_of_animals,
)
from napari_semimultipose.shapes.subspace import Array, Subspace

_APART = 0.95  # of the labelled animals must be nearest to others of their view


class MatchedViews(PairedViews):
    """Distance of animals, each seen in several views of a picture, from what bodies in space can give.

    Parameters
    ----------
    places : array [L, 2]
        Centres of the labelled animals, px.
    place_view : array [L] of int
        Their views, 0..V-1.
    subspace : Subspace
        Of concatenated positions [2V] in px.
    epsilon : array [V]
        Tolerance in each view, px.
    """

    def __init__(self, places: Array, place_view: Ints, subspace: Subspace, epsilon: Array) -> None:
        super().__init__(subspace, epsilon)
        self.places = places
        self.place_view = place_view

    def view_of(self, xy: Array) -> Ints:
        """View [M] of poses [M, K, 2] (NaN: missing): that of the nearest labelled animal."""
        return nearest_view(_centres(xy), self.places, self.place_view)

    def tuples(self, xy: Array, sure: Flags, frame: Ints) -> Ints:
        """Instances [T, V] that are one animal; see `PairedViews.match`."""
        view = self.view_of(np.where(sure[..., None], xy, np.nan))
        return self.match(xy, sure, frame, view)

    def errors(self, xy: Tensor, weight: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Distances of keypoints [M, K] in px, and where they are known [M, K].

        The choice of the pairs has no gradient; see `PairedViews.distances`.

        Parameters
        ----------
        xy : Tensor [M, K, 2]
            px.
        weight : Tensor [M, K]
            Confidence; 0 for keypoints that say nothing.
        frame : Tensor [M] of int
            Frame of each instance.
        """
        tuples = self.tuples(
            xy.detach().double().cpu().numpy(),
            (weight > 0).cpu().numpy(),
            frame.cpu().numpy().astype(np.int64),
        )
        return self.distances(xy, weight, tuples)

    def loss(self, xy: Tensor, weight: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Mean excess of the distances over the tolerance, px, and the share of them in excess."""
        return self.excess(*self.errors(xy, weight, frame), self.limits(xy))

    def limits(self, xy: Tensor) -> Tensor:
        """Tolerance [M] of each pose [M, K, 2], px: that of its view."""
        view = torch.from_numpy(self.view_of(xy.detach().double().cpu().numpy()))
        return self.epsilon[view.to(self.epsilon.device)]


def _centres(xy: Array) -> Array:
    """Mean of the known keypoints [M, 2] of poses [M, K, 2]; 0 without any."""
    known = np.asarray(np.isfinite(xy).all(-1))
    total = np.where(known[..., None], xy, 0.0).sum(1)
    return np.asarray(total / np.maximum(known.sum(1), 1)[:, None])


def nearest_view(centre: Array, places: Array, place_view: Ints) -> Ints:
    """View [M] of the labelled place [L, 2] that is nearest to each centre [M, 2]."""
    from scipy.spatial import cKDTree

    if not len(centre):
        return np.zeros(0, np.int64)
    _, where = cKDTree(places).query(centre)
    return np.asarray(place_view[where])


def fit_matched_views(
    poses: Array,
    frame: Ints,
    animal: Ints,
    view: Ints,
    *,
    epsilon: float = 0.0,
    seed: int = 0,
) -> MatchedViews:
    """Fit the subspace of body parts seen in several views, its tolerance, and where the views are.

    Parameters
    ----------
    poses, frame, animal, view
        See `rows_of_animals`.
    epsilon : float
        See `fit_views`.
    """
    rows, of_frame = rows_of_animals(poses, frame, animal, view, int(view.max()) + 1)
    known = view >= 0
    return MatchedViews(
        _centres(poses[known]), view[known], *fit_views(rows, of_frame, epsilon=epsilon, seed=seed)
    )


def why_no_matched_views(poses: Array, frame: Ints, animal: Ints, view: Ints) -> str:
    """Say what labelled animals lack for multi-view PCA; empty when nothing."""
    n_views = len(np.unique(view[view >= 0]))
    if n_views < 2:
        return (
            "multi-view PCA of several animals needs to know which labelled animals are one and the same "
            "in several views: give them tracks that are named with the view as ending "
            "(mouse1_top, mouse1_bot)"
        )
    rows, of_frame = rows_of_animals(poses, frame, animal, view, n_views)
    complete = np.isfinite(rows).all(1)
    need = max(10, 4 * n_views)
    if complete.sum() < need or len(np.unique(of_frame[complete])) < 2:
        return (
            f"multi-view PCA needs {need} body parts that are labelled in all views, on two frames or "
            f"more; there are {int(complete.sum())} on {len(np.unique(of_frame[complete]))}"
        )
    known = view >= 0
    centre, own = _centres(poses[known]), view[known]
    on = frame[known]
    right = 0
    for f in np.unique(on).tolist():
        here = on == f
        if here.all():
            return ""
        right += int((nearest_view(centre[here], centre[~here], own[~here]) == own[here]).sum())
    if right < _APART * len(own):
        return (
            "multi-view PCA of several animals needs views that lie in different parts of the picture: "
            f"{len(own) - right} of {len(own)} labelled animals are nearest to one of another view"
        )
    return ""
