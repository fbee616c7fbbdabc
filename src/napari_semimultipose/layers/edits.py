"""Everything a person does to poses. Each function makes one `Change`, applies it and returns it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.differences import difference
from napari_semimultipose.layers.store import (
    INSTANCE_FIELDS,
    KEYPOINT_FIELDS,
    Change,
    PoseStore,
)
from napari_semimultipose.poses import IntArray, Source, Visibility

Values = dict[str, NDArray[Any]]


def place_keypoint(
    store: PoseStore,
    video: int,
    frame: int,
    slot: int | None,
    keypoint: int,
    xy: ArrayLike,
    visibility: Visibility = Visibility.VISIBLE,
) -> Change:
    """Put a keypoint at (x, y); without a slot it is the first one of a new animal."""
    row = store.ensure_row(video, frame)
    where = store.free_slots(row, 1)[0] if slot is None else slot

    def place(values: Values) -> None:
        values["xy"][0, keypoint] = np.asarray(xy, np.float64)
        values["visible"][0, keypoint] = visibility
        values["score"][0, keypoint] = 1.0

    return _edit(store, f"place {store.skeleton.keypoints[keypoint]}", [row], [where], place)


def move_keypoints(
    store: PoseStore, row: ArrayLike, slot: ArrayLike, keypoint: ArrayLike, xy: ArrayLike
) -> Change:
    """Move P keypoints, given by row, slot and index [P], to the positions `xy` [P, 2]."""
    rows, slots, member = _animals(row, slot)
    points = np.asarray(keypoint, np.int64)

    def move(values: Values) -> None:
        values["xy"][member, points] = np.asarray(xy, np.float64)
        values["score"][member, points] = 1.0

    return _edit(store, _count("move", len(points), "keypoint"), rows, slots, move)


def remove_keypoints(
    store: PoseStore, row: ArrayLike, slot: ArrayLike, keypoint: ArrayLike
) -> Change:
    """Remove P keypoints, given by row, slot and index [P]."""
    rows, slots, member = _animals(row, slot)
    points = np.asarray(keypoint, np.int64)

    def remove(values: Values) -> None:
        values["visible"][member, points] = Visibility.ABSENT

    return _edit(store, _count("delete", len(points), "keypoint"), rows, slots, remove)


def set_visibility(
    store: PoseStore, row: ArrayLike, slot: ArrayLike, keypoint: ArrayLike, visibility: Visibility
) -> Change:
    """Say of P present keypoints, given by row, slot and index [P], that they are seen or not."""
    rows, slots, member = _animals(row, slot)
    points = np.asarray(keypoint, np.int64)

    def see(values: Values) -> None:
        values["visible"][member, points] = visibility

    return _edit(store, f"mark {visibility.name.lower()}", rows, slots, see)


def remove_animals(store: PoseStore, row: ArrayLike, slot: ArrayLike) -> Change:
    """Remove M animals."""

    def remove(values: Values) -> None:
        values["visible"][:] = Visibility.ABSENT

    rows, slots, _ = _animals(row, slot)
    return _edit(store, _count("delete", len(rows), "animal"), rows, slots, remove)


def drop_keypoints(store: PoseStore, keypoints: ArrayLike) -> Change:
    """Take keypoints away from all animals, because the skeleton will not have them any more.

    What is left of an animal stays what it was, a label or a prediction, and a frame that loses all
    its animals is not marked as empty.
    """
    points = np.asarray(keypoints, np.int64)
    rows, slots = np.nonzero((store.array("visible")[..., points] > 0).any(-1))

    def drop(values: Values) -> None:
        values["visible"][:, points] = Visibility.ABSENT

    names = ", ".join(store.skeleton.keypoints[k] for k in points.tolist())
    return _edit(store, f"delete {names}", rows, slots, drop, by_person=False)


def swap_sides(
    store: PoseStore, row: int, slot: int, pairs: Sequence[tuple[int, int]] | None = None
) -> Change:
    """Exchange left and right of an animal: mirrored pairs of keypoints trade places.

    Parameters
    ----------
    store : PoseStore
    row, slot : int
        The animal.
    pairs : sequence of (int, int), optional
        Some pairs; all those of the skeleton by default.

    Raises
    ------
    LabelsError
        When there are no pairs.
    """
    pairs = store.skeleton.symmetry if pairs is None else pairs
    if not pairs:
        raise LabelsError(
            "the skeleton has no mirrored pairs: enter them on the page Skeleton, 'Mirror of'"
        )
    mirror = np.arange(len(store.skeleton))
    for a, b in pairs:
        mirror[[a, b]] = b, a

    def swap(values: Values) -> None:
        for name in KEYPOINT_FIELDS:
            values[name][:] = values[name][:, mirror]

    return _edit(store, "swap left and right", [row], [slot], swap)


def copy_animals(store: PoseStore, row: int, slots: ArrayLike, video: int, frame: int) -> Change:
    """Copy animals of one row to another frame, as new animals with the same tracks."""
    source = np.asarray(slots, np.int64).reshape(-1)
    target = store.ensure_row(video, frame)
    free = store.free_slots(target, len(source))
    copied = {name: store.array(name)[row, source].copy() for name in INSTANCE_FIELDS}

    def paste(values: Values) -> None:
        for name, value in copied.items():
            values[name][:] = value

    return _edit(store, _count("copy", len(source), "animal"), [target] * len(source), free, paste)


def accept_animals(store: PoseStore, row: int, slots: ArrayLike) -> Change:
    """Make predicted animals of one row labels, as they are."""
    chosen = np.asarray(slots, np.int64).reshape(-1)

    def accept(values: Values) -> None:
        values["score"][values["visible"] > 0] = 1.0

    return _edit(
        store, _count("accept", len(chosen), "animal"), [row] * len(chosen), chosen, accept
    )


def add_animals(
    store: PoseStore, video: int, frame: int, xy: ArrayLike, visible: ArrayLike
) -> Change:
    """Add animals to a frame, without tracks: positions [M, K, 2] and visibilities [M, K]."""
    positions, seen = np.asarray(xy, np.float64), np.asarray(visible, np.int8)
    row = store.ensure_row(video, frame)
    free = store.free_slots(row, len(positions))

    def add(values: Values) -> None:
        values["xy"][:], values["visible"][:] = positions, seen
        values["score"][:], values["track"][:] = 1.0, -1

    return _edit(store, _count("add", len(free), "animal"), [row] * len(free), free, add)


def set_track(store: PoseStore, row: int, slot: int, track: int) -> Change:
    """Give an animal a track (-1: none); who has it on this frame takes the other's in exchange."""
    others = [s for s in store.slots(row) if s != slot and store.array("track")[row, s] == track]
    chosen = [slot, *(others if track >= 0 else [])]
    old = int(store.array("track")[row, slot])

    def assign(values: Values) -> None:
        values["track"][0] = track
        values["track"][1:] = old

    name = f"make it animal {track + 1}" if track >= 0 else "take the number away"
    return _edit(store, name, [row] * len(chosen), chosen, assign)


