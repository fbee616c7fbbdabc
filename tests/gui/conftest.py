"""A real viewer for the tests of this folder; run them under a display, real or virtual (Xvfb)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import napari
import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """Nothing is written to the real home folder."""
    folder = tmp_path_factory.mktemp("home")
    # Not through the environment: napari keeps its compiled icons in the home folder.
    monkeypatch.setattr(Path, "home", lambda: folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _quick_windows() -> Iterator[None]:
    """Plugins are looked for once, not with every window, and napari's settings stay off the disk."""
    found = list(PluginManifest.discover())
    gc.collect()
    gc.freeze()  # each window ends with a full collection; what was imported is not garbage
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManifest, "discover", lambda paths=(): iter(found))
        patch.setattr("napari.settings._base.EventedConfigFileSettings._maybe_save", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def _in_process(request, monkeypatch) -> None:
    """Work is done where tests can change it, and starts at once; not in tests marked `apart`."""
    if request.node.get_closest_marker("apart") is None:
        monkeypatch.setenv("SEMIMULTIPOSE_IN_PROCESS", "1")


@pytest.fixture
def viewer(make_napari_viewer) -> napari.Viewer:
    """Return a window of the size of a small laptop."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    process_events()
    return viewer


def process_events(n: int = 5) -> None:
    for _ in range(n):
        QApplication.processEvents()


class Hand:
    """Clicks, drags and keys on the canvas of a viewer, through the events of the window system."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer = viewer
        self.canvas = viewer.window._qt_viewer.canvas.native

    def at(self, x: float, y: float, layer) -> QPoint:
        """Place on the canvas of the pixel (x, y) of a layer (frame, row, column)."""
        process_events()
        canvas = self.viewer.window._qt_viewer.canvas
        corners = [(0, 0), (100, 0), (0, 100)]
        try:
            world = [canvas._map_canvas2world(c, canvas.view)[-2:] for c in corners]
        except TypeError:  # napari before 0.8
            world = [canvas._map_canvas2world(c)[-2:] for c in corners]
        origin, right, down = np.asarray(world)
        step = np.column_stack([right - origin, down - origin]) / 100
        wanted = np.asarray(layer.data_to_world((0, y, x)))[-2:]
        spot = np.linalg.solve(step, wanted - origin)
        return QPoint(*np.round(spot).astype(int).tolist())

    def click(self, x, y, layer, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        spot = self.at(x, y, layer)
        QTest.mouseMove(self.canvas, spot)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, modifier, spot)
        process_events()

    def double_click(self, x, y, layer) -> None:
        """Send what a window system sends: press, release, double click, release."""
        spot = self.at(x, y, layer)
        left = Qt.MouseButton.LeftButton
        QTest.mouseClick(self.canvas, left, Qt.KeyboardModifier.NoModifier, spot)
        QTest.mouseDClick(self.canvas, left, Qt.KeyboardModifier.NoModifier, spot)
        process_events()

    def drag(self, start, end, layer, steps: int = 5) -> None:
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        a, b = self.at(*start, layer), self.at(*end, layer)
        QTest.mouseMove(self.canvas, a)
        QTest.mousePress(self.canvas, left, none, a)
        for i in range(1, steps + 1):
            spot = a + (b - a) * i / steps
            QTest.mouseMove(self.canvas, spot)
            process_events(1)
        QTest.mouseRelease(self.canvas, left, none, b)
        process_events()

    def key(self, key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        if modifier != Qt.KeyboardModifier.NoModifier:  # Qt remembers it, for lists say
            QTest.keyRelease(self.canvas, Qt.Key.Key_Control)
        process_events()


@pytest.fixture
def hand(viewer) -> Hand:
    return Hand(viewer)


@pytest.fixture
def open_widget(viewer) -> Callable[[type], object]:
    """Open a widget class in a dock, as the Plugins menu does."""

    def add(widget_class):
        widget = widget_class(viewer)
        viewer.window.add_dock_widget(widget, name=widget_class.__name__, area="right")
        process_events()
        return widget

    return add
