"""Trajectories of the animals over the whole recording, linked with the frame slider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import pyqtgraph as pg
from npe2 import PluginManager
from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from typing_extensions import override

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.store import Change
from napari_semimultipose.layers.style import animal_colors
from napari_semimultipose.tracking.repair import track_name, tracks_of
from napari_semimultipose.tracking.trajectories import QUANTITIES, Trajectory, trajectory
from napari_semimultipose.widgets.choosers import LayerBox, plain_viewer, plot_colors
from napari_semimultipose.widgets.docks import move_to_bottom
from napari_semimultipose.widgets.plots import Legend, PlotColors
from napari_semimultipose.widgets.proofreading import can_be_reviewed, later, layers_of
from napari_semimultipose.widgets.worker import DockedWidget

if TYPE_CHECKING:
    import napari.viewer

PLUGIN = "napari-semimultipose"
MAX_SHOWN = 8
"""Of many animals, those on the most frames are drawn at first; the others when their name is clicked."""
MAX_NAMES = 60
"""Pieces of tracks beyond so many have no name to click."""
UNITS = {"x": "px", "y": "px", "speed": "px a frame", "confidence": "0 to 1"}
HEIGHT = 260


class TrajectoryPlot(pg.GraphicsLayoutWidget):
    """Quantities of some animals over time, one below the other, with a line at the current frame.

    The mouse zooms and moves along the time, in all of them at once. What is drawn is thinned out
    by pyqtgraph, which keeps the peaks.
    """

    frame_chosen = Signal(int)
    """A click or a drag of the line wants another frame."""

    def __init__(self, colors: PlotColors, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plots: dict[str, pg.PlotItem] = {}
        self._lines: dict[str, pg.InfiniteLine] = {}
        self._curves: dict[tuple[str, int], pg.PlotDataItem] = {}
        self._shown: list[str] = []
        self._frame = 0
        self._range = (0, 1)
        self.ci.setContentsMargins(0, 0, 4, 0)
        self.ci.setSpacing(0)
        for name in QUANTITIES:
            plot = pg.PlotItem()
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMouseEnabled(x=True, y=False)
            plot.enableAutoRange(x=False, y=True)
            plot.setAutoVisible(y=True)
            plot.setDownsampling(auto=True, mode="peak")
            plot.setClipToView(True)
            plot.getAxis("left").setWidth(56)
            plot.getAxis("left").enableAutoSIPrefix(False)
            plot.getAxis("left").setStyle(maxTickLevel=0)
            line = pg.InfiniteLine(0, movable=True, pen=pg.mkPen("#d9a441", width=2))
            line.sigDragged.connect(self._on_dragged)
            plot.addItem(line, ignoreBounds=True)
            self._plots[name], self._lines[name] = plot, line
        first = self._plots[QUANTITIES[0]]
        for name in QUANTITIES[1:]:
            self._plots[name].setXLink(first)
        self.scene().sigMouseClicked.connect(self._on_clicked)
        self.set_colors(colors)
        self.show_quantities(list(QUANTITIES))

    # -------------------------------------------------------------------- data

    def set_trajectories(self, courses: Mapping[int, Trajectory], frames: tuple[int, int]) -> None:
        """Draw these animals; those that are drawn already are changed in place.

        Parameters
        ----------
        courses : mapping of int to Trajectory
            By track.
        frames : (int, int)
            First and last frame of the recording.
        """
        for key in [key for key in self._curves if key[1] not in courses]:
            self._plots[key[0]].removeItem(self._curves.pop(key))
        for track, course in courses.items():
            color = pg.mkColor(tuple(int(255 * c) for c in animal_colors([track])[0]))
            for name in QUANTITIES:
                curve = self._curves.get((name, track))
                if curve is None:
                    curve = pg.PlotDataItem(pen=pg.mkPen(color, width=1), autoDownsample=True)
                    self._plots[name].addItem(curve)
                    self._curves[name, track] = curve
                x, y, joined = course.frame, getattr(course, name), course.joined
                known = np.isfinite(y)
                curve.setData(x[known], y[known], connect=joined[known])
        new = frames != self._range
        self._range = frames
        for plot in self._plots.values():
            plot.setLimits(xMin=frames[0] - 1, xMax=frames[1] + 1, minXRange=5)
        if new:
            self.show_all()

    def show_all(self) -> None:
        """Show the whole recording."""
        first, last = self._range
        self._plots[QUANTITIES[0]].setXRange(first, max(last, first + 1), padding=0)

    def zoom_to(self, first: int, last: int) -> None:
        """Show some frames."""
        self._plots[QUANTITIES[0]].setXRange(first, last, padding=0)

    def shown_range(self) -> tuple[float, float]:
        """Return the first and last frame in view."""
        low, high = self._plots[QUANTITIES[0]].getViewBox().viewRange()[0]
        return float(low), float(high)

    def set_frame(self, frame: int) -> None:
        """Move the line, and what is in view when the line would leave it."""
        self._frame = frame
        for line in self._lines.values():
            line.setValue(frame)
        low, high = self.shown_range()
        if not low <= frame <= high:
            half = (high - low) / 2
            self.zoom_to(round(frame - half), round(frame + half))

    def show_quantities(self, names: list[str]) -> None:
        """Show some of the quantities."""
        for name in self._shown:
            self.ci.removeItem(self._plots[name])
        self._shown = [name for name in QUANTITIES if name in names]
        for i, name in enumerate(self._shown):
            self.addItem(self._plots[name], row=i, col=0)
            last = i == len(self._shown) - 1
            axis = self._plots[name].getAxis("bottom")
            axis.setStyle(showValues=last)
            axis.setHeight(None if last else 4)

    def set_colors(self, colors: PlotColors) -> None:
        """Draw in other colours, when the theme of the viewer changes."""
        self.setBackground(colors.background)
        for name, plot in self._plots.items():
            plot.showGrid(x=True, y=True, alpha=0.12)
            plot.setLabel("left", name, color=colors.text, **{"font-size": "8pt"})
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(colors.text)
                plot.getAxis(side).setTextPen(colors.text)

    # ------------------------------------------------------------------- mouse

    def _on_dragged(self, line: pg.InfiniteLine) -> None:
        self._choose(line.value())

    def _on_clicked(self, event: Any) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        for name in self._shown:
            box = self._plots[name].getViewBox()
            if box.sceneBoundingRect().contains(event.scenePos()):
                if event.double():
                    self.show_all()
                else:
                    self._choose(box.mapSceneToView(event.scenePos()).x())
                return

    def _choose(self, frame: float) -> None:
        chosen = int(np.clip(round(frame), *self._range))
        if chosen != self._frame:
            self.frame_chosen.emit(chosen)


class TrajectoriesWidget(DockedWidget):
    """Dock widget with the trajectories of the poses in a Points layer.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    # napari looks for exactly this annotation
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer = plain_viewer(viewer)
        self.layers: PredictionLayers | None = None
        self._seen = False
        self.layer_box = LayerBox(viewer, can_be_reviewed, "open or predict poses first", self)
        self.keypoint = QComboBox(self)
        self.all_button = QPushButton("Whole recording", self)
        self.quantities = {name: QPushButton(name, self) for name in QUANTITIES}
        self.animals = Legend(self)
        self.plot = TrajectoryPlot(plot_colors(viewer), self)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(50)
        self._soon.timeout.connect(self.redraw)
        self._later = later(self._on_layer, self)
        self._lay_out()
        self._connect()
        active = viewer.layers.selection.active
        if active is not None:
            self.layer_box.set_layer(active)
        self._on_layer()
        _open.add(self)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.layer_box.setMaximumWidth(220)
        self.keypoint.setToolTip("The keypoint whose course is drawn")
        self.all_button.setToolTip("Show all frames; so does a double click")
        row.addWidget(QLabel("Poses", self))
        row.addWidget(self.layer_box)
        row.addWidget(self.keypoint)
        for name, button in self.quantities.items():
            button.setToolTip(f"Show or hide this quantity ({UNITS[name]})")
            button.setCheckable(True)
            button.setChecked(True)
            row.addWidget(button)
        row.addWidget(self.all_button)
        row.addWidget(self.animals, 1)
        for button in (*self.quantities.values(), self.all_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.setSizeConstraint(QVBoxLayout.SizeConstraint.SetNoConstraint)
        self.plot.setToolTip(
            "Click or drag the line to go to a frame; the wheel zooms, a drag moves along the time"
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def _connect(self) -> None:
        self.layer_box.layer_changed.connect(self._later.start)
        self.keypoint.currentIndexChanged.connect(lambda _: self.redraw())
        self.all_button.clicked.connect(self.plot.show_all)
        for button in self.quantities.values():
            button.toggled.connect(lambda _: self._on_quantities())
        self.animals.toggled.connect(lambda *_: self._soon.start())
        self.plot.frame_chosen.connect(self._go_to)
        self._viewer.events.theme.connect(self._on_theme)

    @override
    def sizeHint(self) -> QSize:
        """Be low."""
        return QSize(350, HEIGHT)  # at first it lies beside the picture, which must not shrink

    @override
    def minimumSizeHint(self) -> QSize:
        """Be narrow if need be: beside the picture, before the dock moves below it."""
        return QSize(200, 120)

    @override
    def showEvent(self, event: Any) -> None:
        """Move below the picture when shown for the first time; catch up with what was missed."""
        super().showEvent(event)
        if not self._seen:
            self._seen = True
            QTimer.singleShot(0, lambda: move_to_bottom(self, HEIGHT) if isalive(self) else None)
        self._soon.start()

    # ------------------------------------------------------------------- poses

    def _on_layer(self) -> None:
        points = self.layer_box.layer()
        if self.layers is not None and points is self.layers.points:
            return
        self._let_go()
        if points is not None:
            try:
                self.layers = layers_of(self._viewer, points)
            except LabelsError:
                self.layers = None
        if self.layers is not None:
            self.layers.store.listeners.append(self._on_store)
            self.layers.view.frame_listeners.append(self.plot.set_frame)
            self.keypoint.blockSignals(True)
            self.keypoint.clear()
            self.keypoint.addItems(["centre", *self.layers.store.skeleton.keypoints])
            self.keypoint.blockSignals(False)
        self.redraw()

    def _let_go(self) -> None:
        layers, self.layers = self.layers, None
        if layers is not None:
            if self._on_store in layers.store.listeners:
                layers.store.listeners.remove(self._on_store)
            if self.plot.set_frame in layers.view.frame_listeners:
                layers.view.frame_listeners.remove(self.plot.set_frame)
        self.animals.clear()

    @override
    def _leave(self) -> None:
        self._let_go()

    def _on_store(self, change: Change | None) -> None:
        if isalive(self) and self.isVisible():
            self._soon.start()

    def redraw(self) -> None:
        """Draw the poses as they are now."""
        if self.layers is None or self.layers.closed:
            self.plot.set_trajectories({}, (0, 1))
            return
        store, video = self.layers.store, self.layers.view.video
        tracks = tracks_of(store, video)[:MAX_NAMES].tolist()
        names = {track: track_name(store, track) for track in tracks}
        shown = {name: self.animals.shows(name) for name in self.animals.names()}
        if list(shown) != [names[t] for t in sorted(tracks)]:
            self.animals.clear()
            for track in sorted(tracks):
                color = "#" + "".join(f"{int(255 * c):02x}" for c in animal_colors([track])[0][:3])
                first = tracks.index(track) < MAX_SHOWN
                self.animals.set_curve(names[track], color, shown=shown.get(names[track], first))
        keypoint = self.keypoint.currentIndex() - 1
        courses = {
            track: trajectory(store, track, None if keypoint < 0 else keypoint, video)
            for track in tracks
            if self.animals.shows(names[track])
        }
        frame = store.array("frame")[store.array("video") == video]
        frames = (int(frame.min()), int(frame.max())) if len(frame) else (0, 1)
        self.plot.set_trajectories(courses, frames)
        self.plot.set_frame(self.layers.view.frame)

    # ------------------------------------------------------------------ events

    def _go_to(self, frame: int) -> None:
        if self.layers is not None and not self.layers.closed:
            self.layers.view.go_to(frame)

    def _on_quantities(self) -> None:
        names = [name for name, button in self.quantities.items() if button.isChecked()]
        self.plot.show_quantities(names)

    def _on_theme(self, event: Any = None) -> None:
        if isalive(self):
            self.plot.set_colors(plot_colors(self._viewer))


_open: WeakSet[TrajectoriesWidget] = WeakSet()


def open_trajectories(viewer: napari.Viewer) -> TrajectoriesWidget:
    """Show the trajectories of a viewer; open their dock if there is none."""
    for widget in list(_open):
        if isalive(widget) and widget._viewer is viewer and widget.window() is not widget:
            dock = widget.parentWidget()
            if dock is not None:
                dock.show()
                dock.raise_()
            return widget
    plugins, made = PluginManager.instance(), None
    if PLUGIN in plugins and not plugins.is_disabled(PLUGIN):
        _, made = viewer.window.add_plugin_dock_widget(PLUGIN, "Trajectories")
    if isinstance(made, TrajectoriesWidget):
        return made
    made = TrajectoriesWidget(viewer)
    viewer.window.add_dock_widget(made, name="Trajectories", area="bottom")
    return made
