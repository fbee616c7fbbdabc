"""Smoothing with several views of one animal and no calibration: mirrors, or cameras side by side.

All views of a body part together move in three dimensions (an affine camera projects linearly), which a
principal component analysis of sure frames finds. The walk is in these dimensions, so that a view that is
sure helps one that is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray
from napari_semimultipose.tracking.smoothing.courses import Courses, walk_rows
from napari_semimultipose.tracking.smoothing.model import Observed, Parameters
from napari_semimultipose.tracking.smoothing.noise import Noise, fitted, noise_of
from napari_semimultipose.tracking.smoothing.scalar import Estimate

LATENT = 3
# Share of the frames, the surest, that the analysis takes.
_SURE = 0.5
_LEAST_FRAMES = 20
# Probability below which the views of a frame contradict each other.
_CONTRADICTION = 1e-3
# The search for the subspace: rows of a trial, trials, rows that judge it, rounds of refinement, and the
# distance in robust standard deviations from which on a row is not of it.
_TRIAL_ROWS, _TRIALS, _JUDGES, _ROUNDS, _OUTLYING = 8, 60, 400, 4, 3.0
# Standard deviation of a first position, in units of that of all.
_WIDE = 10.0


@dataclass(frozen=True)
class Geometry:
    """How the positions of K body parts look in V views.

    Attributes
    ----------
    loading : array [K, 2 V, 3]
    center : array [K, 2 V]
    shape : array [K, 3, 3]
        Covariance of the movement, scaled to a mean variance of 1 a dimension.
    prior : array [K, 3, 3]
        Precision of the first position.
    """

    loading: FloatArray
    center: FloatArray
    shape: FloatArray
    prior: FloatArray


def smooth_views(courses: Courses, views: IntArray, config: SmoothConfig) -> Estimate:
    """Smooth the keypoints of several views together.

    Parameters
    ----------
    courses : Courses
        With the keypoints of all views.
    views : array [K, V] of int
        Index of each body part in each view; the other keypoints are smoothed by themselves.
    config : SmoothConfig

    Raises
    ------
    LabelsError
        When a body part is hardly ever seen in all views.
    """
    noise = noise_of(courses)
    y, v = flat_views(courses.xy, views), flat_views(noise.variance, views)
    geometry = learn_geometry(y, v, courses)
    inside, first = walk_rows(
        np.asarray(np.isfinite(y).any(-1)), courses.begins, config.max_gap_frames
    )
    part, row = np.nonzero(inside.T)
    first = first.T[part, row]
    observed = Observed(
        y[row, part] - geometry.center[part],
        v[row, part],
        np.where(first, 0.0, 1.0),
        part,
        len(views),
        loading=geometry.loading[part],
        shape=geometry.shape,
        prior=np.where(first[:, None, None], geometry.prior[part], 0.0),
    )
    observed, parameters = settle(observed, config, noise)
    mean, covariance = observed.smooth(parameters)
    loading = geometry.loading[part]
    xy = np.einsum("tdi,ti->td", loading, mean) + geometry.center[part]
    variance = np.einsum("tdi,tij,tdj->td", loading, covariance, loading)
    surprise = observed.surprise(parameters)
    return spread_estimate(courses, views, (row, part), xy, variance, surprise, parameters)


def comparable(courses: Courses, views: IntArray) -> BoolArray:
    """Which of the body parts [K] are seen in all views often enough to learn how these belong together."""
    everywhere = np.isfinite(flat_views(courses.xy, views)).all(-1)
    return np.asarray(everywhere.sum(0) >= _LEAST_FRAMES)


def flat_views(values: FloatArray, views: IntArray) -> FloatArray:
    """Coordinates [L, K, 2 V] of body parts from arrays [L, keypoints, 2]."""
    chosen = values[:, views]  # [L, K, V, 2]
    return chosen.reshape(*chosen.shape[:2], -1)


def spread_estimate(
    courses: Courses,
    views: IntArray,
    place: tuple[IntArray, IntArray],
    xy: FloatArray,
    variance: FloatArray,
    surprise: FloatArray,
    parameters: Parameters,
) -> Estimate:
    """Arrays of all keypoints from those [T, 2 V] of rows (row, part) of walks."""
    keypoints = courses.xy.shape[1]
    row, part = place
    n = views.shape[1]
    out = [np.full(courses.xy.shape, np.nan) for _ in range(2)]
    shock = np.full((len(courses), keypoints), np.nan)
    smoothness = np.full(keypoints, np.nan)
    per_view = surprise.reshape(-1, n, 2).sum(-1)
    for view in range(n):
        index = views[part, view]
        for target, values in zip(out, (xy, variance), strict=True):
            target[row, index] = values[:, 2 * view : 2 * view + 2]
        shock[row, index] = per_view[:, view]
        smoothness[views[:, view]] = parameters.smoothness
    return Estimate(out[0], out[1], shock, smoothness)


def learn_geometry(y: FloatArray, v: FloatArray, courses: Courses) -> Geometry:
    """Find the three dimensions of each body part from the frames on which all views are sure.

    Parameters
    ----------
    y, v : arrays [L, K, 2 V]
        Positions and their variances.
    """
    found: list[tuple[FloatArray, ...]] = []
    adjacent = ~courses.begins[1:]
    for k in range(y.shape[1]):
        everywhere = np.isfinite(y[:, k]).all(1)
        if everywhere.sum() < _LEAST_FRAMES:
            raise LabelsError(
                f"body part {k + 1} is seen in all views on {int(everywhere.sum())} frames only, and "
                f"{_LEAST_FRAMES} are needed to learn how the views belong together: give a calibration, "
                "or smooth each view by itself"
            )
        worst = np.where(everywhere, v[:, k].max(1), np.inf)
        sure = worst <= np.quantile(worst[everywhere], _SURE)
        center, loading, good = robust_subspace(y[sure, k])
        sure[sure] = good
        z = (y[:, k] - center) @ loading
        both = adjacent & sure[1:] & sure[:-1]
        step = (z[1:] - z[:-1])[both]
        motion = step.T @ step / max(len(step), 1)
        trace = max(float(np.trace(motion)), 1e-9)
        motion = motion + 1e-3 * trace * np.eye(LATENT)
        extent = z[sure].var(0) * _WIDE**2 + 1.0
        mean_variance = np.trace(motion) / LATENT
        found.append((loading, center, motion / mean_variance, np.diag(1.0 / extent)))
    return Geometry(*(np.stack(parts) for parts in zip(*found, strict=True)))


def robust_subspace(rows: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Find the affine subspace of `LATENT` dimensions that most rows lie near.

    Members may agree on a wrong place, and a few such rows would turn the axes of a plain analysis.
    Subspaces of a few random rows are judged by their median distance (least median of squares,
    Rousseeuw 1984), and the best one is refined on the rows near it.

    Parameters
    ----------
    rows : array [N, D]

    Returns
    -------
    center : array [D]
    loading : array [D, 3]
    near : array [N] of bool
        Rows that it was found from.
    """
    rng = np.random.default_rng(0)
    n = len(rows)
    judges = rows[np.linspace(0, n - 1, min(n, _JUDGES)).astype(np.int64)]
    some = rows[rng.integers(n, size=(_TRIALS, _TRIAL_ROWS))]
    centers = np.concatenate([some.mean(1), rows.mean(0)[None]])
    _, _, axes = np.linalg.svd(some - centers[:-1, None], full_matrices=False)
    _, _, plain = np.linalg.svd(rows - centers[-1], full_matrices=False)
    loadings = np.concatenate([axes[:, :LATENT], plain[None, :LATENT]]).transpose(0, 2, 1)
    spread = [np.median(_distance2(judges, c, a)) for c, a in zip(centers, loadings, strict=True)]
    best = int(np.argmin(spread))
    center, loading = centers[best], loadings[best]
    near = np.ones(n, bool)
    freedom = max(rows.shape[1] - LATENT, 1)
    for _ in range(_ROUNDS):
        distance2 = _distance2(rows, center, loading)
        # The median of a chi-squared variable is about its degrees of freedom minus 2 / 3.
        scale2 = np.median(distance2) / max(freedom - 0.6, 0.45)
        near = distance2 <= max(_OUTLYING**2 * scale2 * freedom, 1e-9)
        center = rows[near].mean(0)
        _, _, axes = np.linalg.svd(rows[near] - center, full_matrices=False)
        loading = axes[:LATENT].T
    return center, loading, near


