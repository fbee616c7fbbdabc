from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.layers.skeletons import labelled_counts, with_skeleton
from napari_semimultipose.poses import Skeleton

from .conftest import assert_same, random_poses


@given(random_poses(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_reordering_and_adding_loses_nothing(poses, random):
    k = len(poses.skeleton)
    origin = [*range(k), None]
    random.shuffle(origin)
    names = tuple("new" if i is None else poses.skeleton.keypoints[i] for i in origin)
    changed = with_skeleton(poses, Skeleton(names), origin)
    assert labelled_counts(changed)[origin.index(None)] == 0
    back = [origin.index(i) for i in range(k)]
    assert_same(with_skeleton(changed, poses.skeleton, back), poses)


@given(random_poses())
@settings(deadline=None)
def test_a_keypoint_left_out_takes_only_its_own_positions(poses):
    k = len(poses.skeleton)
    if k == 1:
        return
    rest = list(range(1, k))
    changed = with_skeleton(poses, Skeleton(poses.skeleton.keypoints[1:]), rest)
    np.testing.assert_array_equal(changed.xy, poses.xy[:, :, 1:])
    assert labelled_counts(changed) == labelled_counts(poses)[1:]


@pytest.mark.parametrize("origin", [[0], [0, 0], [0, 1, 2]])
def test_an_origin_that_does_not_fit_is_refused(origin):
    from napari_semimultipose.poses import Poses

    skeleton = Skeleton(("a", "b"))
    with pytest.raises(ValueError, match="origin"):
        with_skeleton(Poses.empty(Skeleton(("a", "b", "c"))), skeleton, origin)
