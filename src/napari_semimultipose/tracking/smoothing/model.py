"""Random walks with the noise of their observations: likelihood, positions, and what is left of doubt.

A row t of a group g (a keypoint) is observed as y_t = C_t x_t + n_t, n_t ~ N(0, diag R_t) with
R_t = alpha_g v_t + beta_g: v_t is what the ensemble says about this frame, alpha_g and beta_g make it the
variance that the walk shows. The walk has the variance s_g q_g dt_t a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from napari_semimultipose.poses import BoolArray, FloatArray, IntArray
from napari_semimultipose.tracking.smoothing import walks


class Parameters(NamedTuple):
    """Of G groups.

    Attributes
    ----------
    smoothness : array [G]
        s, px^2 a frame in the model of one camera; the larger, the less is smoothed.
    scale : array [G]
        alpha.
    floor : array [G]
        beta, px^2.
    """

    smoothness: FloatArray
    scale: FloatArray
    floor: FloatArray

    def of(self, groups: IntArray) -> Parameters:
        """Those of some groups."""
        return Parameters(self.smoothness[groups], self.scale[groups], self.floor[groups])


@dataclass(frozen=True)
class Observed:
    """Walks of G groups, laid end to end: T rows of n dimensions, each with D observations.

    Attributes
    ----------
    y : array [T, D]
        Observations; NaN where there is none. Each walk needs one.
    variance : array [T, D]
        v: finite and not negative where `y` is finite.
    step : array [T]
        Frames since the row before; 0 in the first row of a walk.
    group : array [T]
        Rising.
    loading : array [T, D, n], optional
        C; by default D = n = 1 and C = 1.
    shape : array [G, n, n], optional
        q; by default 1.
    prior : array [T, n, n], optional
        Precision around 0 of the first position of a walk, in its first row, and 0 in the others; by
        default nothing is known about it.
    size : array [T], optional
        The walk's variance is so many times that of its group: larger animals move more pixels.
    doubt : array [T, D], optional
        R is so many times as large: observations that contradict others.
    """

    y: FloatArray
    variance: FloatArray
    step: FloatArray
    group: IntArray
    n_groups: int
    loading: FloatArray | None = None
    shape: FloatArray | None = None
    prior: FloatArray | None = None
    size: FloatArray | None = None
    doubt: FloatArray | None = None

    @property
    def n(self) -> int:
        """Dimensions of a position."""
        return 1 if self.loading is None else self.loading.shape[2]

    @property
    def seen(self) -> BoolArray:
        """Which observations [T, D] there are."""
        return np.isfinite(self.y)

    def take(self, rows: IntArray, first: BoolArray) -> Observed:
        """Return some rows; `first` says which of them begin a walk."""
        return replace(
            self,
            y=self.y[rows],
            variance=self.variance[rows],
            step=np.where(first, 0.0, self.step[rows]),
            group=self.group[rows],
            loading=None if self.loading is None else self.loading[rows],
            prior=None if self.prior is None else self.prior[rows],
            size=None if self.size is None else self.size[rows],
            doubt=None if self.doubt is None else self.doubt[rows],
        )

    def noise(self, parameters: Parameters) -> FloatArray:
        """R [T, D]; 1 where nothing is observed."""
        scale, floor = parameters.scale[self.group], parameters.floor[self.group]
        r = scale[:, None] * self.variance + floor[:, None]
        if self.doubt is not None:
            r = r * self.doubt
        return np.where(self.seen, np.maximum(r, _LEAST_VARIANCE), 1.0)

    def _system(self, parameters: Parameters) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Information [T, n], precision [T, n, n] and coupling [T, n, n]; see `walks.solve`."""
        seen = self.seen
        weight = np.where(seen, 1.0 / self.noise(parameters), 0.0)
        y = np.where(seen, self.y, 0.0)
        if self.loading is None:
            information, precision = weight * y, weight[:, :, None].copy()
        else:
            weighted = weight[:, :, None] * self.loading
            information = np.einsum("tdi,td->ti", weighted, y)
            precision = np.matmul(weighted.transpose(0, 2, 1), self.loading)
        if self.prior is not None:
            precision += self.prior
        return information, precision, self._coupling(parameters)

    def _coupling(self, parameters: Parameters) -> FloatArray:
        moved = parameters.smoothness[self.group] * self.step
        if self.size is not None:
            moved = moved * self.size
        inverse = np.divide(1.0, moved, out=np.zeros_like(moved), where=self.step > 0)
        if self.shape is None:
            return inverse[:, None, None]
        return np.asarray(inverse[:, None, None] * np.linalg.inv(self.shape)[self.group])

    def negative_log_likelihood(self, parameters: Parameters) -> FloatArray:
        """Minus the logarithm of the marginal likelihood of each group [G], up to a constant.

        log p(y) = log p(y | x) + log p(x) - log p(x | y) holds for every x; taken at the posterior mean.
        """
        information, precision, coupling = self._system(parameters)
        found = walks.solve(information, precision, coupling)
        r = self.noise(parameters)
        mean = found.mean
        expected = mean if self.loading is None else np.einsum("tdi,ti->td", self.loading, mean)
        residual = np.where(self.seen, self.y - expected, 0.0)
        row = np.where(self.seen, np.log(r) + residual**2 / r, 0.0).sum(1) + found.log_pivot
        step = np.diff(mean, axis=0)
        inside = self.step > 0
        if self.n == 1:
            row[1:] += coupling[1:, 0, 0] * step[:, 0] ** 2
        else:
            row[1:] += np.einsum("ti,tij,tj->t", step, coupling[1:], step)
        moved = parameters.smoothness[self.group] * np.where(inside, self.step, 1.0)
        if self.size is not None:
            moved = moved * self.size
        row += np.where(inside, self.n * np.log(moved), 0.0)
        if self.prior is not None:
            first = np.flatnonzero(~inside)
            row[first] += np.einsum("ti,tij,tj->t", mean[first], self.prior[first], mean[first])
        return np.asarray(0.5 * np.bincount(self.group, row, self.n_groups), np.float64)

    def smooth(self, parameters: Parameters) -> tuple[FloatArray, FloatArray]:
        """Posterior mean [T, n] and covariance [T, n, n] of the positions."""
        information, precision, coupling = self._system(parameters)
        found = walks.solve(information, precision, coupling, pivots=True)
        return found.mean, walks.covariance(precision, coupling, found.pivot)

    def surprise(self, parameters: Parameters) -> FloatArray:
        """Squared innovations [T, D] in units of their variance; NaN where nothing was expected or seen.

        How far an observation is from what the Kalman filter expects from the rows before it.
        """
        information, precision, coupling = self._system(parameters)
        found = walks.solve(information, precision, coupling, pivots=True)
        mean, grown, known = walks.predicted(found, coupling)
        r = self.noise(parameters)
        if self.loading is None:
            expected, variance = mean, grown[:, :, 0] + r
        else:
            expected = np.einsum("tdi,ti->td", self.loading, mean)
            variance = np.einsum("tdi,tij,tdj->td", self.loading, grown, self.loading) + r
        return np.where(known[:, None], (self.y - expected) ** 2 / variance, np.nan)


_LEAST_VARIANCE = 1e-12
