"""Pictures of an evaluation and of a training run, drawn without a window."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.poses import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Paul Tol's bright scheme: distinct for all kinds of colour vision.
COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
GREY = "#555555"
_FEW_CURVES = 8  # the names of more would hide them

SCORE_TABLE: tuple[tuple[str, str, str], ...] = (
    ("ap", "AP (OKS .50:.95)", ".3f"),
    ("ap50", "AP at OKS .50", ".3f"),
    ("ap75", "AP at OKS .75", ".3f"),
    ("recall", "recall at OKS .50", ".3f"),
    ("precision", "precision at OKS .50", ".3f"),
    ("median_error_px", "median error, px", ".2f"),
    ("p95_error_px", "95th percentile, px", ".1f"),
    ("pck", "PCK of matched animals", ".3f"),
    ("pck_all", "PCK of all animals", ".3f"),
    ("count_error", "count error a frame", ".2f"),
    ("animals", "animals", "d"),
    ("predictions", "detections", "d"),
    ("frames", "frames", "d"),
)
TRACK_TABLE = (
    ("switches", "identity switches", "d"),
    ("idf1", "IDF1", ".3f"),
    ("mota", "MOTA", ".3f"),
)


def evaluation_figure(scores: Mapping[str, Any], title: str = "") -> Figure:
    """Draw the result of `scores.evaluate`.

    Precision against recall, the pixel errors of each keypoint (box: quartiles, line: 5th to 95th
    percentile), how often keypoints of a confidence are right (where keypoints have confidences), and a
    table of the numbers.

    Parameters
    ----------
    scores : mapping
        What `evaluate` returned, or the same read from JSON.
    title : str
        Heading.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot, without a window.
    """
    keypoints = len(scores["per_keypoint"])
    sure = scores.get("confidence")
    widths = (1.0, 1.25, 0.9, 0.95) if sure else (1.0, 1.25, 0.95)
    figure = new_figure(4.1 * len(widths) + 0.7, max(4.2, 1.6 + 0.26 * keypoints))
    curve, errors, *more, table = figure.subplots(1, len(widths), width_ratios=widths)
    _draw_precision_recall(curve, scores)
    _draw_errors(errors, scores)
    if sure:
        _draw_reliability(more[0], sure)
    _draw_table(table, scores)
    if title:
        figure.suptitle(title)
    return figure


def precision_recall_figure(scores: Mapping[str, Any]) -> Figure:
    """Draw precision against recall alone; see `evaluation_figure`."""
    figure = new_figure(6.2, 4.4)
    _draw_precision_recall(figure.subplots(), scores)
    return figure


def keypoint_figure(scores: Mapping[str, Any]) -> Figure:
    """Draw the pixel errors of each keypoint alone; see `evaluation_figure`."""
    figure = new_figure(9.0, max(2.4, 1.2 + 0.27 * len(scores["per_keypoint"])))
    _draw_errors(figure.subplots(), scores)
    return figure


def reliability_figure(confidence: Mapping[str, Any]) -> Figure:
    """Draw how often keypoints of a confidence are right; see `confidence.reliability_scores`."""
    figure = new_figure(4.8, 4.4)
    _draw_reliability(figure.subplots(), confidence)
    return figure


def learning_figure(log: str | os.PathLike[str], columns: int = 0) -> Figure:
    """Draw the learning curves of a training run: losses, scores, errors, learning rate.

    Parameters
    ----------
    log : path
        ``log.csv`` of a model folder.
    columns : int
        Panels in a row; 0: all.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SemiMultiPoseError
        When the file is no log, or has no numbers yet.
    """
    curves = _read_log(Path(log))
    scores = curves.get("validation", {})
    panels = [
        (values, label)
        for values, label in (
            (curves.get("loss", {}), "loss"),
            ({n: v for n, v in scores.items() if not n.endswith("_px")}, "validation score"),
            ({n: v for n, v in scores.items() if n.endswith("_px")}, "validation error, px"),
            (curves.get("rate", {}), "learning rate"),
        )
        if values
    ]
    columns = min(columns, len(panels)) or len(panels)
    rows = -(-len(panels) // columns)
    figure = new_figure(4.6 * columns + 0.4, 4.0 * rows)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (values, label) in zip(places, panels, strict=False):
        _draw_curves(axes, values, label)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    return figure


def draw_scores(scores: Mapping[str, Any], path: str | os.PathLike[str], title: str = "") -> Path:
    """Write `evaluation_figure` to a .png, .pdf or .svg file and return its path."""
    return save_figure(evaluation_figure(scores, title), path)


def draw_learning(log: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Write `learning_figure` to a .png, .pdf or .svg file and return its path."""
    return save_figure(learning_figure(log), path)


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 150) -> Path:
    """Write a figure beside its target, then replace the target.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        The ending decides the format: png, pdf, svg.
    dpi : int
        Dots per inch of pictures.

    Raises
    ------
    SemiMultiPoseError
        When the ending is not a format of matplotlib.
    """
    target = Path(path)
    kind = target.suffix.removeprefix(".").lower()
    if kind not in figure.canvas.get_supported_filetypes():
        raise SemiMultiPoseError(f"{target.name}: figures are written as .png, .pdf or .svg")
    with replace_file(target) as temporary:
        figure.savefig(temporary, dpi=dpi, format=kind)
    return target


