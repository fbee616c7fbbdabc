"""Smoothing with calibrated cameras: every body part is a random walk in the room.

The cameras see the walk through their lenses, which is not linear. The smoother is iterated: linear about
the last estimate, smoothed, and again (the Gauss-Newton search for the likeliest course; Bell 1994).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray
from napari_semimultipose.tracking.cameras import Camera, triangulate
from napari_semimultipose.tracking.smoothing.courses import Courses, walk_rows
from napari_semimultipose.tracking.smoothing.model import Observed
from napari_semimultipose.tracking.smoothing.noise import noise_of
from napari_semimultipose.tracking.smoothing.scalar import Estimate
from napari_semimultipose.tracking.smoothing.views import flat_views, settle, spread_estimate

_ITERATIONS = 4
_LEAST_FRAMES = 2
# Reprojection error, in standard deviations, from which on a view is left out of the first estimate.
_OUTLYING = 5.0


@dataclass(frozen=True)
class Points:
    """Body parts in the room.

    Attributes
    ----------
    xyz : array [L, K, 3]
        In the unit of the calibration; NaN on rows that belong to no walk.
    covariance : array [L, K, 3, 3]
    """

    xyz: FloatArray
    covariance: FloatArray


def smooth_calibrated(
    courses: Courses, views: IntArray, cameras: Sequence[Camera], config: SmoothConfig
) -> tuple[Estimate, Points]:
    """Smooth body parts in the room.

    A walk begins and ends on frames on which two cameras see the body part; in between one, or none, is
    enough.

    Parameters
    ----------
    courses : Courses
        With the keypoints of all views.
    views : array [K, V] of int
        Index of each body part in the view of each camera.
    cameras : V cameras
    config : SmoothConfig

    Returns
    -------
    Estimate
        Positions and variances in all views, px.
    Points

    Raises
    ------
    LabelsError
        When a body part is never seen by two cameras.
    """
    noise = noise_of(courses)
    y, v = flat_views(courses.xy, views), flat_views(noise.variance, views)
    start = initial_points(cameras, y, v)
    _check_seen(start)
    inside, first = walk_rows(np.isfinite(start[..., 0]), courses.begins, config.max_gap_frames)
    part, row = np.nonzero(inside.T)
    first = first.T[part, row]
    point = _bridged(start[row, part], first)
    scatter = _motion(start, ~courses.begins[1:])
    extent = np.nanvar(start, axis=0).mean(-1) * 100.0 + 1e-9
    prior = np.where(first[:, None, None], np.eye(3) / extent[part][:, None, None], 0.0)
    observed = Observed(
        y[row, part], v[row, part], np.where(first, 0.0, 1.0), part, len(views),
        loading=np.zeros((len(row), y.shape[2], 3)), shape=scatter, prior=prior,
    )  # fmt: skip
    # The prior is around 0: put the origin of each body part at its middle.
    origin = np.nanmedian(start, axis=0)[part]
    parameters = None
    for i in range(_ITERATIONS):
        linear = _about(observed, cameras, point, origin)
        if parameters is None or i == 1:
            linear, parameters = settle(linear, config, noise, parameters)
            observed = replace(observed, doubt=linear.doubt)
        mean, covariance = linear.smooth(parameters)
        point = mean + origin
    assert parameters is not None
    linear = _about(observed, cameras, point, origin)
    xy = np.concatenate([camera.project(point) for camera in cameras], 1)
    loading = linear.loading
    assert loading is not None
    variance = np.einsum("tdi,tij,tdj->td", loading, covariance, loading)
    surprise = linear.surprise(parameters)
    estimate = spread_estimate(courses, views, (row, part), xy, variance, surprise, parameters)
    xyz = np.full((len(courses), len(views), 3), np.nan)
    xyz[row, part] = point
    cov = np.full((len(courses), len(views), 3, 3), np.nan)
    cov[row, part] = covariance
    return estimate, Points(xyz, cov)


def locatable(courses: Courses, views: IntArray) -> BoolArray:
    """Which of the body parts [K] are seen by two cameras at once on two frames or more."""
    seen = np.isfinite(courses.xy[:, views, 0]).sum(-1) >= 2
    return np.asarray(seen.sum(0) >= _LEAST_FRAMES)


def initial_points(cameras: Sequence[Camera], y: FloatArray, v: FloatArray) -> FloatArray:
    """Triangulate [L, K, 3], leaving out the view that contradicts the others most where there is one."""
    pixels = y.reshape(*y.shape[:2], -1, 2)
    deviation = np.sqrt(v.reshape(pixels.shape).mean(-1))
    usual = np.nanmedian(deviation) if np.isfinite(deviation).any() else 1.0
    weight = 1.0 / np.sqrt(deviation**2 + max(usual, 0.1) ** 2)
    points = triangulate(cameras, pixels, weight)
    if len(cameras) < 3:
        return points
    error = np.stack(
        [
            np.linalg.norm(c.project(points) - pixels[..., i, :], axis=-1)
            for i, c in enumerate(cameras)
        ],
        -1,
    )
    typical = np.nanmedian(error) if np.isfinite(error).any() else 1.0
    bad = np.nanmax(np.nan_to_num(error), axis=-1) > _OUTLYING * max(typical, 1e-6)
    bad &= np.isfinite(pixels[..., 0]).sum(-1) >= 3
    best = np.full(points.shape[:2], np.inf)
    for leave in range(len(cameras)):
        others = pixels[bad].copy()
        others[:, leave] = np.nan
        trial = triangulate(cameras, others, weight[bad])
        left = [
            np.linalg.norm(c.project(trial) - others[:, i], axis=-1) for i, c in enumerate(cameras)
        ]
        cost = np.nansum(left, axis=0)
        better = cost < best[bad]
        points[tuple(i[better] for i in np.nonzero(bad))] = trial[better]
        best[tuple(i[better] for i in np.nonzero(bad))] = cost[better]
    return points


def _check_seen(points: FloatArray) -> None:
    counts = np.isfinite(points[..., 0]).sum(0)
    if (counts < _LEAST_FRAMES).any():
        k = int(counts.argmin())
        raise LabelsError(
            f"body part {k + 1} is seen by two cameras on {counts[k]} frames only: check that the files "
            "belong to the cameras of the calibration"
        )


def _bridged(points: FloatArray, first: BoolArray) -> FloatArray:
    """Fill the points [T, 3] of walks that two cameras do not see, from the last ones that they do."""
    known = np.where(np.isfinite(points[:, 0]), np.arange(len(points)), 0)
    return points[np.maximum.accumulate(np.where(first, np.arange(len(points)), known))]


def _motion(points: FloatArray, adjacent: BoolArray) -> FloatArray:
    """Robust covariance [K, 3, 3] of the movement from one row to the next."""
    step = np.diff(points, axis=0)[adjacent]
    with np.errstate(invalid="ignore"):
        deviation = 1.4826 * np.nanmedian(np.abs(step), axis=0)
    usual = np.nanmax(deviation, axis=-1, keepdims=True, initial=1e-9)
    deviation = np.maximum(np.nan_to_num(deviation, nan=1e-9), 0.05 * usual)
    return np.asarray(np.eye(3) * (deviation**2)[..., None])


def _about(
    observed: Observed, cameras: Sequence[Camera], point: FloatArray, origin: FloatArray
) -> Observed:
    """Make the cameras linear about points: y - f(x0) + J (x0 - origin) = J (x - origin) + noise."""
    expected = np.concatenate([camera.project(point) for camera in cameras], 1)
    loading = np.concatenate([camera.jacobian(point) for camera in cameras], 1)
    shift = np.einsum("tdi,ti->td", loading, point - origin)
    return replace(observed, y=observed.y - expected + shift, loading=loading)
