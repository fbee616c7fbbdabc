from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.labelling import LabelSession
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.layers.target import State, Target, Walk
from napari_semimultipose.layers.view import Key
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

from .conftest import assert_same

SKELETON = Skeleton(("head", "thorax", "tail"))


@pytest.fixture
def session():
    session = LabelSession(PoseStore(Poses.empty(SKELETON)))
    session.image_shape = (100, 200)
    session.n_frames = 50
    return session


def positions(session):
    """Positions of the animals of the current frame, by slot."""
    return {s: session.store.array("xy")[session.row, s].tolist() for s in session.slots}


def label(session, frame, n=1, x=0):
    """Label `n` complete animals on a frame."""
    session.go_to(frame)
    for i in range(n * len(session.store.skeleton)):
        session.click((x + i, frame))


def test_clicks_go_through_the_keypoints_and_then_to_the_next_animal(session):
    seen = []
    for i in range(4):
        seen.append(session.target)
        session.click((i, 0))
    assert seen == [Target(None, 0), Target(0, 1), Target(0, 2), Target(None, 0)]
    assert session.target == Target(1, 1)
    xy = positions(session)
    assert xy[0] == [[0, 0], [1, 0], [2, 0]]
    assert xy[1][0] == [3, 0]


def test_a_skipped_keypoint_stays_missing(session):
    session.click((0, 0))
    session.skip()
    assert session.target == Target(0, 2)
    assert session.states() == [State.VISIBLE, State.SKIPPED, State.MISSING]
    session.click((2, 0))
    assert session.target == Target(None, 0)
    assert session.store.array("visible")[0, 0].tolist() == [2, 0, 2]


def test_the_first_keypoint_of_an_animal_can_be_skipped(session):
    session.skip()
    session.click((5, 5))
    assert session.store.array("visible")[0, 0].tolist() == [0, 2, 0]


def test_a_skipped_keypoint_can_be_placed_after_all(session):
    session.click((0, 0))
    session.skip()
    session.choose_keypoint(1)
    session.click((1, 1))
    assert session.states()[1] == State.VISIBLE


def test_occluded_is_said_of_the_keypoint_placed_last(session):
    session.click((0, 0))
    session.toggle_occluded()
    assert session.states() == [State.OCCLUDED, State.MISSING, State.MISSING]
    session.toggle_occluded()
    assert session.states()[0] == State.VISIBLE
    session.click((1, 0), Visibility.OCCLUDED)
    assert session.states()[1] == State.OCCLUDED


def test_selecting_a_point_goes_on_with_its_animal(session):
    label(session, 0, n=2)
    session.select(Key(0, 0, 1))
    session.delete_keypoint()
    assert session.target == Target(0, 1)
    assert not session.moves
    session.click((50, 50))
    assert positions(session)[0][1] == [50, 50]
    assert session.target == Target(None, 0)


def test_a_click_after_selecting_a_complete_animal_begins_a_new_one(session):
    label(session, 0, n=1)
    session.select(Key(0, 0, 1))
    session.click((9, 9))
    assert session.slots == [0, 1]
    assert positions(session)[0] == [[0, 0], [1, 0], [2, 0]]


def test_going_to_a_keypoint_by_key_and_clicking_moves_it(session):
    label(session, 0)
    session.step_animal(1)
    session.choose_keypoint(1)
    assert session.moves
    assert session.selected == Key(0, 0, 1)
    session.click((70, 70))
    assert positions(session) == {0: [[0, 0], [70, 70], [2, 0]]}


def test_animals_of_a_frame_are_visited_in_turn_and_then_comes_a_new_one(session):
    label(session, 0, n=2)
    seen = []
    for _ in range(4):
        session.step_animal(1)
        seen.append(session.target.slot)
    assert seen == [0, 1, None, 0]
    session.step_animal(-1)
    assert session.target.slot is None


def test_an_animal_left_half_way_waits_on_its_frame(session):
    session.go_to(3)
    session.click((1, 1))
    session.go_to(4)
    assert session.target == Target(None, 0)
    session.go_to(3)
    assert session.target == Target(0, 1)


def test_an_animal_left_half_way_waits_while_a_recording_is_added(session):
    session.click((1, 1))
    session.store.add_video(Video("other.mp4"))
    assert session.target == Target(0, 1)


