"""Each repair against a slow, obvious reference, and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.store import INSTANCE_FIELDS, PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Source, Video
from napari_semimultipose.tracking import counting, repair

K = 2
SKELETON = Skeleton(("head", "tail"))


@st.composite
def tracked(draw: st.DrawFn) -> PoseStore:
    """Tables of two videos with gaps, animals without identity, and rows in any order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    f, n = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    frame = rng.permutation(20)[:f]
    track = np.stack([rng.permutation(n + 2)[:n] for _ in range(f)]) - 1
    xy = rng.uniform(0, 100, (f, n, K, 2))
    xy[rng.random((f, n)) < 0.3] = np.nan
    return PoseStore(
        Poses(
            SKELETON,
            xy,
            frame,
            track=track,
            score=rng.uniform(0.1, 1, (f, n, K)),
            instance_score=rng.choice([0.25, 0.5, 0.75], (f, n)),
            source=np.full((f, n), Source.PREDICTED),
            video=rng.integers(0, 2, f),
            videos=(Video("a"), Video("b")),
            track_names=("ann", "bob"),
        )
    )


def contents(store: PoseStore) -> dict[str, np.ndarray]:
    return {name: store.array(name).copy() for name in INSTANCE_FIELDS}


def same(a, b) -> None:
    for name in INSTANCE_FIELDS:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def animals(store: PoseStore, video: int, first: int, last: int | None):
    """All (row, slot) with an animal on some frames, one by one."""
    for row in range(len(store)):
        frame = store.array("frame")[row]
        if store.array("video")[row] != video or frame < first:
            continue
        if last is not None and frame > last:
            continue
        for slot in store.slots(row):
            yield row, slot


def check(store: PoseStore, repaired, expected: dict[str, np.ndarray] | None) -> None:
    """Compare a repair with what should come out, then undo and redo it."""
    before = contents(store)
    if expected is None or all(
        np.array_equal(before[name], expected[name], equal_nan=True) for name in INSTANCE_FIELDS
    ):
        with pytest.raises(LabelsError):
            repaired()
        return
    steps = History.of(store)
    change = repaired()
    same(contents(store), before)  # nothing happens before it is applied
    store.apply(change)
    same(contents(store), expected)
    assert steps.undo().parts == (change,)
    same(contents(store), before)
    assert steps.redo().parts == (change,)
    same(contents(store), expected)


SPANS = st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 20)))
TRACKS = st.integers(0, 4)


@settings(deadline=None)
@given(tracked(), TRACKS, TRACKS, SPANS)
def test_swap(store, a, b, span):
    expected = contents(store)
    for row, slot in animals(store, 0, *span):
        if expected["track"][row, slot] == a:
            expected["track"][row, slot] = b
        elif expected["track"][row, slot] == b:
            expected["track"][row, slot] = a
    check(store, lambda: repair.swap(store, a, b, *span), None if a == b else expected)


@settings(deadline=None)
@given(tracked(), st.integers(0, 100), st.integers(-1, 4), st.booleans())
def test_assign(store, which, track, onward):
    places = list(animals(store, 0, 0, None))
    if not places:
        return
    row, slot = places[which % len(places)]
    expected = contents(store)
    old = int(expected["track"][row, slot])
    frame = int(store.array("frame")[row])
    last = None if onward and old >= 0 else frame
    for r, s in animals(store, 0, frame, last):
        value = expected["track"][r, s]
        if (r, s) == (row, slot) or (last is None and value == old):
            expected["track"][r, s] = track
        elif value == track >= 0:
            expected["track"][r, s] = old
    check(store, lambda: repair.assign(store, row, slot, track, onward=onward), expected)


@settings(deadline=None)
@given(tracked(), TRACKS, SPANS)
def test_unassign(store, track, span):
    expected = contents(store)
    for row, slot in animals(store, 0, *span):
        if store.array("track")[row, slot] == track:
            expected["track"][row, slot] = -1
    check(store, lambda: repair.unassign(store, track, *span), expected)


