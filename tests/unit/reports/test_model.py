"""Reports of models: what they are made of, their scores, and what may be missing."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose import api
from napari_semimultipose.config import Config, ReviewConfig
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.models.build import build_network
from napari_semimultipose.models.checkpoint import ModelInfo, save_weights, write_info
from napari_semimultipose.models.ensemble import EnsembleInfo, member_folder, write_ensemble
from napari_semimultipose.poses import Poses, Video
from napari_semimultipose.reports import model as model_module
from napari_semimultipose.reports.unseen import Unseen

from .reading import Report

COUNT = 16
VALIDATION = (2, 6, 9, 13)
SCORES = {"ap": 0.7, "ap50": 0.9, "ap75": 0.8, "median_error_px": 1.5, "recall": float("nan")}
SMALL = {"model.channels": 16, "predict.device": "cpu", "data.animal_px": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording, and labels of all of its frames."""
    folder = tmp_path_factory.mktemp("beetles")
    frames, truth = make_recording(COUNT, animals=2, size=(96, 96), length_px=40, seed=4)
    np.save(folder / "clip.npy", frames)
    api.write_poses(replace(truth, videos=(Video("clip.npy"),)), folder / "truth.slp")
    return folder


def make_model(
    folder: Path,
    labels: Poses,
    validation: tuple[int, ...] = VALIDATION,
    *,
    single: bool = False,
    weights: bool = True,
) -> Path:
    """A model folder as training leaves it; its network has learned nothing."""
    more = {"model.kind": "heatmap"} if single else {"model.kind": "directpose"}
    config = Config().with_settings({**SMALL, **more, "predict.score_threshold": 0.0})
    write_info(folder, ModelInfo(labels.skeleton, config, 1.0, 40.0, SCORES, 321))
    if weights:
        save_weights(build_network(config, labels.skeleton.keypoints), folder / "model.safetensors")
    api.write_poses(labels, folder / "labels.slp")
    train = [[0, i] for i in range(COUNT) if i not in validation]
    split = {"videos": ["clip.npy"], "train": train, "validation": [[0, i] for i in validation]}
    (folder / "split.json").write_text(json.dumps({**split, "unlabeled": 77, "scale": 1.0}))
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["iteration", "elapsed_s", "kind", "name", "value"])
        writer.writerows([(i, 6 * i, "loss", "total", 9 / i) for i in range(1, 11)])
        writer.writerows(
            [(10, 90, "validation", "ap", 0.7), (10, 90, "rate", "learning_rate", 0.1)]
        )
    return folder


@pytest.fixture(scope="module")
def labels(folder: Path) -> Poses:
    return api.read_poses(folder / "truth.slp")


@pytest.fixture(scope="module")
def model(folder: Path, labels: Poses) -> Path:
    return make_model(folder / "model", labels, weights=False)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Poses]:
    """The network is played: it shakes the truth. What it said is kept."""
    said: list[Poses] = []

    def predict(folders: object, unseen: Unseen, config: object, work: object) -> Poses:
        random = np.random.default_rng(0)
        truth = unseen.truth
        xy = truth.xy + 2 * random.normal(size=truth.xy.shape)
        score = random.random(truth.instance_score.shape)
        said.append(
            replace(truth, xy=xy, instance_score=score, score=random.random(truth.score.shape))
        )
        return said[-1]

    monkeypatch.setattr(model_module, "predict_unseen", predict)
    return said


def made(source: object, out: Path, **more: object) -> Report:
    assert api.report(source, out, **more)
    return Report(out)


def test_a_model_is_described_and_scored_on_its_validation_frames(
    model: Path, labels: Poses, played: list[Poses], tmp_path: Path
) -> None:
    report = made(model, tmp_path / "r.html")
    assert report.headings[0] == f"Report of the model {model.parent.name}/model"
    facts = {row[0]: row[1] for rows in report.tables for row in rows if len(row) == 2}
    assert facts["Network"] == "DirectPose, several animals"
    assert facts["Preset"] == "default"
    assert facts["Backbone"] == "regnet_x_400mf, from random weights"
    assert facts["Training frames"] == "12"
    assert facts["Validation frames"] == "4"
    assert facts["Frames without labels"] == "77"
    assert (facts["Training steps"], facts["Training time, minutes"]) == ("321", "1.5")
    assert "AP 0.700, AP50 0.900, AP75 0.800, median error 1.50 px" in report.text
    truth = labels.select(np.isin(labels.frame, VALIDATION))
    assert played[0].frame.tolist() == list(VALIDATION)
    scores = api.evaluate(played[0], truth)
    assert report.tiles["AP (OKS .50:.95)"] == f"{scores['ap']:.3f}"
    assert report.tiles["PCK"] == f"{scores['pck']:.3f}"
    errors = next(rows for rows in report.tables if "median error, px" in rows[0])
    for name, entry in scores["per_keypoint"].items():
        (row,) = [row for row in errors if row[0] == name]
        assert row[1:4] == [
            f"{entry['median_error_px']:.2f}", f"{entry['p95_error_px']:.2f}", f"{entry['pck']:.3f}"
        ]  # fmt: skip
    assert "On the 4 validation frames" in report.text
    assert {"Learning curves", "Calibration", "Examples", "Best"} <= set(report.headings)
    assert report.images > 4
    assert report.plots == 4
    assert "score_threshold" in report.text  # the settings


