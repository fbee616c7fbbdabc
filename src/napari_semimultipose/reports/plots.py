"""Plots of a recording, each of a bounded size however long it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_semimultipose.evaluation.figures import COLORS, draw_boxes, new_figure, tidy
from napari_semimultipose.io.drawing import distinct_colour
from napari_semimultipose.io.frames import Picture
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray
from napari_semimultipose.reports.courses import Courses, Track, coverage, in_pieces

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 9.4
_PATH_POINTS = 5000  # of one animal; more cannot be told apart
_SPEED_LINES = 8
_MAP_CELLS = 96  # along the longer side


def count_figure(courses: Courses) -> Figure:
    """Draw the number of animals over time and how often each number occurs."""
    figure = new_figure(_WIDTH, 2.6)
    over, often = figure.subplots(1, 2, width_ratios=(3.4, 1.0))
    edges, count = courses.edges, courses.count
    low, middle, high = in_pieces(courses.frame, count.astype(float), edges, (0.0, 0.5, 1.0))
    over.stairs(high, edges, baseline=low, fill=True, color=COLORS[4], alpha=0.5, linewidth=0)
    over.stairs(middle, edges, baseline=None, color=COLORS[0], linewidth=1.2)
    over.set(xlabel="frame", ylabel="animals", xlim=(edges[0], edges[-1]))
    over.set_ylim(0, max(int(count.max(initial=0)), 1) + 0.5)
    _whole_numbers(over)
    values, frequency = np.unique(count, return_counts=True)
    often.barh(values, 100 * frequency / max(len(count), 1), color=COLORS[0], height=0.7)
    often.set(xlabel="% of the frames")
    often.set_ylim(over.get_ylim()[0] - 0.5, over.get_ylim()[1])
    _whole_numbers(often)
    for axes in (over, often):
        tidy(axes)
    return figure


def timeline_figure(courses: Courses, tracks: Sequence[Track]) -> Figure:
    """Draw which tracks are seen when; paler where only on a part of the frames."""
    edges, shown = courses.edges, coverage(courses, tracks)
    colours = np.array([distinct_colour(t.number) for t in tracks], float) / 255
    pixels = np.empty((*shown.shape, 4))
    pixels[..., :3] = colours[:, None]
    pixels[..., 3] = np.where(shown > 0, 0.25 + 0.75 * shown, 0.0)
    figure = new_figure(_WIDTH, 0.9 + 0.2 * len(tracks))
    axes = figure.subplots()
    axes.imshow(
        pixels,
        extent=(edges[0], edges[-1], len(tracks) - 0.5, -0.5),
        aspect="auto",
        interpolation="nearest",
    )
    for line in np.arange(len(tracks) - 1) + 0.5:
        axes.axhline(line, color="#DDDDDD", linewidth=0.6)
    names = [t.name if len(t.name) <= 24 else t.name[:23] + "…" for t in tracks]
    axes.set_yticks(np.arange(len(tracks)), names, fontsize=8, parse_math=False)
    axes.set_xlabel("frame")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def path_figure(
    courses: Courses, tracks: Sequence[Track], shape: tuple[int, int], picture: Picture | None
) -> Figure:
    """Draw the paths of the animals in the picture plane, and where they are how often.

    Parameters
    ----------
    courses : Courses
    tracks : sequence of Track
        Whose paths are drawn.
    shape : (int, int)
        Height and width of the frames in px.
    picture : array uint8 [H, W, 3], optional
        A frame to draw upon.
    """
    height, width = shape
    panels = 2 if tracks else 1
    tall = float(np.clip(3.7 * height / width, 1.4, 7.0))
    figure = new_figure(_WIDTH if panels == 2 else _WIDTH / 2, tall + 0.7)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for place in axes:
        place.set(
            xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", xlabel="x, px"
        )
    axes[0].set_ylabel("y, px")
    if tracks:
        if picture is not None:
            axes[0].imshow(
                _small(picture), extent=(-0.5, width - 0.5, height - 0.5, -0.5), alpha=0.55
            )
        for track in reversed(tracks):
            _draw_path(axes[0], courses, track)
        axes[0].set_title("paths", fontsize=10)
    sights = courses.sights
    finest = np.clip(2 * np.sqrt(len(sights.center)), 16, _MAP_CELLS)
    cells = np.maximum(np.rint(finest * np.array([height, width]) / max(height, width)), 1).astype(
        int
    )
    x, y = sights.center.T
    density, _, _ = np.histogram2d(y, x, cells, ((-0.5, height - 0.5), (-0.5, width - 0.5)))
    with np.errstate(divide="ignore"):
        shown = np.log10(density / max(len(courses.frame), 1))
    image = axes[-1].imshow(
        np.where(np.isfinite(shown), shown, np.nan),
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        cmap="viridis",
        interpolation="nearest",
    )
    axes[-1].set_title("where animals are", fontsize=10)
    if density.any():
        bar = figure.colorbar(image, ax=axes[-1], shrink=0.8)
        bar.set_label("animals a frame and cell, log10", fontsize=8)
    return figure


def _draw_path(axes: Axes, courses: Courses, track: Track) -> None:
    sights = courses.sights
    a, b = np.searchsorted(sights.tracks, (track.number, track.number + 1))
    step = max((b - a) // _PATH_POINTS, 1)
    xy = sights.center[a:b:step].copy()
    frame = sights.frame[sights.row[a:b:step]]
    # No line over the frames that do not show the animal.
    gone = np.flatnonzero(np.diff(frame) > 5 * courses.stride * step)
    xy = np.insert(xy, gone + 1, np.nan, axis=0)
    colour = tuple(c / 255 for c in distinct_colour(track.number))
    axes.plot(*xy.T, color=colour, linewidth=0.8, alpha=0.85, rasterized=True)


def speed_figure(courses: Courses, tracks: Sequence[Track]) -> Figure:
    """Draw speeds over time, of each animal where they are few, and how often they occur."""
    figure = new_figure(_WIDTH, 2.9)
    over, often = figure.subplots(1, 2, width_ratios=(2.4, 1.0))
    sights, edges = courses.sights, courses.edges
    at = sights.frame[sights.row[courses.moved]]
    of_move = sights.tracks[courses.moved]
    if len(tracks) <= _SPEED_LINES:
        for track in tracks:
            mine = of_move == track.number
            (line,) = in_pieces(at[mine], courses.speed_px[mine], edges, (0.5,))
            colour = tuple(c / 255 for c in distinct_colour(track.number))
            over.stairs(line, edges, baseline=None, color=colour, linewidth=0.9)
    else:
        _draw_band(over, at, courses.speed_px, edges)
    over.set(xlabel="frame", ylabel="speed, px a frame", xlim=(edges[0], edges[-1]))
    over.set_ylim(bottom=0)
    speed = courses.speed_px[courses.speed_px > 0]
    if len(speed):
        low, high = np.quantile(speed, (0.001, 1.0))
        limits = np.geomspace(max(low, 1e-3), max(high, 2e-3), 40)
        share = np.histogram(speed, limits)[0] / len(courses.speed_px)
        often.stairs(100 * share, limits, fill=True, color=COLORS[0])
        often.set_xscale("log")
    often.set(xlabel="speed, px a frame", ylabel="% of the movements")
    for axes in (over, often):
        tidy(axes)
    return figure


def confidence_figure(courses: Courses) -> Figure:
    """Draw the confidence of the animals over time."""
    figure = new_figure(_WIDTH, 2.5)
    axes = figure.subplots()
    edges = courses.edges
    _draw_band(axes, courses.at, courses.sights.instance_score, edges)
    axes.set(xlabel="frame", ylabel="confidence", xlim=(edges[0], edges[-1]), ylim=(0, 1.02))
    tidy(axes)
    return figure


def keypoint_confidence_figure(courses: Courses) -> Figure:
    """Draw the confidence of each keypoint, if there are any, and how often it is found."""
    sights = courses.sights
    names = sights.skeleton.keypoints
    figure = new_figure(_WIDTH, max(2.2, 1.1 + 0.25 * len(names)))
    if courses.judged:
        score, found = figure.subplots(1, 2, width_ratios=(2.4, 1.0), sharey=True)
        _draw_confidences(score, courses)
    else:
        found = figure.subplots()
    places = np.arange(len(names))
    found.barh(places, 100 * sights.seen.mean(0), color=COLORS[0], height=0.6)
    found.set_yticks(places, names, fontsize=8, parse_math=False)
    found.set(xlim=(0, 100), ylim=(len(names) - 0.5, -0.5), xlabel="found, % of the animals")
    tidy(found)
    return figure


def _draw_confidences(score: Axes, courses: Courses) -> None:
    sights = courses.sights
    names = sights.skeleton.keypoints
    boxes = []
    for k in range(len(names)):
        value = sights.score[sights.seen[:, k], k]
        value = value[np.isfinite(value)]
        low, q1, median, q3, high = (
            np.quantile(value, (0.05, 0.25, 0.5, 0.75, 0.95)) if len(value) else np.full(5, np.nan)
        )
        boxes.append({"whislo": low, "q1": q1, "med": median, "q3": q3, "whishi": high})
    draw_boxes(score, boxes)
    score.set(xlim=(0, 1.02), xlabel="confidence")
    tidy(score)


def problem_figure(edges: FloatArray, spans: Mapping[str, Sequence[tuple[int, int]]]) -> Figure:
    """Draw when there are problems.

    Parameters
    ----------
    edges : array [B + 1]
        Limits of the pieces of the recording, in frames.
    spans : mapping
        First and last frames of the problems of each kind.
    """
    marked: BoolArray = np.zeros((len(spans), len(edges) - 1), bool)
    for i, parts in enumerate(spans.values()):
        first, last = np.array(parts).reshape(-1, 2).T
        a = np.searchsorted(edges, first, side="right") - 1
        b = np.searchsorted(edges, last, side="right") - 1
        for start, stop in zip(a.tolist(), b.tolist(), strict=True):
            marked[i, max(start, 0) : stop + 1] = True
    pixels = np.zeros((*marked.shape, 4))
    colours = [COLORS[1], COLORS[0], COLORS[2], COLORS[3], COLORS[5]]
    for i in range(len(spans)):
        code = colours[i % len(colours)]
        pixels[i, :, :3] = [int(code[c : c + 2], 16) / 255 for c in (1, 3, 5)]
    pixels[..., 3] = marked
    figure = new_figure(_WIDTH, 0.9 + 0.24 * len(spans))
    axes = figure.subplots()
    axes.imshow(
        pixels,
        extent=(edges[0], edges[-1], len(spans) - 0.5, -0.5),
        aspect="auto",
        interpolation="nearest",
    )
    for line in np.arange(len(spans) - 1) + 0.5:
        axes.axhline(line, color="#DDDDDD", linewidth=0.6)
    axes.set_yticks(np.arange(len(spans)), list(spans), fontsize=9)
    axes.set_xlabel("frame")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_band(axes: Axes, at: IntArray, value: FloatArray, edges: FloatArray) -> None:
    """Draw the median of values over time and, paler, their 5th to 95th percentile."""
    low, middle, high = in_pieces(at, value, edges, (0.05, 0.5, 0.95))
    axes.stairs(high, edges, baseline=low, fill=True, color=COLORS[4], alpha=0.5, linewidth=0)
    axes.stairs(middle, edges, baseline=None, color=COLORS[0], linewidth=1.2)


def _small(picture: Picture) -> Picture:
    """Return a picture that is not larger than its place in a plot."""
    step = max(picture.shape[0] // 600, picture.shape[1] // 600, 1)
    return picture[::step, ::step]


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