@settings(deadline=None)
@given(tracked(), TRACKS, TRACKS)
def test_merge(store, keep, other):
    expected = contents(store)
    track, score = store.array("track"), store.array("instance_score")
    places = list(animals(store, 0, 0, None))
    for row, slot in places:
        if track[row, slot] == other:
            rivals = [s for r, s in places if r == row and track[r, s] == keep]
            if rivals and score[row, rivals[0]] >= score[row, slot]:
                expected["track"][row, slot] = -1
            else:
                expected["track"][row, slot] = keep
                for rival in rivals:
                    expected["track"][row, rival] = -1
    check(store, lambda: repair.merge(store, keep, other), None if keep == other else expected)


@settings(deadline=None)
@given(tracked(), TRACKS, st.integers(0, 20))
def test_split(store, track, frame):
    expected = contents(store)
    new = max(int(expected["track"].max()) + 1, 2)
    earlier = False
    for row, slot in animals(store, 0, 0, None):
        if store.array("track")[row, slot] == track:
            if store.array("frame")[row] >= frame:
                expected["track"][row, slot] = new
            else:
                earlier = True
    check(store, lambda: repair.split(store, track, frame), expected if earlier else None)


@settings(deadline=None)
@given(tracked(), TRACKS, SPANS)
def test_delete(store, track, span):
    expected = contents(store)
    for row, slot in animals(store, 0, *span):
        if store.array("track")[row, slot] == track:
            for name, empty in INSTANCE_FIELDS.items():
                expected[name][row, slot] = empty
    check(store, lambda: repair.delete(store, track, *span), expected)


def test_a_swap_where_one_is_seen_alone_gives_it_the_other_name():
    xy = np.zeros((2, 2, K, 2))
    xy[1, 1] = np.nan
    store = PoseStore(Poses(SKELETON, xy, [0, 1], track=[[0, 1], [0, 1]]))
    store.apply(repair.swap(store, 0, 1))
    assert store.array("track").tolist() == [[1, 0], [1, -1]]


def test_repairs_work_on_poses_as_on_a_store():
    store = PoseStore(Poses(SKELETON, np.zeros((3, 2, K, 2)), [4, 5, 6], track=[[0, 1]] * 3))
    poses = store.snapshot()
    a, b = repair.swap(poses, 0, 1, 5), repair.swap(store, 0, 1, 5)
    np.testing.assert_array_equal(a.row, b.row)
    np.testing.assert_array_equal(a.after["track"], b.after["track"])
    assert a.name == "swap animals 1 and 2"


# ------------------------------------------------------------------ interpolation


def line(frames=6):
    """One animal that goes right by 10 px a frame."""
    xy = np.zeros((frames, 1, K, 2))
    xy[..., 0] = 10.0 * np.arange(frames)[:, None, None] + [0, 3]
    return xy


def test_interpolation_draws_lines_and_keeps_the_rest():
    xy = line()
    wrong = xy.copy()
    wrong[2:4] = 500
    store = PoseStore(
        Poses(SKELETON, wrong, np.arange(6), track=np.zeros((6, 1), int),
              source=np.full((6, 1), Source.PREDICTED))
    )  # fmt: skip
    before = contents(store)
    change = repair.interpolate(store, 0, 2, 3)
    store.apply(change)
    np.testing.assert_allclose(store.array("xy"), xy)
    assert store.array("source").ravel().tolist() == [1, 1, 2, 2, 1, 1]
    store.apply(change.reversed())
    same(contents(store), before)


def test_interpolated_keypoints_need_both_ends():
    xy = line()
    xy[1, 0, 1] = np.nan
    store = PoseStore(Poses(SKELETON, xy, np.arange(6), track=np.zeros((6, 1), int)))
    store.apply(repair.interpolate(store, 0, 2, 3))
    assert (store.array("visible")[2:4, 0] == [2, 0]).all()
    assert np.isnan(store.array("xy")[2:4, 0, 1]).all()
    with pytest.raises(LabelsError, match="before and after"):
        repair.interpolate(store, 0, 4, 5)


# ------------------------------------------------------------- a known number


def crowd(present, track=None, score=None):
    """Animals that stand 100 px apart; `present` [F, N]."""
    there = np.asarray(present, bool)
    f, n = there.shape
    xy = np.zeros((f, n, K, 2))
    xy[..., 0] = 100.0 * np.arange(n)[:, None] + [0, 20]
    xy[~there] = np.nan
    track = np.broadcast_to(np.arange(n), (f, n)) if track is None else track
    return PoseStore(
        Poses(SKELETON, xy, np.arange(f), track=track,
              instance_score=np.ones((f, n)) if score is None else score)
    )  # fmt: skip


