"""The labels that the records of a journal add up to; see `io.journal`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.io.journal_records import FIELDS, Arrays, Origin, dense
from napari_semimultipose.poses import IntArray, Poses, Skeleton, Video


class Replay:
    """Gathers what records say; later ones count more.

    Attributes
    ----------
    skeleton : Skeleton or None
        None before the first table.
    origin : Origin
    n_edits : int
        Edits behind the last table.
    """

    def __init__(self) -> None:
        self.skeleton: Skeleton | None = None
        self.origin = Origin()
        self.n_edits = 0
        self._videos: tuple[Video, ...] = ()
        self._tracks: tuple[str, ...] = ()
        self._parts: list[Arrays] = []

    def take(self, meta: dict[str, Any], arrays: Arrays) -> bool:
        """Take a record; False when it does not fit those before."""
        kind = meta["kind"]
        if kind == "table":
            self.skeleton = Skeleton(**meta["skeleton"])
            self.origin = Origin(**meta["origin"])
            self._videos, self._tracks = videos_of(meta["videos"]), tuple(meta["tracks"])
            self._parts, self.n_edits = [], 0
        elif self.skeleton is None:
            return False
        if kind == "videos":
            self._videos = videos_of(meta["videos"])
            return True
        values = dense(arrays)
        if "visible" in values and values["visible"].shape[1] != len(self.skeleton):
            return False
        self._parts.append(values)
        self.n_edits += kind == "edit"
        return True

    def poses(self) -> Poses:
        """Return the labels after the records taken so far, sorted by video and frame."""
        assert self.skeleton is not None
        keys = [_key(p["video"], p["frame"]) for p in self._parts]
        marked = [_key(*p["marked"].T) for p in self._parts if "marked" in p]
        rows = np.unique(np.concatenate([*keys, *marked]))
        n = max((int(p["slot"].max(initial=-1)) + 1 for p in self._parts), default=0)
        tails = {"xy": (len(self.skeleton), 2), "visible": (len(self.skeleton),)}
        tails["score"] = tails["visible"]
        arrays: Arrays = {}
        for name, (dtype, empty) in FIELDS.items():
            arrays[name] = np.full((len(rows), n, *tails.get(name, ())), empty, dtype)
            parts = [(k, p) for k, p in zip(keys, self._parts, strict=True) if name in p]
            row = np.searchsorted(rows, np.concatenate([k for k, _ in parts]))
            slot = np.concatenate([p["slot"] for _, p in parts])
            _assign(arrays[name], row, slot, np.concatenate([p[name] for _, p in parts]))
        empty_rows = np.zeros(len(rows), np.bool_)
        if marked:
            where = np.searchsorted(rows, np.concatenate(marked))
            flags = np.concatenate([p["mark"] for p in self._parts if "marked" in p])
            last = _last(where)
            empty_rows[where[last]] = flags[last]
        kept = (arrays["visible"] > 0).any((1, 2)) | empty_rows
        poses = Poses(
            self.skeleton,
            **{name: array[kept] for name, array in arrays.items()},
            frame=rows[kept] & 0xFFFFFFFF,
            video=rows[kept] >> 32,
            videos=self._videos,
            track_names=self._tracks,
        )
        return poses.keep(poses.present)


def _assign(array: NDArray, row: IntArray, slot: IntArray, values: NDArray) -> None:
    """Set ``array[row, slot]``; of several values for one place the last one counts."""
    last = _last(row * max(1, array.shape[1]) + slot)
    array[row[last], slot[last]] = values[last]


def _last(place: IntArray) -> IntArray:
    """Return the indices of the last entry for each place."""
    _, first = np.unique(place[::-1], return_index=True)
    return np.asarray(len(place) - 1 - first)


def _key(video: IntArray, frame: IntArray) -> IntArray:
    return (np.asarray(video, np.int64) << 32) + np.asarray(frame, np.int64)


def videos_of(stored: list[dict[str, Any]]) -> tuple[Video, ...]:
    """Return recordings as they were before they were written."""
    return tuple(
        Video(v["path"], tuple(v["images"]), tuple(v["shape"]) if v["shape"] else None)
        for v in stored
    )
