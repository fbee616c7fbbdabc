"""Whole commands on a tiny synthetic recording: train, predict, evaluate, stop and go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from napari_semimultipose import api
from napari_semimultipose.cli import app
from napari_semimultipose.config import Config
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.models.checkpoint import read_info
from napari_semimultipose.poses import Poses, Source, Video

N_FRAMES = 24
SMALL = ("model.channels=16", "data.crop_px=96", "data.batch_labeled=2", "data.batch_unlabeled=1")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def settings(*items: str) -> list[str]:
    return [part for item in items for part in ("--set", item)]


@pytest.fixture(scope="module")
def bees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with labels of all of them, and the lists of a split."""
    folder = tmp_path_factory.mktemp("bees")
    recording = SyntheticRecording(N_FRAMES, animals=2, size=(128, 128), seed=3, length_px=45)
    names = tuple(f"images/{i:02}.png" for i in range(N_FRAMES))
    (folder / "images").mkdir()
    for i, name in enumerate(names):
        Image.fromarray(recording.frame(i)).save(folder / name)
    write_poses(recording.poses(Video("", names)), folder / "truth.json")
    (folder / "labeled.txt").write_text("\n".join(names[:16:2]))
    (folder / "test.txt").write_text("\n".join(names[16:]))
    return folder


@pytest.fixture(scope="module")
def model(bees: Path) -> Path:
    spare = [bees / "a.npy", bees / "b.npy"]
    for path in spare:
        np.save(path, np.full((3, 96, 96), 90, np.uint8))
    result = run(
        *("train", bees / "truth.json", "--unlabeled", *spare, "--out", bees / "model"),
        *("--iterations", 8, "--device", "cpu"),
        *("--labeled-list", bees / "labeled.txt", "--exclude-list", bees / "test.txt"),
        *settings(*SMALL, "data.validation_fraction=0.25"),
    )
    assert result.exit_code == 0, result.output
    return bees / "model"


def test_training_uses_the_frames_of_the_lists(bees: Path, model: Path) -> None:
    split = json.loads((model / "split.json").read_text())
    named = {name for _, name in split["train"] + split["validation"]}
    assert named == set((bees / "labeled.txt").read_text().split())
    assert len(split["validation"]) == 2
    # 24 images without 8 labelled and 8 excluded ones, and the two recordings of 3 frames
    assert split["unlabeled"] == 14


def test_predictions_of_stills_keep_their_names_and_can_be_scored(
    bees: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "poses.slp"
    result = run(
        "predict", model, bees / "truth.json", "--out", out, *settings("predict.score_threshold=0")
    )
    assert result.exit_code == 0, result.output
    poses = read_poses(out)
    truth = read_poses(bees / "truth.json")
    names = {Path(poses.image_name(row) or "").name for row in range(len(poses))}
    assert names == {Path(truth.image_name(row) or "").name for row in range(len(truth))}
    assert poses.n_instances > 0
    assert (poses.track == -1).all()
    assert (poses.source[poses.present] == Source.PREDICTED).all()
    scores = tmp_path / "scores.json"
    result = run(
        "evaluate", out, bees / "truth.json", "--frames-list", bees / "test.txt", "--json", scores
    )
    assert result.exit_code == 0, result.output
    assert json.loads(scores.read_text())["frames"] == 8


def test_nothing_is_predicted_that_could_not_be_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 64, 64), np.uint8))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=9_000))
    monkeypatch.setattr(
        "napari_semimultipose.api.predict", lambda *given, **more: pytest.fail("begun")
    )
    result = run("predict", model, tmp_path / "a.npy", "--out", tmp_path / "new" / "a.slp")
    assert result.exit_code == 1
    assert "make room, or choose another folder" in result.stderr


def test_predictions_that_cannot_be_written_are_kept_elsewhere(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 64, 64), np.uint8))
    out, rescue = tmp_path / "new" / "a.json", tmp_path / "temporary"
    rescue.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(rescue))
    predict = api.predict

    def meanwhile(*given: Any, **more: Any) -> Poses:
        poses = predict(*given, **more)
        out.parent.write_text("somebody put a file here")
        return poses

    monkeypatch.setattr(api, "predict", meanwhile)
    result = run("predict", model, tmp_path / "a.npy", "--out", out)
    assert result.exit_code == 1
    (kept,) = rescue.glob("*/a.slp")
    assert f"the predictions are kept in {kept}" in " ".join(result.stderr.split())
    assert len(read_poses(kept)) == 3


