"""The trajectory plot in a real window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget

from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.tracking import repair
from napari_semimultipose.tracking.trajectories import trajectory
from napari_semimultipose.widgets import trajectories
from napari_semimultipose.widgets.plots import PlotColors
from napari_semimultipose.widgets.trajectories import (
    MAX_SHOWN,
    TrajectoriesWidget,
    open_trajectories,
)

from .conftest import process_events

FRAMES = 500
SKELETON = Skeleton(("head", "tail"), edges=((0, 1),))


@pytest.fixture
def poses() -> Poses:
    """Two animals that go right by 1 and 2 px a frame; the second one is away on some frames."""
    xy = np.zeros((FRAMES, 2, 2, 2))
    xy[..., 0] = np.arange(FRAMES)[:, None, None] * np.array([1, 2])[:, None]
    xy[..., 1, 1] = 20
    xy[100:200, 1] = np.nan
    return Poses(
        SKELETON, xy, np.arange(FRAMES), track=np.tile([0, 1], (FRAMES, 1)),
        score=np.full((FRAMES, 2, 2), 0.5), instance_score=np.full((FRAMES, 2), 0.75),
    )  # fmt: skip


@pytest.fixture
def layers(viewer, poses):
    image = viewer.add_image(
        np.broadcast_to(np.zeros((64, 64), np.uint8), (FRAMES, 64, 64)), contrast_limits=(0, 255)
    )
    return PredictionLayers(viewer, poses, image=image)


@pytest.fixture
def widget(viewer, layers, qtbot):
    widget = open_trajectories(viewer)
    qtbot.waitUntil(lambda: bool(widget.plot._curves))
    process_events()
    return widget


def curve(widget, name, track):
    return widget.plot._curves[name, track].getOriginalDataset()


def test_the_whole_recording_is_shown_below_the_picture(viewer, widget, qtbot):
    assert widget.plot.shown_range() == (0, FRAMES - 1)
    dock = next(
        d for d in viewer.window._qt_window.findChildren(QDockWidget) if d.isAncestorOf(widget)
    )
    area = Qt.DockWidgetArea.BottomDockWidgetArea
    qtbot.waitUntil(lambda: viewer.window._qt_window.dockWidgetArea(dock) == area)
    assert open_trajectories(viewer) is widget


def test_curves_are_those_of_the_poses(widget):
    frame, x = curve(widget, "x", 0)
    np.testing.assert_array_equal(frame, np.arange(FRAMES))
    np.testing.assert_array_equal(x, np.arange(FRAMES))
    assert (curve(widget, "y", 0)[1] == 10).all()
    np.testing.assert_allclose(curve(widget, "speed", 1)[1], 2)
    assert (curve(widget, "confidence", 0)[1] == 0.75).all()
    widget.keypoint.setCurrentText("tail")
    assert (curve(widget, "y", 0)[1] == 20).all()
    assert (curve(widget, "confidence", 0)[1] == 0.5).all()


def test_no_line_is_drawn_where_an_animal_is_away(widget):
    joined = widget.plot._curves["x", 1].opts["connect"]
    frame, _ = curve(widget, "x", 1)
    assert len(frame) == FRAMES - 100
    assert frame[~joined].tolist() == [99, FRAMES - 1]


def test_the_line_follows_the_slider_and_the_slider_the_line(viewer, widget):
    viewer.dims.set_current_step(0, 321)
    assert all(line.value() == 321 for line in widget.plot._lines.values())
    line = widget.plot._lines["x"]
    line.setValue(77.4)
    line.sigDragged.emit(line)
    assert viewer.dims.current_step[0] == 77
    assert widget.plot._lines["speed"].value() == 77


def test_a_click_in_the_plot_goes_to_the_frame(viewer, widget):
    process_events()
    box = widget.plot._plots["speed"].getViewBox()
    scene = box.mapViewToScene(QPointF(250, float(np.mean(box.viewRange()[1]))))
    spot = widget.plot.mapFromScene(scene)
    QTest.mouseClick(
        widget.plot.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot
    )
    process_events()
    assert abs(viewer.dims.current_step[0] - 250) <= 2


def test_what_is_in_view_moves_along_when_zoomed_in(viewer, widget):
    widget.plot.zoom_to(100, 140)
    viewer.dims.set_current_step(0, 300)
    low, high = widget.plot.shown_range()
    assert low < 300 < high
    assert high - low == pytest.approx(40)
    widget.all_button.click()
    assert widget.plot.shown_range() == (0, FRAMES - 1)


def test_a_repair_is_drawn(widget, layers, qtbot):
    layers.store.apply(repair.swap(layers.store, 0, 1, 300))
    qtbot.waitUntil(lambda: curve(widget, "x", 0)[1][-1] == 2 * (FRAMES - 1))
    assert widget.plot.shown_range() == (0, FRAMES - 1)


def test_only_the_animals_of_a_repair_are_drawn_anew(widget, layers, qtbot, monkeypatch):
    measured = []
    monkeypatch.setattr(
        trajectories,
        "trajectory",
        lambda store, track, *rest: measured.append(track) or trajectory(store, track, *rest),
    )
    layers.store.apply(repair.delete(layers.store, 1, 400))
    qtbot.waitUntil(lambda: curve(widget, "x", 1)[0][-1] == 399)
    assert measured == [1]
    layers.store.apply(repair.swap(layers.store, 0, 1, 300))
    qtbot.waitUntil(lambda: len(curve(widget, "x", 0)[0]) < FRAMES)
    assert sorted(measured[1:]) == [0, 1]
    assert curve(widget, "x", 1)[1][-1] == FRAMES - 1


def test_animals_and_quantities_can_be_hidden(widget, qtbot):
    widget.animals._buttons["2"].click()
    qtbot.waitUntil(lambda: ("x", 1) not in widget.plot._curves)
    assert ("x", 0) in widget.plot._curves
    widget.quantities["y"].click()
    assert widget.plot._shown == ["x", "speed", "confidence"]
    widget.animals._buttons["2"].click()
    qtbot.waitUntil(lambda: ("x", 1) in widget.plot._curves)


def test_a_long_recording_is_thinned_out_by_the_plot(widget, layers):
    n = 100_000
    rng = np.random.default_rng(0)
    xy = np.cumsum(rng.normal(size=(n, 2, 2, 2)), axis=0)
    xy[50_000, 0] += 500  # a peak of one frame must stay in sight
    layers.replace(Poses(SKELETON, xy, np.arange(n), track=np.tile([0, 1], (n, 1))))
    widget.redraw()
    process_events()
    x, y = widget.plot._curves["x", 0].getData()
    assert len(x) < n / 4
    assert y.max() >= xy[50_000, 0, :, 0].mean() - 1e-6
    widget.plot.zoom_to(500, 600)
    process_events()
    x, _ = widget.plot._curves["x", 0].getData()
    assert len(x) < 200


def test_of_many_tracks_the_longest_are_drawn_at_first(viewer, widget, layers, poses):
    track = np.arange(FRAMES)[:, None] // 25 * 2 + [0, 1]
    track[:100] = [0, 1]
    layers.replace(Poses(SKELETON, poses.xy, poses.frame, track=track))
    widget.redraw()
    drawn = {key[1] for key in widget.plot._curves}
    assert len(drawn) == MAX_SHOWN
    assert 0 in drawn


def test_it_opens_without_poses_and_follows_the_theme(viewer, open_widget):
    widget = open_widget(TrajectoriesWidget)
    assert widget.layers is None
    widget.plot.set_colors(PlotColors(background="#ffffff", text="#101010"))
    assert widget.plot.backgroundBrush().color().name() == "#ffffff"


def test_the_curves_are_those_of_the_recording_that_is_shown(viewer, poses, open_widget, qtbot):
    both = Poses.concatenate(
        [
            replace(poses, videos=(Video("A"),)),
            replace(poses, xy=poses.xy + 7, videos=(Video("B"),)),
        ]
    )
    layers = PredictionLayers(viewer, both)
    widget = open_widget(TrajectoriesWidget)
    qtbot.waitUntil(lambda: bool(widget.plot._curves))
    layers.view.show_video(1, None)
    qtbot.waitUntil(lambda: curve(widget, "x", 0)[1][0] == 7, timeout=5000)
