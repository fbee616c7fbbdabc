from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

from .conftest import assert_same, one_edit, random_poses

SKELETON = Skeleton(("head", "thorax", "tail"), edges=((0, 1), (1, 2)))


def make(n_frames=3, n=2, **kwargs) -> tuple[PoseStore, History]:
    xy = np.arange(n_frames * n * 6, dtype=float).reshape(n_frames, n, 3, 2)
    store = PoseStore(Poses(SKELETON, xy, np.arange(n_frames), **kwargs))
    return store, History.of(store)


def random_skeleton_edit(history: History, rng: np.random.Generator) -> None:
    """Add, rename, reorder and delete keypoints and lines, some or all of these at once."""
    skeleton = history.store.skeleton
    origin: list[int | None] = list(range(len(skeleton)))
    names = list(skeleton.keypoints)
    if rng.random() < 0.4 and len(names) > 1:
        gone = int(rng.integers(len(names)))
        del origin[gone], names[gone]
    if rng.random() < 0.4:
        place = int(rng.integers(len(names) + 1))
        origin.insert(place, None)
        names.insert(place, f"k{rng.integers(10**9)}")
    if rng.random() < 0.4:
        names[int(rng.integers(len(names)))] = f"r{rng.integers(10**9)}"
    if rng.random() < 0.4:
        order = rng.permutation(len(names))
        origin, names = [origin[i] for i in order], [names[i] for i in order]
    edges = [(0, i) for i in range(1, len(names)) if rng.random() < 0.5]
    history.set_skeleton(Skeleton(tuple(names), tuple(edges)), origin)


def random_steps(history: History, rng: np.random.Generator, n: int) -> None:
    for _ in range(n):
        kind = rng.integers(6)
        if kind == 0:
            random_skeleton_edit(history, rng)
        elif kind == 1:
            with history.group("several"):
                for _ in range(int(rng.integers(4))):
                    one_edit(history.store, rng)
        else:
            one_edit(history.store, rng)


def marks(store: PoseStore) -> set[tuple[int, int]]:
    where = zip(store.array("video").tolist(), store.array("frame").tolist(), strict=True)
    return {key for i, key in enumerate(where) if store.is_negative(i)}


def rewind(history: History) -> None:
    while history.undo_name is not None:
        history.undo()


def replay(history: History) -> None:
    while history.redo_name is not None:
        history.redo()


