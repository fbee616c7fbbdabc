"""Two synchronous cameras, from a Lightning Pose project to the disagreement of predictions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from napari_semimultipose.cli import app
from napari_semimultipose.io.video_writer import write_video
from napari_semimultipose.models.checkpoint import read_info

KEYPOINTS = ("nose", "back", "tail")
VIEWS = {"top": np.array([[1.0, 0, 0], [0, 1, 0]]), "side": np.array([[1.0, 0, 0], [0, 0, 1]])}
SIZE, LABELLED = (64, 80), 12
BODY = np.array([[-10.0, 0, 3], [0, 3, 0], [10, 0, -3]])


def seen(view: str, frames: int, seed: int) -> np.ndarray:
    """Positions of an animal that swims around [F, 3, 2], px."""
    phase = np.arange(frames) / 3 + seed
    middle = np.stack([14 * np.sin(phase), 9 * np.cos(phase), 11 * np.sin(0.6 * phase)], 1)
    return (BODY + middle[:, None]) @ VIEWS[view].T + [40, 32]


def film(xy: np.ndarray) -> np.ndarray:
    stack = np.full((len(xy), *SIZE, 1), 20, np.uint8)
    for picture, points in zip(stack, xy.round().astype(int), strict=True):
        for (x, y), grey in zip(points, (250, 180, 110), strict=True):
            picture[y - 2 : y + 3, x - 2 : x + 3] = grey
    return stack


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the Lightning Pose app makes it: a table, images and a video for each camera."""
    folder = tmp_path_factory.mktemp("two cameras")
    (folder / "videos").mkdir()
    for view in VIEWS:
        images = folder / "labeled-data" / f"run1_{view}"
        images.mkdir(parents=True)
        names = [name for name in KEYPOINTS for _ in "xy"]
        table = [["scorer", *["me"] * 6], ["bodyparts", *names], ["coords", *["x", "y"] * 3]]
        xy = seen(view, LABELLED, 0)
        for i, (picture, points) in enumerate(zip(film(xy), xy, strict=True)):
            name = f"labeled-data/run1_{view}/img{7 * i:08}.png"
            Image.fromarray(picture[..., 0]).save(folder / name)
            table.append([name, *(f"{value:.3f}" for value in points.ravel())])
        (folder / f"CollectedData_{view}.csv").write_text("\n".join(map(",".join, table)) + "\n")
        with write_video(folder / "videos" / f"run2_{view}.mp4", SIZE, 10) as video:
            for picture in film(seen(view, 20, 1)):
                video.write(picture)
    content = {
        "data": {
            "image_resize_dims": {"height": 64, "width": 64},
            "data_dir": str(folder),
            "video_dir": "videos",
            "csv_file": [f"CollectedData_{view}.csv" for view in VIEWS],
            "view_names": list(VIEWS),
            "keypoint_names": list(KEYPOINTS),
            "mirrored_column_matches": [0, 1, 2],
        },
        "training": {"train_batch_size": 2},
        "model": {"losses_to_use": ["pca_multiview", "temporal"], "backbone": "resnet18"},
        "losses": {"temporal": {"epsilon": 20.0}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.stderr
    return result


def tables(folder: Path) -> dict[str, list[list[str]]]:
    """Return the tables of disagreement by camera."""
    out = {}
    for view in VIEWS:
        with (folder / f"run2_{view}_pca_multiview_error.csv").open(newline="") as file:
            out[view] = list(csv.reader(file))
    return out


def test_a_project_of_two_cameras_is_learnt_and_its_predictions_are_compared(
    project: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "model", tmp_path / "predictions"
    settings = ("model.pretrained=false", "model.backbone=mobilenet_v3_small", "video.every=1",
                "video.start=0", "train.precision='32'", "predict.score_threshold=0")  # fmt: skip
    said = run(
        *("train", project, "--out", model, "--iterations", 3, "--device", "cpu"),
        *(part for item in settings for part in ("--set", item)),
    ).stderr
    assert "left out" not in said
    config = read_info(model).config
    assert config.video.cameras == ("top", "side")
    with (model / "log.csv").open(newline="") as file:
        terms = {row["name"] for row in csv.DictReader(file) if row["kind"] == "loss"}
    assert {"heatmap", "temporal", "multiview"} <= terms
    said = run("predict", model, project / "videos", "--out", out, "--metrics").stderr
    assert "session run2_*" in said
    found = tables(out)
    for rows in found.values():
        assert rows[0] == ["", *KEYPOINTS]
        assert len(rows) == 21
        assert all(float(cell) >= 0 for row in rows[1:] for cell in row[1:])
    # The same from the files alone, in one command or with the names of the cameras given.
    files = [out / f"run2_{view}.slp" for view in VIEWS]
    run("measure", *files, "--model", model, "--out", tmp_path / "again")
    assert tables(tmp_path / "again") == found
    run(
        "measure", *files, "--labels", project, "--cameras", "top,side", "--out", tmp_path / "third"
    )
    assert set(tables(tmp_path / "third")) == set(VIEWS)


def test_cameras_that_are_not_there_are_told(project: Path, tmp_path: Path) -> None:
    arguments = ["train", project, "--out", tmp_path / "m", "--iterations", "1", "--cameras"]
    for names, said in (
        ("top,back", "has the camera back in its name"),
        ("top", "two names or more"),
    ):
        result = CliRunner().invoke(app, [str(a) for a in (*arguments, names)])
        assert result.exit_code == 1
        assert said in result.stderr
