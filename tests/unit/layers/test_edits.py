from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Source, Visibility

from .conftest import assert_same, one_edit, random_poses

SKELETON = Skeleton(("head", "thorax", "tail"))


def store_with(n=2, frames=(0,), **kwargs):
    xy = np.arange(len(frames) * n * 6, dtype=float).reshape(len(frames), n, 3, 2)
    return PoseStore(Poses(SKELETON, xy, frames, **kwargs))


def test_a_keypoint_without_a_slot_begins_an_animal():
    store = PoseStore(Poses.empty(SKELETON))
    change = edits.place_keypoint(store, 0, 5, None, 1, (10, 20))
    again = edits.place_keypoint(store, 0, 5, None, 0, (1, 2), Visibility.OCCLUDED)
    assert (change.slot[0], again.slot[0]) == (0, 1)
    poses = store.snapshot()
    assert poses.n_instances == 2
    np.testing.assert_array_equal(poses.xy[0, 0, 1], [10, 20])
    assert poses.visible[0].tolist() == [[0, 2, 0], [1, 0, 0]]
    assert (poses.source[0] == Source.HUMAN).all()


def test_removing_the_last_keypoint_removes_the_animal_and_keeps_the_others_place():
    store = store_with(track=[[4, 5]])
    edits.remove_keypoints(store, [0, 0, 0], [0, 0, 0], [0, 1, 2])
    assert store.slots(0) == [1]
    assert store.array("track")[0].tolist() == [-1, 5]


def test_several_points_of_several_animals_move_at_once():
    store = store_with()
    before = store.snapshot().xy
    edits.move_keypoints(store, [0, 0, 0], [0, 1, 0], [0, 2, 1], [[50, 51], [60, 61], [70, 71]])
    expected = before.copy()
    expected[0, 0, 0], expected[0, 1, 2], expected[0, 0, 1] = (50, 51), (60, 61), (70, 71)
    np.testing.assert_array_equal(store.snapshot().xy, expected)


def test_occluded_points_keep_their_position():
    store = store_with(n=1)
    edits.set_visibility(store, [0], [0], [2], Visibility.OCCLUDED)
    poses = store.snapshot()
    assert poses.visible[0, 0].tolist() == [2, 2, 1]
    assert np.isfinite(poses.xy).all()


def test_an_edited_prediction_is_a_label_with_full_confidence():
    store = store_with(
        source=[[Source.PREDICTED] * 2], score=np.full((1, 2, 3), 0.4), instance_score=[[0.5, 0.5]]
    )
    edits.move_keypoints(store, [0], [1], [0], [[9, 9]])
    poses = store.snapshot()
    assert poses.source[0].tolist() == [Source.PREDICTED, Source.HUMAN]
    np.testing.assert_allclose(poses.instance_score[0], [0.5, 1])
    np.testing.assert_allclose(poses.score[0, 1], [1, 0.4, 0.4])


def test_copied_animals_keep_track_and_visibility_and_do_not_overwrite():
    store = store_with(frames=(0, 3), track=[[7, 8], [1, 2]])
    edits.set_visibility(store, [0], [1], [0], Visibility.OCCLUDED)
    edits.copy_animals(store, 0, [1], 0, 3)
    poses = store.snapshot()
    assert poses.track[1].tolist() == [1, 2, 8]
    np.testing.assert_array_equal(poses.xy[1, 2], poses.xy[0, 1])
    assert poses.visible[1, 2, 0] == Visibility.OCCLUDED


def test_a_track_is_exchanged_with_who_has_it():
    store = store_with(n=3, track=[[0, 1, 2]])
    edits.set_track(store, 0, 0, 2)
    assert store.array("track")[0].tolist() == [2, 1, 0]
    edits.set_track(store, 0, 1, -1)
    edits.set_track(store, 0, 0, -1)
    assert store.array("track")[0].tolist() == [-1, -1, 0]


def test_a_frame_can_be_marked_as_empty_and_loses_the_mark_with_its_first_animal():
    store = PoseStore(Poses.empty(SKELETON))
    edits.set_negative(store, 0, 2, True)
    assert store.snapshot().frame.tolist() == [2]
    change = edits.place_keypoint(store, 0, 2, None, 0, (1, 1))
    assert not store.is_negative(0)
    store.apply(change.reversed())
    assert store.is_negative(0)
    edits.set_negative(store, 0, 2, False)
    assert len(store.snapshot()) == 0


def test_a_frame_with_animals_is_not_empty():
    with pytest.raises(ValueError, match="holds animals"):
        edits.set_negative(store_with(), 0, 0, True)


