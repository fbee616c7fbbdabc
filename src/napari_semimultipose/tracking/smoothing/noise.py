"""What an ensemble, or a single model's confidence, says about the noise of its positions."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.poses import FloatArray, IntArray
from napari_semimultipose.tracking.smoothing.courses import Courses
from napari_semimultipose.tracking.smoothing.fitting import Bounds, fit
from napari_semimultipose.tracking.smoothing.model import Observed, Parameters

# Confidence by which a variance is divided at least: 0 would make it infinite.
_LEAST_SCORE = 1e-3
# The published model's variance where the members say nothing, and its least one for fitting; px^2.
_PUBLISHED_LEAST = 1e-4
# Limits of the logarithm of the smoothness, of alpha, and of beta in px^2.
_SMOOTHNESS, _PUBLISHED_SMOOTHNESS = (-18.0, 12.0), (-8.0, 8.0)
# The median of three to five members that err independently has about 0.7 of the variance that they show
# (without the farthest one), that of ten 0.3: the course may show more noise, but never less. Members that
# err alike make it more. The variance that so few members show is uncertain itself: beta pulls it
# towards what is usual, and it is that where the course is too lively to tell noise from motion.
_SCALE = (float(np.log(0.3)), float(np.log(30.0)))
_SCALE_START = float(np.log(0.7))
_FLOOR_SHARE = 0.2
_FLOOR = (float(np.log(4e-4)), float(np.log(400.0)))


class Noise(NamedTuple):
    """Variances of the positions of courses.

    Attributes
    ----------
    variance : array [L, K, 2]
        v in px^2 (see `model`); without an ensemble in units that the fit finds.
    ensemble : bool
        Whether it is the members' spread rather than the confidence.
    """

    variance: FloatArray
    ensemble: bool


def noise_of(courses: Courses) -> Noise:
    """Return the variances.

    The spread of the members, squared, and divided by their mean confidence; where only one member saw a
    keypoint, what is large for that keypoint. Without an ensemble the inverse squared confidence.
    """
    score = np.maximum(courses.score, _LEAST_SCORE)[..., None]
    seen = courses.seen[..., None]
    if courses.spread is None or not np.isfinite(courses.spread).any():
        inverse = np.broadcast_to(1.0 / score**2, courses.xy.shape)
        return Noise(np.where(seen, inverse, np.nan), ensemble=False)
    variance = courses.spread**2 / score
    unknown = seen & ~np.isfinite(variance)
    if unknown.any():
        known = np.where(np.isfinite(variance), variance, np.nan)
        large = np.nanquantile(known, 0.95)
        for k in range(known.shape[1]):
            some = known[:, k][np.isfinite(known[:, k])]
            fill = np.quantile(some, 0.95) if len(some) else large
            variance[:, k] = np.where(unknown[:, k], fill, variance[:, k])
    return Noise(np.where(seen, variance, np.nan), ensemble=True)


def fitted(
    observed: Observed,
    config: SmoothConfig,
    *,
    ensemble: bool,
    initial: Parameters | None = None,
) -> Parameters:
    """Find the parameters of each group; `initial` are some near them."""
    groups = observed.n_groups
    zero = np.zeros(groups)
    moved, level = _typical(observed)
    if config.noise == "published" and ensemble:
        usual = _with_usual_noise(observed)
        fixed = Bounds(0.0, 0.0, zero)
        smoothness = Bounds(*_PUBLISHED_SMOOTHNESS, np.log(moved))
        return fit(usual, _given(config, smoothness), fixed, _nothing(groups), rows=len(observed.y))
    smoothness = Bounds(*_SMOOTHNESS, np.log(moved), spread=5.0, step=1.0)
    rows = config.fit_frames * (2 if observed.n == 1 else 1)  # x and y are rows of their own
    if not ensemble:
        # Half of the usual squared step is noise at most.
        scale = Bounds(-25.0, 25.0, np.log(moved / 2 / np.maximum(level, 1.0)), 3.0, 2.0)
        floor = _nothing(groups)
    else:
        scale = Bounds(*_SCALE, np.full(groups, _SCALE_START), 1.0, 0.5)
        floor = Bounds(*_FLOOR, np.log(_FLOOR_SHARE * level + 0.01), 3.0, 2.0)
    given = _given(config, smoothness)
    return fit(observed, given, scale, floor, rows=rows, initial=initial)


def _given(config: SmoothConfig, smoothness: Bounds) -> Bounds:
    """Bounds that fix the smoothness where the user has."""
    if config.smoothness == 0:
        return smoothness
    value = float(np.log(config.smoothness))
    return Bounds(value, value, np.full(len(smoothness.start), value))


def _nothing(groups: int) -> Bounds:
    """Bounds that keep beta at (almost) zero."""
    return Bounds(-60.0, -60.0, np.full(groups, -60.0))


def _typical(observed: Observed) -> tuple[FloatArray, FloatArray]:
    """Robust mean squared step [G] and median variance [G] of the observations."""
    moved, level = np.full(observed.n_groups, 1.0), np.full(observed.n_groups, 1.0)
    step = np.diff(observed.y, axis=0) ** 2
    step[observed.step[1:] == 0] = np.nan
    for g in range(observed.n_groups):
        a, b = _range(observed.group, g)
        steps, variances = step[a : max(b - 1, a)], observed.variance[a:b]
        steps, variances = steps[np.isfinite(steps)], variances[np.isfinite(variances)]
        if len(steps):  # of normal steps the median square is 0.455 of the mean
            moved[g] = max(float(np.median(steps)) / 0.455, 1e-6)
        if len(variances):
            level[g] = float(np.median(variances))
    return moved, level


def _with_usual_noise(observed: Observed) -> Observed:
    """Replace the variances of each walk by their median over time, as the published model fits."""
    walk = np.cumsum(observed.step == 0) - 1
    variance = observed.variance.copy()
    for w in range(int(walk.max(initial=-1)) + 1):
        a, b = _range(walk, w)
        median = np.nanmedian(variance[a:b], axis=0)
        variance[a:b] = np.maximum(median, _PUBLISHED_LEAST)
    return replace(observed, variance=variance)


def _range(rising: IntArray, value: int) -> tuple[int, int]:
    a, b = np.searchsorted(rising, [value, value + 1])
    return int(a), int(b)
