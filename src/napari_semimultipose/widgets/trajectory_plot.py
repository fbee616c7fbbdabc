"""Quantities of animals over time, drawn one below the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_semimultipose.layers.style import animal_colors
from napari_semimultipose.tracking.trajectories import QUANTITIES, Trajectory
from napari_semimultipose.widgets.plots import PlotColors

SHORT = {"confidence": "conf."}
"""Names beside the axes: four plots share a low dock."""
BEFORE = "#9a9a9a"
"""Colour of courses that others are compared with."""


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
        self._drawn: dict[int, Trajectory] = {}
        self._before: dict[tuple[str, int], pg.PlotDataItem] = {}
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

    def set_trajectories(
        self,
        courses: Mapping[int, Trajectory],
        frames: tuple[int, int],
        compared: Mapping[int, Trajectory] | None = None,
    ) -> None:
        """Draw these animals; those that are drawn already are changed in place.

        Parameters
        ----------
        courses : mapping of int to Trajectory
            By track.
        frames : (int, int)
            First and last frame of the recording.
        compared : mapping of int to Trajectory, optional
            Other courses of them, drawn behind in grey.
        """
        self._show_before(compared or {})
        for key in [key for key in self._curves if key[1] not in courses]:
            self._plots[key[0]].removeItem(self._curves.pop(key))
        before, self._drawn = self._drawn, dict(courses)
        for track, course in courses.items():
            if before.get(track) is course:
                continue
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

    def _show_before(self, courses: Mapping[int, Trajectory]) -> None:
        for (name, _), curve in self._before.items():
            self._plots[name].removeItem(curve)
        self._before.clear()
        for track, course in courses.items():
            for name in QUANTITIES:
                y = getattr(course, name)
                known = np.isfinite(y)
                curve = pg.PlotDataItem(
                    course.frame[known],
                    y[known],
                    connect=course.joined[known],
                    pen=pg.mkPen(BEFORE, width=1),
                    autoDownsample=True,
                )
                curve.setZValue(-1)
                self._plots[name].addItem(curve)
                self._before[name, track] = curve

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
            plot.setLabel("left", SHORT.get(name, name), color=colors.text, **{"font-size": "8pt"})
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
