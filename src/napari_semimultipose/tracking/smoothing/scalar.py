"""Smoothing with one camera: every coordinate of a keypoint is a random walk of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.poses import BoolArray, FloatArray
from napari_semimultipose.tracking.smoothing.courses import Courses, walk_rows
from napari_semimultipose.tracking.smoothing.model import Observed, Parameters
from napari_semimultipose.tracking.smoothing.noise import Noise, fitted, noise_of


@dataclass(frozen=True)
class Estimate:
    """Smoothed courses.

    Attributes
    ----------
    xy : array [L, K, 2]
        px; NaN on rows that belong to no walk.
    variance : array [L, K, 2]
        Posterior variances, px^2.
    surprise : array [L, K]
        Squared distance between what was seen and what the Kalman filter expected, in units of its
        variance: chi-squared with 2 degrees of freedom if the model holds; NaN where nothing was expected,
        and for a single animal.
    smoothness : array [K]
        Variance of the movement from one frame to the next, px^2.
    """

    xy: FloatArray
    variance: FloatArray
    surprise: FloatArray
    smoothness: FloatArray


@dataclass(frozen=True)
class _Layout:
    """Walks, where their T rows are in arrays [K, 2, L], and what was subtracted from them [T]."""

    inside: BoolArray
    observed: Observed
    center: FloatArray


def smooth_courses(courses: Courses, config: SmoothConfig) -> Estimate:
    """Smooth each keypoint of each animal; the animals share the smoothness of a keypoint."""
    noise = noise_of(courses)
    layout = _layout(courses, noise, config, courses.begins)
    keypoints = courses.xy.shape[1]
    if not len(layout.observed.y):
        empty = np.full(courses.xy.shape, np.nan)
        return Estimate(empty, empty, empty[..., 0], np.full(keypoints, np.nan))
    parameters = fitted(layout.observed, config, ensemble=noise.ensemble)
    return _estimate(courses, layout, parameters)


def resmooth(
    courses: Courses, config: SmoothConfig, begins: BoolArray, former: Estimate
) -> Estimate:
    """Smooth again with more rows [L] where animals begin anew, or with observations taken out."""
    noise = noise_of(courses)
    layout = _layout(courses, noise, config, begins)
    again = fitted(layout.observed, config, ensemble=noise.ensemble)
    found = _estimate(courses, layout, again)
    return Estimate(found.xy, found.variance, former.surprise, found.smoothness)


def _layout(courses: Courses, noise: Noise, config: SmoothConfig, begins: BoolArray) -> _Layout:
    keypoints = courses.xy.shape[1]
    inside, first = walk_rows(courses.seen, begins, config.max_gap_frames)
    inside = np.repeat(inside.T[:, None], 2, axis=1)  # [K, 2, L]
    first = np.repeat(first.T[:, None], 2, axis=1)
    group = np.broadcast_to(np.arange(keypoints)[:, None, None], inside.shape)[inside]
    y = courses.xy.transpose(1, 2, 0)[inside]
    observed = Observed(
        y[:, None],
        noise.variance.transpose(1, 2, 0)[inside][:, None],
        np.where(first[inside], 0.0, 1.0),
        group,
        keypoints,
        size=_relative_size(courses, inside),
    )
    if config.noise == "published":
        return _Layout(inside, *_published_prior(observed))
    return _Layout(inside, observed, np.zeros(len(y)))


def _published_prior(observed: Observed) -> tuple[Observed, FloatArray]:
    """Centre each walk, and let its first position be normal with the variance of the whole course."""
    walk = np.cumsum(observed.step == 0) - 1
    y = observed.y[:, 0]
    seen = np.isfinite(y)
    count = np.maximum(np.bincount(walk[seen], minlength=walk[-1] + 1 if len(walk) else 0), 1)
    mean = np.bincount(walk[seen], y[seen], len(count)) / count
    square = np.bincount(walk[seen], (y - mean[walk])[seen] ** 2, len(count)) / count
    prior = np.where(observed.step == 0, 1.0 / np.maximum(square[walk], 1e-12), 0.0)
    center = mean[walk]
    centered = replace(observed, y=observed.y - center[:, None], prior=prior[:, None, None])
    return centered, center


def _relative_size(courses: Courses, inside: BoolArray) -> FloatArray | None:
    """Squared size of the animal of each row in units of the usual one; None for one animal."""
    animal = courses.animal
    if not len(animal) or animal[-1] == 0:
        return None
    gone = np.isnan(courses.xy)
    high = np.where(gone, -np.inf, courses.xy).max(1)
    low = np.where(gone, np.inf, courses.xy).min(1)
    side = np.where((~gone[..., 0]).sum(1) > 1, (high - low).max(1), np.nan)
    sizes = np.full(animal[-1] + 1, np.nan)
    for a in range(len(sizes)):
        i, j = np.searchsorted(animal, [a, a + 1])
        some = side[i:j][np.isfinite(side[i:j])]
        sizes[a] = np.median(some) if len(some) else np.nan
    if not (sizes > 0).any():
        return None
    usual = np.nanmedian(sizes)
    relative = np.where(sizes > 0, sizes / usual, 1.0) ** 2
    return np.asarray(np.broadcast_to(relative[animal], inside.shape)[inside])


def _estimate(courses: Courses, layout: _Layout, parameters: Parameters) -> Estimate:
    shape = layout.inside.shape
    mean, covariance = layout.observed.smooth(parameters)
    surprise = np.full(len(mean), np.nan)
    if courses.begins.sum() > 1:  # among several animals somebody may be mistaken for another
        surprise = layout.observed.surprise(parameters)[:, 0]

    def back(values: FloatArray) -> FloatArray:
        out = np.full(shape, np.nan)
        out[layout.inside] = values
        return out.transpose(2, 0, 1)

    return Estimate(
        back(mean[:, 0] + layout.center),
        back(covariance[:, 0, 0]),
        back(surprise).sum(-1),
        parameters.smoothness,
    )
