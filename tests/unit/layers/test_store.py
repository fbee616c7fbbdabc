from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.points import (
    METADATA_KEY,
    PointsInfo,
    poses_from_layer_data,
)
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

from .conftest import assert_same, random_poses

SKELETON = Skeleton(("head", "tail"))


def poses(frames=(3, 1), n=2, source=Source.HUMAN):
    xy = np.arange(len(frames) * n * 4, dtype=float).reshape(len(frames), n, 2, 2)
    return Poses(SKELETON, xy, frames, source=np.full((len(frames), n), source))


@given(random_poses(videos=2))
@settings(deadline=None)
def test_a_store_gives_back_what_it_was_given(given_poses):
    assert_same(PoseStore(given_poses).snapshot(), given_poses)


def test_snapshots_are_sorted_and_do_not_change_with_the_store():
    store = PoseStore(poses())
    before = store.snapshot()
    np.testing.assert_array_equal(before.frame, [1, 3])
    edits.place_keypoint(store, 0, 1, 0, 0, (99, 98))
    assert not (before.xy == 99).any()
    assert (store.snapshot().xy[0, 0, 0] == [99, 98]).all()


def test_the_poses_given_are_not_written_to():
    given_poses = poses()
    copy = given_poses.xy.copy()
    edits.place_keypoint(PoseStore(given_poses), 0, 3, 0, 0, (99, 98))
    np.testing.assert_array_equal(given_poses.xy, copy)


def test_arrays_cannot_be_written_past_the_changes():
    with pytest.raises(ValueError, match="read-only"):
        PoseStore(poses()).array("xy")[:] = 0


def test_a_new_row_without_animals_is_no_label():
    store = PoseStore(poses())
    store.ensure_row(0, 50)
    np.testing.assert_array_equal(store.snapshot().frame, [1, 3])


def test_many_new_frames_find_room():
    store = PoseStore(Poses.empty(SKELETON))
    for frame in range(100):
        edits.place_keypoint(store, 0, frame, None, 0, (frame, 0))
    np.testing.assert_array_equal(store.snapshot().xy[:, 0, 0, 0], np.arange(100))


def test_rows_near_stay_within_the_video():
    store = PoseStore(
        Poses(
            SKELETON,
            np.ones((4, 1, 2, 2)),
            [1, 2, 9, 2],
            video=[0, 0, 0, 1],
            videos=(Video("a"), Video("b")),
        )
    )
    np.testing.assert_array_equal(store.rows_near(0, 3, 2), [0, 1])
    np.testing.assert_array_equal(store.rows_near(1, 3, 2), [3])


def test_predictions_are_no_labels_until_a_person_touches_them():
    store = PoseStore(poses(source=Source.PREDICTED))
    assert store.labelled(0) == {}
    edits.move_keypoints(store, [0], [1], [0], [[5, 5]])
    assert store.labelled(0) == {3: 1}


def test_labelled_frames_are_in_order_and_count_animals():
    store = PoseStore(poses(frames=(7, 2)))
    edits.set_negative(store, 0, 4, True)
    edits.remove_animals(store, [0], [1])
    assert list(store.labelled(0).items()) == [(2, 2), (4, 0), (7, 1)]


def test_chunks_of_predictions_can_be_added():
    store = PoseStore(Poses.empty(SKELETON))
    told = []
    store.listeners.append(told.append)
    store.add(poses(frames=(0, 1), n=1))
    store.add(poses(frames=(1, 2), n=3))
    assert told == [None, None]
    snapshot = store.snapshot()
    np.testing.assert_array_equal(snapshot.frame, [0, 1, 2])
    np.testing.assert_array_equal(snapshot.present.sum(1), [1, 3, 3])


def test_a_layer_that_is_a_window_speaks_for_the_whole_store():
    store = PoseStore(poses())
    attributes = {"metadata": {METADATA_KEY: PointsInfo(SKELETON, store=store)}}
    assert_same(poses_from_layer_data(np.zeros((0, 3)), attributes), store.snapshot())


def test_two_rows_of_one_frame_are_refused():
    with pytest.raises(ValueError, match="one row a frame"):
        PoseStore(poses(frames=(3, 3)))


def test_labelled_frames_are_looked_for_once_between_changes() -> None:
    store = PoseStore(Poses(SKELETON, np.zeros((2, 1, 2, 2)), [4, 2]))
    first = store.labelled(0)
    assert first == {2: 1, 4: 1}
    assert store.labelled(0) is first
    assert store.labelled(1) == {}
    assert store.copy().labelled(0) == first
    store.replace(Poses(SKELETON, np.zeros((1, 1, 2, 2)), [7]))
    assert store.labelled(0) == {7: 1}


def test_a_copy_may_be_changed_also_of_a_table_that_may_not() -> None:
    store = PoseStore(poses())
    store.read_only, store.fixed_skeleton = "somebody else", "busy"
    with pytest.raises(LabelsError, match="somebody else"):
        store.add_video(Video("new"))
    assert store.copy().add_video(Video("new")) == 1
