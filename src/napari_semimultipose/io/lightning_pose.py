"""Lightning Pose projects: where their labels and videos are, and what their settings are called here."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from napari_semimultipose.config import ModelConfig
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.io.lightning_pose_folder import find_layout

_LOSSES = {"temporal": "temporal", "pca_singleview": "pca", "pca_multiview": "multiview"}
_LEFT = (
    "training.max_epochs",
    "training.max_steps",
    "data.columns_for_singleview_pca",
    "callbacks.anneal_weight",
)
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv")


@dataclass(frozen=True)
class Project:
    """A Lightning Pose project.

    Attributes
    ----------
    labels : Path
        The CSV file; with several cameras the project itself.
    frames : Path
        Folder that the image names in the labels start from.
    videos : tuple of Path
        Recordings without labels.
    settings : mapping
        ``{"group.name": value}`` for `Config.with_settings`.
    notes : tuple of str
        What has no counterpart here.
    """

    labels: Path
    frames: Path
    videos: tuple[Path, ...]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass
class _Translation:
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_project(path: str | Path) -> Project:
    """Read a Lightning Pose project.

    Parameters
    ----------
    path : path
        Its folder, ``config.yaml`` or ``project.yaml``; see `lightning_pose_folder.find_layout`.

    Raises
    ------
    ConfigError
        If it cannot be read, is no such project, or its labels are not there.
    """
    file = Path(path)
    layout = find_layout(file)
    if layout is None:
        raise ConfigError(
            f"{file} is no Lightning Pose project: it lacks data.csv_file. Give the labels file instead"
        )
    tables = list(layout.tables.values())
    labels = tables[0] if len(tables) == 1 else file
    videos = "videos"
    made = _Translation()
    matches: Any = None
    names: list[str] = []
    if layout.config is not None:
        data = layout.config["data"]
        videos = str(data.get("video_dir") or videos)
        matches = data.get("mirrored_column_matches")
        names = _keypoints(data.get("keypoint_names"), tables[0])
        made = _translate(layout.config, names)
    if len(tables) > 1:
        _cameras(list(layout.tables), matches, len(names), made)
    return Project(
        labels, layout.folder, _videos(layout.folder, videos), made.settings, tuple(made.notes)
    )


def _cameras(names: Sequence[str], matches: Any, n_keypoints: int, made: _Translation) -> None:
    """Say how several cameras are learnt; their views are compared where the project does so.

    Parameters
    ----------
    matches : object
        ``mirrored_column_matches``; of several cameras the numbers of the keypoints that are compared.
    """
    made.notes.append(
        f"the cameras {', '.join(names)} are learnt by one network that sees each picture by itself; "
        "'semimultipose smooth --cameras' joins their predictions"
    )
    made.notes = [note for note in made.notes if "mirrored_column_matches" not in note]
    made.settings.pop("video.views", None)
    made.settings["video.cameras"] = list(names)
    compared = isinstance(matches, list) and all(isinstance(i, int) for i in matches)
    if (
        "multiview" in made.settings.get("video.losses", [])
        and compared
        and len(set(matches)) < n_keypoints
    ):
        made.notes.append(
            f"mirrored_column_matches names {len(set(matches))} of {n_keypoints} keypoints: all that are "
            "labelled in several cameras are compared"
        )


def _videos(folder: Path, name: str) -> tuple[Path, ...]:
    place = folder / name
    if not place.is_dir():
        return ()
    return tuple(sorted(p for p in place.iterdir() if p.suffix.lower() in _VIDEOS))


def _keypoints(names: Any, labels: Path) -> list[str]:
    """Names from the settings, or else from the second line of the labels."""
    if isinstance(names, list) and names:
        return [str(name) for name in names]
    try:
        with labels.open(newline="", encoding="utf-8") as lines:
            rows = csv.reader(lines)
            next(rows)
            return list(dict.fromkeys(next(rows)[1:]))
    except (OSError, UnicodeDecodeError, StopIteration):
        raise ConfigError(f"{labels} is no labels file of Lightning Pose") from None


def _translate(tree: Mapping[str, Any], names: Sequence[str]) -> _Translation:
    made = _Translation({"model.kind": "heatmap", "model.pretrained": True})
    data, training = tree["data"], tree.get("training") or {}
    model, losses = tree.get("model") or {}, tree.get("losses") or {}

    def take(source: Mapping[str, Any], key: str, setting: str) -> None:
        if source.get(key) is not None:
            made.settings[setting] = source[key]

    sides = [v for v in (data.get("image_resize_dims") or {}).values() if v]
    if sides:
        made.settings["heatmap.side_px"] = max(32, 32 * round(max(sides) / 32))
    take(data, "downsample_factor", "heatmap.downsample")
    take(model, "heatmap_loss_type", "heatmap.loss")
    take(training, "train_batch_size", "heatmap.batch")
    take(training, "rng_seed_model_pt", "train.seed")
    if training.get("val_prob") is not None:
        made.settings["data.validation_fraction"] = min(0.5, float(training["val_prob"]))
    uniform = training.get("uniform_heatmaps_for_nan_keypoints")
    if uniform is not None:
        made.settings["heatmap.missing"] = "uniform" if uniform else "ignore"
    _backbone(str(model.get("backbone") or ""), made)
    kind = str(model.get("model_type") or "heatmap")
    if kind == "heatmap_mhcrnn":
        made.settings["model.context"] = True
    elif kind != "heatmap":
        made.notes.append(
            f"model_type {kind} is not available: heat maps of single frames are used"
        )
    _video_losses(model.get("losses_to_use"), losses, made)
    clip = _at(tree, "dali.base.train.sequence_length")
    if isinstance(clip, int):
        made.settings["video.clip_frames"] = min(max(clip, 2), 64)  # what the setting takes
    left = [key for key in _LEFT if _at(tree, key) not in (None, [], "")]
    left += [
        f"losses.{name}.{key}"
        for name, of in losses.items()
        for key in ("log_weight", "components_to_keep", "empirical_epsilon_percentile")
        if isinstance(of, Mapping) and of.get(key) is not None
    ]
    if left:
        made.notes.append(
            f"not taken over: {', '.join(left)}. The length is --minutes or --iterations, the strength and the start of "
            "losses on video are video.strength and video.start"
        )
    matches = data.get("mirrored_column_matches")
    if matches:
        try:
            made.settings["video.views"] = [[names[int(i)] for i in view] for view in matches]
        except (IndexError, TypeError, ValueError):
            made.notes.append("mirrored_column_matches does not fit the keypoints and is ignored")
    return made


def _at(tree: Any, path: str) -> Any:
    """Value at a dotted path, None where there is none."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _backbone(name: str, made: _Translation) -> None:
    known = get_args(ModelConfig.model_fields["backbone"].annotation)
    if name in known:
        made.settings["model.backbone"] = name
        made.settings["heatmap.head"] = "deconvolution"
    elif name.startswith("resnet50"):
        made.settings["model.backbone"] = "resnet50"
        made.settings["heatmap.head"] = "deconvolution"
        made.notes.append(f"backbone {name}: resnet50 with ImageNet weights is used")
    elif name:
        made.settings["model.pretrained"] = False
        made.notes.append(
            f"backbone {name} is not available: {ModelConfig().backbone} without pretrained weights is used"
        )


def _video_losses(names: Any, losses: Mapping[str, Any], made: _Translation) -> None:
    wanted = [str(name) for name in names or () if name]
    made.settings["video.losses"] = [_LOSSES[name] for name in wanted if name in _LOSSES]
    for name in wanted:
        if name not in _LOSSES:
            made.notes.append(f"the loss {name} is not available and left out")
    temporal = losses.get("temporal") or {}
    epsilon = temporal.get("epsilon")
    if isinstance(epsilon, (int, float)):
        made.settings["video.jump_px"] = float(epsilon)
    elif epsilon:
        made.notes.append(
            "losses.temporal.epsilon differs between keypoints: it is measured instead"
        )
    if temporal.get("prob_threshold") is not None:
        made.settings["video.min_confidence"] = float(temporal["prob_threshold"])
    given = {
        float(value)
        for name in ("pca_singleview", "pca_multiview")
        if isinstance(value := (losses.get(name) or {}).get("epsilon"), (int, float)) and value > 0
    }
    if given:
        made.settings["video.pca_px"] = max(given)
