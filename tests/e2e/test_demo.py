"""The demo: everything it promises is in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from napari_semimultipose import demo
from napari_semimultipose.cli import app
from napari_semimultipose.io.labels import read_poses
from napari_semimultipose.io.video import open_frames


def run_demo(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["demo", "--headless", "--out", str(folder), *options])


def test_a_short_demo_leaves_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "N_FRAMES", 40)
    monkeypatch.setattr(demo, "N_UNSEEN", 10)
    monkeypatch.setattr(demo, "N_LABELLED", 10)
    (tmp_path / "log.txt").touch()  # an existing folder will do
    result = run_demo(tmp_path, "--minutes", "0.02", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert set(demo.FILES) <= {path.name for path in tmp_path.iterdir()}
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {"ap", "ap50", "ap75", "median_error_px"} <= set(scores)
    assert scores["frames"] == 10
    assert read_poses(tmp_path / "predictions.slp").frame.tolist() == list(range(30, 40))
    split = json.loads((tmp_path / "model" / "split.json").read_text())
    used = {frame for _, frame in split["train"] + split["validation"]}
    assert len(used) == 10
    assert max(used) < 30
    assert split["unlabeled"] == 20
    with open_frames(tmp_path / "labeled.mp4") as clip:
        assert len(clip) == 10
    assert "AP50" in result.stdout

    demo.make_sample(tmp_path)  # the next demo starts afresh
    assert not (tmp_path / "model").exists()
    assert (tmp_path / "log.txt").exists()


def test_a_folder_with_other_data_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "labels.slp").write_bytes(b"mine")
    result = run_demo(tmp_path)
    assert result.exit_code == 1
    assert "choose another folder" in result.stderr
    assert (tmp_path / "labels.slp").read_bytes() == b"mine"


@pytest.mark.slow
def test_the_demo_learns(tmp_path: Path) -> None:
    result = run_demo(tmp_path)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "scores.json").read_text())["ap"] >= 0.8
