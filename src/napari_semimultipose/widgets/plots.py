"""Live plot of a training run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget
from superqt import QFlowLayout
from typing_extensions import override

from napari_semimultipose.widgets.editor_base import readable

REDRAW_MS = 500
GIVE_WAY_S = 0.15
"""Pause after a change of the frame: two drawings one after the other would make the viewer stutter."""
LONGEST_WAIT_S = 2.0
"""Even while frames are played, the curves are drawn after this time."""
MAX_POINTS = 1000
_LEAST_X, _STEP_X = 20.0, 1.25  # the right end of the plots is a power of the step

# Distinct for most kinds of colour vision, and light enough for dark backgrounds
# (Okabe and Ito 2008, "Color universal design").
PALETTE = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#f0e442", "#999999")
# The same hues, dark enough for light backgrounds
DARK_PALETTE = (
    "#2f8fc8", "#b87d00", "#007a59", "#a84f7f", "#b34d00", "#005c91", "#8f8500", "#6b6b6b",
)  # fmt: skip
AP_COLOR = "#009e73"
ERROR_COLOR = "#e69f00"
HIDDEN_COLOR = "#7a7d85"


DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
MAX_SHOWN = 8
"""Of many loss terms, these are drawn at first; the others when their name is clicked."""


@dataclass(frozen=True)
class PlotColors:
    """Background, text and grid as names of colours that Qt understands."""

    background: str = "#262930"
    text: str = "#f0f1f2"


class Series:
    """Points of one curve; when there are too many, every second one is dropped."""

    def __init__(self, limit: int = MAX_POINTS) -> None:
        self._limit = limit
        self._stride = 1
        self._seen = 0
        self._x: list[float] = []
        self._y: list[float] = []

    def __len__(self) -> int:
        return len(self._x)

    def add(self, x: float, y: float) -> None:
        """Append a point; x grows."""
        if self._seen % self._stride == 0:
            self._x.append(x)
            self._y.append(y)
            if len(self._x) > self._limit:
                self._x, self._y = self._x[::2], self._y[::2]
                self._stride *= 2
        self._seen += 1

    @property
    def last(self) -> float:
        """The last x; 0 without any."""
        return self._x[-1] if self._x else 0.0

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y."""
        return np.array(self._x, float), np.array(self._y, float)


class Legend(QWidget):
    """Names of curves in their colours; a click hides or shows a curve."""

    toggled = Signal(str, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._buttons: dict[str, QToolButton] = {}
        self._colors: dict[str, str] = {}
        self._layout = QFlowLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)

    def set_curve(self, name: str, color: str, *, shown: bool) -> None:
        """Add a name, or change its colour."""
        self._colors[name] = color
        if name not in self._buttons:
            button = QToolButton(self)
            button.setText(readable(name))
            button.setCheckable(True)
            button.setChecked(shown)
            button.setToolTip("Show or hide this curve")
            button.setFixedHeight(button.fontMetrics().height())
            button.toggled.connect(lambda on, name=name: self._on_toggled(name, on))
            self._layout.addWidget(button)
            self._buttons[name] = button
        self._paint(name)

    def set_text(self, name: str, text: str) -> None:
        """Show something else than the name."""
        self._buttons[name].setText(text)

    def names(self) -> list[str]:
        """Return the names."""
        return list(self._buttons)

    def shows(self, name: str) -> bool:
        """Whether a curve is to be drawn."""
        return bool(self._buttons[name].isChecked())

    def clear(self) -> None:
        """Remove all names."""
        for button in self._buttons.values():
            self._layout.removeWidget(button)
            button.deleteLater()
        self._buttons.clear()

    def _on_toggled(self, name: str, on: bool) -> None:
        self._paint(name)
        self.toggled.emit(name, on)

    def _paint(self, name: str) -> None:
        color = self._colors[name] if self.shows(name) else HIDDEN_COLOR
        self._buttons[name].setStyleSheet(
            "QToolButton { border: none; background: transparent; padding: 0 3px; margin: 0; "
            f"font-size: 8pt; color: {color}; }}"
        )


