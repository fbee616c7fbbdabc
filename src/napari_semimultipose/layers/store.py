"""The table behind an editable layer: poses that change in place, one `Change` at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.measured import Measured
from napari_semimultipose.poses import BoolArray, IntArray, Poses, Skeleton, Source, Video

# Value of an empty slot, for each array of `Poses` that has the axes [F, N, ...].
INSTANCE_FIELDS: Mapping[str, float] = {
    "xy": np.nan,
    "visible": 0,
    "score": 0.0,
    "instance_score": 0.0,
    "track": -1,
    "source": Source.HUMAN,
}
KEYPOINT_FIELDS = ("xy", "visible", "score")
"""Those of them that have an axis of keypoints."""
# Only where poses came with a spread: that, and the positions that it belongs to.
_SPREAD_FIELDS = ("spread", "spread_xy")

_ROW_FIELDS = ("frame", "video")


def _no_rows() -> IntArray:
    return np.zeros(0, np.int64)


def _no_flags() -> BoolArray:
    return np.zeros(0, np.bool_)


@dataclass(frozen=True, eq=False)
class Change:
    """One edit: which animals and frames it touched, and their values before and after.

    Rows and slots of a store are never renumbered, so a change can be applied, reversed and kept.

    Parameters
    ----------
    name : str
        What was done, in words for a menu.
    row, slot : arrays [M]
        The animals.
    before, after : mapping of str to array [M, ...]
        Some or all of `INSTANCE_FIELDS`.
    marked : array [R]
        Rows whose mark "no animal on this frame" changes.
    mark_before, mark_after : arrays [R] of bool
    """

    name: str
    row: IntArray
    slot: IntArray
    before: Mapping[str, NDArray]
    after: Mapping[str, NDArray]
    marked: IntArray = field(default_factory=_no_rows)
    mark_before: BoolArray = field(default_factory=_no_flags)
    mark_after: BoolArray = field(default_factory=_no_flags)

    def reversed(self) -> Change:
        """Return the change that undoes this one."""
        return Change(
            self.name,
            self.row,
            self.slot,
            self.after,
            self.before,
            self.marked,
            self.mark_after,
            self.mark_before,
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing becomes different."""
        return not self.after and np.array_equal(self.mark_before, self.mark_after)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        arrays = (self.row, self.slot, self.marked, *self.before.values(), *self.after.values())
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True)
class SkeletonChange:
    """Another skeleton for the same animals; no labelled keypoint gets lost by it.

    Parameters
    ----------
    name : str
        What was done, in words for a menu.
    before, after : Skeleton
        With K and L keypoints.
    origin : tuple of int or None, of length L
        For each keypoint of `after` its index in `before`; None for a new one.

    Raises
    ------
    ValueError
        When `origin` does not have L entries, or mentions a keypoint twice.
    """

    name: str
    before: Skeleton
    after: Skeleton
    origin: tuple[int | None, ...]

    def __post_init__(self) -> None:
        known = [i for i in self.origin if i is not None]
        if len(self.origin) != len(self.after) or len(set(known)) != len(known):
            raise ValueError(f"origin must name {len(self.after)} different keypoints, or None")

    @property
    def dropped(self) -> list[int]:
        """Keypoints of `before` that `after` does not have."""
        return [i for i in range(len(self.before)) if i not in self.origin]

    def reversed(self) -> SkeletonChange:
        """Return the change that undoes this one."""
        where = {old: new for new, old in enumerate(self.origin) if old is not None}
        origin = tuple(where.get(i) for i in range(len(self.before)))
        return SkeletonChange(self.name, self.after, self.before, origin)


