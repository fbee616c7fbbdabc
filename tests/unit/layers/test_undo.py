from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.layers import edits, undo
from napari_semimultipose.layers.store import INSTANCE_FIELDS, PoseStore
from napari_semimultipose.layers.undo import UndoStack
from napari_semimultipose.poses import Poses, Skeleton

SKELETON = Skeleton(("head", "tail"))


def store_of(frames=5, n=2):
    xy = np.random.default_rng(0).uniform(0, 99, (frames, n, 2, 2))
    return PoseStore(Poses(SKELETON, xy, np.arange(frames), track=[[0, 1]] * frames))


def contents(store):
    return [store.array(name).copy() for name in INSTANCE_FIELDS]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=15))
def test_all_steps_undone_is_the_start_and_all_redone_the_end(moves):
    store = store_of()
    steps, start = UndoStack(store), contents(store)
    for row, kind in moves:
        slots = store.slots(row)
        if not slots:
            continue
        if kind == 0:
            edits.move_keypoints(store, [row], [slots[0]], [0], [[1, 2]])
        elif kind == 1:
            edits.remove_animals(store, [row], [slots[0]])
        else:
            edits.set_track(store, row, slots[0], 1)
    end = contents(store)
    while steps.undo() is not None:
        pass
    for a, b in zip(contents(store), start, strict=True):
        np.testing.assert_array_equal(a, b)
    while steps.redo() is not None:
        pass
    for a, b in zip(contents(store), end, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_new_change_ends_redo_and_another_table_ends_undo():
    store = store_of()
    steps, heard = UndoStack(store), []
    steps.listeners.append(lambda: heard.append(steps.last))
    edits.remove_animals(store, [0], [0])
    steps.undo()
    assert steps.next.name == "delete animal"
    edits.set_track(store, 1, 0, 1)
    assert steps.next is None
    assert steps.last.name == "set the track"
    store.replace(store.snapshot())
    assert steps.last is None
    assert steps.undo() is None
    assert len(heard) == 4
    steps.close()
    edits.remove_animals(store, [0], [0])
    assert steps.last is None


def test_the_oldest_steps_go_when_they_need_too_much_memory(monkeypatch):
    monkeypatch.setattr(undo, "MOST_BYTES", 1)
    store = store_of()
    steps = UndoStack(store)
    edits.remove_animals(store, [0], [0])
    edits.remove_animals(store, [1], [0])
    steps.undo()
    assert steps.undo() is None
    assert store.slots(0) == [1]
    assert store.slots(1) == [0, 1]


def test_a_copy_of_a_store_is_left_alone():
    store = store_of()
    copy = store.copy()
    edits.remove_animals(store, [0], [0])
    edits.place_keypoint(store, 0, 99, None, 0, (1, 1))
    assert copy.slots(0) == [0, 1]
    assert copy.row(0, 99) is None
    assert len(copy.snapshot()) == 5