def test_a_short_track_fills_the_gap_of_the_one_that_is_missing():
    present = np.ones((10, 2), bool)
    track = np.tile([0, 1], (10, 1))
    track[4:7, 1] = 5
    store = crowd(present, track)
    store.apply(counting.fix_count(store, 2))
    assert (store.array("track") == [0, 1]).all()


def test_of_two_missing_animals_the_nearer_one_takes_a_track():
    present = np.ones((9, 3), bool)
    track = np.tile([0, 1, 2], (9, 1))
    track[3:6, 0], track[3:6, 2] = 7, 8
    store = crowd(present, track)
    store.apply(counting.fix_count(store, 3))
    assert (store.array("track") == [0, 1, 2]).all()


def test_animals_without_identity_fill_gaps_and_surplus_ones_go():
    present = np.ones((8, 3), bool)
    track = np.tile([0, 1, -1], (8, 1))
    track[2, 0] = -1
    store = crowd(present, track)
    before = contents(store)
    change = counting.fix_count(store, 2)
    store.apply(change)
    assert (store.array("track") == [0, 1, -1]).all()
    assert (store.present() == [True, True, False]).all()
    store.apply(change.reversed())
    same(contents(store), before)


def test_on_a_range_nothing_else_changes():
    present = np.ones((8, 3), bool)
    store = crowd(present, np.tile([0, 1, -1], (8, 1)))
    store.apply(counting.fix_count(store, 2, 3, 4))
    assert store.present().sum(1).tolist() == [3, 3, 3, 2, 2, 3, 3, 3]


def test_poses_that_are_not_too_many_are_kept():
    present = np.ones((6, 2), bool)
    track = np.tile([0, -1], (6, 1))
    store = crowd(present, track)
    with pytest.raises(LabelsError, match="nothing to change"):
        counting.fix_count(store, 2)  # too far away to be anybody, but not too many
    with pytest.raises(LabelsError, match="how many"):
        counting.fix_count(store, 0)


@settings(deadline=None)
@given(tracked(), st.integers(1, 3))
def test_a_known_number_is_never_exceeded_and_undone_exactly(store, n):
    before = contents(store)
    try:
        change = counting.fix_count(store, n)
    except LabelsError:
        change = None
    if change is not None:
        store.apply(change)
    mine = store.array("video") == 0
    assert (store.present()[mine].sum(1) <= n).all()
    for row in np.flatnonzero(mine):
        tracks = [t for t in store.array("track")[row].tolist() if t >= 0]
        assert len(tracks) == len(set(tracks))
    same(
        {k: v[~mine] for k, v in contents(store).items()}, {k: v[~mine] for k, v in before.items()}
    )
    if change is not None:
        store.apply(change.reversed())
    same(contents(store), before)


def test_single_keypoints_are_interpolated_and_the_others_stay():
    xy = np.arange(8, dtype=float)[:, None, None, None] * np.ones((8, 1, K, 2))
    xy[3:5, 0, 0] += 50  # the head jumps away and back
    xy[2, 0, 0] = np.nan  # and was not seen just before
    store = PoseStore(
        Poses(
            SKELETON, xy, np.arange(8), track=np.zeros((8, 1), int), score=np.full((8, 1, K), 0.5)
        )
    )
    before = contents(store)
    change = repair.interpolate_keypoints(store, 0, [0], 3, 4)
    store.apply(change)
    np.testing.assert_allclose(store.array("xy")[3:5, 0, 0, 0], [3, 4])
    np.testing.assert_array_equal(store.array("xy")[:, 0, 1], before["xy"][:, 0, 1])
    np.testing.assert_array_equal(store.array("xy")[[0, 1, 5, 6, 7]], before["xy"][[0, 1, 5, 6, 7]])
    store.apply(change.reversed())
    same(contents(store), before)
    with pytest.raises(LabelsError, match="before and after"):
        repair.interpolate_keypoints(store, 0, [0], 6, 7)
    with pytest.raises(LabelsError, match="not on these frames"):
        repair.interpolate_keypoints(store, 3, [0], 3, 4)
