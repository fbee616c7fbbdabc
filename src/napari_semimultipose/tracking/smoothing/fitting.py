"""Which smoothness and which noise make the observations likeliest, for all keypoints at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_semimultipose.poses import FloatArray, IntArray
from napari_semimultipose.tracking.smoothing.model import Observed, Parameters

# Rows of a window of those that a fit looks at, where a recording is too long to look at all.
_WINDOW = 1000
_ROUNDS = 25
_ENOUGH = 0.04  # steps in the logarithm: 4 % of a parameter
_LEAST_GAIN = 0.01  # of the log likelihood: nothing that the observations could tell apart


@dataclass(frozen=True)
class Bounds:
    """Where a parameter may lie, as natural logarithms; equal limits fix it.

    Attributes
    ----------
    low, high : float
    start : array [G]
    spread : float
        Standard deviation of a normal prior around `start`; infinite: none. It decides where the
        observations do not.
    step : float
        First step of the search.
    """

    low: float
    high: float
    start: FloatArray
    spread: float = np.inf
    step: float = 1.0


def fit(
    observed: Observed,
    smoothness: Bounds,
    scale: Bounds,
    floor: Bounds,
    *,
    rows: int = 2000,
    initial: Parameters | None = None,
) -> Parameters:
    """Maximise the marginal likelihood of each group, times the priors.

    A grid over the smoothness finds the valley; from there each parameter is moved in turn to the
    minimum of the parabola through three points, with steps that adapt: first on a part of the rows, then
    on all of them.

    Parameters
    ----------
    observed : Observed
    smoothness, scale, floor : Bounds
    rows : int
        Look at no more than about so many rows a group: windows spread evenly over them.
    initial : Parameters, optional
        Begin here, near the optimum.
    """
    bounds = (smoothness, scale, floor)
    start = np.stack([np.clip(b.start, b.low, b.high) for b in bounds], 1)
    free = [i for i, b in enumerate(bounds) if b.high > b.low]
    step = np.array([b.step for b in bounds])
    if initial is None:
        cost = _cost(subsample(observed, min(rows, _WINDOW)), bounds, start)
        theta = start
        if 0 in free:
            theta = _along(cost, start, 0, np.arange(-6.0, 6.1, 2.0), bounds[0])
        theta = _descend(cost, theta, free, bounds, step, enough=10 * _LEAST_GAIN)
    else:
        low, high = np.array([b.low for b in bounds]), np.array([b.high for b in bounds])
        theta = np.clip(np.log(np.stack(initial, 1)), low, high)
    cost = _cost(subsample(observed, rows), bounds, start)
    theta = _descend(cost, theta, free, bounds, 0.25 * step)
    return Parameters(*np.exp(theta).T)


def _cost(
    sample: Observed, bounds: tuple[Bounds, ...], start: FloatArray
) -> Callable[[FloatArray], FloatArray]:
    """Return the function that is minimised, of the logarithms [G, 3] of the parameters."""

    def cost(theta: FloatArray) -> FloatArray:
        value = sample.negative_log_likelihood(Parameters(*np.exp(theta).T))
        for i, b in enumerate(bounds):
            value = value + 0.5 * ((theta[:, i] - start[:, i]) / b.spread) ** 2
        return np.where(np.isfinite(value), value, np.inf)

    return cost


def _along(
    cost: Callable[[FloatArray], FloatArray],
    theta: FloatArray,
    which: int,
    offsets: FloatArray,
    bounds: Bounds,
) -> FloatArray:
    """Best of some values of one parameter."""
    trials = []
    for offset in offsets:
        trial = theta.copy()
        trial[:, which] = np.clip(trial[:, which] + offset, bounds.low, bounds.high)
        trials.append(trial)
    best = np.argmin([cost(trial) for trial in trials], axis=0)
    return np.asarray(np.stack(trials)[best, np.arange(len(theta))])


def _descend(
    cost: Callable[[FloatArray], FloatArray],
    theta: FloatArray,
    free: list[int],
    bounds: tuple[Bounds, ...],
    first_step: FloatArray,
    enough: float = _LEAST_GAIN,
) -> FloatArray:
    """Search along one parameter after the other, all groups side by side."""
    value = cost(theta)
    step = np.tile(first_step, (len(theta), 1))
    for _ in range(_ROUNDS):
        before = value
        for i in free:
            sides = []
            for sign in (-1.0, 1.0):
                trial = theta.copy()
                trial[:, i] = np.clip(
                    theta[:, i] + sign * step[:, i], bounds[i].low, bounds[i].high
                )
                sides.append((trial, cost(trial)))
            low, high = sides[0][1], sides[1][1]
            with np.errstate(invalid="ignore", divide="ignore"):
                bend = low - 2 * value + high
                move = np.where(bend > 0, 0.5 * (low - high) / bend, 0.0)
            move = np.clip(np.where(np.isfinite(move), move, 0.0), -2.0, 2.0) * step[:, i]
            vertex = theta.copy()
            vertex[:, i] = np.clip(theta[:, i] + move, bounds[i].low, bounds[i].high)
            trials = [theta, sides[0][0], sides[1][0], vertex]
            values = np.stack([value, low, high, cost(vertex)])
            best = values.argmin(0)
            new = np.stack(trials)[best, np.arange(len(theta))]
            moved = np.abs(new[:, i] - theta[:, i])
            step[:, i] = np.clip(2.0 * moved, 0.25 * step[:, i], 2.0 * step[:, i])
            theta, value = new, values.min(0)
        settled = step[:, free].max(1, initial=0.0) < _ENOUGH
        if (settled | (before - value < enough)).all():
            break
    return theta


def subsample(observed: Observed, rows: int) -> Observed:
    """Return windows of each group that together have about so many rows, spread evenly."""
    counts = np.bincount(observed.group, minlength=observed.n_groups)
    if (counts <= rows).all():
        return observed
    ends = np.cumsum(counts)
    chosen: list[IntArray] = []
    for end, count in zip(ends.tolist(), counts.tolist(), strict=True):
        width = min(_WINDOW, rows)
        number = max(rows // width, 1)
        if count <= rows:
            chosen.append(np.arange(end - count, end))
            continue
        starts = end - count + np.linspace(0, count - width, number).astype(np.int64)
        chosen += [np.arange(a, a + width) for a in starts.tolist()]
    index = np.concatenate(chosen)
    first = observed.step[index] == 0
    first |= np.diff(index, prepend=-2) != 1
    part = observed.take(index, first)
    # A walk without an observation cannot be solved.
    walk = np.cumsum(first) - 1
    useful = np.bincount(walk, part.seen.any(1)) > 0
    keep = np.flatnonzero(useful[walk])
    return part.take(keep, part.step[keep] == 0)