class LogAxis(pg.AxisItem):
    """A logarithmic axis with numbers at 1, 2 and 5 only: all others get into each other's way."""

    @override
    def logTickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Return the numbers beside the ticks."""
        texts = super().logTickStrings(values, scale, spacing)
        first = [round(10 ** (value % 1), 3) for value in np.asarray(values, float)]
        return [t if f in (1.0, 2.0, 5.0, 10.0) else "" for t, f in zip(texts, first, strict=True)]


class TrainingPlot(QWidget):
    """Losses on a logarithmic axis; below them AP (left axis) and the median error (right axis).

    Points can be added at any rate: the curves are drawn again at most twice a second, more
    seldom on a slow screen, and only while they can be seen.
    """

    redrawn = Signal()
    """The curves have been drawn again."""

    def __init__(self, colors: PlotColors | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._losses: dict[str, Series] = {}
        self._scores = {"ap": Series(), "median_error_px": Series()}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._colors = colors or PlotColors()
        self._started = 0.0
        self._right = 0.0
        self._resume_at = self._latest = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._on_time)

        self._loss_view = pg.PlotWidget(self, axisItems={"left": LogAxis("left")})
        self._loss_plot = self._loss_view.getPlotItem()
        self._loss_plot.setLogMode(x=False, y=True)
        self._loss_plot.setLabel("left", "Loss")
        self._legend = Legend(self)
        self._legend.toggled.connect(self._on_toggled)

        self._score_view = pg.PlotWidget(self)
        self._score_plot = self._score_view.getPlotItem()
        self._score_plot.setLabel("bottom", "Iteration")
        self._score_plot.setYRange(0, 1, padding=0.06)
        self._score_plot.setXLink(self._loss_plot)
        self._score_plot.showAxis("right")
        self._error_box = pg.ViewBox()
        self._score_plot.scene().addItem(self._error_box)
        self._score_plot.getAxis("right").linkToView(self._error_box)
        self._error_box.setXLink(self._score_plot)
        self._score_plot.getViewBox().sigResized.connect(self._match_views)
        self._ap_curve = self._score_plot.plot(
            pen=pg.mkPen(AP_COLOR, width=2), symbol="o", symbolSize=5, symbolBrush=AP_COLOR,
            symbolPen=None,
        )  # fmt: skip
        self._error_curve = pg.PlotDataItem(
            pen=pg.mkPen(ERROR_COLOR, width=2), symbol="s", symbolSize=5, symbolBrush=ERROR_COLOR,
            symbolPen=None,
        )  # fmt: skip
        self._error_box.addItem(self._error_curve)

        # Ranges of our own, see `_fit_ranges`.
        self._loss_plot.disableAutoRange()
        self._score_plot.disableAutoRange()
        self._error_box.disableAutoRange()
        for view in (self._loss_view, self._score_view):
            item = view.getPlotItem()
            item.setMenuEnabled(False)
            item.hideButtons()
            for box in (item.getViewBox(),):
                box.setMouseEnabled(x=False, y=False)
            for side in ("left", "right"):
                item.getAxis(side).setWidth(52)
                item.getAxis(side).setStyle(maxTickLevel=0)  # minor lines cost a third of the time
            view.setMinimumHeight(110)
        self._error_box.setMouseEnabled(x=False, y=False)
        # Same inner width as the plot below, whose right axis has numbers
        self._loss_plot.showAxis("right")
        self._loss_plot.getAxis("right").setStyle(showValues=False)
        self._loss_plot.getAxis("bottom").setStyle(showValues=False)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._legend)
        layout.addWidget(self._loss_view, 3)
        layout.addWidget(self._score_view, 2)
        self._loss_view.setToolTip("Unweighted loss terms and their weighted total")
        self._score_view.setToolTip(
            "Scores on the validation frames: average precision (higher is better) and the median "
            "distance between predicted and labelled keypoints (lower is better)"
        )
        self.set_colors(self._colors)

    # ------------------------------------------------------------------ data

    def add_losses(self, iteration: int, losses: Mapping[str, float]) -> None:
        """Append a point to the curve of each loss term."""
        for name in sorted(losses, key=lambda name: name != "total"):  # the total comes first
            value = losses[name]
            series = self._losses.setdefault(name, Series())
            # a term that is switched off is 0, which has no logarithm
            series.add(iteration, value if value > 0 else float("nan"))
        self._touch()

    def add_scores(self, iteration: int, scores: Mapping[str, float]) -> None:
        """Append a point to the curves of the validation scores."""
        for name, series in self._scores.items():
            value = float(scores.get(name, float("nan")))
            if np.isfinite(value):  # unknown, when the validation frames show no animal
                series.add(iteration, value)
        self._touch()

    def clear(self) -> None:
        """Remove all points."""
        self._losses.clear()
        for curve in self._curves.values():
            self._loss_plot.removeItem(curve)
        self._curves.clear()
        self._legend.clear()
        self._scores = {name: Series() for name in self._scores}
        self._right = 0.0
        self.redraw()

    def give_way(self) -> None:
        """Do not draw for a moment, because the viewer is about to draw something itself."""
        self._resume_at = time.monotonic() + GIVE_WAY_S

    @property
    def will_redraw(self) -> bool:
        """Whether `redrawn` comes soon."""
        return bool(self._timer.isActive())

    def _touch(self) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._latest = time.monotonic() + LONGEST_WAIT_S
            self._timer.start()

    # --------------------------------------------------------------- drawing

    def _on_time(self) -> None:
        now = time.monotonic()
        if now < min(self._resume_at, self._latest):
            self._timer.start(max(1, round(1000 * (self._resume_at - now))))
            return
        self._started = time.perf_counter()
        self.redraw()
        self.redrawn.emit()
        QTimer.singleShot(0, self._on_painted)  # comes after the painting

    def _on_painted(self) -> None:
        spent_ms = 1000 * (time.perf_counter() - self._started)
        self._timer.setInterval(max(REDRAW_MS, round(10 * spent_ms)))

    def redraw(self) -> None:
        """Draw the curves as they are now."""
        for i, (name, series) in enumerate(self._losses.items()):
            if name not in self._curves:
                self._curves[name] = self._loss_plot.plot(pen=self._pen(name, i), connect="finite")
                shown = i < MAX_SHOWN
                self._legend.set_curve(name, self._color(name, i), shown=shown)
                self._curves[name].setVisible(shown)
            self._curves[name].setData(*series.arrays())
        self._ap_curve.setData(*self._scores["ap"].arrays())
        self._error_curve.setData(*self._scores["median_error_px"].arrays())
        self._fit_ranges()
        self._match_views()

    def _fit_ranges(self) -> None:
        """Show all points, in ranges that change seldom: drawing an axis anew takes longer than the curves."""
        last = max(
            (series.last for series in [*self._losses.values(), *self._scores.values()]), default=0
        )
        if last > self._right or not last:
            self._right = _STEP_X ** math.ceil(math.log(max(last, _LEAST_X), _STEP_X))
            self._loss_plot.setXRange(0, self._right, padding=0.02)
        shown = [
            series.arrays()[1]
            for name, series in self._losses.items()
            if name in self._curves and self._legend.shows(name)
        ]
        values = np.concatenate(shown) if shown else np.zeros(0)
        values = np.log10(values[np.isfinite(values)])
        if values.size:
            low, high = math.floor(4 * values.min()) / 4, math.ceil(4 * values.max()) / 4
            self._loss_plot.setYRange(low, max(high, low + 0.25), padding=0.02)
        errors = self._scores["median_error_px"].arrays()[1]
        if errors.size:
            top = float(errors.max()) or 1.0
            unit = 10.0 ** math.floor(math.log10(top)) / 2
            self._error_box.setYRange(0, math.ceil(top / unit) * unit, padding=0.06)

    def set_colors(self, colors: PlotColors) -> None:
        """Draw in other colours, when the theme of the viewer changes."""
        self._colors = colors
        for view in (self._loss_view, self._score_view):
            view.setBackground(colors.background)
            item = view.getPlotItem()
            item.showGrid(x=False, y=True, alpha=0.15)
            for side in ("left", "bottom", "right"):
                item.getAxis(side).setPen(colors.text)
                item.getAxis(side).setTextPen(colors.text)
        self._score_plot.getAxis("left").setTextPen(AP_COLOR)
        self._score_plot.getAxis("right").setTextPen(ERROR_COLOR)
        self._score_plot.setLabel("left", "AP", color=AP_COLOR)
        self._score_plot.setLabel("right", "Median error, px", color=ERROR_COLOR)
        for i, (name, curve) in enumerate(self._curves.items()):
            curve.setPen(self._pen(name, i))
            self._legend.set_curve(name, self._color(name, i), shown=True)

    @override
    def showEvent(self, event: object) -> None:
        """Catch up with what came while the plot could not be seen."""
        super().showEvent(event)
        self.redraw()

    def _color(self, name: str, index: int) -> str:
        if name == "total":
            return self._colors.text
        light = pg.mkColor(self._colors.background).lightness() > 128
        return (DARK_PALETTE if light else PALETTE)[(index - 1) % len(PALETTE)]

    def _pen(self, name: str, index: int) -> object:
        if name == "total":
            return pg.mkPen(self._colors.text, width=2)
        style = DASHES[(index - 1) // len(PALETTE) % len(DASHES)]
        return pg.mkPen(self._color(name, index), width=1, style=style)

    def _on_toggled(self, name: str, on: bool) -> None:
        self._curves[name].setVisible(on)
        self._fit_ranges()

    def _match_views(self) -> None:
        box = self._score_plot.getViewBox()
        self._error_box.setGeometry(box.sceneBoundingRect())
        self._error_box.linkedViewChanged(box, self._error_box.XAxis)