def test_deleting_an_animal(session):
    label(session, 0, n=2)
    session.select(Key(0, 0, 2))
    session.delete_animal()
    assert session.slots == [1]
    assert session.selected is None
    session.click((8, 8))
    assert session.slots == [0, 1]
    assert positions(session)[1] == [[3, 0], [4, 0], [5, 0]]


def test_deleting_the_only_keypoint_leaves_no_animal_behind(session):
    session.click((0, 0))
    session.delete_keypoint()
    assert session.target == Target(None, 0)
    assert session.labelled() == {}


def test_the_previous_labelled_frame_is_copied(session):
    label(session, 2, n=2)
    label(session, 5, n=1, x=30)
    session.go_to(9)
    session.copy_from_neighbour()
    assert positions(session) == {0: [[30, 5], [31, 5], [32, 5]]}
    with pytest.raises(LabelsError, match="has its animals already"):
        session.copy_from_neighbour()
    session.go_to(0)
    with pytest.raises(LabelsError, match="no frame with labelled animals before"):
        session.copy_from_neighbour()
    session.copy_from_neighbour(1)
    assert len(session.slots) == 2


def test_on_a_frame_with_animals_only_missing_tracks_are_copied(session):
    label(session, 2, n=2)
    for slot, track in ((0, 4), (1, 5)):
        session.select(Key(session.row, slot, 0))
        session.set_track(track)
    label(session, 3, n=1)
    session.step_animal(1)
    session.set_track(5)
    session.copy_from_neighbour()
    assert sorted(session.store.array("track")[session.row, session.slots]) == [4, 5]


def test_predictions_are_not_copied():
    poses = Poses(
        SKELETON, np.ones((2, 2, 3, 2)), [0, 1], source=[[Source.PREDICTED, Source.HUMAN]] * 2
    )
    session = LabelSession(PoseStore(poses), frame=7)
    session.copy_from_neighbour()
    assert len(session.slots) == 1


def test_frames_without_animals_are_labels_too(session):
    label(session, 1)
    session.go_to(6)
    session.toggle_negative()
    assert session.labelled() == {1: 1, 6: 0}
    session.toggle_negative()
    assert session.labelled() == {1: 1}
    session.go_to(1)
    with pytest.raises(LabelsError, match="holds animals"):
        session.toggle_negative()


def test_jumps_between_labelled_frames(session):
    for frame in (3, 8, 20):
        label(session, frame)
    session.go_to(10)
    assert (session.neighbour(-1), session.neighbour(1)) == (8, 20)
    session.go_to(20)
    assert session.neighbour(-1) == 8
    with pytest.raises(LabelsError, match="no labelled frame after"):
        session.neighbour(1)


@pytest.mark.parametrize("xy", [(-1, 5), (5, -1), (200, 5), (5, 100), (np.nan, 5)])
def test_keypoints_lie_inside_the_image(session, xy):
    with pytest.raises(LabelsError, match="inside the image"):
        session.click(xy)
    assert session.slots == []
    session.click((199.4, 99.4))
    with pytest.raises(LabelsError, match="inside the image"):
        session.move(session.selected, xy)
    assert positions(session)[0][0] == [199.4, 99.4]


@pytest.mark.parametrize(("frame", "why"), [(50, "ended"), (-1, "not begun")])
def test_no_label_outside_of_the_recording(session, frame, why):
    label(session, 0)
    label(session, 49)
    session.go_to(frame)
    neighbour = 1 if frame < 0 else -1
    for edit in (
        lambda: session.click((1, 1)),
        session.toggle_negative,
        lambda: session.copy_from_neighbour(neighbour),
    ):
        with pytest.raises(LabelsError, match=why):
            edit()
    assert set(session.store.snapshot().frame.tolist()) == {0, 49}


@pytest.mark.parametrize(
    "action", ["toggle_occluded", "delete_keypoint", "delete_animal", "copy_from_neighbour"]
)
def test_keys_on_nothing_say_what_is_missing(session, action):
    with pytest.raises(LabelsError):
        getattr(session, action)()


def test_a_selection_that_is_deleted_elsewhere_is_let_go(session):
    from napari_semimultipose.layers import edits

    label(session, 0)
    session.select(Key(0, 0, 1))
    edits.remove_keypoints(session.store, [0], [0], [1])
    assert session.selected is None
    edits.remove_animals(session.store, [0], [0])
    assert session.target == Target()