def test_left_and_right_are_exchanged():
    skeleton = Skeleton(("head", "wingL", "wingR"), symmetry=((1, 2),))
    xy = np.array([[[[0.0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [np.nan, np.nan]]]])
    visible = [[[2, 1, 2], [2, 2, 0]]]
    store = PoseStore(Poses(skeleton, xy, [0], visible=visible, score=np.full((1, 2, 3), 0.5)))
    edits.swap_sides(store, 0, 1)
    edits.swap_sides(store, 0, 0)
    poses = store.snapshot()
    np.testing.assert_array_equal(poses.xy[0, 0], [[0, 1], [4, 5], [2, 3]])
    np.testing.assert_array_equal(poses.xy[0, 1], [[6, 7], [np.nan, np.nan], [8, 9]])
    assert poses.visible[0].tolist() == [[2, 2, 1], [2, 0, 2]]
    assert poses.score[0, 1].tolist() == [0.5, 0, 0.5]


def test_sides_can_be_exchanged_only_where_pairs_are_known():
    with pytest.raises(LabelsError, match="no mirrored pairs"):
        edits.swap_sides(store_with(), 0, 0)


def test_dropped_keypoints_leave_predictions_predictions_and_no_frame_marked():
    xy = np.full((2, 2, 3, 2), np.nan)
    xy[0, 0], xy[0, 1, :2], xy[1, 0, 2] = 1, 2, 3
    source = [[Source.HUMAN, Source.PREDICTED], [Source.HUMAN, Source.HUMAN]]
    poses = Poses(SKELETON, xy, [0, 5], source=source, instance_score=np.full((2, 2), 0.5))
    store = PoseStore(poses)
    edits.drop_keypoints(store, [2])
    after = store.snapshot()
    assert after.frame.tolist() == [0]
    assert after.source[0].tolist() == [Source.HUMAN, Source.PREDICTED]
    assert after.instance_score[0].tolist() == [0.5, 0.5]
    assert (after.visible[0, :, 2] == 0).all()
    assert not store.is_negative(1)


def test_a_change_holds_only_what_differs():
    store = store_with()
    change = edits.move_keypoints(store, [0], [1], [0], [[5, 5]])
    assert set(change.after) == {"xy"}
    again = edits.move_keypoints(store, [0], [1], [0], [[5, 5]])
    assert again.is_empty
    assert not change.is_empty


def test_listeners_hear_each_change_once():
    store, heard = store_with(), []
    store.listeners.append(heard.append)
    change = edits.remove_animals(store, [0, 0], [0, 1])
    assert heard == [change]
    assert change.name == "delete 2 animals"
    assert store.revision == 1


@given(random_poses(), st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(deadline=None)
def test_any_sequence_of_edits_can_be_undone_and_done_again(poses, seed, n):
    store, rng = PoseStore(poses), np.random.default_rng(seed)
    changes = [one_edit(store, rng) for _ in range(n)]
    end = store.snapshot()
    for change in reversed(changes):
        store.apply(change.reversed())
    assert_same(store.snapshot(), poses)
    for change in changes:
        store.apply(change)
    assert_same(store.snapshot(), end)


@given(random_poses(), st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(deadline=None)
def test_the_store_stays_consistent(poses, seed, n):
    """What `Poses` guarantees (absent means NaN, no score, no track) also holds in the store."""
    store, rng = PoseStore(poses), np.random.default_rng(seed)
    for _ in range(n):
        one_edit(store, rng)
    rows = np.arange(len(store))
    clean = store.take(rows)
    for name in ("xy", "score", "instance_score", "track", "visible"):
        np.testing.assert_array_equal(store.array(name), getattr(clean, name), err_msg=name)


def test_a_bulk_edit_holds_only_the_animals_and_fields_that_become_different():
    visible = np.full((4, 1, 3), Visibility.VISIBLE)
    visible[1:3, 0, 0] = Visibility.OCCLUDED
    store = PoseStore(
        Poses(Skeleton(("a", "b", "c")), np.ones((4, 1, 3, 2)), np.arange(4), visible=visible)
    )
    change = edits.set_visibility(store, range(4), [0] * 4, [0] * 4, Visibility.OCCLUDED)
    assert change.row.tolist() == [0, 3]
    assert set(change.after) == {"visible"}
    assert (store.array("visible")[:, 0, 0] == Visibility.OCCLUDED).all()
    store.apply(change.reversed())
    assert store.array("visible")[:, 0, 0].tolist() == [2, 1, 1, 2]


def test_some_pairs_can_be_exchanged_alone():
    skeleton = Skeleton(("earL", "earR", "wingL", "wingR"), symmetry=((0, 1), (2, 3)))
    xy = np.arange(8.0).reshape(1, 1, 4, 2)
    store = PoseStore(Poses(skeleton, xy, [0]))
    edits.swap_sides(store, 0, 0, [(2, 3)])
    assert store.array("xy")[0, 0].tolist() == [[0, 1], [2, 3], [6, 7], [4, 5]]
