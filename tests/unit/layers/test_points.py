from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.points import (
    FEATURES,
    METADATA_KEY,
    PointsInfo,
    points_from_poses,
    points_layer_data,
    poses_from_layer,
    poses_from_layer_data,
    poses_from_points,
)
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

from .conftest import assert_same, random_poses

SKELETON = Skeleton(("head", "thorax", "tail"), edges=((0, 1), (1, 2)))


@given(random_poses())
@settings(deadline=None)
def test_poses_survive_the_way_through_a_points_layer(poses):
    assert_same(poses_from_points(*points_from_poses(poses)), poses)


@given(random_poses(videos=2))
@settings(deadline=None)
def test_each_layer_shows_one_video(poses):
    for video in range(2):
        data, features, info = points_from_poses(poses, video)
        assert_same(poses_from_points(data, features, info), poses.select(poses.video == video))


@given(random_poses())
@settings(deadline=None, max_examples=25)
def test_poses_survive_a_real_points_layer(poses):
    from napari.layers import Layer

    assert_same(poses_from_layer(Layer.create(*points_layer_data(poses))), poses)


def test_coordinates_are_frame_row_column():
    poses = Poses(SKELETON, [[[[10, 20], [11, 21], [np.nan, np.nan]]]], [7])
    data, features, _ = points_from_poses(poses)
    np.testing.assert_array_equal(data, [[7, 20, 10], [7, 21, 11]])
    assert tuple(features) == FEATURES
    assert list(features["keypoint"]) == ["head", "thorax"]
    assert list(features["frame"]) == [7, 7]


def test_features_speak_in_words():
    poses = Poses(
        SKELETON,
        np.ones((1, 1, 3, 2)),
        [0],
        visible=[[[Visibility.VISIBLE, Visibility.OCCLUDED, Visibility.ABSENT]]],
        source=[[Source.PREDICTED]],
    )
    _, attributes, _ = points_layer_data(poses)
    assert list(attributes["features"]["visibility"]) == ["visible", "occluded"]
    assert list(attributes["features"]["source"]) == ["predicted", "predicted"]
    assert list(attributes["symbol"]) == ["disc", "ring"]


def test_negative_frames_travel_in_the_metadata():
    poses = Poses.from_instances(SKELETON, [], np.zeros((0, 3, 2)), empty_frames=[(0, 4), (0, 9)])
    again = poses_from_points(*points_from_poses(poses))
    np.testing.assert_array_equal(again.frame, [4, 9])
    assert again.n_instances == 0


def test_a_point_belongs_to_the_frame_on_which_it_is_shown():
    data, features, info = points_from_poses(Poses(SKELETON, np.ones((1, 1, 3, 2)), [5]))
    data = data + np.array([0.4, 0, 0])
    features["frame"] = 77  # a stale feature does not matter
    np.testing.assert_array_equal(poses_from_points(data, features, info).frame, [5])


def test_a_plain_layer_is_taken_over_in_the_order_of_the_points():
    data = np.column_stack([np.repeat([2, 0], [3, 6]), np.arange(9), np.arange(9) + 100])
    poses = poses_from_points(data, None, PointsInfo(SKELETON))
    np.testing.assert_array_equal(poses.frame, [0, 2])
    np.testing.assert_array_equal(poses.xy[0, 1], [[106, 6], [107, 7], [108, 8]])
    np.testing.assert_array_equal(poses.xy[1, 0], [[100, 0], [101, 1], [102, 2]])
    assert poses.present.sum() == 3


def test_a_plain_layer_of_a_single_image_is_frame_zero():
    poses = poses_from_points(np.ones((3, 2)), None, PointsInfo(SKELETON))
    np.testing.assert_array_equal(poses.frame, [0])


def test_a_plain_layer_with_a_wrong_count_is_refused_with_the_frame():
    with pytest.raises(LabelsError, match=r"frame 3 has 4 points.*3 keypoints"):
        poses_from_points(np.full((4, 3), 3.0), None, PointsInfo(SKELETON))


def test_names_alone_begin_a_new_animal_when_a_keypoint_comes_again():
    data = np.column_stack([np.zeros(4), np.arange(4), np.arange(4)])
    poses = poses_from_points(
        data, {"keypoint": ["tail", "head", "head", "tail"]}, PointsInfo(SKELETON)
    )
    np.testing.assert_array_equal(poses.xy[0, :, 0, 0], [1, 2])
    np.testing.assert_array_equal(poses.xy[0, :, 2, 0], [0, 3])
    assert (poses.visible[:, :, 1] == Visibility.ABSENT).all()


def test_a_keypoint_twice_in_an_animal_is_an_error_that_says_where():
    features = {"keypoint": ["head", "head"], "instance": [1, 1]}
    with pytest.raises(LabelsError, match="frame 6: the keypoint 'head' stands twice in animal 1"):
        poses_from_points([[6, 0, 0], [6, 5, 5]], features, PointsInfo(SKELETON))


def test_unknown_keypoints_are_named():
    with pytest.raises(LabelsError, match="snout"):
        poses_from_points([[0, 0, 0]], {"keypoint": ["snout"]}, PointsInfo(SKELETON))


@pytest.mark.parametrize(
    ("data", "match"),
    [(np.zeros((3, 4)), "4 dimensions"), (np.array([[-1.0, 2, 2]] * 3), "before the first frame")],
)
def test_points_that_lie_nowhere_are_refused(data, match):
    with pytest.raises(LabelsError, match=match):
        poses_from_points(data, None, PointsInfo(SKELETON))


def test_a_plain_layer_without_a_skeleton_says_what_to_do():
    with pytest.raises(LabelsError, match="Annotate"):
        poses_from_layer_data(np.zeros((3, 3)), {"metadata": {}, "name": "Points"})


def test_a_whole_recording_converts_and_comes_back():
    rng = np.random.default_rng(0)
    poses = Poses(
        Skeleton(tuple(f"k{i}" for i in range(13))),
        rng.uniform(0, 1024, (1350, 2, 13, 2)),
        np.arange(1350),
        videos=(Video("clip.mp4"),),
    )
    data, attributes, _ = points_layer_data(poses)
    again = poses_from_layer_data(data, attributes)
    assert attributes["metadata"][METADATA_KEY].skeleton == poses.skeleton
    np.testing.assert_array_equal(again.xy, poses.xy)