def test_listeners_hear_of_each_step(session):
    heard = []
    session.listeners.append(lambda: heard.append(session.target))
    session.click((0, 0))
    assert heard[-1] == Target(0, 1)
    session.go_to(4)
    assert heard[-1] == Target(None, 0)


def test_a_skeleton_of_one_keypoint_makes_an_animal_of_each_click():
    session = LabelSession(PoseStore(Poses.empty(Skeleton(("centre",)))))
    for i in range(3):
        session.click((i, i))
    assert len(session.slots) == 3


# ------------------------------------------------------------------ undo, redo


def test_undoing_a_click_asks_for_its_keypoint_again(session):
    label(session, 0)
    session.undo()
    assert session.target == Target(0, 2)
    assert not session.moves
    session.undo()
    session.undo()
    assert session.target == Target(None, 0)
    assert session.slots == []
    with pytest.raises(LabelsError, match="nothing to undo"):
        session.undo()
    session.redo()
    assert session.selected == Key(0, 0, 0)
    assert session.target == Target(0, 1)
    session.click((9, 9))
    with pytest.raises(LabelsError, match="nothing to redo"):
        session.redo()


def test_undo_shows_the_frame_where_it_happened(session):
    label(session, 3, n=2)
    label(session, 8)
    session.go_to(20)
    session.undo()
    assert session.frame == 8
    for _ in range(2):
        session.undo()
    assert session.frame == 8
    session.undo()
    assert session.frame == 3
    assert session.target == Target(1, 2)
    session.redo()
    assert session.selected == Key(0, 1, 2)
    session.redo()
    assert session.frame == 8


def test_a_moved_keypoint_is_selected_where_it_was(session):
    label(session, 0)
    session.move(Key(0, 0, 1), (50, 50))
    session.undo()
    assert positions(session)[0][1] == [1, 0]
    assert session.selected == Key(0, 0, 1)


def test_a_deleted_animal_comes_back_and_is_gone_on_with(session):
    label(session, 0)
    session.click((5, 5))
    session.delete_animal()
    session.undo()
    assert session.target == Target(1, 1)
    session.redo()
    assert session.target == Target()
    assert session.slots == [0]


def test_the_frame_edited_last_is_found_again(session):
    with pytest.raises(LabelsError, match="no other frame"):
        session.go_to_last_edit()
    label(session, 3)
    label(session, 8)
    session.go_to(20)
    session.go_to_last_edit()
    assert session.frame == 8
    session.go_to_last_edit()
    assert session.frame == 3
    session.go_to_last_edit()
    assert session.frame == 8


# ------------------------------------------------------- sides, many frames


def test_sides_are_swapped_with_what_was_skipped():
    skeleton = Skeleton(("head", "wingL", "wingR"), symmetry=((1, 2),))
    session = LabelSession(PoseStore(Poses.empty(skeleton)))
    session.click((0, 0))
    session.skip()
    session.click((2, 2))
    session.select(Key(0, 0, 0))
    session.swap_sides()
    assert session.states() == [State.VISIBLE, State.VISIBLE, State.SKIPPED]
    assert positions(session)[0][1] == [2, 2]
    session.undo()
    assert session.store.array("visible")[0, 0].tolist() == [2, 0, 2]


def test_one_keypoint_on_many_frames(session):
    session.go_to(46)
    session.choose_keypoint(1)
    session.toggle_walk(1)
    assert session.walk is Walk.FRAMES
    for x in range(5):
        session.click((x, x))
    assert session.frame == 49  # the last one
    assert session.labelled() == {46: 1, 47: 1, 48: 1, 49: 1}
    assert positions(session)[0][1] == [4, 4]  # the last click moved it
    session.go_to(46)
    assert session.target == Target(0, 1)
    assert session.selected == Key(session.row, 0, 1)
    session.step_keypoint(1)
    session.click((60, 60))
    assert (session.frame, session.target) == (47, Target(0, 2))
    session.toggle_walk(1)
    assert session.walk is Walk.KEYPOINTS


