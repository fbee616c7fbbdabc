"""Somebody who labels in haste, and does the same again for the same seed.

Run as a script, he does so with autosave until he is killed, and says after each edit how many he
has made: ``python labeller.py FOLDER SEED``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Video, Visibility

SKELETON = Skeleton(("head", "body", "tail"), ((0, 1), (1, 2)))
KINDS = ("place",) * 8 + ("move", "remove", "hide", "gone", "copy", "track", "empty", "undo") * 2
RARE = ("skeleton", "video", "swap", "save")


def new_store() -> PoseStore:
    return PoseStore(Poses.empty(SKELETON, [Video("clip")]))


def work(store: PoseStore, seed: int) -> Iterator[str]:
    """Make one edit after the other and yield what it was."""
    rng = np.random.default_rng(seed)
    past: list[Change] = []
    for i in count():
        kind = str(rng.choice(KINDS if i % 23 else RARE)) if i else "place"
        change = _edit(store, kind, rng, past)
        if kind in ("skeleton", "video"):
            past.clear()
        elif change is not None:
            past.append(change)
        yield kind


def _edit(store: PoseStore, kind: str, rng: np.random.Generator, past: list) -> Change | None:
    video, frame = int(rng.integers(len(store.videos))), int(rng.integers(12))
    k, xy = int(rng.integers(len(store.skeleton))), rng.uniform(0, 100, 2)
    row, slot, point = (int(v) for v in _any_keypoint(store, rng))
    if kind == "skeleton":
        n = len(store.skeleton)
        names = (*store.skeleton.keypoints[1:], f"new{store.revision}")
        History.of(store).set_skeleton(Skeleton(names), [*range(1, n), None])
    elif kind == "video":
        store.add_video(Video(f"clip{len(store.videos)}"))
        return edits.place_keypoint(store, len(store.videos) - 1, frame, None, k, xy)
    elif kind == "undo" and past:
        store.apply(past.pop().reversed())
    elif kind == "empty":
        here = store.row(video, frame)
        if not store.slots(here):
            return edits.set_negative(store, video, frame, not store.is_negative(here))
    elif kind == "place" or row < 0:
        return edits.place_keypoint(store, video, frame, None, k, xy)
    elif kind == "move":
        return edits.move_keypoints(store, [row], [slot], [point], [xy])
    elif kind == "remove":
        return edits.remove_keypoints(store, [row], [slot], [point])
    elif kind == "hide":
        return edits.set_visibility(store, [row], [slot], [point], Visibility.OCCLUDED)
    elif kind == "gone":
        return edits.remove_animals(store, [row], [slot])
    elif kind == "copy":
        return edits.copy_animals(store, row, store.slots(row), video, frame)
    elif kind == "track":
        return edits.set_track(store, row, slot, int(rng.integers(-1, 3)))
    elif kind == "swap":
        rows, slots = np.nonzero(store.present())
        track = store.array("track")[rows, slots].copy()
        change = Change("swap", rows, slots, {"track": track}, {"track": 1 - track})
        store.apply(change)
        return change
    return None


def _any_keypoint(store: PoseStore, rng: np.random.Generator) -> np.ndarray:
    there = np.argwhere(store.array("visible") > 0)
    return there[rng.integers(len(there))] if len(there) else np.array([-1, -1, -1])


def main(folder: Path, seed: int) -> None:
    from napari_semimultipose.io.labels import write_poses
    from napari_semimultipose.widgets import autosave

    # What happens in minutes otherwise: the disk is waited for and the journal is written anew.
    autosave.QUIET_S, autosave.GROWTH_BYTES = 0.0, 10_000
    if seed % 2:  # every table is a large one, and is written in the background
        autosave.MANY_KEYPOINTS, autosave.PATIENCE_S = 0, 0.0
    store, labels = new_store(), folder / "labels.json"
    keeper = autosave.Autosave(store, folder / "clip")
    os.write(1, b"ready\n")
    for i, kind in enumerate(work(store, seed)):
        if kind == "save":
            write_poses(store.snapshot(), labels)
            keeper.saved(labels, "coco")
        elif i % 7 == 0:
            keeper.tick()
        os.write(1, f"{i + 1}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
