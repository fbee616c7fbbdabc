from __future__ import annotations

import numpy as np

from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.tracking.trajectories import trajectory

SKELETON = Skeleton(("head", "tail"))


def test_gaps_are_open_and_speeds_are_per_frame():
    xy = np.zeros((5, 1, 2, 2))
    xy[:, 0, :, 0] = [[0, 2], [3, 5], [np.nan, np.nan], [9, 11], [9, 11]]
    xy[2] = np.nan
    poses = Poses(SKELETON, xy, np.arange(5), track=np.zeros((5, 1), int))
    for table in (poses, PoseStore(poses)):
        course = trajectory(table, 0)
        assert course.frame.tolist() == [0, 1, 3, 4]
        assert course.x.tolist() == [1, 4, 10, 10]
        np.testing.assert_array_equal(course.speed, [np.nan, 3, 3, 0])
        assert course.joined.tolist() == [True, False, True, False]
        assert course.confidence.tolist() == [1, 1, 1, 1]


def test_of_a_keypoint_and_of_frames_in_any_order():
    xy = np.arange(12.0).reshape(3, 1, 2, 2)
    xy[1, 0, 1] = np.nan
    poses = Poses(
        SKELETON, xy, [4, 2, 0], track=np.zeros((3, 1), int), score=np.full((3, 1, 2), 0.3)
    )
    course = trajectory(poses, 0, keypoint=1)
    assert course.frame.tolist() == [0, 4]
    assert course.x.tolist() == [10, 2]
    assert course.joined.tolist() == [False, False]
    assert course.confidence.tolist() == [0.3, 0.3]


def test_an_animal_that_is_not_there_has_no_course():
    poses = Poses(SKELETON, np.zeros((2, 1, 2, 2)), [0, 1], track=[[0], [0]])
    assert len(trajectory(poses, 7).frame) == 0
    assert len(trajectory(poses, 7).joined) == 0
