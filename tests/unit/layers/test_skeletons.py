from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.skeletons import labelled_counts, skeleton_change
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Skeleton

from .conftest import assert_same, random_poses


@given(random_poses(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_reordering_and_adding_loses_nothing(poses, random):
    store = PoseStore(poses)
    k = len(poses.skeleton)
    origin = [*range(k), None]
    random.shuffle(origin)
    names = tuple("new" if i is None else poses.skeleton.keypoints[i] for i in origin)
    change = skeleton_change(poses.skeleton, Skeleton(names), origin)
    store.set_skeleton(change)
    changed = store.snapshot()
    assert changed.skeleton.keypoints == names
    assert labelled_counts(changed)[origin.index(None)] == 0
    back = [origin.index(i) for i in range(k)]
    np.testing.assert_array_equal(changed.xy[:, :, back], store.snapshot().xy[:, :, back])
    store.set_skeleton(change.reversed())
    assert_same(store.snapshot(), poses)


@given(random_poses())
@settings(deadline=None)
def test_a_keypoint_left_out_takes_only_its_own_positions(poses):
    k = len(poses.skeleton)
    if k == 1:
        return
    store = PoseStore(poses)
    edits.drop_keypoints(store, [0])
    store.set_skeleton(
        skeleton_change(poses.skeleton, Skeleton(poses.skeleton.keypoints[1:]), list(range(1, k)))
    )
    rows = np.arange(len(poses))
    np.testing.assert_array_equal(store.take(rows).xy, poses.xy[:, :, 1:])
    assert labelled_counts(store.snapshot()) == labelled_counts(poses)[1:]


@pytest.mark.parametrize("origin", [[0], [0, 0], [0, 1, 2]])
def test_an_origin_that_does_not_fit_is_refused(origin):
    with pytest.raises(ValueError, match="origin"):
        skeleton_change(Skeleton(("a", "b", "c")), Skeleton(("a", "b")), origin)


ABC = Skeleton(("a", "b", "c"), edges=((0, 1), (1, 2)), symmetry=((0, 2),))


@pytest.mark.parametrize(
    ("after", "origin", "name"),
    [
        (ABC, (0, 1, 2), None),
        (Skeleton(("a", "b", "x"), ABC.edges, ABC.symmetry), (0, 1, 2), "rename 'c' to 'x'"),
        (Skeleton(("x", "y", "c"), ABC.edges, ABC.symmetry), (0, 1, 2), "rename 2 keypoints"),
        (
            Skeleton(("a", "b", "c", "d"), (*ABC.edges, (2, 3)), ABC.symmetry),
            (0, 1, 2, None),
            "add keypoint 'd'",
        ),
        (Skeleton(("a", "b"), ((0, 1),)), (0, 1), "delete keypoint 'c'"),
        (Skeleton(("a",)), (0,), "delete 2 keypoints"),
        (
            Skeleton(("c", "b", "a"), ((2, 1), (1, 0)), ((0, 2),)),
            (2, 1, 0),
            "reorder the keypoints",
        ),
        (Skeleton(ABC.keypoints, ((0, 2),), ABC.symmetry), (0, 1, 2), "change the lines"),
        (Skeleton(ABC.keypoints, ABC.edges), (0, 1, 2), "change the mirrored pairs"),
        (Skeleton(ABC.keypoints, ABC.edges, ABC.symmetry, "bee"), (0, 1, 2), "rename the animal"),
        (Skeleton(("b", "x")), (1, None), "change the skeleton"),
    ],
)
def test_a_change_is_called_by_what_it_does(after, origin, name):
    change = skeleton_change(ABC, after, origin)
    assert (change and change.name) == name


def test_labelled_keypoints_are_not_dropped_unseen():
    from napari_semimultipose.poses import Poses

    store = PoseStore(Poses(ABC, np.ones((1, 1, 3, 2)), [0]))
    change = skeleton_change(ABC, Skeleton(("a", "b")), (0, 1))
    with pytest.raises(ValueError, match="cannot be dropped"):
        store.set_skeleton(change)
    with pytest.raises(ValueError, match="another skeleton"):
        store.set_skeleton(change.reversed())
