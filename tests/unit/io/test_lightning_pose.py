"""Lightning Pose projects: their files and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from napari_semimultipose.cli import app
from napari_semimultipose.config import Config
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.labels import detect_format, read_poses
from napari_semimultipose.io.lightning_pose import read_project
from napari_semimultipose.io.lightning_pose_folder import is_project
from napari_semimultipose.models.checkpoint import read_info

KEYPOINTS = ("nose_top", "tail_top", "nose_bot", "tail_bot")


def tree(**data: Any) -> dict[str, Any]:
    return {
        "data": {
            "image_resize_dims": {"height": 256, "width": 384},
            "data_dir": "data/mouse",
            "video_dir": "videos",
            "csv_file": "CollectedData.csv",
            "downsample_factor": 3,
            "keypoint_names": None,
            "mirrored_column_matches": [[0, 1], [2, 3]],
            **data,
        },
        "training": {"train_batch_size": 16, "val_prob": 0.05, "rng_seed_model_pt": 3},
        "model": {
            "losses_to_use": ["pca_multiview", "temporal", "unimodal_mse"],
            "backbone": "resnet50_animal_ap10k",
            "model_type": "heatmap",
            "heatmap_loss_type": "mse",
        },
        "losses": {
            "temporal": {"log_weight": 5.0, "epsilon": 20.0, "prob_threshold": 0.05},
            "pca_multiview": {"log_weight": 5.0, "epsilon": None},
        },
    }


def project(root: Path, content: dict[str, Any]) -> Path:
    folder = root / "data" / "mouse"
    (folder / "videos").mkdir(parents=True)
    for name in ("b.mp4", "a.mp4", "notes.txt"):
        (folder / "videos" / name).touch()
    columns = [name for name in KEYPOINTS for _ in "xy"]
    lines = [
        ",".join(["scorer", *["me"] * 8]),
        ",".join(["bodyparts", *columns]),
        ",".join(["coords", *["x", "y"] * 4]),
    ]
    (folder / "CollectedData.csv").write_text("\n".join(lines) + "\n")
    file = root / "configs" / "config.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(content))
    return file


def test_files_and_settings_are_found(tmp_path: Path) -> None:
    found = read_project(project(tmp_path, tree()))
    folder = tmp_path / "data" / "mouse"
    assert found.labels == folder / "CollectedData.csv"
    assert found.frames == folder
    assert [p.name for p in found.videos] == ["a.mp4", "b.mp4"]
    config = Config().with_settings(found.settings)
    assert config.model.kind == "heatmap"
    assert (config.model.backbone, config.model.pretrained) == ("resnet50", True)
    assert config.heatmap.side_px == 384
    assert config.heatmap.downsample == 3
    assert config.heatmap.loss == "mse"
    assert config.heatmap.batch == 16
    assert config.train.seed == 3
    assert config.data.validation_fraction == 0.05
    assert config.video.losses == ("multiview", "temporal")
    assert config.video.jump_px == 20
    assert config.video.views == (("nose_top", "tail_top"), ("nose_bot", "tail_bot"))
    notes = " ".join(found.notes)
    assert "unimodal_mse" in notes
    assert "resnet50_animal_ap10k" in notes


@pytest.mark.parametrize(("length", "clip"), [(16, 16), (100, 64), (1, 2)])
def test_every_setting_is_taken_over_or_named(tmp_path: Path, length: int, clip: int) -> None:
    content = tree(columns_for_singleview_pca=[0])
    content["training"]["max_epochs"] = 750
    content["dali"] = {"base": {"train": {"sequence_length": length}}}
    content["callbacks"] = {"anneal_weight": {"attr_name": "total_unsupervised_importance"}}
    found = read_project(project(tmp_path, content))
    assert Config().with_settings(found.settings).video.clip_frames == clip
    (note,) = [note for note in found.notes if "not taken over" in note]
    for name in (
        "training.max_epochs",
        "data.columns_for_singleview_pca",
        "callbacks.anneal_weight",
        "losses.temporal.log_weight",
        "losses.pca_multiview.log_weight",
    ):
        assert name in note


def test_unknown_networks_become_the_usual_one(tmp_path: Path) -> None:
    content = tree()
    content["model"] |= {"backbone": "vits_dino", "model_type": "regression"}
    found = read_project(project(tmp_path, content))
    config = Config().with_settings(found.settings)
    assert config.model.backbone == Config().model.backbone
    assert not config.model.pretrained
    assert "vits_dino" in " ".join(found.notes)
    assert "model_type regression" in " ".join(found.notes)


def test_the_network_with_context_frames_is_taken_over(tmp_path: Path) -> None:
    content = tree()
    content["model"] |= {"model_type": "heatmap_mhcrnn"}
    found = read_project(project(tmp_path, content))
    assert Config().with_settings(found.settings).model.context
    assert "mhcrnn" not in " ".join(found.notes)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ({"data": {}}, "csv_file"),
        ({"train": {"seed": 1}}, "csv_file"),
        (tree(csv_file=["left.csv", "right.csv"]), "left.csv, right.csv was not found"),
        (tree(csv_file="other.csv"), "data_dir"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        read_project(project(tmp_path, content))


def test_an_absolute_data_folder_counts(tmp_path: Path) -> None:
    content = tree(data_dir=str(tmp_path / "data" / "mouse"))
    assert read_project(project(tmp_path, content)).labels.is_file()


def cameras(root: Path, views: tuple[str, ...] = ("top", "side"), frames: int = 3) -> Path:
    """A project with a table for each camera, and one that is kept for tests."""
    folder = root / "two"
    (folder / "videos").mkdir(parents=True)
    (folder / "videos" / "run_top.mp4").touch()
    for v, view in enumerate((*views, f"{views[0]}_new")):
        (folder / "labeled-data" / f"run_{view}").mkdir(parents=True)
        lines = ["scorer,me,me,me,me", "bodyparts,nose,nose,tail,tail", "coords,x,y,x,y"]
        lines += [
            f"labeled-data/run_{view}/img{i}.png,{i},{v},{i + 10},{v + 10}" for i in range(frames)
        ]
        (folder / f"CollectedData_{view}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_several_cameras_are_several_videos(tmp_path: Path) -> None:
    folder = cameras(tmp_path)
    assert detect_format(folder) == "lightning-pose-project"
    poses = read_poses(folder)
    assert len(poses) == 6
    assert [video.images[0] for video in poses.videos] == [
        "labeled-data/run_side/img0.png",
        "labeled-data/run_top/img0.png",
    ]
    assert {video.path for video in poses.videos} == {str(folder)}
    assert poses.xy[poses.video == 0, 0, 0, 1].tolist() == [1, 1, 1]
    found = read_project(folder)
    assert found.labels == folder
    assert [p.name for p in found.videos] == ["run_top.mp4"]
    assert "side, top" in found.notes[0]
    assert Config().with_settings(found.settings).video.cameras == ("side", "top")


def test_cameras_of_a_configuration_and_of_the_app(tmp_path: Path) -> None:
    folder = cameras(tmp_path)
    content = tree(
        data_dir="two",
        csv_file=["CollectedData_top.csv", "CollectedData_side.csv"],
        view_names=["top", "side"],
        mirrored_column_matches=[0, 1],
    )
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(content))
    found = read_project(file)
    assert found.labels == file
    assert len(read_poses(file).videos) == 2
    config = Config().with_settings(found.settings)
    assert config.video.losses == ("multiview", "temporal")
    assert config.video.cameras == ("top", "side")
    assert config.video.views == ()
    assert "mirrored_column_matches" not in " ".join(found.notes)
    content["data"]["mirrored_column_matches"] = [1]
    file.write_text(yaml.safe_dump(content))
    assert "names 1 of 2 keypoints" in " ".join(read_project(file).notes)
    (folder / "project.yaml").write_text(
        yaml.safe_dump(
            {"schema_version": 1, "keypoint_names": ["nose", "tail"], "view_names": ["top"]}
        )
    )
    assert len(read_poses(folder).videos) == 1
    assert read_project(folder / "project.yaml").labels == folder / "CollectedData_top.csv"


def test_a_folder_without_settings_has_its_labels_and_videos(tmp_path: Path) -> None:
    folder = tmp_path / "mouse"
    project(tmp_path / "other", tree())
    (tmp_path / "other" / "data" / "mouse").rename(folder)
    found = read_project(folder)
    assert found.labels == folder / "CollectedData.csv"
    assert dict(found.settings) == {}
    assert len(found.videos) == 2


def test_other_folders_are_no_project(tmp_path: Path) -> None:
    assert not is_project(tmp_path)
    (tmp_path / "videos").mkdir()
    (tmp_path / "CollectedData.csv").write_text("a,b\n1,2\n")
    assert not is_project(tmp_path)
    (tmp_path / "some.yaml").write_text("a: 1")
    assert not is_project(tmp_path / "some.yaml")
    with pytest.raises(LabelsError, match="no known labels format"):
        read_poses(tmp_path / "some.yaml")


def test_a_real_project_opens_and_trains(tmp_path: Path, shared_data: Path) -> None:
    """The folder of the published example, with a configuration as Lightning Pose writes it."""
    for name in ("CollectedData.csv", "labeled-data", "videos"):
        (tmp_path / name).symlink_to(shared_data / "mouse-mirror" / name)
    content = tree(data_dir=".", image_resize_dims={"height": 64, "width": 64}, downsample_factor=2)
    content["data"]["mirrored_column_matches"] = [[0, 1, 4, 6], [8, 9, 12, 14]]
    content["model"]["backbone"] = "resnet18"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    arguments = ["train", str(tmp_path), "--out", str(tmp_path / "model"), "--iterations", "2"]
    for setting in ("model.pretrained=false", "train.device=cpu", "train.precision='32'"):
        arguments += ["--set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "994 unlabelled" in result.stderr
    info = read_info(tmp_path / "model")
    assert info.config.heatmap.head == "deconvolution"
    assert info.config.video.losses == ("multiview", "temporal")
    assert len(info.config.video.views[0]) == 4
