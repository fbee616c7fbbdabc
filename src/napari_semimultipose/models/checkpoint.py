"""A trained model as a folder that can be copied to another machine and used.

``model.safetensors`` (weights), ``config.yaml`` (all settings), ``skeleton.json`` (keypoints, scale and
score), and, from training: ``labels.slp``, ``split.json``, ``log.csv`` and ``resume.pt``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semimultipose.config import Config
from napari_semimultipose.errors import ModelError, TrainingError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.models.ensemble import is_ensemble, member_folders
from napari_semimultipose.poses import Skeleton
from napari_semimultipose.sides import PairPrior

if TYPE_CHECKING:
    from torch import nn

    from napari_semimultipose.models.build import Network

WEIGHTS = "model.safetensors"
LAST_WEIGHTS = "last.safetensors"
CONFIG = "config.yaml"
DESCRIPTION = "model.json"
RESUME = "resume.pt"
LABELS = "labels.slp"
SPLIT = "split.json"
LOG = "log.csv"
BEST = "best.txt"

_OF_TRAINING = (WEIGHTS, LAST_WEIGHTS, CONFIG, DESCRIPTION, RESUME, LABELS, SPLIT, LOG, BEST)


@dataclass(frozen=True)
class ModelInfo:
    """What a model needs besides its weights.

    Attributes
    ----------
    skeleton : Skeleton
    config : Config
    scale : float
        Working scale: frames are resized by it; 0: by their shorter side.
    animal_size_px : float
        Median size of the labelled animals in px of the original frames; NaN when unknown.
    scores : mapping
        Scores on the validation frames; empty without validation.
    iteration : int
        Training steps so far; the weights may be of an earlier one, that validated best (``best.txt``).
    pairs : tuple of PairPrior
        What the labelled animals tell about mirrored pairs; empty where too few have them.
    shapes : mapping
        Of the heat-map tracker the shapes of labelled poses, ``pose`` and ``views``, as the numbers of `PosePCA` and
        `MultiviewPCA` in px of the network input; without those for which there are too few labels.
    """

    skeleton: Skeleton
    config: Config
    scale: float
    animal_size_px: float = float("nan")
    scores: Mapping[str, float] = field(default_factory=dict)
    iteration: int = 0
    pairs: tuple[PairPrior, ...] = ()
    shapes: Mapping[str, Any] = field(default_factory=dict)


def is_model_folder(path: str | Path) -> bool:
    """Whether a folder holds a model of ours."""
    folder = Path(path)
    return (folder / DESCRIPTION).is_file() and (folder / CONFIG).is_file()


def check_new_folder(folder: Path) -> None:
    """Refuse a folder in which a new model would replace files.

    Raises
    ------
    TrainingError
        When the folder is a file, a model or an ensemble, or holds files of others that a training writes, such as
        ``labels.slp``.
    """
    if is_model_folder(folder) or is_ensemble(folder):
        raise TrainingError(
            f"{folder} already holds a model: resume it, or choose another output folder"
        )
    if folder.is_file():
        raise TrainingError(f"{folder} is a file: choose a folder for the model")
    taken = [name for name in _OF_TRAINING if (folder / name).exists()]
    if taken:
        raise TrainingError(
            f"{folder} holds {', '.join(taken)}, which the model's own files would replace: choose another output "
            f"folder, for instance {folder / 'model'}"
        )


def write_info(folder: Path, info: ModelInfo) -> None:
    """Write the settings and the description."""
    folder.mkdir(parents=True, exist_ok=True)
    skeleton = info.skeleton
    text = {
        "format": 1,
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        "edges": [list(e) for e in skeleton.edges],
        "symmetry": [list(e) for e in skeleton.symmetry],
        "scale": info.scale,
        "animal_size_px": None
        if info.animal_size_px != info.animal_size_px
        else info.animal_size_px,
        "scores": dict(info.scores),
        "iteration": info.iteration,
        "pairs": [asdict(pair) for pair in info.pairs],
        "shapes": dict(info.shapes),
    }
    with replace_file(folder / CONFIG) as path:
        path.write_text(info.config.to_yaml(), encoding="utf-8")
    with replace_file(folder / DESCRIPTION) as path:
        path.write_text(json.dumps(text, indent=1), encoding="utf-8")


def read_info(path: str | Path) -> ModelInfo:
    """Read the settings and the description of a model folder; loads no weights and no torch.

    Of an ensemble those of its first member.

    Raises
    ------
    ModelError
        If the folder is no model or its files are damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ModelError(f"there is no model folder {folder}")
    if is_ensemble(folder):
        folder = member_folders(folder)[0]
    if not is_model_folder(folder):
        raise ModelError(
            f"{folder} is no model folder: it lacks {CONFIG} or {DESCRIPTION}; "
            "give the folder that training wrote (--out)"
        )
    try:
        text: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        skeleton = Skeleton(
            tuple(text["keypoints"]),
            tuple((a, b) for a, b in text["edges"]),
            tuple((a, b) for a, b in text["symmetry"]),
            text["name"],
        )
        size = text["animal_size_px"]
        return ModelInfo(
            skeleton,
            Config.from_yaml((folder / CONFIG).read_text(encoding="utf-8"), str(folder / CONFIG)),
            float(text["scale"]),
            float("nan") if size is None else float(size),
            text["scores"],
            int(text["iteration"]),
            tuple(_pair(pair) for pair in text.get("pairs", ())),  # models of before have none
            text.get("shapes", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / DESCRIPTION} is damaged ({error}); copy the folder again or train anew"
        ) from None


