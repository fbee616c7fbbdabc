"""Multi-view PCA for synchronous cameras, each with pictures of its own: one animal, or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from napari_semimultipose.losses.paired_views import (
    Flags,
    Ints,
    PairedViews,
    fit_views,
    rows_of_animals,
)
from napari_semimultipose.shapes.subspace import Array, Subspace

_LEAST = 10  # body parts seen by all cameras
_PER_CAMERA = 4


class CameraViews(PairedViews):
    """Distance of animals, each seen by several cameras at once, from what bodies in space can give.

    Parameters
    ----------
    subspace : Subspace
        Of concatenated positions [2V] in px.
    epsilon : array [V]
        Tolerance in each camera, px.
    single : bool
        Whether a picture shows one animal. Else animals are paired between the cameras by the subspace, and
        doubtful pairs do not count.
    """

    def __init__(self, subspace: Subspace, epsilon: Array, *, single: bool) -> None:
        super().__init__(subspace, epsilon)
        self.single = single

    def tuples(self, xy: Array, sure: Flags, moment: Ints, camera: Ints) -> Ints:
        """Instances [T, V] that are one animal; -1 where a camera did not see it.

        Parameters
        ----------
        xy : array [M, K, 2]
            px.
        sure : array [M, K] of bool
            Keypoints that count.
        moment, camera : arrays [M] of int
            When and where each instance was seen; the camera -1 is none of these cameras.
        """
        use = np.flatnonzero(camera >= 0)
        places = np.stack([moment[use], camera[use]], 1).reshape(-1, 2)
        if not self.single or len(np.unique(places, axis=0)) < len(places):
            return self.match(xy, sure, moment, camera)
        times, row = np.unique(places[:, 0], return_inverse=True)
        found = np.full((len(times), self.n_views), -1, np.int64)
        found[row.reshape(-1), places[:, 1]] = use
        return found

    def errors(
        self, xy: Tensor, weight: Tensor, moment: Tensor, camera: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Distances of keypoints [M, K] in px, and where they are known [M, K].

        The choice of the pairs has no gradient; see `PairedViews.distances`.

        Parameters
        ----------
        xy : Tensor [M, K, 2]
            px of the pictures as they are, without augmentation.
        weight : Tensor [M, K]
            Confidence; 0 for keypoints that say nothing.
        moment, camera : Tensor [M] of int
            See `tuples`.
        """
        tuples = self.tuples(
            xy.detach().double().cpu().numpy(),
            (weight > 0).cpu().numpy(),
            moment.cpu().numpy().astype(np.int64),
            camera.cpu().numpy().astype(np.int64),
        )
        return self.distances(xy, weight, tuples)

    def loss(
        self, xy: Tensor, weight: Tensor, moment: Tensor, camera: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean excess of the distances over the tolerance, px, and the share of them in excess."""
        return self.excess(*self.errors(xy, weight, moment, camera), self.limits(camera))

    def limits(self, camera: Tensor) -> Tensor:
        """Tolerance [M] in each of M cameras, px."""
        return self.epsilon[camera.to(self.epsilon.device).clamp(min=0)]


def fit_camera_views(
    poses: Array,
    moment: Ints,
    animal: Ints,
    camera: Ints,
    n_cameras: int,
    *,
    single: bool,
    epsilon: float | Array = 0.0,
    seed: int = 0,
) -> CameraViews:
    """Fit the three-dimensional subspace of body parts seen by several cameras, and its tolerance.

    Parameters
    ----------
    poses : array [N, K, 2]
        Labelled instances in px; NaN: missing.
    moment, animal, camera : arrays [N] of int
        Instances of one moment and animal are the same, seen by different cameras; -1: unknown.
    n_cameras : int
        V.
    single : bool
        See `CameraViews`.
    epsilon : float or array [V]
        Tolerance in px instead of the measured one; see `fit_views`.
    """
    rows, of_moment = rows_of_animals(poses, moment, animal, camera, n_cameras)
    # What one camera alone has seen says nothing of how the cameras stand to each other.
    shared = np.isfinite(rows).reshape(len(rows), n_cameras, 2).all(-1).sum(1) >= 2
    fitted = fit_views(rows[shared], of_moment[shared], epsilon=epsilon, seed=seed)
    return CameraViews(*fitted, single=single)


def why_no_camera_views(
    poses: Array, moment: Ints, animal: Ints, camera: Ints, cameras: Sequence[str]
) -> str:
    """Say what labelled animals lack for multi-view PCA; empty when nothing."""
    seen = [name for c, name in enumerate(cameras) if (camera == c).any()]
    if len(seen) < len(cameras):
        missing = [name for name in cameras if name not in seen]
        return (
            f"multi-view PCA needs labels of all cameras, there are none of {', '.join(missing)}: label "
            "frames of them, or leave them out of video.cameras"
        )
    n = len(cameras)
    rows, of_moment = rows_of_animals(poses, moment, animal, camera, n)
    complete = np.isfinite(rows).all(1)
    need = max(_LEAST, _PER_CAMERA * n)
    times = len(np.unique(of_moment[complete]))
    if complete.sum() >= need and times >= 2:
        return ""
    text = (
        f"multi-view PCA needs {need} body parts that are labelled in the pictures of all cameras "
        f"({', '.join(cameras)}) at once, at two moments or more; there are {int(complete.sum())} at {times}"
    )
    at = {t: set(camera[moment == t].tolist()) for t in np.unique(moment[camera >= 0]).tolist()}
    alone = sum(len(of) < n for of in at.values())
    if alone:
        text += (
            f". Of {len(at)} labelled moments, {alone} lack a camera: label the same frames of all"
        )
    elif ((animal < 0) & (camera >= 0)).any():
        text += ". With several animals, tracks must tell which are one and the same in the cameras"
    return text
