"""Ellipses as lines, and the spread in a store that is edited."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.ellipses import RADIUS, Ellipses, ellipse_lines
from napari_semimultipose.layers.store import PoseStore, SkeletonChange
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses, Skeleton, Video

SKELETON = Skeleton(("a", "b"))


@pytest.fixture
def poses() -> Poses:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 100, (3, 2, 2, 2))
    xy[1, 1, 0] = np.nan
    return Poses(SKELETON, xy, np.arange(3), spread=rng.uniform(1, 3, xy.shape))


def test_lines_lie_on_the_ellipses(poses: Poses) -> None:
    data, keypoint, _ = ellipse_lines(poses)
    assert len(data) == 20 * 11
    assert data[:20, 0, 0].tolist() == [0] * 20
    assert keypoint[:40].tolist() == [0] * 20 + [1] * 20
    assert poses.spread is not None
    offset = (data[:20, 0, :0:-1] - poses.xy[0, 0, 0]) / poses.spread[0, 0, 0]
    np.testing.assert_allclose(np.linalg.norm(offset, axis=1), RADIUS)
    ends = data[:20, 0] + data[:20, 1]
    np.testing.assert_allclose(ends[:-1, 1:], data[1:20, 0, 1:], atol=1e-9)
    np.testing.assert_allclose(ends[-1, 1:], data[0, 0, 1:], atol=1e-9)
    # 95 % of the draws of a normal distribution lie within
    draws = np.random.default_rng(1).normal(size=(20_000, 2))
    assert (np.linalg.norm(draws, axis=1) < RADIUS).mean() == pytest.approx(0.95, abs=0.005)


def test_poses_without_spread_have_none(poses: Poses) -> None:
    assert len(ellipse_lines(Poses(SKELETON, poses.xy, poses.frame))[0]) == 0


def test_a_store_keeps_the_spread_of_what_nobody_moved(poses: Poses) -> None:
    store = PoseStore(poses)
    edits.move_keypoints(store, [0], [1], [0], np.array([[5.0, 6.0]]))
    after = store.snapshot()
    assert after.spread is not None
    assert poses.spread is not None
    assert np.isnan(after.spread[0, 1, 0]).all()
    expected = np.array(poses.spread)
    expected[0, 1, 0] = np.nan
    np.testing.assert_array_equal(after.spread, expected)


def test_rows_slots_and_skeletons_may_change(poses: Poses) -> None:
    store = PoseStore(poses)
    row = store.ensure_row(0, 50)
    store.free_slots(row, 5)
    store.add(Poses(SKELETON, np.ones((1, 1, 2, 2)), [60], spread=np.full((1, 1, 2, 2), 2.0)))
    store.add(Poses(SKELETON, np.ones((1, 1, 2, 2)), [70]))
    store.set_skeleton(SkeletonChange("turn", SKELETON, Skeleton(("b", "a", "c")), (1, 0, None)))
    taken = store.snapshot()
    assert taken.spread is not None
    assert poses.spread is not None
    np.testing.assert_array_equal(taken.spread[0, 0, :2], poses.spread[0, 0, ::-1])
    rows = taken.rows()
    assert (taken.spread[rows[60], 0, :2] == 2).all()
    assert np.isnan(taken.spread[rows[70]]).all()


def test_a_store_learns_of_the_spread_when_it_comes(poses: Poses) -> None:
    store = PoseStore(Poses(SKELETON, poses.xy, poses.frame))
    assert not store.has_spread
    store.add(Poses(SKELETON, poses.xy[:1], [9], spread=poses.spread[:1]))  # type: ignore[index]
    taken = store.snapshot()
    assert taken.spread is not None
    assert np.isnan(taken.spread[0]).all()
    assert np.isfinite(taken.spread[3]).all()


def test_the_ellipses_are_those_of_the_video_that_is_shown(poses: Poses) -> None:
    viewer = ViewerModel()
    images = [
        viewer.add_image(np.zeros((3, 100, 100)), contrast_limits=(0, 1), **more)
        for more in ({}, {"scale": (1, 0.5, 0.5)})
    ]
    both = Poses.concatenate(
        [
            replace(poses, videos=(Video("A"),)),
            replace(poses.select([0]), videos=(Video("B"),)),
        ]
    )
    view = PoseView(viewer, PoseStore(both), image=images[0])
    ellipses = Ellipses(view)
    assert len(ellipses.layer.data) == 20 * 11
    view.show_video(1, images[1])
    assert len(ellipses.layer.data) == 20 * 4
    np.testing.assert_array_equal(ellipses.layer.scale, (1, 0.5, 0.5))
    images[1].translate = (0, 10, 20)  # they lie on the keypoints, wherever the frames are laid
    np.testing.assert_array_equal(ellipses.layer.translate, (0, 10, 20))
    ellipses.close()
    assert not view.video_listeners
    assert not view.place_listeners
