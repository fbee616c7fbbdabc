"""The Smooth widget in a real window, on simulated members of an ensemble."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_semimultipose.io.labels import FORMATS, read_poses, write_poses
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.ellipses import RADIUS, Ellipses
from napari_semimultipose.layers.points import poses_from_layer
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.poses import Poses, Skeleton, Source
from napari_semimultipose.widgets import label_files, worker
from napari_semimultipose.widgets.smooth import SMALL, SmoothWidget
from napari_semimultipose.widgets.trajectories import TrajectoriesWidget

from .conftest import process_events

FRAMES = 150
SKELETON = Skeleton(("nose", "tail", "paw"), ((0, 1), (1, 2)))


def table(xy, **more) -> Poses:
    f, n, k = xy.shape[:3]
    return Poses(
        SKELETON, xy, np.arange(f), score=np.full((f, n, k), 0.9),
        instance_score=np.full((f, n), 0.9), source=np.full((f, n), Source.PREDICTED), **more,
    )  # fmt: skip


@pytest.fixture
def truth():
    rng = np.random.default_rng(0)
    way = np.array([[60, 60], [140, 140.0]]) + np.cumsum(rng.normal(0, 0.5, (FRAMES, 2, 2)), 0)
    return way[:, :, None] + np.array([[0, 0], [20, 0], [0, 20.0]])


@pytest.fixture
def members(truth):
    rng = np.random.default_rng(1)
    return [table(truth[:, :1] + rng.normal(0, 2, truth[:, :1].shape)) for _ in range(3)]


@pytest.fixture
def image(viewer):
    frames = np.zeros((FRAMES, 200, 200), np.uint8)
    return viewer.add_image(frames, contrast_limits=(0, 255), name="clip")


@pytest.fixture
def layers(viewer, image, members):
    return PredictionLayers(viewer, members[0], name="poses", image=image)


@pytest.fixture
def widget(open_widget, layers, qtbot):
    widget = open_widget(SmoothWidget)
    yield widget
    if worker.isalive(widget):
        qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)


def smooth(widget, qtbot):
    widget.form.smooth_button.click()
    assert not widget.form.smooth_button.isEnabled()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)
    process_events()


def test_members_in_layers_and_files_are_joined_and_smoothed(
    viewer, widget, layers, members, truth, tmp_path, qtbot, image
):
    other = PredictionLayers(viewer, members[1], name="second", image=image)
    process_events()
    assert [widget.form.members.item(i).text() for i in range(widget.form.members.count())] == [
        "second"
    ]
    widget.form.members.item(0).setCheckState(Qt.CheckState.Checked)
    write_poses(members[2], tmp_path / "third.csv")
    widget.form.add_files([tmp_path / "third.csv"])
    smooth(widget, qtbot)
    assert not widget.form.message.text()
    assert "an ensemble" in widget.form.status.text()
    result = poses_from_layer(viewer.layers["poses smoothed"])
    error = np.abs(result.xy[:, 0] - truth[:, 0]).mean()
    assert error < np.abs(members[0].xy[:, 0] - truth[:, 0]).mean()
    assert result.spread is not None
    assert not other.closed
    # the tick and the file are still there
    assert len(widget.form.ticked_layers()) == 1
    assert widget.form.files() == [tmp_path / "third.csv"]


def test_ellipses_follow_the_frame_and_go_with_their_switch(viewer, widget, layers, qtbot):
    smooth(widget, qtbot)
    layer = viewer.layers["poses smoothed uncertainty"]
    result = poses_from_layer(viewer.layers["poses smoothed"])
    for frame in (0, 120):
        viewer.dims.set_point(0, frame)
        process_events()
        here = layer.data[layer.data[:, 0, 0] == frame]
        xy, spread = result.xy[frame, 0, 0], result.spread[frame, 0, 0]
        np.testing.assert_allclose(here[0, 0, 1:], [xy[1], xy[0] + RADIUS * spread[0]])
        assert len(here) == 3 * 20
    # The points do not hide the ellipses around them.
    view = Ellipses.of(viewer.layers["poses smoothed"]).view
    small = view.style.size_px
    widget.form.ellipses.setChecked(False)
    assert "poses smoothed uncertainty" not in viewer.layers
    assert view.style.size_px == pytest.approx(small / SMALL)
    widget.form.ellipses.setChecked(True)
    assert "poses smoothed uncertainty" in viewer.layers
    # a keypoint that is moved by hand has no ellipse any more
    points = viewer.layers["poses smoothed"]
    view = Ellipses.of(points).view
    before = len(Ellipses.of(points).layer.data)
    edits.move_keypoints(view.store, [view.store.row(0, 120)], [0], [0], np.array([[1.0, 2.0]]))
    assert len(Ellipses.of(points).layer.data) == before - 20
    viewer.layers.remove(points)
    assert "poses smoothed uncertainty" not in viewer.layers


def test_smoothing_again_replaces_the_result(viewer, widget, layers, qtbot):
    smooth(widget, qtbot)
    first = poses_from_layer(viewer.layers["poses smoothed"]).xy
    widget.form.settings.editor("smoothness").set_value(0.0001)
    smooth(widget, qtbot)
    second = poses_from_layer(viewer.layers["poses smoothed"]).xy
    process_events()
    offered = [widget.form.members.item(i).text() for i in range(widget.form.members.count())]
    assert "poses smoothed" not in offered  # a result is no model
    assert np.abs(np.diff(second, axis=0)).mean() < 0.5 * np.abs(np.diff(first, axis=0)).mean()
    assert len([x for x in viewer.layers if x.name.startswith("poses smoothed")]) == 3


def test_a_result_that_was_corrected_stays(viewer, widget, layers, qtbot):
    smooth(widget, qtbot)
    first = widget.result
    edits.move_keypoints(first.store, [3], [0], [0], [[99.0, 9.0]])
    smooth(widget, qtbot)
    assert widget.result is not first
    assert first.store.array("xy")[3, 0, 0].tolist() == [99, 9]
    assert "corrected by hand" in widget.form.message.text()
    assert widget.result.store.array("xy")[3, 0, 0].tolist() != [99, 9]
    assert Ellipses.of(first.points) is None
    assert Ellipses.of(widget.result.points) is not None
    second = widget.result
    smooth(widget, qtbot)
    assert widget.result is second
    assert not widget.form.message.text()


def test_the_result_is_shown_although_the_poses_were_removed(viewer, widget, layers, qtbot):
    widget.form.smooth_button.click()
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)
    process_events()
    assert "one model" in widget.form.status.text()
    assert poses_from_layer(viewer.layers["poses smoothed"]).n_instances == FRAMES
    assert widget.form.save_button.isEnabled()


def test_the_plot_shows_the_courses_before_and_after(viewer, widget, layers, qtbot):
    smooth(widget, qtbot)
    widget.form.plot_button.click()
    process_events()
    plot = next(
        w for w in viewer.window._qt_window.findChildren(TrajectoriesWidget) if worker.isalive(w)
    )
    assert plot.before_button.isVisibleTo(plot)
    ((key, before),) = [(k, c) for k, c in plot.plot._before.items() if k[0] == "x"]
    after = plot.plot._curves[key]
    x = layers.poses.xy[:, 0, :, 0].mean(1)
    np.testing.assert_allclose(before.getOriginalDataset()[1], x)
    assert np.abs(np.diff(after.getOriginalDataset()[1])).mean() < np.abs(np.diff(x)).mean()
    plot.before_button.click()
    qtbot.waitUntil(lambda: not plot.plot._before, timeout=5000)


def test_jumps_are_listed_and_lead_to_their_frames(viewer, image, truth, open_widget, qtbot):
    rng = np.random.default_rng(2)
    track = np.tile([0, 1], (FRAMES, 1))
    track[80:] = [1, 0]
    poses = table(truth + rng.normal(0, 0.5, truth.shape), track=track, track_names=("ann", "bob"))
    PredictionLayers(viewer, poses, name="two", image=image)
    widget = open_widget(SmoothWidget)
    smooth(widget, qtbot)
    texts = [widget.form.jumps.item(i).text() for i in range(widget.form.jumps.count())]
    assert texts == [
        "frame 80: ann and bob probably exchange their identities",
        "frame 80: bob and ann probably exchange their identities",
    ]
    widget.form.jumps.setCurrentRow(0)
    process_events()
    assert viewer.dims.current_step[0] == 80


def test_saved_poses_keep_their_uncertainty(widget, layers, tmp_path, qtbot):
    smooth(widget, qtbot)
    path = tmp_path / "smoothed.slp"
    widget.save_as(path)
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)
    process_events()
    assert str(path) in widget.form.message.text()
    back = read_poses(path)
    assert np.isfinite(back.spread).all()


def test_the_format_chosen_in_the_dialog_is_written(widget, layers, tmp_path, qtbot, monkeypatch):
    smooth(widget, qtbot)
    coco = label_files.filter_of(FORMATS["coco"])
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *asked: (str(tmp_path / "out"), coco)
    )
    widget.form.save_button.click()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)
    assert read_poses(tmp_path / "out.json", format="coco").n_instances


def test_files_stay_listed_with_their_ticks_when_layers_come(viewer, widget, tmp_path):
    first, second = tmp_path / "first.slp", tmp_path / "second.slp"
    widget.form.add_files([first, second, first])
    widget.form.members.item(1).setCheckState(Qt.CheckState.Unchecked)
    viewer.add_image(np.zeros((3, 3)), name="other")
    process_events()
    listed = [widget.form.members.item(i) for i in range(widget.form.members.count())]
    assert [item.text() for item in listed] == ["first.slp", "second.slp"]
    assert widget.form.files() == [first]
    listed[1].setCheckState(Qt.CheckState.Checked)
    assert widget.form.files() == [first, second]


def test_what_is_wrong_is_said(widget, layers, tmp_path, qtbot, members):
    widget.form.mirrored.setText("_top")
    widget.form.smooth_button.click()
    assert "two endings" in widget.form.message.text()
    widget.form.mirrored.setText("")
    bad = tmp_path / "bad.csv"
    bad.write_text("nothing")
    widget.form.add_files([bad])
    smooth(widget, qtbot)
    assert "bad.csv" in widget.form.message.text()
    assert widget.form.smooth_button.isEnabled()
    assert widget.result is None
    widget.form.members.item(0).setCheckState(Qt.CheckState.Unchecked)
    smooth(widget, qtbot)
    assert "one model" in widget.form.status.text()


def test_members_without_the_same_keypoints_are_not_offered(viewer, widget, layers, members):
    other = replace(members[0], skeleton=Skeleton(("a", "b", "c")))
    PredictionLayers(viewer, other, name="other")
    process_events()
    assert widget.form.members.count() == 0