def test_on_the_labelled_frames_only(session):
    for frame in (3, 8, 20):
        label(session, frame)
    session.go_to(30)
    session.toggle_negative()
    session.go_to(3)
    session.step_animal(1)
    session.choose_keypoint(1)
    session.toggle_walk(2)
    for _ in range(2):
        session.click((50, 50))
    assert (session.frame, session.target) == (20, Target(0, 1))
    session.click((50, 50))
    assert session.frame == 20
    assert [session.store.array("xy")[r, 0, 1, 0] for r in range(3)] == [50, 50, 50]


def test_the_walk_keeps_to_its_animal(session):
    """By its track, and without a track by its place among the others without one."""
    label(session, 0, n=2)
    session.select(Key(0, 1, 0))
    session.set_track(7)
    label(session, 1)
    label(session, 2, n=2)
    session.select(Key(session.row, 0, 0))
    session.set_track(7)
    session.go_to(0)
    session.select(Key(0, 1, 0))
    session.toggle_walk(1)
    session.click((90, 90))
    assert (session.frame, session.target) == (1, Target(None, 0))
    session.click((91, 91))
    assert session.store.array("track")[1].tolist() == [-1, 7]
    assert session.target == Target(0, 0)
    session.undo()  # the animal and its number at once
    assert session.store.array("track")[1].tolist() == [-1, -1]
    assert (session.frame, session.slots) == (1, [0])
    session.go_to(0)
    session.select(Key(0, 0, 0))
    session.click((1, 1))
    session.click((2, 2))
    assert (session.frame, session.target.slot) == (2, 1)


def test_skipping_goes_on_as_well(session):
    session.toggle_walk(1)
    session.skip()
    assert session.frame == 1
    assert session.store.snapshot().n_instances == 0


def test_the_animal_of_the_walk_is_found_again_behind_frames_without_it(session):
    label(session, 0, n=2)
    label(session, 5, n=2)
    session.go_to(0)
    session.select(Key(0, 1, 2))
    session.toggle_walk(1)
    session.go_to(3)
    assert session.target == Target(None, 2)
    session.go_to(5)
    assert session.target == Target(1, 2)


def anything(session, rng):
    """Do something that a click or key does."""
    k = int(rng.integers(len(session.store.skeleton)))
    keys = (
        np.argwhere(session.store.array("visible")[session.row] > 0)
        if session.row is not None
        else []
    )
    actions = [
        lambda: session.click(rng.uniform(0, 90, 2), Visibility(int(rng.integers(1, 3)))),
        lambda: session.click(rng.uniform(0, 90, 2)),
        lambda: session.go_to(int(rng.integers(6))),
        lambda: session.choose_keypoint(k),
        lambda: session.step_animal(int(rng.choice([-1, 1]))),
        lambda: session.set_track(int(rng.integers(-1, 3))),
        lambda: session.copy_from_neighbour(int(rng.choice([-1, 1]))),
        lambda: session.toggle_walk(int(rng.integers(3))),
        lambda: session.set_walk(0),
        session.new_animal,
        session.skip,
        session.toggle_occluded,
        session.delete_keypoint,
        session.delete_animal,
        session.swap_sides,
        session.toggle_negative,
        session.go_to_last_edit,
        session.undo,
        session.redo,
    ]
    if len(keys):
        slot, keypoint = keys[rng.integers(len(keys))].tolist()
        key = Key(session.row, slot, keypoint)
        actions += [
            lambda: session.select(key),
            lambda: session.move(key, rng.uniform(0, 90, 2)),
        ]
    with suppress(LabelsError):
        actions[rng.integers(len(actions))]()


@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
@settings(deadline=None)
def test_whatever_was_done_is_undone_and_done_again(seed, n):
    rng = np.random.default_rng(seed)
    skeleton = Skeleton(("head", "wingL", "wingR"), symmetry=((1, 2),))
    start = Poses(skeleton, rng.uniform(0, 90, (2, 2, 3, 2)), [1, 4], track=[[0, 1], [-1, 0]])
    session = LabelSession(PoseStore(start))
    for _ in range(n):
        anything(session, rng)
    with suppress(LabelsError):
        while True:
            session.redo()
    end = session.store.snapshot()
    for _ in range(len(session.history)):
        session.undo()
    assert_same(session.store.snapshot(), start)
    with suppress(LabelsError):
        while True:
            session.redo()
    assert_same(session.store.snapshot(), end)