@pytest.mark.usefixtures("plain_plots")
def test_given_labels_that_were_learned_are_left_out(
    model: Path, folder: Path, labels: Poses, played: list[Poses], tmp_path: Path
) -> None:
    report = made(model, tmp_path / "r.html", truth=folder / "truth.slp")
    assert played[0].frame.tolist() == list(VALIDATION)
    assert "12 others, from whose labels it has learned, are left out" in report.text
    learned = labels.select(~np.isin(labels.frame, VALIDATION))
    with pytest.raises(LabelsError, match="has learned from all frames"):
        api.report(model, tmp_path / "s.html", truth=learned)
    # The same frame numbers of another recording are other frames.
    other = replace(learned, videos=(Video("other.npy"),))
    made(model, tmp_path / "t.html", truth=other, frames=folder / "clip.npy")
    assert len(played[-1]) == 12


@pytest.mark.usefixtures("plain_plots")
@pytest.mark.parametrize(
    ("lost", "note"),
    [
        ("log.csv", "There are no learning curves: there is no log"),
        ("labels.slp", "There are no scores: labels.slp is missing"),
        ("split.json", "no labelled frame was kept apart"),
        ("frames", "There are no scores of the saved model and no examples: the frames"),
        ("validation", "no labelled frame was kept apart"),
    ],
)
def test_what_may_be_missing(
    model: Path, played: list[Poses], tmp_path: Path, lost: str, note: str
) -> None:
    poor = shutil.copytree(model, tmp_path / "place" / "model")
    if lost == "validation":
        split = json.loads((poor / "split.json").read_text())
        (poor / "split.json").write_text(json.dumps({**split, "validation": []}))
    elif lost != "frames":
        (poor / lost).unlink()
    given = None if lost == "frames" else model.parent / "clip.npy"
    report = made(poor, tmp_path / "r.html", frames=given)
    assert any(note in text for text in report.notes)
    assert "Model" in report.headings
    assert ("Examples" in report.headings) == (lost == "log.csv")
    assert "AP 0.700" in report.text or lost == "log.csv"
    if lost == "frames":
        with pytest.raises(LabelsError):
            api.report(poor, tmp_path / "s.html", frames=tmp_path / "place")


@pytest.mark.usefixtures("plain_plots")
def test_several_animals_are_predicted_by_the_real_network(
    folder: Path, labels: Poses, tmp_path: Path
) -> None:
    real = make_model(tmp_path / "model", labels)
    told: list[str] = []
    report = made(
        real,
        tmp_path / "r.html",
        frames=folder / "clip.npy",
        on_progress=lambda share, text: told.append(text),
    )
    truth = labels.select(np.isin(labels.frame, VALIDATION))
    scores = api.evaluate(api.predict(real, folder / "clip.npy", track=False), truth)
    assert report.table("score")["detections"] == [str(scores["predictions"])]
    assert report.tiles["recall (OKS .50)"] == f"{scores['recall']:.3f}"
    assert "predicting: frame 4 of 4" in told
    count = len(told)
    stops = iter([False] * 3)
    assert not api.report(
        real, tmp_path / "s.html", frames=folder / "clip.npy", should_stop=lambda: next(stops, True)
    )
    assert not (tmp_path / "s.html").exists()
    assert count > 4


@pytest.mark.usefixtures("plain_plots")
def test_a_model_of_one_animal(folder: Path, labels: Poses, tmp_path: Path) -> None:
    one = labels.keep(np.arange(labels.xy.shape[1]) == np.zeros((len(labels), 1)))
    single = make_model(tmp_path / "model", one, single=True)
    report = made(single, tmp_path / "r.html", frames=folder / "clip.npy")
    assert "heat maps of one animal" in report.text
    assert report.table("score")["detections"] == ["4"]
    assert report.images > 4


@pytest.mark.usefixtures("plain_plots")
def test_members_of_an_ensemble_predict_what_they_have_not_learned(
    folder: Path, labels: Poses, tmp_path: Path
) -> None:
    place = tmp_path / "ensemble"
    write_ensemble(place, EnsembleInfo(2, (0, 1)))
    make_model(member_folder(place, 0), labels, (2, 6))
    make_model(member_folder(place, 1), labels, (6, 9))
    report = made(place, tmp_path / "r.html", frames=folder / "clip.npy")
    assert "On 3 frames that validated members" in report.text
    assert report.table("score")["frames"] == ["3"]
    assert report.table("member")["1"] == ["14", "2", "77", "321", "1.5"]
    assert {"Member 0", "Member 1"} <= set(report.headings)


def test_limits_of_problems_are_for_poses(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a model"):
        api.report(model, tmp_path / "r.html", review=ReviewConfig())
