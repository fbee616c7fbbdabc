"""What the next click places, and how it goes on from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from napari_semimultipose.layers.store import PoseStore


class Key(NamedTuple):
    """Place of a keypoint in a store."""

    row: int
    slot: int
    keypoint: int


class State(Enum):
    """What is known of one keypoint of one animal."""

    MISSING = "missing"
    SKIPPED = "skipped"
    OCCLUDED = "occluded"
    VISIBLE = "visible"


class Walk(Enum):
    """What comes after a keypoint has been placed."""

    KEYPOINTS = "next keypoint"
    FRAMES = "next frame"
    LABELLED = "next labelled frame"


@dataclass(frozen=True)
class Target:
    """What the next click places.

    Parameters
    ----------
    slot : int or None
        The animal; None: a new one.
    keypoint : int
        Index of the keypoint.
    """

    slot: int | None = None
    keypoint: int = 0


class Animal(NamedTuple):
    """An animal on all frames: by its track, or by its place among the animals without a track.

    Parameters
    ----------
    track : int
        -1: it has none.
    place : int
        Counts the animals of a frame that have no track; -1 if this one has a track.
    """

    track: int
    place: int

    @classmethod
    def of(cls, store: PoseStore, row: int | None, slot: int | None) -> Animal:
        """Return the animal in a slot of a row; None stands for a new one, after the others."""
        if (
            row is not None
            and slot is not None
            and (track := int(store.array("track")[row, slot])) >= 0
        ):
            return cls(track, -1)
        others = _without_track(store, row)
        return cls(-1, others.index(slot) if slot in others else len(others))

    def slot(self, store: PoseStore, row: int | None) -> int | None:
        """Slot of the animal on a row, or None when it is not there."""
        if row is None:
            return None
        if self.track >= 0:
            track = store.array("track")[row]
            return next((s for s in store.slots(row) if track[s] == self.track), None)
        others = _without_track(store, row)
        return others[self.place] if self.place < len(others) else None


def _without_track(store: PoseStore, row: int | None) -> list[int]:
    return [s for s in store.slots(row) if store.array("track")[row, s] < 0]


def nearest(frames: Iterable[int], frame: int, direction: int) -> int | None:
    """Return the first of some frames after (+1) or before (-1) a frame; None: there is none."""
    ahead = [f for f in frames if (f - frame) * direction > 0]
    return min(ahead, key=lambda f: abs(f - frame), default=None)
