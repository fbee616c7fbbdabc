"""Random poses for the property tests of this room."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Video, Visibility

NAMES = ("head", "thorax", "abdomen", "wingL", "wingR")


@st.composite
def random_poses(draw: st.DrawFn, videos: int = 1) -> Poses:
    """Poses with missing and occluded keypoints, empty slots, empty frames, tracks and sources."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    f, n, k = draw(st.integers(0, 5)), draw(st.integers(0, 4)), draw(st.integers(1, 5))
    xy = rng.uniform(-20, 500, (f, n, k, 2))
    xy[rng.random((f, n, k)) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = np.nan
    edges = tuple((i, i + 1) for i in range(k - 1))
    keys = sorted(
        (int(v), int(t))
        for v, t in {(rng.integers(videos), rng.integers(0, 40)) for _ in range(20)}
    )
    keys = [keys[i] for i in sorted(rng.choice(len(keys), min(f, len(keys)), replace=False))]
    f = len(keys)
    return Poses(
        Skeleton(NAMES[:k], edges=edges),
        xy[:f],
        np.array([t for _, t in keys], int),
        video=np.array([v for v, _ in keys], int),
        score=rng.uniform(0.1, 1, (f, n, k)),
        instance_score=rng.uniform(0.1, 1, (f, n)),
        track=rng.integers(-1, 4, (f, n)),
        visible=rng.integers(0, 3, (f, n, k)),
        source=rng.integers(0, 3, (f, n)),
        videos=tuple(Video(f"clip{i}.mp4") for i in range(videos)),
        track_names=("a", "b"),
    )


def assert_same(a: Poses, b: Poses) -> None:
    """The same rows and animals, in any order of the slots' numbers but not of the slots."""
    assert a.skeleton == b.skeleton
    assert a.videos == b.videos
    assert a.track_names == b.track_names
    a, b = a.keep(a.present), b.keep(b.present)
    for name in (
        "frame",
        "video",
        "xy",
        "score",
        "instance_score",
        "track",
        "visible",
    ):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_array_equal(a.source[a.present], b.source[b.present])


def one_edit(store: PoseStore, rng: np.random.Generator) -> Change:
    """Some edit that a person could make now."""
    video, frame = 0, int(rng.integers(0, 12))
    point = rng.uniform(0, 100, 2)
    k = int(rng.integers(len(store.skeleton)))
    rows, slots, keypoints = np.nonzero(store.array("visible") > 0)
    kind = rng.integers(9)
    if kind == 0 or not len(rows):
        return edits.place_keypoint(store, video, frame, None, k, point)
    i = rng.integers(len(rows), size=int(rng.integers(1, 4)))
    i = np.unique(i)
    row, slot = int(rows[i[0]]), int(slots[i[0]])
    where = rows[i], slots[i], keypoints[i]
    if kind == 1:
        return edits.place_keypoint(
            store, int(store.array("video")[row]), int(store.array("frame")[row]), slot, k, point
        )
    if kind == 2:
        return edits.move_keypoints(store, *where, rng.uniform(0, 100, (len(i), 2)))
    if kind == 3:
        return edits.remove_keypoints(store, *where)
    if kind == 4:
        return edits.set_visibility(store, *where, Visibility(int(rng.integers(1, 3))))
    if kind == 5:
        return edits.remove_animals(store, rows[i], slots[i])
    if kind == 6:
        return edits.copy_animals(store, row, [slot], video, frame)
    if kind == 7:
        if len(store.slots(store.row(video, frame))):
            return edits.remove_animals(store, *_all_of(store, video, frame))
        return edits.set_negative(
            store, video, frame, not store.is_negative(store.row(video, frame))
        )
    return edits.set_track(store, row, slot, int(rng.integers(-1, 4)))


def _all_of(store: PoseStore, video: int, frame: int) -> tuple[list[int], list[int]]:
    row = store.row(video, frame)
    slots = store.slots(row)
    return [row] * len(slots), slots
