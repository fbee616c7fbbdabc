"""Labels kept while they are edited: a file that only grows, by one record an edit.

The first record of a journal holds the whole table of labels; every further one holds what an edit
left behind: the animals that it touched, as they are afterwards. Records do not depend on how an
edit was made, an undone one is recorded like any other. Animals are addressed by video, frame and
slot, and slots are those of the table.

When a process is killed while it writes, the last record is cut off; that is seen from its length or
checksum, and the record is left out. Records go to the operating system at once and
thereby survive the end of the process; `Journal.sync` brings them to the disk, for the case that the
computer fails.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.io.journal_records import (
    FIELDS,
    MAGIC,
    Arrays,
    Edit,
    Origin,
    Table,
    Videos,
    dense,
    encode,
    first_line,
    is_torn,
    records,
)
from napari_semimultipose.poses import IntArray, Poses, Skeleton, Video

__all__ = ["Edit", "Journal", "Origin", "Recovered", "Table", "Videos", "origin_of", "recover"]


class Journal:
    """A journal that is written to; make one with `create` or `reopen`.

    Attributes
    ----------
    path : path
    size : int
        Bytes of complete records.
    unsynced : bool
        Whether there are records that may not be on the disk yet.
    """

    def __init__(self, path: Path, handle: FileIO, size: int) -> None:
        self.path = path
        self.size = size
        self.unsynced = True
        self._handle = handle

    @classmethod
    def create(cls, path: Path) -> Journal:
        """Begin a journal.

        Raises
        ------
        FileExistsError
            When there is such a file: it is somebody's work.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("xb", buffering=0)
        journal = cls(path, handle, 0)
        journal._write(MAGIC)
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """Go on with a journal behind its last complete record; see `Recovered.damaged`."""
        end = max((end for _, _, end in records(path.read_bytes())), default=len(MAGIC))
        handle = path.open("r+b", buffering=0)
        journal = cls(path, handle, end)
        journal._cut()
        return journal

    def append(self, record: Table | Edit | Videos) -> None:
        """Add a record; it is with the operating system when this returns.

        Raises
        ------
        OSError
            When it cannot be written. The journal is as it was before then.
        """
        self._write(encode(record))

    def replace(self, table: Table) -> None:
        """Put one table in the place of all records; the old ones stay until it is on the disk.

        Raises
        ------
        OSError
            When it cannot be written. The journal is as it was before then.
        """
        data = MAGIC + encode(table)
        self._handle.close()  # an open file cannot be replaced on Windows
        try:
            with replace_file(self.path) as fresh:
                fresh.write_bytes(data)
            self.size = len(data)
        finally:
            self._handle = self.path.open("r+b", buffering=0)
            self._handle.seek(self.size)
        self.unsynced = False

    def sync(self) -> None:
        """Bring all records to the disk."""
        self.unsynced = False
        try:
            os.fsync(self._handle.fileno())
        except OSError:
            self.unsynced = True
            raise

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._handle.write(view) :]
        except BaseException:
            self._cut()
            raise
        self.size += len(data)
        self.unsynced = True

    def _cut(self) -> None:
        """Forget what stands behind the last complete record."""
        self._handle.truncate(self.size)
        self._handle.seek(self.size)


# ------------------------------------------------------------------- recovery


@dataclass(frozen=True, eq=False)
class Recovered:
    """What a journal holds.

    Parameters
    ----------
    poses : Poses
        The labels after the last complete record, sorted by video and frame.
    origin : Origin
    edits : int
        Number of edits behind the last table.
    damaged : bool
        Whether more than a record that was being written had to be left out: then the file should
        be kept as it is.
    """

    poses: Poses
    origin: Origin
    edits: int
    damaged: bool


def recover(path: str | os.PathLike[str]) -> Recovered:
    """Read the labels of a journal, whatever happened to the process that wrote it.

    Raises
    ------
    LabelsError
        When it is no journal, or holds no complete table.
    """
    place = Path(path)
    data = _read(place)
    replay = _Replay()
    good = len(MAGIC)
    fits = True
    for meta, arrays, end in records(data):
        fits = replay.take(meta, arrays)
        if not fits:
            break
        good = end
    if replay.skeleton is None:
        raise LabelsError(f"{place} holds no labels: it was cut off while it was begun")
    return Recovered(
        replay.poses(), replay.origin, replay.n_edits, not fits or not is_torn(data, good)
    )


def origin_of(path: str | os.PathLike[str]) -> tuple[Origin, tuple[Video, ...]] | None:
    """Return what a journal belongs to, or None when there are no labels in it.

    Reads the beginning of the file only.
    """
    try:
        with Path(path).open("rb") as file:
            meta = first_line(file)
        return Origin(**meta["origin"]), _videos(meta["videos"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def read(path: Path, root: Path | None = None) -> Poses:
    """Read the labels of a journal, as `io.labels.read_poses` does."""
    return recover(path).poses


class _Replay:
    """Gathers what records say; later ones count more."""

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
            self._videos, self._tracks = _videos(meta["videos"]), tuple(meta["tracks"])
            self._parts, self.n_edits = [], 0
        elif self.skeleton is None:
            return False
        if kind == "videos":
            self._videos = _videos(meta["videos"])
            return True
        values = dense(arrays)
        if "visible" in values and values["visible"].shape[1] != len(self.skeleton):
            return False
        self._parts.append(values)
        self.n_edits += kind == "edit"
        return True

    def poses(self) -> Poses:
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


def _videos(stored: list[dict[str, Any]]) -> tuple[Video, ...]:
    return tuple(
        Video(v["path"], tuple(v["images"]), tuple(v["shape"]) if v["shape"] else None)
        for v in stored
    )


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        newer = data.startswith(MAGIC[:-1])
        raise LabelsError(
            f"{path} was written by a newer version of this program: open it with that one"
            if newer
            else f"{path} is no journal of unsaved labels, or it was cut off while it was begun"
        )
    return data
