"""Lightning Pose projects: their files and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_semimultipose.config import Config
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.io.lightning_pose import read_project

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
        (tree(csv_file=["left.csv", "right.csv"]), "each camera"),
        (tree(csv_file="other.csv"), "data_dir"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        read_project(project(tmp_path, content))


def test_an_absolute_data_folder_counts(tmp_path: Path) -> None:
    content = tree(data_dir=str(tmp_path / "data" / "mouse"))
    assert read_project(project(tmp_path, content)).labels.is_file()