def set_negative(store: PoseStore, video: int, frame: int, negative: bool) -> Change:
    """Mark a frame as looked at and without any animal, or take the mark away.

    Raises
    ------
    ValueError
        When a frame with animals is to be marked.
    """
    row = store.ensure_row(video, frame)
    if negative and store.slots(row):
        raise ValueError("the frame holds animals")
    nothing: dict[str, NDArray] = {}
    change = Change(
        "mark as empty" if negative else "unmark as empty",
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        nothing,
        nothing,
        np.array([row]),
        np.array([store.is_negative(row)]),
        np.array([negative]),
    )
    store.apply(change)
    return change


def _edit(
    store: PoseStore,
    name: str,
    row: ArrayLike,
    slot: ArrayLike,
    mutate: Callable[[Values], None],
    by_person: bool = True,
) -> Change:
    """Let `mutate` alter copies of M animals, keep them consistent, and apply the difference."""
    rows, slots = np.asarray(row, np.int64), np.asarray(slot, np.int64)
    before = {field: store.array(field)[rows, slots].copy() for field in INSTANCE_FIELDS}
    after = {field: value.copy() for field, value in before.items()}
    mutate(after)
    absent = after["visible"] == Visibility.ABSENT
    gone = absent.all(-1)
    after["xy"][absent] = np.nan
    after["score"][absent] = 0.0
    if by_person:  # who has touched these animals: they are labels from now on
        after["source"][:] = Source.HUMAN
        after["instance_score"][:] = 1.0
    after["instance_score"][gone] = 0.0
    after["track"][gone] = -1
    filled = np.unique(rows[~gone])
    filled = filled[[store.is_negative(int(r)) for r in filled]] if len(filled) else filled
    change = difference(
        name,
        rows,
        slots,
        before,
        after,
        filled,
        np.ones(len(filled), bool),
        np.zeros(len(filled), bool),
    )
    store.apply(change)
    return change


def _animals(row: ArrayLike, slot: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
    """Distinct animals [M] of P keypoints, and to which of them [P] each keypoint belongs."""
    pairs = np.column_stack([np.asarray(row, np.int64), np.asarray(slot, np.int64)])
    distinct, member = np.unique(pairs, axis=0, return_inverse=True)
    return distinct[:, 0], distinct[:, 1], member.reshape(-1)


def _count(verb: str, n: int, noun: str) -> str:
    return f"{verb} {noun}" if n == 1 else f"{verb} {n} {noun}s"
