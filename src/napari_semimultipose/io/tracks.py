"""Columns of animals, for formats that have one for each track."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import IntArray, Poses


def all_track_names(poses: Poses) -> list[str]:
    """Names of all tracks in use, all different and none empty."""
    names: list[str] = []
    for i in range(max(len(poses.track_names), int(poses.track.max(initial=-1)) + 1)):
        name = (poses.track_names[i] if i < len(poses.track_names) else "") or f"track_{i}"
        names.append(name if name not in names else f"{name}_{i}")
    return names


def give_columns(
    title: str, flat: Mapping[str, NDArray], tracks: Sequence[str], reuse: Sequence[int] = ()
) -> IntArray:
    """Give every instance a column: its track, or one that is free in its frame.

    Parameters
    ----------
    title : str
        Name of the format, for errors.
    flat : dict
        `Poses.instances` of M instances.
    tracks : sequence of str
        Names of the tracks; further columns are numbered from their count on.
    reuse : sequence of int
        Tracks that instances without a track may be put on where they are free.

    Returns
    -------
    array [M]
        Columns, different for the instances of a frame.

    Raises
    ------
    LabelsError
        When two instances of a frame have the same track.
    """
    column: IntArray = flat["track"].astype(np.int64)
    places = np.stack([flat["video"], flat["frame"]], 1)
    place = np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)
    loose = np.flatnonzero(column < 0)
    taken: dict[int, set[int]] = defaultdict(set)
    if len(loose) and len(reuse):
        for i in np.flatnonzero(np.isin(place, place[loose]) & (column >= 0)).tolist():
            taken[int(place[i])].add(int(column[i]))
    for i in loose.tolist():
        here = taken[int(place[i])]
        column[i] = next(c for c in chain(reuse, count(len(tracks))) if c not in here)
        here.add(int(column[i]))
    keys, first = np.unique(np.stack([place, column], 1), axis=0, return_index=True)
    if len(keys) < len(column):
        twice = np.setdiff1d(np.arange(len(column)), first)[0]
        raise LabelsError(
            f"frame {flat['frame'][twice]} has two animals on the track {tracks[column[twice]]}; "
            f"{title} has one place for both. Track them again, or write a SLEAP file."
        )
    return column