def test_many_recordings_in_one_command(bees: Path, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 64, 64), np.uint8))
    (tmp_path / "b.npy").write_bytes(b"broken")
    np.save(tmp_path / "c.npy", np.zeros((2, 64, 64), np.uint8))
    recordings = [tmp_path / f"{name}.npy" for name in "abc"]
    out = tmp_path / "results"
    result = run("predict", model, *recordings, "--out", out)
    assert result.exit_code == 1
    assert "1 of 3 recordings failed" in result.stderr
    assert sorted(p.name for p in out.iterdir()) == ["a.slp", "c.slp"]
    assert len(read_poses(out / "a.slp")) == 3
    before = (out / "a.slp").stat().st_mtime_ns
    result = run("predict", model, recordings[0], recordings[2], "--out", out)
    assert result.exit_code == 0
    assert result.stderr.count("skipped") == 2
    assert (out / "a.slp").stat().st_mtime_ns == before


def test_what_was_predicted_before_an_unreadable_frame_is_written(
    model: Path, tmp_path: Path
) -> None:
    """The header of the sixth image of a folder is right, its pixels are missing."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        for i in range(8):
            noise = np.random.default_rng(i).integers(0, 255, (64, 64), np.uint8)
            Image.fromarray(noise).save(folder / f"{i:02}.png")
    broken = bad / "05.png"
    broken.write_bytes(broken.read_bytes()[:600])
    alone = tmp_path / "alone.slp"
    result = run("predict", model, bad, "--out", alone)
    assert result.exit_code == 1
    assert "the 5 frames before it were predicted" in " ".join(result.stderr.split())
    assert read_poses(alone).frame.tolist() == [0, 1, 2, 3, 4]
    out = tmp_path / "results"
    assert run("predict", model, bad, good, "--out", out).exit_code == 1
    assert sorted(p.name for p in out.iterdir()) == ["bad.partial.slp", "good.slp"]
    assert len(read_poses(out / "bad.partial.slp")) == 5
    shutil.copyfile(good / "05.png", broken)
    assert run("predict", model, bad, good, "--out", out).exit_code == 0
    assert sorted(p.name for p in out.iterdir()) == ["bad.slp", "good.slp"]


def test_ctrl_c_saves_and_resume_goes_on(bees: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    command = ["train", bees / "truth.json", "--out", folder, "--device", "cpu"]

    def interrupt() -> None:
        while not (folder / "config.yaml").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    result = run(*command, "--minutes", 5, *settings(*SMALL))
    thread.join()
    assert result.exit_code == 130, result.output
    assert "stopped at iteration" in result.stderr
    done = json.loads((folder / "model.json").read_text())["iteration"]

    result = run(*command, "--resume", "--iterations", done + 3)
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "model.json").read_text())["iteration"] == done + 3
    config = (folder / "config.yaml").read_text()
    assert "channels: 16" in config  # the settings of the run stay


def test_an_existing_model_is_not_overwritten(bees: Path, model: Path) -> None:
    before = (model / "model.safetensors").read_bytes()
    result = run("train", bees / "truth.json", "--out", model, "--iterations", 2)
    assert result.exit_code == 1
    assert "already holds a model" in result.stderr
    assert (model / "model.safetensors").read_bytes() == before


def test_a_recording_is_tracked(bees: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "poses.slp"
    result = run(
        *("predict", model, bees / "images", "--out", out, "--frame-range", "4:12", "--animals", 2),
        *settings("predict.score_threshold=0"),
    )
    assert result.exit_code == 0, result.output
    poses = read_poses(out)
    assert poses.frame.tolist() == list(range(4, 12))
    assert set(poses.track[poses.present].tolist()) <= {-1, 0, 1}
    assert poses.present.sum(1).max() <= 2


def test_a_report_of_a_model_has_the_numbers_of_evaluate(
    bees: Path, model: Path, tmp_path: Path
) -> None:
    lowest = settings("predict.score_threshold=0")
    page, poses, scores = tmp_path / "r.html", tmp_path / "poses.slp", tmp_path / "scores.json"
    result = run("report", model, "--out", page, *lowest)
    assert result.exit_code == 0, result.output
    assert f"{page}: the report of {model}" in result.stderr
    text = page.read_text()
    assert "On the 2 validation frames" in text
    names = json.loads((model / "split.json").read_text())["validation"]
    (tmp_path / "list.txt").write_text("\n".join(name for _, name in names))
    run("predict", model, bees / "truth.json", "--out", poses, *lowest)
    run(
        *("evaluate", poses, bees / "truth.json", "--frames-list", tmp_path / "list.txt"),
        *("--json", scores),
    )
    known = json.loads(scores.read_text())
    assert f'<td>detections</td><td class="n">{known["predictions"]}</td>' in text
    assert f'<td>95th percentile, px</td><td class="n">{known["p95_error_px"]:.1f}</td>' in text

    result = run("report", model, "--labels", bees / "truth.json", "--out", page, *lowest)
    assert result.exit_code == 0, result.output
    assert "On 18 frames" in page.read_text()
    assert "6 others, from whose labels it has learned, are left out" in page.read_text()


def test_a_report_of_poses(bees: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    result = run(
        *("report", bees / "truth.json", "--out", page, "--truth", bees / "truth.json"),
        *("--video", bees, "--animals", 2, "--score", "sigma=0.1"),
    )
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert "<strong>1.000</strong><span>AP (OKS .50:.95)</span>" in text
    assert "data:image/jpeg;base64," in text
    assert "Frames with 2" in text


def test_frames_are_suggested_by_asking_a_model_twice(
    bees: Path, model: Path, tmp_path: Path
) -> None:
    out, reasons = tmp_path / "next.txt", tmp_path / "next.json"
    guesser = tmp_path / "guesser"  # keeps what the network is not sure of
    shutil.copytree(model, guesser)
    config = Config.from_yaml((guesser / "config.yaml").read_text())
    config = config.with_settings({"predict.score_threshold": 0, "predict.max_animals": 2})
    (guesser / "config.yaml").write_text(config.to_yaml())
    result = run(
        *("suggest", bees / "images", "--model", guesser, "--out", out, "--json", reasons),
        *("--count", N_FRAMES),
    )
    assert result.exit_code == 0, result.output
    found = json.loads(reasons.read_text())
    assert sorted(entry["image"] for entry in found) == sorted(
        path.name for path in (bees / "images").iterdir()
    )
    # After 8 steps a network has no opinion: it finds something else in every copy.
    assert any("when the picture is turned" in entry["reason"] for entry in found)
    result = run("suggest", bees / "images", "--model", model, "--by", "even", "--out", out)
    assert result.exit_code == 1
    assert "a model is only used by 'uncertain'" in result.stderr


def test_info_describes_a_model(model: Path) -> None:
    result = run("info", model)
    assert result.exit_code == 0
    assert "iteration: 8" in result.stdout


def test_info_tells_versions_devices_and_health() -> None:
    result = run("info")
    assert result.exit_code == 0, result.output
    for part in ("napari-semimultipose", "torch", "device cpu", "healthy"):
        assert part in result.stdout


def test_context_is_learned_from_the_frames_around_labels_and_used_on_videos(
    tmp_path: Path,
) -> None:
    recording = SyntheticRecording(N_FRAMES, animals=1, size=(96, 128), seed=1, length_px=45)
    clip, labels, out = tmp_path / "clip.npy", tmp_path / "labels.slp", tmp_path / "model"
    np.save(clip, np.stack([recording.frame(i) for i in range(N_FRAMES)]))
    write_poses(recording.poses(Video("clip.npy", ())).select(list(range(2, 22, 3))), labels)
    result = run(
        *("train", labels, "--frames", clip, "--out", out, "--context", "--iterations", 3),
        *(
            "--device",
            "cpu",
            *settings("heatmap.side_px=64", "heatmap.batch=2", "model.channels=8"),
        ),
    )
    assert result.exit_code == 0, result.output
    assert "neighbouring" not in result.stderr
    assert read_info(out).config.model.context
    for name, part in (("whole.slp", ()), ("part.slp", ("--frame-range", "5:9"))):
        result = run(
            *("predict", out, clip, "--out", tmp_path / name, *part),
            *settings("predict.score_threshold=0", "predict.precision='32'"),
        )
        assert result.exit_code == 0, result.output
    whole, few = read_poses(tmp_path / "whole.slp"), read_poses(tmp_path / "part.slp")
    assert whole.frame.tolist() == list(range(N_FRAMES))
    assert few.frame.tolist() == [5, 6, 7, 8]
    np.testing.assert_allclose(few.xy, whole.select(few.frame).xy, atol=0.05)
