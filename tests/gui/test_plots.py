"""The live plot of training."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_semimultipose.widgets import plots
from napari_semimultipose.widgets.plots import (
    MAX_POINTS,
    MAX_SHOWN,
    PlotColors,
    Series,
    TrainingPlot,
)


@pytest.fixture
def plot(qtbot):
    plot = TrainingPlot()
    qtbot.addWidget(plot)
    plot.resize(380, 300)
    plot.show()
    qtbot.waitExposed(plot)
    return plot


def test_a_series_stays_small_and_keeps_its_range():
    series = Series(limit=100)
    for i in range(10_000):
        series.add(i, 2.0 * i)
        assert len(series) <= 100
    x, y = series.arrays()
    assert x[0] == 0
    assert x[-1] > 9_800
    assert (np.diff(x) > 0).all()
    assert (y == 2 * x).all()


def test_curves_show_the_points_that_were_added(plot):
    for i in range(1, 50):
        plot.add_losses(i, {"total": 10 / i, "class": 5 / i})
        plot.add_scores(i, {"ap": i / 50, "median_error_px": 50.0 / i})
    plot.redraw()
    x, y = plot._curves["total"].getOriginalDataset()
    assert (x == np.arange(1, 50)).all()
    assert y[-1] == pytest.approx(10 / 49)
    x, y = plot._ap_curve.getOriginalDataset()
    assert y[-1] == pytest.approx(49 / 50)
    assert plot._legend.names() == ["total", "class"]


def test_of_many_terms_some_are_drawn_and_a_click_shows_the_others(plot, qtbot):
    names = [f"term_{i}" for i in range(12)] + ["total"]
    plot.add_losses(1, dict.fromkeys(names, 1.0))
    plot.redraw()
    drawn = [name for name in names if plot._curves[name].isVisible()]
    assert drawn == [*names[: MAX_SHOWN - 1], "total"]
    assert plot._legend.names()[0] == "total"
    button = plot._legend._buttons["term_11"]
    assert button.text() == "term 11"
    button.click()
    assert plot._curves["term_11"].isVisible()
    plot.redraw()
    plot.set_colors(PlotColors())
    assert plot._curves["term_11"].isVisible()
    plot._legend._buttons["total"].click()
    assert not plot._curves["total"].isVisible()


def test_terms_of_zero_are_left_out_of_the_logarithmic_plot(plot):
    plot.add_losses(1, {"total": 1.0, "fusion": 0.0})
    plot.add_losses(2, {"total": 1.0, "fusion": 0.5})
    plot.redraw()
    _, y = plot._curves["fusion"].getOriginalDataset()
    assert np.isnan(y[0])
    assert y[1] == 0.5


def test_scores_that_are_unknown_are_skipped(plot):
    plot.add_scores(1, {"ap": float("nan"), "median_error_px": float("nan")})
    plot.add_scores(2, {"recall": 0.5})
    plot.redraw()
    assert plot._ap_curve.getOriginalDataset()[0] is None
    plot.add_scores(3, {"ap": 0.5})
    plot.redraw()
    assert plot._ap_curve.getOriginalDataset()[0].tolist() == [3]


def test_clear_removes_curves_and_legend(plot):
    plot.add_losses(1, {"total": 1.0})
    plot.redraw()
    plot.clear()
    assert not plot._curves
    assert not plot._legend.names()
    plot.add_losses(1, {"other": 1.0})
    plot.redraw()
    assert list(plot._curves) == ["other"]


def test_it_draws_seldom_however_fast_points_come(qtbot):
    draws = []

    class Counting(TrainingPlot):
        def redraw(self):
            draws.append(time.monotonic())
            super().redraw()

    plot = Counting()
    qtbot.addWidget(plot)
    plot.show()
    qtbot.waitExposed(plot)
    draws.clear()
    for i in range(300):
        plot.add_losses(i + 1, {"total": 1.0})
        qtbot.wait(2)
    assert draws
    assert (np.diff(draws) > 0.2).all()


def test_a_full_plot_stays_small(plot):
    for i in range(1, 3 * MAX_POINTS):
        plot.add_losses(i, {"total": 2.0, "cls": 1 + np.sin(i)})
    plot.redraw()
    x, _ = plot._curves["total"].getOriginalDataset()
    assert len(x) <= MAX_POINTS
    assert x[-1] > 3 * MAX_POINTS - 10  # thinned out, to the end


def test_colours_follow_the_theme(plot):
    plot.add_losses(1, {"total": 1.0})
    plot.redraw()
    plot.set_colors(PlotColors(background="#ffffff", text="#101010"))
    assert plot._curves["total"].opts["pen"].color().name() == "#101010"
    assert plot._loss_view.backgroundBrush().color().name() == "#ffffff"


def test_the_ranges_hold_all_points_and_change_seldom(plot):
    seen = set()
    for i in range(1, 400):
        plot.add_losses(i, {"total": 30.0 / i + 0.5, "term": 2.0})
        plot.redraw()
        (left, right), (low, high) = plot._loss_plot.getViewBox().viewRange()
        assert left <= 1
        assert right >= i
        assert low <= np.log10(30.0 / i + 0.5)
        assert high >= np.log10(30.5)
        seen.add((round(right, 3), round(low, 3)))
    assert len(seen) < 25
    assert right < 1.4 * 400
    plot.clear()
    plot.add_losses(1, {"total": 1.0})
    plot.redraw()
    assert plot._loss_plot.getViewBox().viewRange()[0][1] < 30


def test_the_error_axis_holds_the_largest_error(plot):
    for i, error in enumerate((25.6, 3.0, 1.2), 1):
        plot.add_scores(10 * i, {"ap": 0.1 * i, "median_error_px": error})
    plot.redraw()
    low, high = plot._error_box.viewRange()[1]
    assert low <= 0
    assert 25.6 <= high < 35


def test_the_plot_gives_way_to_the_viewer_but_not_for_ever(plot, qtbot, monkeypatch):
    monkeypatch.setattr(plots, "LONGEST_WAIT_S", 0.6)
    plot.show()
    qtbot.waitExposed(plot)
    plot.clear()
    plot._timer.setInterval(20)
    drawn = []
    plot.redrawn.connect(lambda: drawn.append(time.monotonic()))
    began = time.monotonic()
    plot.add_losses(1, {"total": 1.0})
    assert plot.will_redraw
    while not drawn and time.monotonic() - began < 5:  # frames are played
        plot.give_way()
        qtbot.wait(20)
    assert 0.5 < drawn[0] - began < 3
    plot._timer.setInterval(20)
    plot.add_losses(2, {"total": 1.0})
    plot.give_way()
    began = time.monotonic()
    qtbot.waitUntil(lambda: len(drawn) == 2)
    assert drawn[1] - began >= 0.1


def test_the_numbers_of_the_loss_axis_leave_each_other_room(plot):
    axis = plot._loss_plot.getAxis("left")
    values = [float(np.log10(n)) for n in (0.5, 0.9, 1, 2, 3, 5, 7, 9, 10, 20, 30)]
    texts = axis.logTickStrings(values, 1.0, None)
    shown = [
        n for n, text in zip((0.5, 0.9, 1, 2, 3, 5, 7, 9, 10, 20, 30), texts, strict=True) if text
    ]
    assert shown == [0.5, 1, 2, 5, 10, 20]