class PoseStore:
    """Poses that a layer shows and a person edits.

    The arrays are those of `Poses`, with room for more rows. An animal is addressed by its row and
    slot, which stay the same for as long as the store lives.

    Attributes
    ----------
    listeners : list of callables
        Called with each `Change` after it was applied, and with None after anything else changed.
    revision : int
        Grows with every change.
    generation : int
        Grows when animals were replaced without a `Change`: earlier changes must not be applied or
        reversed any more.
    read_only : str
        Why nothing may be changed, in words for the user; "" when it may.
    fixed_skeleton : str
        Why the skeleton may not be changed; "" when it may.
    half_done : bool
        Whether more changes belong to the edit that is being made, see `half_way`.
    measured : Measured or None
        Metrics of the poses, see `set_measured`.
    """

    half_done = False

    def __init__(self, poses: Poses) -> None:
        self.listeners: list[Callable[[Change | None], None]] = []
        self.revision = 0
        self._labelled: dict[int, tuple[int, dict[int, int]]] = {}
        self.generation = 0
        self.read_only = ""
        self.fixed_skeleton = ""
        self._load(poses)

    def _load(self, poses: Poses) -> None:
        names = (*INSTANCE_FIELDS, *_ROW_FIELDS)
        keys = zip(poses.video.tolist(), poses.frame.tolist(), strict=True)
        rows = {key: i for i, key in enumerate(keys)}
        if len(rows) < len(poses):
            raise ValueError("poses of a store must have one row a frame")
        self.skeleton: Skeleton = poses.skeleton
        self.videos: tuple[Video, ...] = poses.videos
        self.track_names: tuple[str, ...] = poses.track_names
        self._used = len(poses)
        self._arrays: dict[str, NDArray] = {name: getattr(poses, name).copy() for name in names}
        if poses.spread is not None:
            self._arrays["spread"] = poses.spread.copy()
            self._arrays["spread_xy"] = poses.xy.copy()
        self._negative: BoolArray = np.logical_not(poses.present.any(1)).astype(np.bool_)
        self._rows: dict[tuple[int, int], int] = rows
        self.measured: Measured | None = None

    def copy(self) -> PoseStore:
        """Return a store of the same content, which changes of this one do not reach.

        Quicker than `snapshot`, which can then be taken in another thread.
        """
        other = PoseStore.__new__(PoseStore)
        other.listeners, other.revision = [], self.revision
        other._labelled, other.read_only, other.fixed_skeleton = {}, "", ""
        other.generation = self.generation
        other.skeleton, other.videos, other.track_names = (
            self.skeleton,
            self.videos,
            self.track_names,
        )
        other._used = self._used
        other._arrays = {name: array[: self._used].copy() for name, array in self._arrays.items()}
        other._negative = self._negative[: self._used].copy()
        other._rows = dict(self._rows)
        other.measured = self.measured
        return other

    # ---------------------------------------------------------------- reading

    def __len__(self) -> int:
        """Return the number of rows, including rows without animals."""
        return self._used

    @property
    def n_slots(self) -> int:
        """Number of slots of every row."""
        return int(self._arrays["visible"].shape[1])

    def array(self, name: str) -> NDArray:
        """Return a view [F, N, ...] of one array of `Poses`; not to be written to."""
        view = self._arrays[name][: self._used]
        view.flags.writeable = False
        return view

    def row(self, video: int, frame: int) -> int | None:
        """Row of a frame, or None when there is none."""
        return self._rows.get((video, frame))

    def rows_near(self, video: int, frame: int, radius: int) -> IntArray:
        """Rows of the frames within `radius` frames of a frame."""
        keys = ((video, f) for f in range(frame - radius, frame + radius + 1))
        return np.array([self._rows[key] for key in keys if key in self._rows], np.int64)

    def present(self) -> BoolArray:
        """Which slots [F, N] hold an animal."""
        return np.asarray((self.array("visible") > 0).any(-1))

    def slots(self, row: int | None) -> list[int]:
        """Slots of a row that hold an animal."""
        if row is None:
            return []
        return [int(i) for i in np.flatnonzero((self._arrays["visible"][row] > 0).any(-1))]

    def is_negative(self, row: int | None) -> bool:
        """Whether the frame of a row is marked as holding no animal."""
        return row is not None and bool(self._negative[row])

    def labelled(self, video: int) -> dict[int, int]:
        """Frames of one video that a person labelled or marked as empty, with their animals.

        In the order of the frames; the same mapping until the table changes.
        """
        if self._labelled.get(video, (-1, {}))[0] == self.revision:
            return self._labelled[video][1]
        human = self.present() & (self.array("source") == Source.HUMAN)
        chosen = (human.any(1) | self._negative[: self._used]) & (self.array("video") == video)
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(self.array("frame")[rows])]
        counts = human[rows].sum(1).tolist()
        found = dict(zip(self.array("frame")[rows].tolist(), counts, strict=True))
        self._labelled[video] = self.revision, found
        return found

    def take(self, rows: ArrayLike) -> Poses:
        """Poses of some rows, with their slots as they are."""
        index = np.asarray(rows, np.int64)
        return Poses(
            self.skeleton,
            **{name: self._arrays[name][index] for name in (*INSTANCE_FIELDS, *_ROW_FIELDS)},
            spread=self._spread(index),
            videos=self.videos,
            track_names=self.track_names,
        )

    @property
    def has_spread(self) -> bool:
        """Whether poses came with the spread of their positions."""
        return "spread" in self._arrays

    def _spread(self, index: IntArray) -> NDArray | None:
        """Spread of keypoints that nobody has moved since."""
        if not self.has_spread:
            return None
        same = self._arrays["xy"][index] == self._arrays["spread_xy"][index]
        return np.where(same, self._arrays["spread"][index], np.nan)

    def sample(self, n: int) -> Poses:
        """Return about `n` rows with animals, evenly spread: enough to judge the size of animals."""
        rows = np.flatnonzero(self.present().any(1))
        return self.take(rows[:: max(1, len(rows) // n)])

    def table(self) -> Poses:
        """Return all animals, with their slots as they are, and all marked frames, sorted."""
        rows = np.flatnonzero(self.present().any(1) | self._negative[: self._used])
        return self.take(rows[np.lexsort((self.array("frame")[rows], self.array("video")[rows]))])

    def snapshot(self) -> Poses:
        """Return all animals and all marked frames as `Poses`, sorted by video and frame."""
        poses = self.table()
        count = poses.present.sum(1)
        packed = np.arange(self.n_slots) < count[:, None]
        if count.max(initial=0) == self.n_slots and (poses.present == packed).all():
            return poses  # nothing to pack, which would take time in long recordings
        return poses.keep(poses.present)

    # ---------------------------------------------------------------- writing

    def ensure_row(self, video: int, frame: int) -> int:
        """Return the row of a frame; a new one is no change by itself."""
        row = self._rows.get((video, frame))
        if row is None:
            row = self._used
            if row == len(self._negative):
                self._grow_rows(max(16, row // 2))
            self._arrays["frame"][row], self._arrays["video"][row] = frame, video
            self._rows[video, frame] = row
            self._used += 1
        return row

    def free_slots(self, row: int, n: int) -> list[int]:
        """Return the first `n` slots of a row without an animal, making room where needed."""
        free = np.flatnonzero(~(self._arrays["visible"][row] > 0).any(-1)).tolist()
        if len(free) < n:
            more = n - len(free)
            free += range(self.n_slots, self.n_slots + more)
            self._grow_slots(more)
        return [int(i) for i in free[:n]]

    @contextmanager
    def half_way(self) -> Iterator[None]:
        """Say that what is changed in the block makes no sense without the change that follows.

        Who keeps the table waits for that: half of such an edit must not be left by a crash.
        """
        before, self.half_done = self.half_done, True
        try:
            yield
        finally:
            self.half_done = before

    def apply(self, change: Change) -> None:
        """Apply a change and tell the listeners.

        Raises
        ------
        LabelsError
            When the store is read-only, as with everything else that changes it.
        """
        self._check_writable()
        for name, value in change.after.items():
            self._arrays[name][change.row, change.slot] = value
        self._negative[change.marked] = change.mark_after
        self._tell(change)

    def add(self, poses: Poses) -> None:
        """Add the rows of poses of the same skeleton and videos; known frames are replaced."""
        self._check_writable()
        if poses.skeleton.keypoints != self.skeleton.keypoints:
            raise ValueError("the poses have another skeleton than the store")
        used = self._used
        rows = np.array(
            [
                self.ensure_row(v, f)
                for v, f in zip(poses.video.tolist(), poses.frame.tolist(), strict=True)
            ],
            np.int64,
        )
        n = poses.xy.shape[1]
        self._grow_slots(max(0, n - self.n_slots))
        for name, fill in INSTANCE_FIELDS.items():
            self._arrays[name][rows] = fill
            self._arrays[name][rows, :n] = getattr(poses, name)
        if poses.spread is not None and not self.has_spread:
            for name in _SPREAD_FIELDS:
                self._arrays[name] = np.full_like(self._arrays["xy"], np.nan)
        if self.has_spread:
            for name in _SPREAD_FIELDS:
                self._arrays[name][rows] = np.nan
            if poses.spread is not None:
                self._arrays["spread"][rows, :n] = poses.spread
                self._arrays["spread_xy"][rows, :n] = poses.xy
        self._negative[rows] = ~poses.present.any(1)
        self.generation += bool((rows < used).any())
        self._tell(None)

    def set_skeleton(self, change: SkeletonChange) -> None:
        """Give all animals another skeleton; rows and slots stay what they are.

        Raises
        ------
        ValueError
            When the change starts from another skeleton, or drops keypoints that animals have.
        LabelsError
            When it may not be changed, see `fixed_skeleton`.
        """
        self._check_writable()
        if self.fixed_skeleton:
            raise LabelsError(self.fixed_skeleton)
        if change.before != self.skeleton:
            raise ValueError("the change starts from another skeleton than that of the store")
        if (self.array("visible")[..., change.dropped] > 0).any():
            raise ValueError("keypoints that animals have cannot be dropped")
        self.skeleton = change.after
        for name in KEYPOINT_FIELDS:
            self._arrays[name] = _rearranged(
                self._arrays[name], change.origin, INSTANCE_FIELDS[name]
            )
        for name in _SPREAD_FIELDS if self.has_spread else ():
            self._arrays[name] = _rearranged(self._arrays[name], change.origin, np.nan)
        self.measured = None
        self._tell(None)

    def set_measured(self, measured: Measured | None) -> None:
        """Take over the metrics of all rows as they are now."""
        self.measured = measured
        self._tell(None)

    def add_video(self, video: Video) -> int:
        """Add a recording without labels and return its index."""
        self._check_writable()
        self.videos = (*self.videos, video)
        self._tell(None)
        return len(self.videos) - 1

    def set_video(self, index: int, video: Video) -> None:
        """Say that a recording is found elsewhere."""
        self._check_writable()
        self.videos = (*self.videos[:index], video, *self.videos[index + 1 :])
        self._tell(None)

    def replace(self, poses: Poses) -> None:
        """Take over another table; addresses of the old one lose their meaning."""
        self._check_writable()
        self._load(poses)
        self.generation += 1
        self._tell(None)

    def _check_writable(self) -> None:
        if self.read_only:
            raise LabelsError(self.read_only)

    def _tell(self, change: Change | None) -> None:
        self.revision += 1
        for listener in list(self.listeners):
            listener(change)

    def _grow_rows(self, by: int) -> None:
        for name, array in self._arrays.items():
            fill = np.nan if name in _SPREAD_FIELDS else INSTANCE_FIELDS.get(name, 0)
            self._arrays[name] = np.concatenate(
                [array, np.full((by, *array.shape[1:]), fill, array.dtype)]
            )
        self._negative = np.concatenate([self._negative, np.zeros(by, np.bool_)])

    def _grow_slots(self, by: int) -> None:
        fills = dict(INSTANCE_FIELDS) | dict.fromkeys(_SPREAD_FIELDS, np.nan)
        for name in [name for name in fills if name in self._arrays]:
            array, fill = self._arrays[name], fills[name]
            shape = (array.shape[0], by, *array.shape[2:])
            self._arrays[name] = np.concatenate([array, np.full(shape, fill, array.dtype)], axis=1)


def _rearranged(array: NDArray, origin: Sequence[int | None], fill: float) -> NDArray:
    """Take the keypoints [F, N, L, ...] from [F, N, K, ...] by index; None becomes `fill`."""
    shape = (*array.shape[:2], len(origin), *array.shape[3:])
    out = np.full(shape, fill, array.dtype)
    for new, old in enumerate(origin):
        if old is not None:
            out[:, :, new] = array[:, :, old]
    return out
