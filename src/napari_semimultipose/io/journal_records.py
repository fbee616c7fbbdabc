"""The records of a journal (see `io.journal`) and how they stand in its file.

A record is a mark, the length of its content, a checksum and the content: a line of JSON and then
plain arrays. A record that was cut off is seen from its length or checksum.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.poses import BoolArray, IntArray, Poses, Source, Video

MAGIC = b"SMPJRNL1"
"""The file begins with it; the last character is the version."""

_MARK = b"\x89edt"
_HEAD = struct.Struct("<4sQI")
_LINE = struct.Struct("<I")

# Values [M, ...] of an animal, and what an empty slot holds.
FIELDS: Mapping[str, tuple[type, float]] = {
    "xy": (np.float64, np.nan),
    "visible": (np.int8, 0),
    "score": (np.float64, 0.0),
    "instance_score": (np.float64, 0.0),
    "track": (np.int64, -1),
    "source": (np.int8, Source.HUMAN),
}
_SPARSE = ("xy", "score")  # written for visible keypoints only

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Origin:
    """Where labels belong.

    Parameters
    ----------
    labels : str
        Their file; "" if there is none yet.
    format : str
        Its format, "" for what the suffix says.
    recording : str
        The recording that was shown.
    """

    labels: str = ""
    format: str = ""
    recording: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """All labels at one moment: everything that came before has no meaning any more.

    Parameters
    ----------
    poses : Poses
        Frames without animals count as looked at and empty.
    origin : Origin
    """

    poses: Poses
    origin: Origin = field(default_factory=Origin)

    def _pack(self) -> tuple[dict[str, Any], Arrays]:
        poses = self.poses
        row, slot = np.nonzero(poses.present)
        values = {name: getattr(poses, name)[row, slot] for name in FIELDS}
        meta = {
            "kind": "table",
            "skeleton": asdict(poses.skeleton),
            "videos": [asdict(v) for v in poses.videos],
            "tracks": list(poses.track_names),
            "origin": asdict(self.origin),
        }
        place = {"video": poses.video[row], "frame": poses.frame[row], "slot": slot}
        empty = np.flatnonzero(~poses.present.any(1))
        marks = {
            "marked": np.column_stack([poses.video[empty], poses.frame[empty]]),
            "mark": np.ones(len(empty), np.bool_),
        }
        return meta, {**place, **marks, **_sparse(values)}


@dataclass(frozen=True, eq=False)
class Edit:
    """What an edit left behind.

    Parameters
    ----------
    video, frame, slot : arrays [M]
        The animals that it touched.
    values : mapping of str to array [M, ...]
        Some or all of `FIELDS`, as they are now; an animal without visible keypoints is gone.
    marked : array [R, 2]
        Video and frame of frames whose mark "looked at, no animal" was set or taken away.
    mark : array [R] of bool
    """

    video: IntArray
    frame: IntArray
    slot: IntArray
    values: Mapping[str, NDArray[Any]]
    marked: IntArray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    mark: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))

    def _pack(self) -> tuple[dict[str, Any], Arrays]:
        place = {"video": self.video, "frame": self.frame, "slot": self.slot}
        marks = {"marked": self.marked, "mark": self.mark} if len(self.mark) else {}
        return {"kind": "edit"}, {**place, **marks, **_sparse(self.values)}


@dataclass(frozen=True)
class Videos:
    """The recordings, after one was added."""

    videos: tuple[Video, ...]

    def _pack(self) -> tuple[dict[str, Any], Arrays]:
        return {"kind": "videos", "videos": [asdict(v) for v in self.videos]}, {}


# ------------------------------------------------------------------- the file


def _sparse(values: Mapping[str, NDArray[Any]]) -> Arrays:
    """Leave out the positions and scores of absent keypoints."""
    there = values["visible"] > 0 if "visible" in values else ...
    return {n: v[there] if n in _SPARSE else v for n, v in values.items()}


def dense(arrays: Arrays) -> Arrays:
    """Do the reverse of `_sparse`."""
    if "visible" not in arrays:
        return arrays
    there = arrays["visible"] > 0
    out = dict(arrays)
    for name in _SPARSE:
        if name in arrays:
            dtype, empty = FIELDS[name]
            out[name] = np.full((*there.shape, *arrays[name].shape[1:]), empty, dtype)
            out[name][there] = arrays[name]
    return out


def encode(record: Table | Edit | Videos) -> list[bytes | memoryview]:
    """Return the bytes of a record, in pieces: those of a whole table are copied no more than needed."""
    meta, arrays = record._pack()
    fixed = {
        n: np.ascontiguousarray(a, np.int32 if n in ("video", "frame", "slot", "marked") else None)
        for n, a in arrays.items()
    }
    meta["arrays"] = [[n, a.dtype.str, list(a.shape)] for n, a in fixed.items()]
    line = json.dumps(meta).encode()
    views: list[Any] = [a.reshape(-1).view(np.uint8).data for a in fixed.values()]
    parts: list[bytes | memoryview] = [_LINE.pack(len(line)) + line, *views]
    check = 0
    for part in parts:
        check = zlib.crc32(part, check)
    return [_HEAD.pack(_MARK, sum(len(p) for p in parts), check), *parts]


def records(data: bytes) -> Iterator[tuple[dict[str, Any], Arrays, int]]:
    """Complete records in the order of the file, each with the place behind it."""
    at = len(MAGIC)
    while at + _HEAD.size <= len(data):
        mark, length, check = _HEAD.unpack_from(data, at)
        start, end = at + _HEAD.size, at + _HEAD.size + length
        body = memoryview(data)[start:end]
        if mark != _MARK or end > len(data) or zlib.crc32(body) != check:
            return
        yield (*_decode(body), end)
        at = end


def first_line(file: BinaryIO) -> dict[str, Any]:
    """Return the JSON of the first record of a file, without reading the rest.

    Raises
    ------
    ValueError, struct.error
        When there is none.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("no journal")
    _, length, _ = _HEAD.unpack(file.read(_HEAD.size))
    if len(MAGIC) + _HEAD.size + length > os.fstat(file.fileno()).st_size:
        raise ValueError("cut off")
    (length,) = _LINE.unpack(file.read(_LINE.size))
    meta: dict[str, Any] = json.loads(file.read(length))
    return meta


def _decode(body: memoryview) -> tuple[dict[str, Any], Arrays]:
    (length,) = _LINE.unpack_from(body)
    at = _LINE.size + length
    meta = json.loads(bytes(body[_LINE.size : at]))
    arrays: Arrays = {}
    for name, kind, shape in meta["arrays"]:
        dtype, n = np.dtype(kind), int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(body, dtype, n, at).reshape(shape)
        arrays[name] = array.astype(np.int64) if name in ("video", "frame", "slot") else array
        at += n * dtype.itemsize
    return meta, arrays


def is_torn(data: bytes, at: int) -> bool:
    """Whether there is nothing behind a place but the beginning of one record."""
    if data.find(_MARK, at + 1) >= 0:
        return False
    rest = data[at : at + _HEAD.size]
    if len(rest) < _HEAD.size:
        return _MARK.startswith(rest[:4])
    mark, length, _ = _HEAD.unpack(rest)
    return bool(mark == _MARK and at + _HEAD.size + length > len(data))