@given(random_poses(), st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(deadline=None)
def test_all_steps_undone_are_the_start_and_done_again_the_end(poses, seed, n):
    store, rng = PoseStore(poses), np.random.default_rng(seed)
    history = History.of(store)
    before = marks(store)
    random_steps(history, rng, n)
    end, after = store.snapshot(), marks(store)
    for _ in range(2):
        rewind(history)
        assert_same(store.snapshot(), poses)
        assert marks(store) == before
        replay(history)
        assert_same(store.snapshot(), end)
        assert marks(store) == after


@given(random_poses(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_walking_to_and_fro_between_edits_keeps_the_way_back(poses, seed):
    store, rng = PoseStore(poses), np.random.default_rng(seed)
    history = History.of(store)
    for _ in range(10):
        random_steps(history, rng, int(rng.integers(4)))
        state = store.snapshot()
        undone = int(rng.integers(len(history) + 1))
        for _ in range(undone):
            history.undo()
        for _ in range(undone):
            history.redo()
        assert_same(store.snapshot(), state)
        for _ in range(int(rng.integers(len(history) + 1))):
            history.undo()
    rewind(history)
    assert_same(store.snapshot(), poses)


def test_steps_have_the_names_of_what_was_done():
    store, history = make()
    assert (history.undo_name, history.redo_name) == (None, None)
    edits.place_keypoint(store, 0, 9, None, 1, (1, 1))
    edits.remove_animals(store, [0, 0], [0, 1])
    assert history.undo_name == "delete 2 animals"
    assert history.undo().name == "delete 2 animals"
    assert (history.undo_name, history.redo_name) == ("place thorax", "delete 2 animals")
    edits.move_keypoints(store, [1], [0], [0], [[5, 5]])
    assert (history.undo_name, history.redo_name) == ("move keypoint", None)


def test_with_nothing_to_do_it_says_so():
    _, history = make()
    with pytest.raises(LabelsError, match="nothing to undo"):
        history.undo()
    with pytest.raises(LabelsError, match="nothing to redo"):
        history.redo()


def test_what_changes_nothing_is_no_step():
    store, history = make()
    edits.move_keypoints(store, [0], [0], [0], store.array("xy")[0, 0, :1].copy())
    history.set_skeleton(SKELETON, [0, 1, 2])
    assert len(history) == 0


def test_a_group_is_one_step_also_when_it_fails_half_way():
    store, history = make()
    before = store.snapshot()

    def fail():
        with history.group("both"):
            edits.remove_animals(store, [0], [0])
            with history.group("inner"):
                edits.remove_animals(store, [0], [1])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (len(history), history.undo_name) == (1, "both")
    history.undo()
    assert_same(store.snapshot(), before)
    with history.group("nothing"):
        pass
    assert len(history) == 0


def test_a_deleted_keypoint_comes_back_with_its_positions_and_what_was_edited_before():
    store, history = make(source=np.full((3, 2), Source.PREDICTED))
    before = store.snapshot()
    edits.move_keypoints(store, [0], [0], [2], [[70, 71]])
    history.set_skeleton(Skeleton(("tail", "head", "new"), ((0, 1),)), [2, 0, None])
    store_now = store.snapshot()
    np.testing.assert_array_equal(store_now.xy[0, 0, 0], [70, 71])
    assert (store_now.visible[..., 2] == 0).all()
    edits.place_keypoint(store, 0, 1, 0, 2, (8, 8))
    assert history.undo_name == "place new"
    history.undo()
    assert history.undo_name == "change the skeleton"
    rewind(history)
    assert_same(store.snapshot(), before)


def test_many_steps_are_kept_and_the_oldest_forgotten():
    store, history = make()
    for i in range(1200):
        edits.move_keypoints(store, [0], [0], [0], [[i, 1000]])
    assert len(history) == 1000
    rewind(history)
    assert store.array("xy")[0, 0, 0].tolist() == [199, 1000]


def test_a_click_takes_little_memory_however_many_labels_there_are():
    store, history = make(n_frames=2000, n=10)
    edits.move_keypoints(store, [7], [3], [1], [[5, 5]])
    assert history.nbytes < 2000
    history.undo()
    assert history.nbytes == 0


def test_memory_has_a_limit_but_the_last_step_stays():
    store, _ = make(n_frames=100)
    history = History(store, limit_bytes=20_000)
    for turn in range(5):
        rows, slots = np.nonzero(store.present())
        everything = np.repeat(rows, 3), np.repeat(slots, 3), np.tile([0, 1, 2], len(rows))
        edits.move_keypoints(store, *everything, np.random.default_rng(turn).normal(size=(600, 2)))
        edits.move_keypoints(store, [0], [0], [0], [[5, 5]])
        edits.move_keypoints(store, [0], [0], [0], [[6, 5]])
    assert 0 < len(history) < 10
    assert history.nbytes <= 20_000


def test_replaced_animals_end_the_history_and_new_frames_do_not():
    store, history = make()
    edits.remove_animals(store, [0], [0])
    more = Poses(SKELETON, np.ones((1, 4, 3, 2)), [50])
    store.add(more)
    assert history.undo_name == "delete animal"
    store.add(more)  # a known frame now
    assert history.undo_name is None
    edits.remove_animals(store, [0], [1])
    store.replace(more)
    assert history.undo_name is None


def test_a_new_recording_does_not_end_the_history():
    store, history = make()
    edits.remove_animals(store, [0], [0])
    store.add_video(Video("other.mp4"))
    history.undo()
    assert store.slots(0) == [0, 1]


def test_there_is_one_history_of_a_store_and_it_goes_with_it():
    store, history = make()
    assert History.of(store) is history
    assert History.of(make()[0]) is not history
    gone = weakref.ref(history)
    del store, history
    gc.collect()
    assert gone() is None


def test_the_place_of_a_step_is_the_nearest_of_its_frames():
    xy = np.ones((4, 1, 3, 2))
    poses = Poses(SKELETON, xy, [1, 9, 30, 9], video=[0, 0, 0, 1], videos=(Video("a"), Video("b")))
    store = PoseStore(poses)
    history = History.of(store)
    edits.remove_animals(store, [3], [0])
    edits.remove_animals(store, [0, 1, 2], [0, 0, 0])
    step = history.undo()
    assert history.place_of(step, 0, 12) == (0, 9)
    assert history.place_of(step, 0, 30) == (0, 30)
    assert history.place_of(step, 1, 2) == (0, 1)
    assert history.last_place(0, 9) == (1, 9)
    assert history.last_place(1, 9) is None
    history.redo()
    assert history.last_place(1, 9) == (0, 9)


def test_a_step_tells_the_keypoints_that_it_changed():
    store, history = make()
    edits.move_keypoints(store, [1, 1], [0, 1], [2, 0], [[5, 5], [6, 6]])
    step = history.undo()
    assert step.keypoints().tolist() == [[1, 0, 2], [1, 1, 0]]
    assert step.animals().tolist() == [[1, 0], [1, 1]]
    edits.set_track(store, 0, 1, 3)
    assert history.undo().keypoints().tolist() == []


def test_the_state_comes_back_when_all_that_came_since_is_undone():
    store, history = make()
    edits.remove_animals(store, [0], [0])
    saved = history.state
    edits.remove_animals(store, [1], [0])
    assert history.state is not saved
    history.undo()
    assert history.state is saved
    history.undo()
    assert history.state is not saved
    history.redo()
    assert history.state is saved


def test_the_state_of_a_changed_skeleton_comes_back_too():
    _store, history = make()
    saved = history.state
    history.set_skeleton(Skeleton(("head", "thorax")), [0, 1])
    assert history.state is not saved
    history.undo()
    assert history.state is saved


def test_frames_that_are_added_change_the_state_for_good():
    store, history = make()
    edits.remove_animals(store, [0], [0])
    saved = history.state
    store.add(Poses(SKELETON, np.ones((1, 1, 3, 2)), [7]))
    assert history.state is not saved
    history.undo()
    history.redo()
    assert history.state is not saved
