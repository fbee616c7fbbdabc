"""Columns of a table of points, and which points are one animal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.errors import LabelsError

if TYPE_CHECKING:
    import pandas as pd


def columns(features: pd.DataFrame | Mapping[str, ArrayLike] | None) -> dict[str, Any]:
    """Return the columns of a table by their names."""
    return {} if features is None else {str(name): features[name] for name in features}


def indices(names: ArrayLike, known: Sequence[str]) -> NDArray[np.int64]:
    """Index of each name in `known`."""
    values, inverse = np.unique(np.asarray(names).astype(str), return_inverse=True)
    where = {name: i for i, name in enumerate(known)}
    unknown = [v for v in values if v not in where]
    if unknown:
        raise LabelsError(
            f"the points name keypoints that the skeleton does not have: {', '.join(unknown)}"
        )
    return np.array([where[v] for v in values], np.int64)[inverse.reshape(-1)]


def codes(
    values: ArrayLike | None, names: Mapping[Any, str], default: int, n: int
) -> NDArray[np.int8]:
    """Turn words of a feature column into their numbers; unknown words become the default."""
    if values is None:
        return np.full(n, default, np.int8)
    words = np.asarray(values).astype(str)
    out = np.full(n, default, np.int8)
    for code, word in names.items():
        out[words == word] = code
    return out


def numbers(values: ArrayLike | None, default: float, n: int) -> NDArray[np.float64]:
    """Return a column of numbers; the default stands where there is none."""
    if values is None:
        return np.full(n, default, np.float64)
    out = np.asarray(values).astype(np.float64)
    return np.where(np.isnan(out), default, out)


def repetition(frame: NDArray, keypoint: NDArray) -> NDArray[np.int64]:
    """How often [P] the same keypoint came before in the same frame."""
    order = np.lexsort((np.arange(len(frame)), keypoint, frame))
    new = np.ones(len(frame), bool)
    new[1:] = (np.diff(frame[order]) != 0) | (np.diff(keypoint[order]) != 0)
    start = np.maximum.accumulate(np.where(new, np.arange(len(frame)), 0))
    out = np.empty(len(frame), np.int64)
    out[order] = np.arange(len(frame)) - start
    return out


def by_order(frame: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keypoint and animal [P] of plain points: K in a row are an animal."""
    place = repetition(frame, np.zeros_like(frame))
    frames, counts = np.unique(frame, return_counts=True)
    wrong = np.flatnonzero(counts % k)
    if len(wrong):
        i = wrong[0]
        raise LabelsError(
            f"frame {frames[i]} has {counts[i]} points, which is no multiple of the {k} keypoints of "
            "the skeleton; a plain Points layer can be taken over when every animal has all points, "
            "in the order of the skeleton"
        )
    return place % k, place // k


def group(
    frame: NDArray, animal: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Animals (frame, number) [M, 2], their first point [M], and the animal of each point [P]."""
    pairs = np.column_stack([frame, animal]).reshape(-1, 2)
    instance, first, member = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    return instance, first, member.reshape(-1)