# ---------------------------------------------------------------------- parts


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, not registered with pyplot and without a window."""
    # The object interface with the Agg canvas: no global state, no window, any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes) -> None:
    """Leave only a light grid and two axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_precision_recall(axes: Axes, scores: Mapping[str, Any]) -> None:
    curves = scores["curves"]
    for color, (threshold, precision) in zip(COLORS, curves["precision"].items(), strict=False):
        label = f"OKS {threshold}: AP {np.mean(precision):.2f}"
        axes.plot(curves["recall"], precision, color=color, linewidth=1.8, label=label)
    best = scores.get("best_f1")
    if best:
        label = f"best F1 {best['f1']:.2f}, score {best['score']:.2f}"
        axes.plot(best["recall"], best["precision"], "ok", clip_on=False, label=label)
    sigma = scores["settings"]["sigma"]
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(f"Detections, sigma {sigma:g}", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    tidy(axes)


def _draw_errors(axes: Axes, scores: Mapping[str, Any]) -> None:
    names, boxes = [], []
    for name, entry in scores["per_keypoint"].items():
        quantiles = entry["error_quantiles_px"]
        at = np.linspace(0, 1, len(quantiles)) if quantiles else np.zeros(0)
        low, q1, median, q3, high = (
            np.interp((0.05, 0.25, 0.5, 0.75, 0.95), at, quantiles)
            if quantiles
            else np.full(5, np.nan)
        )
        missed = entry["points_missed"]
        names.append(f"{name} ({missed} lacking)" if missed else name)
        boxes.append({"whislo": low, "q1": q1, "med": median, "q3": q3, "whishi": high})
    draw_boxes(axes, boxes)
    axes.set_yticks(np.arange(len(names)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    known = [box for box in boxes if np.isfinite(box["q3"])]
    if known:
        # Animals that are paired with somebody else's detection would flatten the rest.
        widest = 5.0 * max(box["q3"] for box in known)
        axes.set_xlim(0, max(min(widest, 1.05 * max(box["whishi"] for box in known)), 1e-3))
    axes.set_xlabel("error of matched keypoints, px")
    axes.set_title("Keypoints: median, quartiles, 5-95 %", fontsize=10)
    tidy(axes)


def draw_boxes(axes: Axes, boxes: Sequence[Mapping[str, Any]]) -> None:
    """Draw quartiles and whiskers, the first box at 0; see `Axes.bxp`."""
    axes.bxp(
        boxes,
        positions=np.arange(len(boxes)),
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        boxprops={"facecolor": COLORS[4], "edgecolor": GREY, "alpha": 0.8},
        medianprops={"color": "black", "linewidth": 1.6},
        whiskerprops={"color": GREY},
        capprops={"color": GREY},
        manage_ticks=False,
    )


def _draw_reliability(axes: Axes, sure: Mapping[str, Any]) -> None:
    """Share of the keypoints that are right against their confidence; grey: how many there are."""
    bins = sure["bins"]
    x, right, points = (
        np.array([b[key] for b in bins], float) for key in ("confidence", "right", "points")
    )
    left = np.minimum(np.floor(x * 10), 9) / 10
    axes.bar(left, points / points.sum(), 0.1, align="edge", color="#DDDDDD", label="keypoints")
    axes.plot((0, 1), (0, 1), color=GREY, linewidth=1.0, linestyle="--")
    axes.plot(x, right, "o-", color=COLORS[0], linewidth=1.8, label="right")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share")
    axes.set_title(
        f"Within {sure['right_px']:.1f} px: calibration error {sure['ece']:.3f}", fontsize=10
    )
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    tidy(axes)


def _draw_table(axes: Axes, scores: Mapping[str, Any]) -> None:
    rows = [
        (label, _number(scores.get(key), style))
        for key, label, style in SCORE_TABLE
        if key in scores
    ]
    tracks = scores.get("tracks", {})
    rows += [(label, _number(tracks[key], style)) for key, label, style in TRACK_TABLE if tracks]
    axes.axis("off")
    table = axes.table(
        cellText=[list(row) for row in rows], loc="center", cellLoc="right", edges="horizontal"
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.auto_set_column_width((0, 1))
    table.scale(1.0, 1.25)
    for (_, column), cell in table.get_celld().items():
        cell.set_edgecolor("#DDDDDD")
        if column == 0:
            cell.set_text_props(ha="left")


def _number(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)


def _draw_curves(axes: Axes, curves: Mapping[str, FloatArray], label: str) -> None:
    for i, (name, curve) in enumerate(curves.items()):
        total = name == "total"
        axes.plot(
            *curve,
            color="black" if total else COLORS[i % len(COLORS)],
            linestyle=("-", "--", ":")[i // len(COLORS) % 3],
            marker="." if curve.shape[1] < 40 else None,
            linewidth=1.8 if total else 1.2,
            label=name.removesuffix("_px").replace("_", " "),
        )
    known = np.concatenate([curve[1] for curve in curves.values()])
    if label == "loss" and (known > 0).all():
        axes.set_yscale("log")
    elif label.endswith("score"):
        axes.set_ylim(0, 1.02)
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlabel="iteration", ylabel=label)
    if len(curves) > _FEW_CURVES:
        axes.legend(
            fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3
        )
    else:
        axes.legend(fontsize=8, frameon=False)
    tidy(axes)


def _read_log(path: Path) -> dict[str, dict[str, FloatArray]]:
    """Curves [2, n] of iterations and finite values, by kind and name."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                point = float(row["iteration"]), float(row["value"])
                if np.isfinite(point).all():
                    found.setdefault(row["kind"], {}).setdefault(row["name"], []).append(point)
    except FileNotFoundError:
        raise SemiMultiPoseError(f"there is no log {path}") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        raise SemiMultiPoseError(
            f"{path} is not the log of a training run (columns iteration, kind, name, value)"
        ) from None
    if not found.keys() & {"loss", "validation"}:
        raise SemiMultiPoseError(f"{path} has no numbers yet: training has not reported a step")
    return {
        kind: {name: np.array(points).T for name, points in curves.items()}
        for kind, curves in found.items()
    }
