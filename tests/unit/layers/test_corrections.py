"""Corrections of poses that still come are made again in the final ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.corrections import NAME, Corrections
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.store import PoseStore, SkeletonChange
from napari_semimultipose.poses import Poses, Skeleton, Source

SKELETON = Skeleton(("head", "tail"))


@pytest.fixture
def found() -> Poses:
    """Two animals on each of four frames, without tracks."""
    xy = np.random.default_rng(0).uniform(0, 100, (4, 2, 2, 2))
    return Poses(SKELETON, xy, np.arange(4), source=np.full((4, 2), Source.PREDICTED))


@pytest.fixture
def final(found: Poses) -> Poses:
    """The same ones with tracks; on frame 2 their slots are exchanged."""
    xy = found.xy.copy()
    xy[2] = xy[2, ::-1]
    return replace(found, xy=xy, track=np.tile([0, 1], (4, 1)))


def test_corrections_are_kept_with_the_final_tracks(found: Poses, final: Poses) -> None:
    store = PoseStore(found.select([0, 1]))
    corrections = Corrections(store)
    edits.move_keypoints(store, [1], [0], [1], [[7.0, 8.0]])
    store.add(found.select([2, 3]))
    edits.move_keypoints(store, [2], [0], [0], [[3.0, 4.0]])
    edits.remove_animals(store, [0], [1])
    edits.remove_animals(store, [3, 3], [0, 1])
    edits.set_negative(store, 0, 3, True)
    edits.place_keypoint(store, 0, 0, None, 0, (50.0, 60.0))
    edits.place_keypoint(store, 0, 1, None, 0, (5.0, 6.0))
    history = History.of(store)
    edits.move_keypoints(store, [2], [1], [0], [[1.0, 1.0]])
    history.undo()
    corrected = corrections.end()
    store.replace(final)
    assert corrected.apply_to(store) == 6
    xy, track = store.array("xy"), store.array("track")
    assert xy[1, 0, 1].tolist() == [7, 8]
    np.testing.assert_array_equal(xy[1, 1], final.xy[1, 1])
    assert xy[2, 1, 0].tolist() == [3, 4]  # where the animal is now
    np.testing.assert_array_equal(xy[2, 0], final.xy[2, 0])
    assert track[2].tolist()[:2] == [0, 1]
    assert track[1].tolist() == [0, 1, -1]
    assert xy[1, 2, 0].tolist() == [5, 6]
    assert [p.tolist() for p in xy[0, store.slots(0), 0]] == [
        final.xy[0, 0, 0].tolist(),
        [50, 60],
    ]
    assert store.slots(3) == []
    assert store.is_negative(3)
    source = store.array("source")
    assert source[1, 0] == source[2, 1] == Source.HUMAN
    assert source[1, 1] == source[2, 0] == Source.PREDICTED
    while history.undo_name is not None:
        assert history.undo_name in (NAME, "mark as empty")
        history.undo()
    np.testing.assert_array_equal(store.snapshot().xy, final.xy)


def test_without_corrections_or_with_another_skeleton_nothing_changes(
    found: Poses, final: Poses
) -> None:
    for change in (False, True):
        store = PoseStore(found)
        corrections = Corrections(store)
        if change:
            edits.move_keypoints(store, [1], [0], [1], [[7.0, 8.0]])
            longer = Skeleton(("head", "tail", "leg"))
            store.set_skeleton(SkeletonChange("add", SKELETON, longer, (0, 1, None)))
        corrected = corrections.end()
        store.replace(final)
        assert corrected.apply_to(store) == 0
        np.testing.assert_array_equal(store.snapshot().xy, final.xy)
        assert not [x for x in store.listeners if getattr(x, "__self__", None) is corrections]
