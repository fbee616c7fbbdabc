"""Small pictures of lines and trails for the list of layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIZE_PX = 32
_DOTS = 24  # of a line; it is no longer than the picture


def dots(place: ArrayLike, color: ArrayLike, shape: tuple[float, float]) -> NDArray[np.uint8]:
    """Paint dots, the later ones over the earlier ones.

    Parameters
    ----------
    place : array [P, 2]
        (row, column) in px of the recording; those outside of it and NaN are left out.
    color : array [P, 4]
        RGBA, 0..1.
    shape : (float, float)
        Height and width of the recording in px.

    Returns
    -------
    array [32, 32, 4] of uint8
        The recording fills the longer side.
    """
    out = np.zeros((SIZE_PX, SIZE_PX, 4), np.uint8)
    out[..., 3] = 255
    zoom = SIZE_PX / max(*shape, 1.0)
    spot = np.asarray(place, np.float64).reshape(-1, 2) * zoom
    inside = ((spot >= 0) & (spot < np.array(shape) * zoom)).all(1)
    row, column = spot[inside].astype(np.int64).T
    out[row, column] = np.round(255 * np.asarray(color, np.float64).reshape(-1, 4)[inside])
    return out


def lines(
    start: ArrayLike, way: ArrayLike, color: ArrayLike, shape: tuple[float, float]
) -> NDArray[np.uint8]:
    """Paint M lines from `start` [M, 2] along `way` [M, 2], both (row, column) in px; see `dots`."""
    share = np.linspace(0, 1, _DOTS)[:, None]
    begin, along = (np.asarray(a, np.float64).reshape(-1, 1, 2) for a in (start, way))
    place = begin + along * share
    return dots(place, np.repeat(np.asarray(color).reshape(-1, 4), _DOTS, axis=0), shape)