def _distance2(rows: FloatArray, center: FloatArray, loading: FloatArray) -> FloatArray:
    """Squared distances [N] from a subspace."""
    offset = rows - center
    return np.asarray((offset**2).sum(1) - ((offset @ loading) ** 2).sum(1))


def settle(
    observed: Observed, config: SmoothConfig, noise: Noise, initial: Parameters | None = None
) -> tuple[Observed, Parameters]:
    """Fit, find views that contradict the others, and fit again without relying on them."""
    parameters = fitted(observed, config, ensemble=noise.ensemble, initial=initial)
    if config.noise == "published":
        return observed, parameters
    for _ in range(2):
        observed = replace(observed, doubt=contradictions(observed, parameters))
    return observed, fitted(observed, config, ensemble=noise.ensemble, initial=parameters)


def contradictions(observed: Observed, parameters: Parameters) -> FloatArray:
    """Return factors [T, D] of the variances of observations that other views contradict.

    Whether the views of a row fit together is judged from this row alone, so that quick movements are no
    contradiction; which of them is to be doubted then follows from the course.
    """
    from scipy.special import chdtri

    assert observed.loading is not None
    r = replace(observed, doubt=None).noise(parameters)
    seen = observed.seen
    weight = np.where(seen, 1.0 / r, 0.0)
    y = np.where(seen, observed.y, 0.0)
    weighted = weight[:, :, None] * observed.loading
    precision = np.matmul(weighted.transpose(0, 2, 1), observed.loading)
    precision += 1e-9 * np.trace(precision, axis1=1, axis2=2)[:, None, None] * np.eye(observed.n)
    precision += 1e-12 * np.eye(observed.n)
    here = np.linalg.solve(precision, np.einsum("tdi,td->ti", weighted, y)[..., None])[..., 0]
    misfit = (weight * (y - np.einsum("tdi,ti->td", observed.loading, here)) ** 2).sum(1)
    freedom = seen.sum(1) - observed.n
    torn = (freedom > 0) & (misfit > chdtri(np.maximum(freedom, 1), _CONTRADICTION))
    mean, _ = observed.smooth(parameters)
    residual = weight * (y - np.einsum("tdi,ti->td", observed.loading, mean)) ** 2
    per_view = residual.reshape(len(y), -1, 2).sum(-1)
    factor = np.maximum(per_view / chdtri(2, _CONTRADICTION), 1.0)
    return np.where(torn[:, None], np.repeat(factor, 2, axis=1), 1.0)
