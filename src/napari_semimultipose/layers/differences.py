"""What an edit changes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers.store import Change
from napari_semimultipose.poses import BoolArray, IntArray


def difference(
    name: str,
    row: IntArray,
    slot: IntArray,
    before: Mapping[str, NDArray],
    after: Mapping[str, NDArray],
    marked: IntArray | None = None,
    mark_before: BoolArray | None = None,
    mark_after: BoolArray | None = None,
) -> Change:
    """Make a change of M animals that holds only the fields and animals that become different.

    A single animal stays in the change even if it remains what it is: it is what was edited.

    Parameters
    ----------
    name : str
    row, slot : arrays [M]
    before, after : mappings of str to array [M, ...]
        Values of the same fields.
    marked, mark_before, mark_after : arrays [R], optional
        See `Change`.
    """
    differs = {field: different(before[field], value) for field, value in after.items()}
    fields = [field for field, rows in differs.items() if rows.any()]
    some = np.zeros(len(row), np.bool_)
    for field in fields:
        some |= differs[field]
    if len(row) > 1 and not some.all():
        row, slot = row[some], slot[some]
        before = {field: before[field][some] for field in fields}
        after = {field: after[field][some] for field in fields}
    nobody = np.zeros(0, np.bool_)
    return Change(
        name,
        row,
        slot,
        {field: before[field] for field in fields},
        {field: after[field] for field in fields},
        np.zeros(0, np.int64) if marked is None else marked,
        nobody if mark_before is None else mark_before,
        nobody if mark_after is None else mark_after,
    )


def different(a: NDArray, b: NDArray, axes: int = 1) -> BoolArray:
    """Which elements of the first `axes` axes of two arrays differ; NaN is equal to NaN."""
    same = (a == b) | ((a != a) & (b != b))
    return np.asarray(~same.all(axis=tuple(range(axes, same.ndim))))