def _pair(text: Mapping[str, Any]) -> PairPrior:
    left, right = text["pair"]
    return PairPrior(
        (int(left), int(right)),
        tuple(tuple(int(k) for k in end) for end in text["axis"]),
        tuple(float(value) for value in text["log_odds"]),
        float(text["apart"]),
        float(text["reach"]),
    )


def describe_model(path: str | Path) -> dict[str, Any]:
    """Return what a person wants to know about a model folder, for display.

    Raises
    ------
    ModelError
        If the folder is no model.
    """
    info = read_info(path)
    members = member_folders(path) if is_ensemble(path) else [Path(path)]
    return {
        "members": len(members),
        "keypoints": list(info.skeleton.keypoints),
        "preset": info.config.preset,
        "kind": "heatmap" if info.config.model.kind == "heatmap" else "directpose",
        "context": info.config.model.context,
        "method": info.config.train.method,
        "backbone": info.config.model.backbone,
        "scale": info.scale,
        "animal_size_px": info.animal_size_px,
        "iteration": info.iteration,
        "scores": dict(info.scores),
        "trained": (members[0] / WEIGHTS).is_file(),
    }


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of a network."""
    from safetensors.torch import save_file

    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with replace_file(path) as temporary:
        save_file(state, str(temporary))


def load_model(path: str | Path, *, last: bool = False) -> tuple[Network, ModelInfo]:
    """Load the network of a model folder, in evaluation mode on the CPU; of an ensemble its first member.

    Parameters
    ----------
    path : str or Path
        Model folder.
    last : bool
        The newest weights instead of those that validated best.

    Raises
    ------
    ModelError
        If the folder is no model, or its weights are missing, damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from napari_semimultipose.models.build import build_network

    folder = member_folders(path)[0] if is_ensemble(path) else Path(path)
    info = read_info(folder)
    file = folder / (LAST_WEIGHTS if last else WEIGHTS)
    if not file.is_file():
        raise ModelError(f"{folder} has no weights ({file.name}) yet: train it first")
    network = build_network(
        info.config.with_settings({"model.pretrained": False}), info.skeleton.keypoints
    )
    try:
        network.load_state_dict(load_file(str(file)))
    except (SafetensorError, OSError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{file} is damaged or belongs to another network ({first}); "
            "copy the folder again or train anew"
        ) from None
    return network.eval(), info
