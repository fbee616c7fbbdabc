"""Metrics as columns and colours of the points of predictions."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.measured import Measured
from napari_semimultipose.layers.points import poses_from_layer
from napari_semimultipose.layers.store import PoseStore, SkeletonChange
from napari_semimultipose.layers.style import confidence_colors, ratio_colors
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.metrics import POSE, TEMPORAL, Metric
from napari_semimultipose.poses import Poses, Skeleton, Source

from .conftest import assert_same

SKELETON = Skeleton(("head", "tail"))
F, N = 600, 2


@pytest.fixture
def poses():
    xy = np.random.default_rng(0).uniform(10, 90, (F, N, 2, 2))
    return Poses(SKELETON, xy, np.arange(F), source=np.full((F, N), Source.PREDICTED))


@pytest.fixture
def measured(poses):
    px = np.arange(F * N * 2, dtype=float).reshape(F, N, 2)
    px[0, 0, 0] = np.nan
    return Measured({POSE: Metric(px, np.full(px.shape, 100.0))}, poses.xy)


@pytest.fixture
def view(poses, measured):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((F, 100, 100), np.uint8), contrast_limits=(0, 255))
    viewer.dims.set_point(0, 0)
    store = PoseStore(poses)
    store.set_measured(measured)
    return PoseView(viewer, store)


@pytest.mark.parametrize("frame", [0, 300, F - 1])
def test_every_point_has_its_metrics(view, frame):
    view.viewer.dims.set_point(0, frame)
    features = view.points.features
    here = features[features["frame"] == frame]
    assert len(here) == N * 2
    for _, row in here.iterrows():
        wanted = frame * 4 + row["instance"] * 2 + SKELETON.keypoints.index(row["keypoint"])
        if wanted == 0:
            assert np.isnan(row[POSE])
        else:
            assert row[POSE] == wanted


def test_colours_tell_the_metric(view):
    view.set_look(color_by="pose")
    ratio = view.points.features[POSE].to_numpy() / 100
    np.testing.assert_allclose(view.points.face_color, ratio_colors(ratio))
    assert (view.points.face_color[0] == 1).all()  # not known: white
    view.set_look(color_by="jump")  # not measured at all
    assert (view.points.face_color == 1).all()


def test_the_limit_is_yellow_and_beyond_is_red():
    colors = ratio_colors([0, 1, 2, 50, np.nan])
    np.testing.assert_allclose(colors, confidence_colors([1, 0.5, 0, 0, np.nan]))


def test_a_moved_keypoint_is_not_known_any_more(view):
    edits.move_keypoints(view.store, np.array([1]), np.array([1]), np.array([0]), [[5.0, 5.0]])
    features = view.points.features
    moved = (
        (features["frame"] == 1) & (features["instance"] == 1) & (features["keypoint"] == "head")
    )
    assert np.isnan(features[POSE][moved]).all()
    assert np.isfinite(features[POSE][~moved][1:]).all()


def test_frames_that_come_later_have_none(view, poses):
    view.store.add(Poses(SKELETON, poses.xy[:3, :1], np.arange(F, F + 3)))
    values, ratios = view.store.measured.at(np.array([F - 1, F]), view.store.take([F - 1, F]).xy)
    assert np.isfinite(values[POSE][0]).all()
    assert np.isnan(ratios[POSE][1]).all()


def test_other_poses_and_another_skeleton_have_none(view, poses):
    more = Skeleton(("head", "tail", "tip"))
    view.store.set_skeleton(SkeletonChange("more", SKELETON, more, (0, 1, None)))
    assert POSE not in view.points.features
    view.store.replace(poses)
    assert view.store.measured is None


def test_metrics_do_not_change_what_is_saved(view, poses):
    assert_same(poses_from_layer(view.points), poses)
    assert TEMPORAL not in view.points.features
