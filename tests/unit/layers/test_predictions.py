from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_semimultipose.layers.points import poses_from_layer
from napari_semimultipose.layers.predictions import TRACK_VERTICES, PredictionLayers
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

from .conftest import assert_same

SKELETON = Skeleton(("head", "thorax", "tail"), edges=((0, 1), (1, 2)))


def predicted(n_frames, n=2, k=3, start=0, tracked=True):
    xy = np.random.default_rng(start).uniform(0, 100, (n_frames, n, k, 2))
    skeleton = SKELETON if k == 3 else Skeleton(tuple(f"k{i}" for i in range(k)), ((0, 1),))
    return Poses(
        skeleton,
        xy,
        np.arange(start, start + n_frames),
        track=np.broadcast_to(np.arange(n) if tracked else np.full(n, -1), (n_frames, n)),
        source=np.full((n_frames, n), Source.PREDICTED),
    )


@pytest.fixture
def viewer():
    model = ViewerModel()
    model.add_image(np.zeros((100, 100, 100), np.uint8), contrast_limits=(0, 255), name="clip")
    return model


def test_chunks_arrive_and_end_as_three_layers(viewer):
    layers = PredictionLayers(
        viewer, Poses.empty(SKELETON), name="bees", image=viewer.layers["clip"]
    )
    assert layers.tracks is None
    for start in range(0, 100, 20):
        layers.add(predicted(20, start=start, tracked=False))
    whole = predicted(100)
    layers.replace(whole)
    assert [layer.name for layer in viewer.layers] == [
        "clip",
        "bees tracks",
        "bees skeleton",
        "bees",
    ]
    assert viewer.layers.selection.active is layers.points
    assert_same(poses_from_layer(layers.points), whole)
    assert len(layers.tracks.data) == 200


def test_the_points_can_be_removed_while_predictions_arrive(viewer):
    layers = PredictionLayers(viewer, predicted(20), image=viewer.layers["clip"])
    viewer.layers.remove(layers.points)
    layers.add(predicted(20, start=20))
    layers.replace(predicted(20))
    assert layers.closed
    assert [layer.name for layer in viewer.layers] == ["clip"]


def test_the_paths_are_those_of_the_video_that_is_shown(viewer):
    poses = Poses.concatenate(
        [
            replace(predicted(n, start=start), videos=(Video(name),))
            for n, start, name in ((20, 0, "A"), (30, 5, "B"))
        ]
    )
    layers = PredictionLayers(viewer, poses, image=viewer.layers["clip"])
    assert len(layers.tracks.data) == 2 * 20
    other = viewer.add_image(
        np.zeros((100, 100, 100), np.uint8), scale=(2, 0.5, 0.5), translate=(10, 5, 5)
    )
    layers.view.show_video(1, other)
    assert len(layers.tracks.data) == 2 * 30
    assert layers.tracks.data[:, 1].min() == 5
    for name in ("scale", "translate"):
        np.testing.assert_array_equal(getattr(layers.tracks, name), getattr(layers.points, name))
    layers.view.show_video(0, viewer.layers["clip"])
    assert len(layers.tracks.data) == 2 * 20
    np.testing.assert_array_equal(layers.tracks.scale, (1, 1, 1))


def test_the_tracks_can_be_removed_and_drawn_again(viewer):
    layers = PredictionLayers(viewer, predicted(20), image=viewer.layers["clip"])
    viewer.layers.remove(layers.tracks)
    assert layers.tracks is None
    layers.show_tracks()
    assert len(layers.tracks.data) == 40


def test_paths_of_a_long_recording_are_those_near_the_current_frame():
    viewer = ViewerModel()
    viewer.add_image(
        np.broadcast_to(np.zeros((8, 8), np.uint8), (30_000, 8, 8)), contrast_limits=(0, 255)
    )
    layers = PredictionLayers(viewer, predicted(30_000, n=2))
    for frame in (0, 29_999, 15_000, 15_400, 18_000):
        viewer.dims.set_point(0, frame)
        seen = layers.tracks.data
        assert len(seen) <= 2 * TRACK_VERTICES
        near = range(max(0, frame - 500), min(30_000, frame + 500))
        for track in (0, 1):
            assert set(near) <= set(seen[layers.tracks.features["track"] == track, 1])
    assert layers.tracks.color_by == "color"


def test_only_the_points_near_the_current_frame_are_handed_to_napari():
    """A million points stay quick, because a step costs what the window holds."""
    viewer = ViewerModel()
    viewer.add_image(
        np.broadcast_to(np.zeros((8, 8), np.uint8), (20_000, 8, 8)), contrast_limits=(0, 255)
    )
    layers = PredictionLayers(viewer, predicted(20_000, n=4, k=13, tracked=True))
    assert layers.poses.xy[..., 0].size > 1e6
    for frame in np.random.default_rng(0).integers(0, 20_000, 5):
        viewer.dims.set_point(0, int(frame))
        shown = layers.points.data[:, 0]
        assert len(shown) < 1e4
        assert int(frame) in shown
