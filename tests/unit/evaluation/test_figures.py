"""Figures of scores and of training runs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.evaluation.confidence import reliability_scores
from napari_semimultipose.evaluation.figures import (
    draw_learning,
    draw_scores,
    evaluation_figure,
    keypoint_figure,
    learning_figure,
    precision_recall_figure,
    reliability_figure,
)
from napari_semimultipose.evaluation.scores import evaluate

from .crowds import crowd, detections


@pytest.fixture(scope="module")
def scores() -> dict:
    truth = crowd(0, frames=10)
    return evaluate(detections(truth), truth)


def write_log(path: Path, rows: list[tuple]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["iteration", "elapsed_s", "kind", "name", "value"])
        writer.writerows(rows)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows: list[tuple] = []
    for i in range(10, 100, 10):
        rows += [(i, i, "loss", "total", 5 / i), (i, i, "loss", "heatmap", 2 / i)]
        rows += [(i, i, "rate", "learning_rate", 0.001)]
        rows += [(i, i, "validation", "ap", i / 100), (i, i, "validation", "p95_error_px", 90 / i)]
    rows.append((100, 100, "validation", "ap", "nan"))
    return write_log(tmp_path / "log.csv", rows)


def texts(axes) -> set[str]:
    return {cell.get_text().get_text() for cell in axes.tables[0].get_celld().values()}


def test_figure_shows_the_numbers_of_the_evaluation(scores: dict) -> None:
    figure = evaluation_figure(scores, "bees")
    curve, errors, table = figure.axes
    np.testing.assert_allclose(curve.lines[0].get_ydata(), scores["curves"]["precision"]["0.50"])
    assert set(scores["per_keypoint"]) == {
        label.get_text().split()[0] for label in errors.get_yticklabels()
    }
    assert {f"{scores['ap']:.3f}", f"{scores['median_error_px']:.2f}"} <= texts(table)
    assert figure.get_suptitle() == "bees"


def test_boxes_are_the_quantiles_of_the_errors(scores: dict) -> None:
    _, errors, _ = evaluation_figure(scores).axes
    expected = [entry["median_error_px"] for entry in scores["per_keypoint"].values()]
    drawn = [line.get_xdata() for line in errors.lines if line.get_color() == "black"]
    np.testing.assert_allclose([np.mean(x) for x in drawn], expected, atol=0.01)


def test_scores_that_were_stored_as_json_can_be_drawn(scores: dict, tmp_path: Path) -> None:
    again = json.loads(json.dumps(scores))
    path = draw_scores(again, tmp_path / "new" / "scores.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in path.parent.iterdir()] == ["scores.png"]


@pytest.mark.parametrize(("name", "start"), [("a.pdf", b"%PDF"), ("a.SVG", b"<?xml")])
def test_formats(scores: dict, tmp_path: Path, name: str, start: bytes) -> None:
    assert draw_scores(scores, tmp_path / name).read_bytes().startswith(start)


def test_an_unknown_format_leaves_the_old_file(scores: dict, tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    path.write_text("old")
    with pytest.raises(SemiMultiPoseError, match=r"\.png, \.pdf or \.svg"):
        draw_scores(scores, path)
    assert path.read_text() == "old"


def test_an_evaluation_without_any_match_can_be_drawn(tmp_path: Path) -> None:
    truth = crowd(0)
    nothing = evaluate(truth.keep(np.zeros_like(truth.present)), truth)
    assert "-" in texts(evaluation_figure(nothing).axes[2])
    draw_scores(nothing, tmp_path / "nothing.png")


def test_identities_are_in_the_table() -> None:
    truth = crowd(0, missing=0.0)
    tracked = truth.__class__(
        truth.skeleton, truth.xy, truth.frame, videos=truth.videos,
        track=np.tile(np.arange(5), (6, 1)),
    )  # fmt: skip
    table = evaluation_figure(evaluate(tracked, tracked)).axes[2]
    assert {"IDF1", "identity switches"} <= texts(table)


def test_learning_curves(log: Path, tmp_path: Path) -> None:
    losses, shares, errors, rate = learning_figure(log).axes
    assert [line.get_label() for line in losses.lines] == ["total", "heatmap"]
    np.testing.assert_allclose(losses.lines[0].get_ydata(), 5 / np.arange(10, 100, 10))
    assert losses.get_yscale() == "log"
    np.testing.assert_allclose(shares.lines[0].get_xydata()[-1], [90, 0.9])
    assert errors.lines[0].get_label() == "p95 error"
    assert [line.get_label() for line in rate.lines] == ["learning rate"]
    assert len(learning_figure(log, columns=2).axes[0].get_gridspec().get_height_ratios()) == 2
    assert draw_learning(log, tmp_path / "log.png").is_file()


def test_a_loss_that_is_not_positive_is_drawn_on_a_linear_scale(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", [(1, 1, "loss", "total", 1), (2, 2, "loss", "total", 0)])
    (axes,) = learning_figure(log).axes
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no log"),
        ("iteration,elapsed_s,kind,name,value\n", "no numbers yet"),
        ("a,b\n1,2\n", "is not the log"),
        ("iteration,elapsed_s,kind,name,value\n1,2,loss\n", "is not the log"),
        ("iteration,elapsed_s,kind,name,value\nx,2,loss,total,1\n", "is not the log"),
    ],
)
def test_what_is_no_log_is_said(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "log.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SemiMultiPoseError, match=message):
        learning_figure(path)


def test_figures_leave_the_global_state_of_matplotlib_alone(log: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from napari_semimultipose.evaluation import figures;"
        "assert 'matplotlib' not in sys.modules;"
        f"figures.draw_learning({str(log)!r}, {str(tmp_path / 'a.png')!r});"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_single_panels_show_what_the_whole_figure_shows(scores: dict) -> None:
    curve, errors, _ = evaluation_figure(scores).axes
    (alone,) = precision_recall_figure(scores).axes
    assert [x.get_label() for x in alone.lines] == [x.get_label() for x in curve.lines]
    (alone,) = keypoint_figure(scores).axes
    assert [t.get_text() for t in alone.get_yticklabels()] == [
        t.get_text() for t in errors.get_yticklabels()
    ]


def test_reliability_is_drawn_bin_by_bin() -> None:
    score = np.array([0.05] * 10 + [0.95] * 30)
    error_px = np.array([1.0] + [9.0] * 9 + [1.0] * 24 + [9.0] * 6)
    (axes,) = reliability_figure(reliability_scores(score, error_px, size_px=100.0)).axes
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[0.05, 0.1], [0.95, 0.8]])


def test_names_of_many_losses_do_not_hide_the_curves(tmp_path: Path) -> None:
    rows = [(i, i, "loss", f"term_{k}", 1 + k) for i in (1, 2) for k in range(12)]
    figure = learning_figure(write_log(tmp_path / "log.csv", rows))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
