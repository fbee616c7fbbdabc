from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from napari_semimultipose.layers.vectors import vectors_from_poses, vectors_layer_data
from napari_semimultipose.poses import Poses, Skeleton

from .conftest import random_poses

SKELETON = Skeleton(("head", "thorax", "tail"), edges=((0, 1), (1, 2)))


def test_an_edge_starts_at_its_first_keypoint_and_stays_in_its_frame():
    poses = Poses(SKELETON, [[[[10, 20], [13, 24], [13, 30]]]], [7])
    data, features, _ = vectors_from_poses(poses)
    np.testing.assert_array_equal(data, [[[7, 20, 10], [0, 4, 3]], [[7, 24, 13], [0, 6, 0]]])
    assert list(features["frame"]) == [7, 7]


def test_edges_to_missing_keypoints_are_not_drawn():
    poses = Poses(SKELETON, [[[[10, 20], [np.nan, np.nan], [13, 30]]]], [7])
    assert vectors_layer_data(poses) is None


def test_edges_wear_the_colour_of_their_animal():
    poses = Poses(SKELETON, np.ones((1, 2, 3, 2)), [0], track=[[5, -1]])
    _, features, colors = vectors_from_poses(poses)
    a, b = (colors[features["instance"] == i] for i in (0, 1))
    assert len(np.unique(a, axis=0)) == len(np.unique(b, axis=0)) == 1
    assert not np.array_equal(a[0], b[0])


@given(random_poses())
@settings(deadline=None)
def test_ends_of_the_vectors_are_the_keypoints(poses):
    data, features, _ = vectors_from_poses(poses)
    rows = {int(f): i for i, f in enumerate(poses.frame)}
    points = {
        (int(f), *map(float, poses.xy[rows[int(f)], n, k, ::-1]))
        for f in poses.frame
        for n, k in zip(*np.nonzero(poses.visible[rows[int(f)]] > 0), strict=True)
    }
    for start, move in data:
        assert tuple(start) in points
        end = start + move
        assert any(np.allclose(end, p) for p in points)
    edges = np.array(poses.skeleton.edges, int).reshape(-1, 2)
    both = (poses.visible[:, :, edges[:, 0]] > 0) & (poses.visible[:, :, edges[:, 1]] > 0)
    assert len(data) == len(features) == both.sum()
