"""The subspaces of labelled poses that losses on video and metrics of predictions compare with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.config import VideoConfig
from napari_semimultipose.data.sessions import Moments, animals
from napari_semimultipose.data.single import posture
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.losses.camera_views import (
    CameraViews,
    fit_camera_views,
    why_no_camera_views,
)
from napari_semimultipose.losses.matched_views import (
    MatchedViews,
    fit_matched_views,
    why_no_matched_views,
)
from napari_semimultipose.models.geometry import scale_points, scaled_size
from napari_semimultipose.poses import Poses
from napari_semimultipose.shapes.multiview import (
    MultiviewPCA,
    fit_multiview_pca,
    why_no_multiview_pca,
)
from napari_semimultipose.shapes.pca import PosePCA, fit_pose_pca, why_no_pose_pca
from napari_semimultipose.skeleton import Skeleton, animal_and_view, views_in_names

Size = tuple[int, int]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledAnimals:
    """N labelled instances.

    Attributes
    ----------
    xy : array [N, K, 2]
        px of the scaled frames; NaN: missing.
    frame : array [N] of int
        Number of the frame, counted over all videos; with several cameras the moment that their pictures share.
    animal, view : arrays [N] of int
        The animal, and the view that it is seen in, by the names of their tracks; -1 where they tell no view.
        With several cameras the view is the camera.
    scale : float
        Median scale of the frames.
    scales : array [N]
        Scale of the frame of each.
    """

    xy: NDArray[np.float64]
    frame: Ints
    animal: Ints
    view: Ints
    scale: float
    scales: NDArray[np.float64]

    @property
    def size(self) -> float:
        """Median diagonal of the boxes around the animals, px; NaN where they are points."""
        known = np.isfinite(self.xy)
        high = np.where(known, self.xy, -np.inf).max(1)
        low = np.where(known, self.xy, np.inf).min(1)
        diagonal = np.linalg.norm(high - low, axis=1)
        diagonal = diagonal[diagonal > 0]
        return float(np.median(diagonal)) if len(diagonal) else float("nan")


@dataclass(frozen=True)
class Subspaces:
    """What was fitted; `why` says of the rest what is missing, by the name of the loss."""

    pose: PosePCA | None = None
    views: MultiviewPCA | MatchedViews | CameraViews | None = None
    why: Mapping[str, str] = field(default_factory=dict)


def labelled_animals(
    poses: Poses,
    rows: Sequence[int],
    frame_size: Callable[[int], Size | None],
    scale: Callable[[int, int], float],
    seen: Moments | None = None,
) -> LabelledAnimals:
    """Return the labels of some rows in px of the scaled frames.

    Parameters
    ----------
    poses : Poses
    rows : sequence of int
    frame_size : callable
        Gives the height and width of the frame of a row in px; None where they are unknown, which
        leaves the labels as they are.
    scale : callable
        Gives the scale of a frame from its height and width.
    seen : Moments, optional
        When, and by which of several cameras, each of the rows was seen.
    """
    numbers = animals(poses)
    tracks = [animal_and_view(name) for name in poses.track_names]
    view_names = sorted({view for _, view in tracks if view})
    names = sorted({name for name, _ in tracks})
    xy: list[NDArray[np.float64]] = []
    about: list[tuple[int, int, int]] = []
    scales: list[float] = []
    scale_of: list[float] = []
    for place, row in enumerate(rows):
        size = frame_size(row)
        here = np.flatnonzero(poses.present[row])
        points = poses.xy[row][here]
        if size is None:
            scales.append(1.0)
        else:
            h, w = scaled_size(*size, scale(*size))
            points = scale_points(points, w / size[1], h / size[0])
            scales.append(h / size[0])
        points[poses.visible[row][here] <= 0] = np.nan
        xy.append(points)
        scale_of += [scales[-1]] * len(points)
        if seen is not None:
            when = (int(seen.moment[place]), int(seen.camera[place]))
            about += [(when[0], number, when[1]) for number in numbers[row][here].tolist()]
            continue
        for track in poses.track[row][here].tolist():
            name, view = tracks[track] if 0 <= track < len(tracks) else ("", "")
            known = (names.index(name), view_names.index(view)) if view else (-1, -1)
            about.append((row, *known))
    together = np.concatenate(xy) if xy else np.zeros((0, len(poses.skeleton), 2))
    columns = np.array(about, np.int64).reshape(-1, 3)
    some = np.asarray(np.isfinite(together).all(-1)).any(1)
    frame, animal, view_index = columns[some].T
    if seen is None:  # views that no labelled animal is seen in do not count
        known = view_index >= 0
        view_index = view_index.copy()
        view_index[known] = np.unique(view_index[known], return_inverse=True)[1].reshape(-1)
    return LabelledAnimals(
        together[some],
        frame,
        animal,
        view_index,
        float(np.median(scales)) if scales else 1.0,
        np.array(scale_of, np.float64)[some],
    )


def fit_subspaces(
    video: VideoConfig,
    labels: LabelledAnimals,
    skeleton: Skeleton,
    *,
    single: bool,
    reference: float,
    wanted: Collection[str] = ("pca", "multiview"),
) -> Subspaces:
    """Fit the subspaces of labelled animals.

    Parameters
    ----------
    video : VideoConfig
        Says how poses are compared, which keypoints are the views, and perhaps the tolerance.
    labels : LabelledAnimals
        With the cameras as views where the settings name cameras.
    skeleton : Skeleton
    single : bool
        Whether a frame shows one animal, which is found by the heat-map network.
    reference : float
        Size of the median animal, px.
    wanted : collection of str
        Names of the losses.

    Raises
    ------
    ConfigError
        If ``video.views`` names unknown keypoints.
    """
    why: dict[str, str] = {}
    pose: PosePCA | None = None
    views: MultiviewPCA | MatchedViews | CameraViews | None = None
    tolerance = video.pca_px * labels.scale
    if "pca" in wanted:
        why["pca"] = why_no_pose_pca(labels.xy)
        if not why["pca"]:
            body = video.frame == "body"
            if video.frame == "auto":
                body = not single or posture(labels.xy) == "free"
            pose = fit_pose_pca(
                labels.xy, body=body, epsilon=tolerance / (reference if body else 1.0)
            )
    if "multiview" in wanted:
        index = view_indices(skeleton, video.views)
        together = (labels.frame, labels.animal, labels.view)
        if video.cameras:
            why["multiview"] = why_no_camera_views(labels.xy, *together, video.cameras)
            if not why["multiview"]:
                n = len(video.cameras)
                sizes = [np.median(labels.scales[labels.view == c]) for c in range(n)]
                given = video.pca_px * np.array(sizes)
                views = fit_camera_views(labels.xy, *together, n, single=single, epsilon=given)
        elif index.size or single:
            why["multiview"] = why_no_multiview_pca(labels.xy, index)
            if not why["multiview"]:
                views = fit_multiview_pca(labels.xy, index, epsilon=tolerance)
        else:
            why["multiview"] = why_no_matched_views(labels.xy, *together)
            if not why["multiview"]:
                views = fit_matched_views(labels.xy, *together, epsilon=tolerance)
    return Subspaces(pose, views, {name: text for name, text in why.items() if text})


def view_indices(skeleton: Skeleton, views: Sequence[Sequence[str]]) -> Ints:
    """Keypoint indices [V, P] of views given by names, or found in the names when none are given.

    Raises
    ------
    ConfigError
        If a name is unknown or the views differ in their number of keypoints.
    """
    named = tuple(tuple(v) for v in views) or views_in_names(skeleton.keypoints)
    if len({len(v) for v in named}) > 1:
        raise ConfigError("video.views: all views must name the same number of keypoints")
    where = {name: i for i, name in enumerate(skeleton.keypoints)}
    unknown = [name for v in named for name in v if name not in where]
    if unknown:
        raise ConfigError(f"video.views: there is no keypoint {', '.join(unknown)}")
    return np.array([[where[name] for name in v] for v in named], np.int64)
