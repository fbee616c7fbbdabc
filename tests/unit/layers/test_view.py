from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.canvas import Later
from napari_semimultipose.layers.geometry import geometry_of, image_shape, n_frames
from napari_semimultipose.layers.points import points_layer_data, poses_from_layer
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.layers.view import WINDOW_POINTS, Key, PoseView
from napari_semimultipose.poses import Poses, Skeleton, Video, Visibility

from .conftest import assert_same

SKELETON = Skeleton(("head", "thorax", "tail"), edges=((0, 1), (1, 2)))


def make_poses(n_frames=1000, n=4, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(10, 90, (n_frames, n, 3, 2))
    xy[rng.random(xy.shape[:3]) < 0.1] = np.nan
    return Poses(SKELETON, xy, np.arange(n_frames), **kwargs)


@pytest.fixture
def viewer():
    model = ViewerModel()
    model.add_image(np.zeros((1000, 100, 100), np.uint8), contrast_limits=(0, 255), name="clip")
    model.dims.set_point(0, 0)
    return model


def shown(view):
    """Points (x, y) of the layer on the frame that the viewer is at."""
    return points_on(view.points, int(view.viewer.dims.point[0]))


def points_on(layer, time):
    frame = round(float(layer.world_to_data((time, 0, 0))[0]))
    return {(x, y) for t, y, x in layer.data.tolist() if round(t) == frame}


def expected(poses, frame, video=0):
    row = poses.rows(video).get(frame)
    if row is None:
        return set()
    xy = poses.xy[row][poses.visible[row] > 0]
    return {tuple(p) for p in xy.tolist()}


@pytest.mark.parametrize("frames", [range(0, 1000, 37), [999, 0, 500, 501, 502, 499]])
def test_every_frame_shows_its_points_though_few_are_in_the_layer(viewer, frames):
    poses = make_poses()
    view = PoseView(viewer, PoseStore(poses), image=viewer.layers["clip"])
    for frame in frames:
        viewer.dims.set_point(0, frame)
        assert shown(view) == expected(poses, frame)
        assert len(view.points.data) <= WINDOW_POINTS
        ends = view.vectors.data[:, 0, 0] == frame
        both = [(poses.visible[frame, :, [a, b]] > 0).all(0).sum() for a, b in SKELETON.edges]
        assert ends.sum() == sum(both)


def test_the_layer_speaks_for_all_frames(viewer):
    poses = make_poses()
    view = PoseView(viewer, PoseStore(poses))
    assert_same(poses_from_layer(view.points), poses)


def test_edits_are_shown(viewer):
    store = PoseStore(make_poses())
    view = PoseView(viewer, store)
    edits.place_keypoint(store, 0, 0, None, 1, (3, 4))
    assert (3.0, 4.0) in shown(view)
    assert shown(view) == expected(store.snapshot(), 0)
    edits.remove_animals(store, [0, 0, 0, 0, 0], [0, 1, 2, 3, 4])
    assert shown(view) == set()
    assert not (view.vectors.data[:, 0, 0] == 0).any()


def test_layers_lie_over_a_scaled_and_moved_image(viewer):
    image = viewer.layers["clip"]
    image.scale, image.translate = (2.0, 0.5, 0.5), (10.0, 3.0, 4.0)
    poses = make_poses()
    viewer.dims.set_point(0, 10.0 + 2.0 * 7)
    view = PoseView(viewer, PoseStore(poses), image=image)
    assert view.frame == 7
    assert shown(view) == expected(poses, 7)
    world = image.data_to_world((7, 20, 30))
    np.testing.assert_allclose(view.to_xy(world), [30, 20])
    view.go_to(900)
    assert view.frame == 900
    assert shown(view) == expected(poses, 900)


def test_frames_before_the_recording_are_negative(viewer):
    image = viewer.add_image(np.zeros((10, 100, 100), np.uint8), translate=(5, 0, 0))
    view = PoseView(viewer, PoseStore(make_poses(10)), image=image)
    viewer.dims.set_point(0, 2)
    assert view.frame == -3


@pytest.mark.parametrize("shape", [(10, 100, 100), (100, 100)])
def test_layers_follow_whatever_is_done_to_the_image(viewer, shape):
    image = viewer.add_image(np.zeros(shape, np.uint8), scale=[2] * len(shape))
    view = PoseView(
        viewer, PoseStore(make_poses(10, track=np.tile(np.arange(4), (10, 1)))), image=image
    )
    layers = PredictionLayers(viewer, view.store, image=image, points=view.points)
    turn = np.eye(len(shape))
    turn[-2:, -2:] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
    affine = np.eye(len(shape) + 1)
    affine[-3:-1, -3:] = [[1.1, 0.2, 3], [0.1, 0.9, -4]]
    for change in (
        {"rotate": turn},
        {"shear": [*[0] * (len(shape) * (len(shape) - 1) // 2 - 1), 0.3]},
        {"affine": affine},
        {"scale": [0.5] * len(shape)},
        {"translate": [7] * len(shape)},
    ):
        for name, value in change.items():
            setattr(image, name, value)
        for layer in (view.points, view.vectors, layers.tracks):
            for y, x in ((0, 0), (30, 20), (5, 90)):
                expected = image.data_to_world((0, y, x)[-len(shape) :])[-2:]
                np.testing.assert_allclose(layer.data_to_world((0, y, x))[-2:], expected)
    x, y = view.store.array("xy")[0, 0, np.flatnonzero(view.store.array("visible")[0, 0])[0]]
    position = view.points.data_to_world((view.frame, y, x))
    assert view.hit(position, zoom=10).slot == 0


def test_a_single_image_is_frame_zero():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((64, 64), np.uint8), scale=(0.5, 0.5))
    geometry = geometry_of(image)
    np.testing.assert_array_equal(geometry["scale"], [1, 0.5, 0.5])
    poses = make_poses(1)
    view = PoseView(viewer, PoseStore(poses), image=image)
    assert n_frames(image) == 1
    assert image_shape(image) == (64, 64)
    assert shown(view) == expected(poses, 0)


def test_a_click_hits_the_nearest_point_within_reach(viewer):
    xy = np.array([[[[20.0, 30.0], [26.0, 30.0], [np.nan, np.nan]]]])
    view = PoseView(viewer, PoseStore(Poses(SKELETON, xy, [0])), image=viewer.layers["clip"])
    assert view.hit((0, 30, 20.4), zoom=4) == Key(0, 0, 0)
    assert view.hit((0, 30, 24.9), zoom=4) == Key(0, 0, 1)
    assert view.hit((0, 60, 20), zoom=4) is None
    viewer.dims.set_point(0, 1)
    assert view.hit((1, 30, 20), zoom=4) is None


def test_deletion_with_the_tools_of_napari_reaches_the_store(viewer):
    store = PoseStore(make_poses(5))
    view = PoseView(viewer, store)
    before = store.snapshot()
    view.points.selected_data = {0, 2}
    gone = {tuple(view.points.data[i, [2, 1]].tolist()) for i in (0, 2)}
    view.points.remove_selected()
    assert expected(store.snapshot(), 0) == expected(before, 0) - gone
    assert shown(view) == expected(store.snapshot(), 0)


def test_moves_with_the_tools_of_napari_reach_the_store(viewer):
    store = PoseStore(make_poses(5))
    view = PoseView(viewer, store)
    row, slot, keypoint = view._keys[1]
    view.points._drag_start = None
    view.points._move([1], view.points.data[1])  # what a drag does: the first call is its start
    view.points._move([1], view.points.data[1] + np.array([0, 4, 7]))
    moved = view.points.data[1]
    np.testing.assert_allclose(store.array("xy")[row, slot, keypoint], moved[[2, 1]])


def test_added_points_are_offered_and_not_kept_by_themselves(viewer):
    store = PoseStore(make_poses(5))
    view = PoseView(viewer, store)
    before, added = store.snapshot(), []
    view.on_native_add = added.append
    view.points.add([0, 11, 12])
    np.testing.assert_array_equal(added, [[[0, 11, 12]]])
    assert_same(store.snapshot(), before)
    assert shown(view) == expected(before, 0)


def test_a_drag_shows_at_once_and_is_stored_by_the_edit(viewer):
    store = PoseStore(make_poses(5))
    view = PoseView(viewer, store)
    key = Key(*map(int, view._keys[0]))
    view.drag(key, (1.5, 2.5))
    assert (1.5, 2.5) in shown(view)
    assert not (store.array("xy") == 1.5).any()
    edits.move_keypoints(store, [key.row], [key.slot], [key.keypoint], [(1.5, 2.5)])
    assert (1.5, 2.5) in shown(view)


def test_a_frame_without_points_shows_no_dot(viewer):
    view = PoseView(viewer, PoseStore(make_poses(3)))
    assert view.points.canvas_size_limits[0] > 0
    for frame, empty in ((5, True), (1, False), (500, True)):
        viewer.dims.set_point(0, frame)
        assert (view.points.canvas_size_limits[0] == 0) == empty


def test_occluded_points_and_selection_look_different(viewer):
    store = PoseStore(make_poses(5))
    view = PoseView(viewer, store)
    key = Key(*map(int, view._keys[0]))
    edits.set_visibility(store, [key.row], [key.slot], [key.keypoint], Visibility.OCCLUDED)
    assert view.points.symbol[0] != view.points.symbol[1]
    view.mark(key, key.slot)
    assert view.points.border_width[0] > view.points.border_width[1]


def test_a_layer_from_a_reader_becomes_the_window(viewer):
    from napari.layers import Layer

    poses = make_poses(50)
    layer = Layer.create(*points_layer_data(poses))
    viewer.add_layer(layer)
    view = PoseView(viewer, PoseStore(poses_from_layer(layer)), points=layer)
    viewer.dims.set_point(0, 49)
    assert view.points is layer
    assert shown(view) == expected(poses, 49)
    assert_same(poses_from_layer(layer), poses)


def test_sizes_of_colour_stacks_do_not_count_the_channels():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((7, 30, 40, 3), np.uint8), rgb=True)
    assert n_frames(image) == 7
    assert image_shape(image) == (30, 40)


def test_the_view_of_a_layer_is_found(viewer):
    view = PoseView(viewer, PoseStore(make_poses(5)))
    assert PoseView.of(view.points) is view
    view.close()
    assert PoseView.of(view.points) is None


def test_a_duplicate_keeps_the_poses_as_they_were(viewer):
    poses = make_poses()
    store = PoseStore(poses)
    view = PoseView(viewer, store)
    data, attributes, kind = view.points.as_layer_data_tuple()
    copy = viewer.add_layer(Layer.create(data, {**attributes, "name": "backup"}, kind))
    edits.remove_animals(store, np.arange(1000), np.zeros(1000, int))
    assert_same(poses_from_layer(copy), poses)
    assert poses_from_layer(view.points).n_instances < poses.n_instances
    assert PoseView.of(copy) is None


def test_a_view_lives_and_dies_with_its_layer(viewer):
    import gc
    import weakref

    poses = make_poses(50)
    layer = PoseView(viewer, PoseStore(poses)).points  # nobody keeps the view
    gc.collect()
    viewer.dims.set_point(0, 40)
    assert points_on(layer, 40) == expected(poses, 40)
    view = weakref.ref(PoseView.of(layer))
    viewer.layers.remove(layer)
    del layer
    viewer.layers.clear()
    gc.collect()
    assert view() is None


def test_one_of_several_videos_is_shown(viewer):
    poses = Poses.concatenate(
        [make_poses(9, seed=i, videos=(Video(f"clip{i}"),)) for i in range(2)]
    )
    view = PoseView(viewer, PoseStore(poses), video=1)
    assert shown(view) == expected(poses, 0, video=1)
    view.show_video(0, viewer.layers["clip"])
    assert shown(view) == expected(poses, 0, video=0)
    assert_same(poses_from_layer(view.points), poses)


def test_removing_the_points_removes_the_lines_and_ends_the_view(viewer):
    store = PoseStore(make_poses(5))
    view = PoseView(viewer, store)
    closed = []
    view.close_listeners.append(lambda: closed.append(1))
    viewer.layers.remove(view.points)
    assert [layer.name for layer in viewer.layers] == ["clip"]
    assert closed == [1]
    viewer.dims.set_point(0, 3)
    edits.place_keypoint(store, 0, 0, None, 0, (1, 1))


def test_removing_only_the_lines_leaves_the_points(viewer):
    view = PoseView(viewer, PoseStore(make_poses(5)))
    viewer.layers.remove(view.vectors)
    viewer.dims.set_point(0, 3)
    assert not view.edges_shown
    view.edges_shown = True
    assert len(view.vectors.data)


def test_points_grow_with_the_first_animals_and_stay_then(viewer):
    store = PoseStore(Poses.empty(SKELETON))
    view = PoseView(viewer, store)
    sizes = [view.style.size_px]
    edits.place_keypoint(store, 0, 0, None, 0, (0, 0))
    edits.place_keypoint(store, 0, 0, 0, 1, (400, 0))
    sizes.append(view.style.size_px)
    assert sizes[1] > sizes[0]
    assert (view.points.size == sizes[1]).all()
    assert view.vectors.edge_width == view.style.edge_width_px


def test_several_changes_are_shown_at_once(viewer):
    store = PoseStore(make_poses(5))
    view = PoseView(viewer, store)
    drawn = []
    view.points.events.set_data.connect(lambda: drawn.append(1))
    with view.one_refresh():
        edits.place_keypoint(store, 0, 0, 0, 1, (3, 4))
        with view.one_refresh():
            edits.place_keypoint(store, 0, 0, 1, 1, (5, 6))
        view.mark(Key(0, 1, 1), 1)
        assert drawn == []
    assert drawn == [1]
    assert {(3.0, 4.0), (5.0, 6.0)} <= shown(view)
    chosen = (view._keys == [0, 1, 1]).all(1)
    assert view.points.border_width[chosen] > view.points.border_width[~chosen].max()
    edits.remove_animals(store, [0], [0])
    assert shown(view) == expected(store.snapshot(), 0)


def test_without_a_window_nothing_waits():
    done = []
    later = Later(ViewerModel(), lambda: done.append(1))
    later.ask()
    assert done == [1]
    later.forget()
    later.ask()
    assert done == [1, 1]


def test_after_a_jump_napari_shows_the_points_of_the_frame():
    poses = Poses(
        Skeleton(("a", "b"), ((0, 1),)),
        np.arange(3000 * 2 * 2 * 2.0).reshape(3000, 2, 2, 2),
        np.arange(3000),
    )
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3000, 4, 4), np.uint8))
    view = PoseView(viewer, PoseStore(poses))
    for frame in (2500, 20, 21, 2999):
        viewer.dims.set_point(0, frame)
        shown = view.points._view_data
        expected = np.sort(poses.xy[frame, ..., 0].ravel())
        np.testing.assert_array_equal(np.sort(shown[:, 1]), expected)


