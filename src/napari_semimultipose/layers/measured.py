"""Metrics of the poses of a store: columns of its points, for as long as nobody has moved them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.metrics import Metrics
from napari_semimultipose.poses import FloatArray, IntArray

Values = NDArray[np.float32]


class Measured:
    """Metrics of F rows, N slots and K keypoints, and the positions that they belong to.

    Parameters
    ----------
    metrics : mapping of str to Metric
        See `metrics`.
    xy : array [F, N, K, 2]
        The positions that were measured.
    """

    def __init__(self, metrics: Metrics, xy: FloatArray) -> None:
        self._xy = xy
        self._px = {name: metric.px.astype(np.float32) for name, metric in metrics.items()}
        self._ratio = {name: metric.ratio.astype(np.float32) for name, metric in metrics.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(self._px)

    def at(
        self, rows: IntArray, xy: FloatArray
    ) -> tuple[Mapping[str, Values], Mapping[str, Values]]:
        """Return what was measured of some rows, px, and as shares of what is plausible.

        Parameters
        ----------
        rows : array [R] of int
            Rows of the store; those that came later have no metrics.
        xy : array [R, N, K, 2]
            Where the keypoints are now; those that were moved have no metrics.

        Returns
        -------
        mappings of str to array [R, N, K]
            NaN where nothing is known.
        """
        f, n, k = self._xy.shape[:3]
        known = np.flatnonzero(rows < f)
        m = min(n, xy.shape[1])
        same = (self._xy[rows[known], :m] == xy[known, :m]).all(-1)

        def spread(values: Values) -> Values:
            out = np.full(xy.shape[:3], np.nan, np.float32)
            out[known, :m] = np.where(same, values[rows[known], :m], np.nan)
            return out

        if xy.shape[2] != k:
            return {}, {}
        return (
            {name: spread(values) for name, values in self._px.items()},
            {name: spread(values) for name, values in self._ratio.items()},
        )
