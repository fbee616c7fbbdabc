"""Confidences against how often keypoints are right: numbers, calibration and figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from typer.testing import CliRunner

from napari_semimultipose import api
from napari_semimultipose.cli import app
from napari_semimultipose.evaluation.confidence import (
    RIGHT,
    calibration,
    expected_calibration_error,
    outcomes,
    reliability,
    reliability_scores,
)
from napari_semimultipose.evaluation.figures import evaluation_figure
from napari_semimultipose.evaluation.scores import evaluate
from napari_semimultipose.io.labels import write_poses
from napari_semimultipose.poses import Poses, Skeleton, Source

SKELETON = Skeleton(("nose", "tail"))
SIZE = 100.0


def truth(frames: int, animals: int = 1) -> Poses:
    xy = np.zeros((frames, animals, 2, 2))
    xy[:, :, 1, 0] = SIZE
    xy[..., 1] += 300 * np.arange(animals)[:, None]
    return Poses(SKELETON, xy + 50, np.arange(frames))


def said(true: Poses, score: np.ndarray, right: np.ndarray) -> Poses:
    """Predictions of given confidences [F, N, 2], right or 8 px off."""
    xy = true.xy.copy()
    xy[..., 1] += np.where(right, 1.0, 8.0)
    source = np.full(xy.shape[:2], Source.PREDICTED)
    return Poses(SKELETON, xy, true.frame, score=score, source=source)


def drawn(
    frames: int, animals: int = 1, distort: float = 1.0, seed: int = 1
) -> tuple[Poses, Poses]:
    """Truth, and predictions that are right with a probability p and say p, or a distortion of it."""
    rng = np.random.default_rng(seed)
    true = truth(frames, animals)
    p = rng.uniform(0.02, 0.98, true.score.shape)
    right = rng.random(p.shape) < p
    return true, said(true, expit(distort * logit(p)), right)


def test_bins_hold_the_means() -> None:
    score = np.array([0.05, 0.15, 0.15, 1.0])
    hit = np.array([False, True, False, True])
    assert reliability(score, hit) == [
        (pytest.approx(0.05), 0.0, 1),
        (pytest.approx(0.15), 0.5, 2),
        (1.0, 1.0, 1),
    ]
    wanted = (0.05 * 1 + 0.35 * 2 + 0) / 4
    assert expected_calibration_error(score, hit) == pytest.approx(wanted)


def test_honest_confidences_have_no_error_and_boasting_ones_have() -> None:
    honest = evaluate(*reversed(drawn(1500)))["confidence"]
    boasting = evaluate(*reversed(drawn(1500, distort=4.0)))["confidence"]
    assert honest["points"] == 3000
    assert honest["right_px"] == RIGHT * SIZE
    assert honest["ece"] < 0.05
    assert boasting["ece"] > 0.12
    for part in honest["bins"]:
        assert part["right"] == pytest.approx(part["confidence"], abs=0.09)


@pytest.mark.parametrize("distort", [0.4, 4.0])
def test_calibration_makes_them_honest(distort: float) -> None:
    true, prediction = drawn(1500, distort=distort)
    slope, offset = calibration(prediction, true)
    assert slope == pytest.approx(1 / distort, rel=0.15)
    assert offset == pytest.approx(0, abs=0.15)
    score, hit = outcomes(prediction, true)
    mended = expit(slope * logit(score) + offset)
    assert expected_calibration_error(mended, hit) < 0.05
    assert expected_calibration_error(score, hit) > 0.1


@pytest.mark.parametrize(("boast", "better"), [(0.0, -0.06), (3.0, 0.1)])
def test_few_labels_change_little_but_make_boasting_ones_more_honest(
    boast: float, better: float
) -> None:
    """Four keypoints of two frames: what the mean calibration error loses or gains on other frames."""
    gain = []
    for seed in range(30):
        true, prediction = drawn(2, seed=seed)
        high = replace(prediction, score=expit(logit(prediction.score) + boast))
        slope, offset = calibration(high, true)
        others, told = drawn(500, seed=100 + seed)
        score, hit = outcomes(told, others)
        score = expit(logit(score) + boast)
        mended = expit(slope * logit(score) + offset)
        before = expected_calibration_error(score, hit)
        gain.append(before - expected_calibration_error(mended, hit))
    assert np.mean(gain) > better


def test_without_a_label_nothing_changes() -> None:
    true, prediction = drawn(3)
    assert calibration(prediction.select([]), true) == (1.0, 0.0)


def test_keypoints_of_several_animals_count_each() -> None:
    true, prediction = drawn(300, animals=3)
    # The order of the animals on a frame means nothing.
    mixed = prediction.xy[:, ::-1]
    prediction = Poses(
        SKELETON, mixed, true.frame, score=prediction.score[:, ::-1], source=prediction.source
    )
    found = evaluate(prediction, true)["confidence"]
    assert found["points"] == 300 * 3 * 2
    assert found["ece"] < 0.05


def test_hidden_keypoints_are_wrong_and_lacking_ones_do_not_count() -> None:
    true, prediction = drawn(400)
    sure = np.ones((400, 1, 2))
    sure[:, :, 1] = 0.8
    prediction = said(true, sure, np.ones(sure.shape, bool))
    visible = true.visible.copy()
    visible[:, :, 1] = 0  # the tail has no label
    found = evaluate(prediction, replace(true, visible=visible))["confidence"]
    assert found is None or found["points"] == 800  # animals of one point have no size
    visible[200:] = 2
    found = evaluate(prediction, replace(true, visible=visible))["confidence"]
    assert found["ece_labeled"] == pytest.approx(0.2 * 200 / 600)
    assert found["ece"] == pytest.approx(0.3 * 400 / 800)
    gone = prediction.visible.copy()
    gone[:, :, 1] = 0
    gone[0] = 2
    found = evaluate(replace(prediction, visible=gone), true)["confidence"]
    assert found["points"] == 401


def test_without_confidences_there_is_nothing_to_say() -> None:
    true = truth(20)
    scores = evaluate(said(true, np.ones((20, 1, 2)), np.ones((20, 1, 2), bool)), true)
    assert scores["confidence"] is None
    assert len(evaluation_figure(scores).axes) == 3
    assert reliability_scores(np.array([0.1, 0.9]), np.array([1.0, 2.0]), float("nan")) is None


def test_the_figure_shows_the_reliability() -> None:
    true, prediction = drawn(500)
    scores = evaluate(prediction, true)
    axes = evaluation_figure(scores).axes
    assert len(axes) == 4
    line = axes[2].lines[1]
    np.testing.assert_allclose(
        line.get_xdata(), [b["confidence"] for b in scores["confidence"]["bins"]]
    )
    np.testing.assert_allclose(line.get_ydata(), [b["right"] for b in scores["confidence"]["bins"]])
    heights = [bar.get_height() for bar in axes[2].patches]
    assert sum(heights) == pytest.approx(1)
    assert f"{scores['confidence']['ece']:.3f}" in axes[2].get_title()


def test_the_command_writes_it(tmp_path: Path) -> None:
    true, prediction = drawn(60)
    write_poses(true, tmp_path / "true.slp")
    write_poses(prediction, tmp_path / "predicted.slp")
    arguments = [
        "evaluate",
        "predicted.slp",
        "true.slp",
        "--figure",
        "figure.png",
        "--json",
        "out.json",
    ]
    arguments[1:3] = [str(tmp_path / name) for name in arguments[1:3]]
    arguments[4], arguments[6] = str(tmp_path / "figure.png"), str(tmp_path / "out.json")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "calibration error (ECE)" in result.stdout
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    found = api.evaluate(tmp_path / "predicted.slp", tmp_path / "true.slp")["confidence"]
    assert f"{found['ece']:.3f}" in result.stdout
