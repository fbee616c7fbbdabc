"""Trajectories of the animals over the whole recording, linked with the frame slider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from npe2 import PluginManager
from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer
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
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.layers.style import animal_colors
from napari_semimultipose.tracking.repair import track_name, tracks_of
from napari_semimultipose.tracking.trajectories import QUANTITIES, Trajectory, trajectory
from napari_semimultipose.widgets.choosers import LayerBox, plain_viewer, plot_colors
from napari_semimultipose.widgets.docks import move_to_bottom
from napari_semimultipose.widgets.plots import Legend
from napari_semimultipose.widgets.proofreading import can_be_reviewed, later, layers_of
from napari_semimultipose.widgets.trajectory_plot import TrajectoryPlot
from napari_semimultipose.widgets.worker import DockedWidget

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Points

PLUGIN = "napari-semimultipose"
MAX_SHOWN = 8
"""Of many animals, those on the most frames are drawn at first; the others when their name is clicked."""
MAX_NAMES = 60
"""Pieces of tracks beyond so many have no name to click."""
UNITS = {"x": "px", "y": "px", "speed": "px a frame", "confidence": "0 to 1"}
HEIGHT = 260


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
        self._before: tuple[PoseStore, PoseStore] | None = None
        self._known: dict[tuple[int, int, int], Trajectory] = {}  # by track, keypoint and video
        self._seen = False
        self.layer_box = LayerBox(viewer, can_be_reviewed, "open or predict poses first", self)
        self.keypoint = QComboBox(self)
        self.all_button = QPushButton("Whole recording", self)
        self.quantities = {name: QPushButton(name, self) for name in QUANTITIES}
        self.before_button = QPushButton("before", self)
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
        self.before_button.setToolTip("Also draw the courses before smoothing, in grey")
        self.before_button.setCheckable(True)
        self.before_button.setChecked(True)
        self.before_button.hide()
        row.addWidget(self.before_button)
        row.addWidget(self.all_button)
        row.addWidget(self.animals, 1)
        for button in (*self.quantities.values(), self.before_button, self.all_button):
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
        self.before_button.toggled.connect(lambda _: self._soon.start())
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
            self.layers.view.video_listeners.append(self._on_video)
            self.keypoint.blockSignals(True)
            self.keypoint.clear()
            self.keypoint.addItems(["centre", *self.layers.store.skeleton.keypoints])
            self.keypoint.blockSignals(False)
        self.redraw()

    def _let_go(self) -> None:
        layers, self.layers = self.layers, None
        self._known.clear()
        if layers is not None:
            if self._on_store in layers.store.listeners:
                layers.store.listeners.remove(self._on_store)
            if self.plot.set_frame in layers.view.frame_listeners:
                layers.view.frame_listeners.remove(self.plot.set_frame)
            if self._on_video in layers.view.video_listeners:
                layers.view.video_listeners.remove(self._on_video)
        self.animals.clear()

    @override
    def _leave(self) -> None:
        self._let_go()

    def _on_video(self, video: int) -> None:
        if isalive(self) and self.isVisible():
            self._soon.start()

    def _on_store(self, change: Change | None) -> None:
        self._forget(change)
        if isalive(self) and self.isVisible():
            self._soon.start()

    def _forget(self, change: Change | None) -> None:
        """Forget the courses that a change makes others; of a long recording each takes a while."""
        if change is None or self.layers is None:
            self._known.clear()
            return
        now = self.layers.store.array("track")[change.row, change.slot]
        sides = [side["track"] for side in (change.before, change.after) if "track" in side]
        touched = set(np.unique(np.concatenate([now, *sides])).tolist())
        self._known = {key: c for key, c in self._known.items() if key[0] not in touched}

    def compare(self, points: Points, before: PoseStore) -> None:
        """Draw the poses of a layer, and behind them those that they were made from.

        Parameters
        ----------
        points : Points layer
            Becomes the chosen layer.
        before : PoseStore
            With the same tracks and keypoints; drawn whenever this layer is chosen.
        """
        self.layer_box.set_layer(points)
        self._on_layer()
        if self.layers is not None:
            self._before = (self.layers.store, before)
        self.redraw()

    def _courses(self, store: PoseStore, tracks: list[int], video: int) -> dict[int, Trajectory]:
        keypoint = self.keypoint.currentIndex() - 1
        known = self._known if self.layers is not None and store is self.layers.store else {}
        for track in tracks:
            key = track, keypoint, video
            if key not in known:
                known[key] = trajectory(store, track, None if keypoint < 0 else keypoint, video)
        return {track: known[track, keypoint, video] for track in tracks}

    def redraw(self) -> None:
        """Draw the poses as they are now."""
        if self.layers is None or self.layers.closed:
            self.plot.set_trajectories({}, (0, 1))
            return
        store, video = self.layers.store, self.layers.view.video
        tracks = tracks_of(store, video)[:MAX_NAMES].tolist()
        if not tracks and store.n_slots == 1:
            tracks = [-1]  # one animal, which nobody had to follow
        names = {track: track_name(store, track) for track in tracks}
        shown = {name: self.animals.shows(name) for name in self.animals.names()}
        if list(shown) != [names[t] for t in sorted(tracks)]:
            self.animals.clear()
            for track in sorted(tracks):
                color = "#" + "".join(f"{int(255 * c):02x}" for c in animal_colors([track])[0][:3])
                first = tracks.index(track) < MAX_SHOWN
                self.animals.set_curve(names[track], color, shown=shown.get(names[track], first))
        shown_tracks = [track for track in tracks if self.animals.shows(names[track])]
        courses = self._courses(store, shown_tracks, video)
        compared = self._before is not None and self._before[0] is store
        self.before_button.setVisible(compared)
        before: dict[int, Trajectory] = {}
        if self._before is not None and compared and self.before_button.isChecked():
            before = self._courses(self._before[1], shown_tracks, video)
        frame = store.array("frame")[store.array("video") == video]
        frames = (int(frame.min()), int(frame.max())) if len(frame) else (0, 1)
        self.plot.set_trajectories(courses, frames, before)
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