def test_the_extent_follows_the_points_though_it_is_not_looked_up_on_every_frame(viewer):
    poses = Poses(SKELETON, np.full((3, 1, 3, 2), 50.0), np.arange(3))
    view = PoseView(viewer, PoseStore(poses), image=viewer.layers["clip"])
    for frame in (1, 2, 0):
        viewer.dims.set_point(0, frame)
    before = np.asarray(view.points.extent.data)
    assert before[1].tolist() == [2, 50, 50]
    edits.move_keypoints(view.store, [1], [0], [0], [(90, 70)])
    viewer.dims.set_point(0, 1)
    assert np.asarray(view.points.extent.data)[1].tolist() == [2, 70, 90]
    view.points.translate = (0, 10, 10)
    assert np.asarray(view.points.extent.world)[1, 1:].max() >= 100


def test_the_frame_is_that_of_the_recording_that_is_shown_now() -> None:
    """Of another time scale: clicks and marks are of the frame under the slider at once."""
    viewer = ViewerModel()
    images = [
        viewer.add_image(np.zeros((40, 20, 20)), contrast_limits=(0, 1), scale=(s, 1, 1))
        for s in (1, 2)
    ]
    xy = np.full((2, 1, 3, 2), 5.0) + 4 * np.arange(3)[:, None]
    poses = Poses(SKELETON, xy, [10, 5], video=[0, 1], videos=(Video("A"), Video("B")))
    view = PoseView(viewer, PoseStore(poses), image=images[0])
    view.go_to(10)
    view.show_video(1, images[1])
    assert view.frame == 5
    assert view.hit((10, 9, 9), 10.0) is not None
