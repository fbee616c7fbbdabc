from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from napari_semimultipose.layers.tracks import tracks_from_poses, tracks_layer_data
from napari_semimultipose.poses import Poses, Skeleton

from .conftest import random_poses

SKELETON = Skeleton(("head", "tail"))


def track_of(frames, track=0, **kwargs):
    xy = np.stack([np.array([[f, 2 * f], [f + 2, 2 * f]]) for f in frames])[:, None]
    return Poses(SKELETON, xy, frames, track=np.full((len(frames), 1), track), **kwargs)


def test_a_path_is_the_mean_of_the_keypoints():
    data, _ = tracks_from_poses(track_of([3, 4]))
    np.testing.assert_array_equal(data, [[0, 3, 6, 4], [0, 4, 8, 5]])


def test_missing_keypoints_do_not_reach_napari():
    xy = np.array([[[[np.nan, np.nan], [4, 8]]], [[[np.nan, np.nan]] * 2]])
    data, _ = tracks_from_poses(Poses(SKELETON, xy, [0, 1], track=[[0], [0]]))
    np.testing.assert_array_equal(data, [[0, 0, 8, 4]])


def test_a_gap_splits_the_line_but_not_the_animal():
    data, features = tracks_from_poses(track_of([0, 1, 5, 6], track=7))
    np.testing.assert_array_equal(data[:, 0], [0, 0, 1, 1])
    assert set(features["track"]) == {7}


def test_animals_without_a_track_are_left_out():
    assert tracks_layer_data(track_of([0, 1], track=-1)) is None
    assert tracks_layer_data(Poses.empty(SKELETON)) is None


def test_of_two_instances_of_a_track_the_better_one_is_taken():
    xy = np.array([[[[0, 0], [0, 0]], [[8, 8], [8, 8]]]])
    poses = Poses(SKELETON, xy, [0], track=[[0, 0]], instance_score=[[0.2, 0.9]])
    data, features = tracks_from_poses(poses)
    np.testing.assert_array_equal(data, [[0, 0, 8, 8]])
    np.testing.assert_array_equal(features["score"], [0.9])


@given(random_poses(videos=2))
@settings(deadline=None, max_examples=25)
def test_napari_takes_what_is_made(poses):
    from napari.layers import Layer

    for video in range(2):
        made = tracks_layer_data(poses, video=video)
        expected = (poses.present & (poses.track >= 0))[poses.video == video]
        if made is None:
            assert not expected.any()
            continue
        layer = Layer.create(*made)
        rows = np.column_stack([np.nonzero(expected)[0]])
        assert len({*layer.data[:, 1].astype(int)}) == len({*rows[:, 0].tolist()})
        steps = np.diff(layer.data[:, :2], axis=0)
        same = steps[:, 0] == 0
        assert (steps[same, 1] == 1).all()


def test_paths_wear_the_colours_of_their_animals():
    from napari.layers import Layer

    from napari_semimultipose.layers.style import animal_colors

    parts = [track_of([0, 1, 2], track=t) for t in (0, 1, 4)]
    layer = Layer.create(*tracks_layer_data(Poses.concatenate(parts)))
    order = layer.features["track"].to_numpy()
    np.testing.assert_allclose(layer.track_colors, animal_colors(order), atol=1e-6)
