"""All settings, with units, limits and help texts.

These models are the one source of the forms in the viewer, of the command line's ``--set`` and of
the ``config.yaml`` in a model folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_semimultipose.errors import ConfigError

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all groups of settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TrackConfig(Settings):
    """How instances are joined over time."""

    animals: Annotated[int, Field(ge=0)] = Field(
        0, description="Number of animals, if it is fixed; 0: unknown"
    )
    max_gap_frames: Annotated[int, Field(ge=0)] = Field(
        25,
        title="Longest gap",
        description="An animal that is lost for at most this many frames keeps its track; counted "
        "in the frames that were predicted when these are every n-th of the video",
    )
    min_similarity: Fraction = Field(
        0.05,
        title="Least similarity",
        description="Least pose similarity (OKS) between a predicted motion and a detection",
    )
    min_length_frames: Annotated[int, Field(ge=1)] = Field(
        3, title="Shortest track", description="Tracks with fewer detections are dropped"
    )
    sigma: Annotated[float, Field(gt=0)] = Field(
        0.2,
        title="Pose tolerance",
        description="Tolerance of the pose similarity as a share of the animal's size",
    )
    weak_score: Fraction = Field(
        0.5,
        description="Detections with less than this share of the mean score continue a track when "
        "nothing better does, but begin none",
    )


class EvaluateConfig(Settings):
    """How predictions are compared with true poses."""

    sigma: Annotated[float, Field(gt=0)] = Field(
        0.05, description="Keypoint tolerance of the OKS (COCO form, one value for all keypoints)"
    )
    oks_form: Literal["coco", "sleap2020"] = Field(
        "coco",
        description="'coco' divides by 8 area sigma^2, 'sleap2020' by 2 area sigma^2",
    )
    area: Literal["extent", "box", "constant"] = Field(
        "extent",
        description="Area of a true animal: 'extent' is its keypoint box with a margin of "
        "`area_margin_px` on each side, 'box' the same without a margin, 'constant' is `area_px2`",
    )
    area_margin_px: Annotated[float, Field(ge=0)] = Field(
        10.0, description="Margin of 'extent', px"
    )
    area_px2: Annotated[float, Field(gt=0)] = Field(
        10_000.0,
        description="Area of every animal for 'constant', px^2; animals of one keypoint need it",
    )
    swap: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of keypoints that may be exchanged within an animal"
    )
    score_threshold: Fraction = Field(
        0.0, description="Precision and counts leave out instances with a lower score; AP uses all"
    )
    match_min_oks: Fraction = Field(
        0.0, description="Pixel errors and PCK are taken of pairs with an OKS above this"
    )
    pck: Annotated[float, Field(gt=0)] = Field(
        0.1, description="PCK counts a keypoint within this share of the animal's size as correct"
    )
    pck_reference: tuple[str, str] | None = Field(
        None,
        description="Two keypoints whose median distance is the animal's size; without them it is "
        "the median of the longer sides of the keypoint boxes",
    )
    pck_px: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (5.0, 10.0, 20.0), description="Further distances in px for which PCK is given"
    )
    track_sigma: Annotated[float, Field(gt=0)] = Field(
        0.1, description="As `sigma`, where identities are scored"
    )
    track_min_oks: Fraction = Field(
        0.5,
        description="Least OKS of a detection that follows an animal, where identities are scored",
    )
    track_distance_px: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="Score identities by the mean keypoint distance, at most this many px, instead "
        "of the OKS; 0: OKS. For animals of one keypoint",
    )


class PredictConfig(Settings):
    """How a trained model is applied to frames."""

    score_threshold: Fraction = Field(0.25, description="Instances with a lower score are dropped")
    nms: Literal["oks", "box"] = Field(
        "oks", title="Duplicates by", description="What removes duplicates: OKS or box overlap"
    )
    nms_threshold: Fraction = Field(
        0.5, title="Duplicate overlap", description="Overlap above which the weaker one is removed"
    )
    max_animals: Annotated[int, Field(ge=0)] = Field(
        0, title="Most animals", description="Keep at most this many animals a frame; 0: no limit"
    )
    refine_cells: Annotated[float, Field(ge=0)] = Field(
        2.0,
        title="Refinement radius",
        description="Move a keypoint to the heat-map peak within this many cells; 0: leave it",
    )
    refine_peak: Fraction = Field(
        0.2, title="Refinement peak", description="Least heat-map value of such a peak"
    )
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="Number format; 'auto': bf16 where the processor computes in it"
    )
    batch_size: Annotated[int, Field(ge=0)] = Field(
        0, description="Frames a forward pass; 0: automatic"
    )
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'")


class ModelConfig(Settings):
    """The DirectPose network."""

    backbone: Literal[
        "resnet18",
        "resnet34",
        "resnet50",
        "regnet_x_400mf",
        "regnet_y_400mf",
        "mobilenet_v3_large",
        "efficientnet_b0",
    ] = Field("regnet_x_400mf", description="Image network from torchvision")
    pretrained: bool = Field(
        False, description="Start from ImageNet weights (downloaded once) instead of random ones"
    )
    norm: Literal["bn", "frozen_bn"] = Field(
        "bn",
        title="Normalisation",
        description="Backbone normalisation: trainable, or fixed (with pretrained weights)",
    )
    channels: Annotated[int, Field(ge=8, multiple_of=4)] = Field(
        64,
        title="Feature channels",
        description="Width of the feature pyramid and of the class tower",
    )
    finest: Literal[4, 8] = Field(
        4,
        title="Finest stride",
        description="Stride in px of the finest pyramid level; the heat maps have this resolution",
    )
    levels: tuple[Literal[4, 8, 16, 32], ...] = Field(
        (8,),
        title="Head strides",
        description="Strides in px of the pyramid levels that carry the detection heads",
    )
    level_ranges: tuple[float, ...] = Field(
        (),
        title="Level borders",
        description="Borders in px between levels for half the longer side of an animal "
        "(one fewer than levels)",
    )
    tower_depth: PositiveInt = Field(2, description="3x3 convolutions in a tower")
    tower: Literal["shared", "grouped"] = Field(
        "shared",
        title="Keypoint tower",
        description="Keypoint tower: one for all keypoints, or one of 64 channels for each group",
    )
    groups: Literal["one", "each"] | tuple[tuple[str, ...], ...] = Field(
        "each",
        title="Keypoint groups",
        description="Keypoints that are aligned together: all in one group, each alone, or lists of names",
    )
    heat_channels: Annotated[int, Field(ge=8)] = Field(
        64, title="Heat map channels", description="Width of the heat-map branch"
    )
    heat_depth: PositiveInt = Field(
        1, title="Heat map depth", description="3x3 convolutions before the heat maps"
    )


class DataConfig(Settings):
    """Which pixels the network sees."""

    animal_px: Annotated[float, Field(ge=0)] = Field(
        64.0,
        title="Animal length",
        description="Frames are scaled so that the median animal is this long, px; 0: scale by `short_px`",
    )
    max_scale: Annotated[float, Field(gt=0)] = Field(
        1.5, title="Largest scale", description="Never enlarge frames more"
    )
    short_px: PositiveInt = Field(
        800,
        title="Shorter side",
        description="Shorter side of a frame in prediction, px, where `animal_px` is 0",
    )
    max_long_px: PositiveInt = Field(
        1333,
        title="Longest side",
        description="Limit of the longer side in prediction, px, where `animal_px` is 0",
    )
    train_short_px: tuple[PositiveInt, PositiveInt] = Field(
        (480, 1600),
        title="Training side",
        description="Range of the shorter side in training, px, where `animal_px` is 0",
    )
    crop_px: Annotated[int, Field(ge=32)] = Field(
        256, title="Crop side", description="Side of a training crop, px"
    )
    batch_labeled: PositiveInt = Field(
        4, title="Labelled batch", description="Labelled crops a step"
    )
    batch_unlabeled: PositiveInt = Field(
        2,
        title="Unlabelled batch",
        description="Unlabelled crops a step, once unlabelled frames are used",
    )
    max_unlabeled: PositiveInt = Field(
        2000,
        title="Unlabelled frames",
        description="Use at most this many unlabelled frames, spread evenly",
    )
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.1,
        title="Validation share",
        description="Share of the labelled frames that is kept for validation",
    )
    cache_mb: PositiveInt = Field(
        4000, title="Frame cache", description="Memory for scaled frames, MB"
    )


class AugmentConfig(Settings):
    """Random changes of the training pictures."""

    rotate_deg: Annotated[float, Field(ge=0, le=180)] = Field(
        180.0,
        title="Rotation",
        description="Rotation by up to this angle, degrees; 180: the animals have no canonical up",
    )
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (0.75, 1.35), title="Zoom", description="Range of the random zoom"
    )
    flip: Fraction = Field(0.5, title="Mirror", description="Probability of a mirrored picture")
    brightness: Fraction = Field(0.2, description="Largest change of brightness")
    contrast: Fraction = Field(0.3, description="Largest relative change of contrast")
    color: Fraction = Field(
        0.1, title="Colour", description="Largest relative change of a colour channel"
    )
    blur: Fraction = Field(0.2, description="Probability of a slight blur")
    noise: Fraction = Field(0.03, description="Largest standard deviation of added noise")
    cutout: Fraction = Field(0.0, description="Probability of a grey patch")
    unlabeled_top_left: bool = Field(
        False,
        title="Top left crops",
        description="Unlabelled crops are always the top left corner (as in the authors' code)",
    )


class LossConfig(Settings):
    """Supervised and fusion losses (SemiMultiPose, Blau et al. 2022)."""

    heat: Literal["focal", "gaussian"] = Field(
        "gaussian",
        title="Heat map loss",
        description="Heat-map loss: focal loss on a window of ones, or penalty-reduced focal loss on Gaussians",
    )
    heat_window: Annotated[int, Field(ge=0)] = Field(
        1,
        title="Heat map window",
        description="Radius in cells of the window of ones ('focal'); 0: one cell",
    )
    heat_sigma: Annotated[float, Field(gt=0)] = Field(
        1.0, title="Heat map width", description="Width of the Gaussian in cells ('gaussian')"
    )
    heat_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, title="Heat map weight", description="Weight of the heat-map loss"
    )
    positives: Literal["center", "full_box"] = Field(
        "center",
        title="Positive locations",
        description="Locations trained as an animal: near its centre, or its whole box",
    )
    regression: Literal["l1", "l1_centerness", "mse_box"] = Field(
        "l1",
        title="Keypoint loss",
        description="Keypoint loss: L1, L1 weighed by centreness, or squared error",
    )
    regression_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, title="Keypoint weight", description="Weight of the keypoint loss"
    )
    quality: Literal["centerness", "oks"] = Field(
        "oks",
        description="What multiplies the class score: centreness, or predicted pose similarity",
    )
    locator_weight: Annotated[float, Field(ge=0)] = Field(
        0.1, description="Weight of the auxiliary loss on where keypoint features are sampled"
    )
    rescue_thin: bool = Field(
        True,
        title="Rescue thin animals",
        description="Give an animal without any positive location the nearest one",
    )
    ignore_missing: bool = Field(
        True, description="Do not train a missing keypoint as background inside its animal's box"
    )
    gamma: Annotated[float, Field(ge=0)] = Field(
        2.0, title="Focal gamma", description="Focal loss: focusing power"
    )
    kappa: Fraction = Field(
        0.25, title="Focal kappa", description="Focal loss: weight of positives"
    )
    fusion_target: Literal["onehot", "bilinear", "gauss", "two_way"] = Field(
        "two_way", description="How pseudo keypoints become a heat-map target"
    )
    pseudo_set: Literal["dense", "nms"] = Field(
        "nms",
        title="Pseudo keypoints",
        description="Pseudo keypoints: from every location above `delta`, or after NMS",
    )
    pseudo_score: Literal["cls", "cls_quality"] = Field(
        "cls_quality", description="Weight of a pseudo keypoint: class score, or times its quality"
    )
    pseudo_eval_pass: bool = Field(
        False,
        description="Make pseudo keypoints in a second pass in evaluation mode (authors' code)",
    )
    pad_stretch: bool = Field(
        False,
        description="Stretch pseudo keypoints by padded / unpadded size (a bug of the authors' code)",
    )
    delta: Fraction = Field(
        0.05, title="Least pseudo score", description="Least class score of a pseudo keypoint"
    )
    tau: tuple[Fraction, Fraction] = Field(
        (0.3, 0.3),
        title="Confident score",
        description="Least score of a confident pseudo animal, at the start and at the end of training",
    )
    alpha: Annotated[float, Field(ge=0)] = Field(
        0.2, title="Labelled fusion", description="Weight of the fusion loss on labelled frames"
    )
    beta: Annotated[float, Field(ge=0)] = Field(
        0.3, title="Unlabelled fusion", description="Weight of the fusion loss on unlabelled frames"
    )
    alpha_start: Fraction = Field(
        0.2, title="Labelled from", description="Share of training after which alpha acts"
    )
    beta_start: Fraction = Field(
        0.4, title="Unlabelled from", description="Share of training after which beta acts"
    )
    ramp: Fraction = Field(0.1, description="Share of training over which alpha and beta grow")
    teacher: bool = Field(
        True,
        description="Pseudo keypoints come from the averaged weights (EMA) on an unaltered view",
    )
    consistency: Annotated[float, Field(ge=0)] = Field(
        1.0,
        description="Weight, relative to beta, of following the teacher's animals and keypoints directly",
    )
    agreement_cells: Annotated[float, Field(ge=0)] = Field(
        1.5,
        title="Agreement",
        description="A pseudo keypoint counts only if a heat-map peak is this near, in cells; 0: always",
    )
    limb_hinge: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Weight, relative to beta, of a penalty on implausibly long limbs"
    )


class TrainConfig(Settings):
    """Method, length and optimiser of training."""

    method: Literal["directpose", "labeled", "semimultipose"] = Field(
        "semimultipose",
        description="'directpose': supervised only; 'labeled': fusion loss on labelled frames; "
        "'semimultipose': fusion loss on unlabelled frames too",
    )
    minutes: Annotated[float, Field(ge=0)] = Field(
        10.0, description="Length of training in minutes of wall-clock time; 0: use `iterations`"
    )
    iterations: Annotated[int, Field(ge=0)] = Field(
        0, description="Length of training in steps; 0: use `minutes`"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of all random choices")
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'")
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto",
        description="Number format of the network; 'auto': bf16 where the processor computes in it",
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="Optimiser")
    lr: Annotated[float, Field(gt=0)] = Field(
        2e-3, title="Learning rate", description="Highest learning rate, of the heads"
    )
    backbone_lr: Annotated[float, Field(gt=0)] = Field(
        1.0,
        title="Backbone rate",
        description="Learning rate of the backbone and pyramid relative to that of the heads",
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.02, description="Weight decay")
    clip: Annotated[float, Field(gt=0)] = Field(
        5.0, title="Gradient limit", description="Limit of the gradient's norm"
    )
    warmup: Fraction = Field(
        0.03, description="Share of training over which the learning rate rises"
    )
    schedule: Literal["cosine", "poly", "step"] = Field(
        "cosine", description="Decay of the learning rate: cosine, linear, or a step"
    )
    step_at: Fraction = Field(1 / 3, description="Share of training at which 'step' divides by 100")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.998,
        title="Weight averaging",
        description="Decay of the averaged weights that are kept as the model; 0: none",
    )
    validate_every: Fraction = Field(0.1, description="Share of training between validations")


class Config(Settings):
    """All settings of a model: what ``config.yaml`` in a model folder holds."""

    preset: str = Field(
        "default", description="Name of the preset that these settings started from"
    )
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
    predict: PredictConfig = PredictConfig()
    track: TrackConfig = TrackConfig()

    @classmethod
    def from_preset(cls, name: str) -> Config:
        """Return the settings of a preset.

        Raises
        ------
        ConfigError
            If there is no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
        return cls.model_validate({"preset": name, **PRESETS[name]})

    def with_settings(self, settings: Iterable[str] | Mapping[str, Any]) -> Config:
        """Return a copy with some settings changed.

        Parameters
        ----------
        settings : iterable of str, or mapping
            ``"train.seed=3"`` items, with values in YAML notation, or ``{"train.seed": 3}``.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is out of its limits; the text says which are allowed.
        """
        if isinstance(settings, Mapping):
            items = list(settings.items())
        else:
            items = []
            for text in settings:
                key, equals, value = text.partition("=")
                if not equals:
                    raise ConfigError(f"setting {text!r} must have the form group.name=value")
                items.append((key.strip(), yaml.safe_load(value)))
        tree = self.model_dump()
        for key, value in items:
            node, *path = key.split(".")
            branch = tree
            for part in path:
                if not isinstance(branch.get(node), dict):
                    raise ConfigError(_unknown(key, tree))
                branch, node = branch[node], part
            if node not in branch or isinstance(branch[node], dict):
                raise ConfigError(_unknown(key, tree))
            branch[node] = value
        return self._checked(tree)

    @classmethod
    def _checked(cls, tree: Mapping[str, Any], origin: str = "") -> Config:
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            lines = [
                f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']} (got {e['input']!r})"
                for e in error.errors()
            ]
            raise ConfigError(f"{origin}wrong settings: " + "; ".join(lines)) from None

    def to_yaml(self) -> str:
        """Return the settings as YAML text."""
        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))

    @classmethod
    def from_yaml(cls, text: str, origin: str = "config.yaml") -> Config:
        """Read settings from YAML text; `origin` names the file in errors.

        Raises
        ------
        ConfigError
            If the text is no YAML mapping or a setting is unknown or out of its limits.
        """
        try:
            tree = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{origin} is not valid YAML: {error}") from None
        if not isinstance(tree, dict):
            raise ConfigError(f"{origin} holds no settings")
        return cls._checked(tree, f"{origin}: ")


def _unknown(key: str, tree: Mapping[str, Any]) -> str:
    names = [f"{g}.{n}" for g, b in tree.items() if isinstance(b, dict) for n in b]
    near = difflib.get_close_matches(key, names, n=3, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"there is no setting {key!r}{hint}"


_PAPER: dict[str, dict[str, Any]] = {
    "model": {
        "backbone": "resnet50",
        "pretrained": True,
        "norm": "bn",
        "channels": 256,
        "finest": 8,
        "levels": (8, 16, 32),
        "level_ranges": (64.0, 128.0),
        "tower_depth": 4,
        "tower": "grouped",
        "groups": "one",
        "heat_channels": 128,
        "heat_depth": 2,
    },
    "data": {
        "animal_px": 0,
        "max_scale": 8.0,
        "crop_px": 608,
        "batch_labeled": 2,
        "batch_unlabeled": 1,
    },
    "augment": {
        "rotate_deg": 0,
        "scale": (1, 1),
        "brightness": 0,
        "contrast": 0,
        "color": 0,
        "blur": 0,
        "noise": 0,
    },
    "loss": {
        "heat": "focal",
        "heat_window": 1,
        "heat_weight": 4.0,
        "regression": "l1_centerness",
        "quality": "centerness",
        "locator_weight": 0,
        "rescue_thin": False,
        "fusion_target": "gauss",
        "pseudo_set": "dense",
        "pseudo_score": "cls",
        "alpha": 0.04,
        "beta": 0.4,
        "alpha_start": 2 / 15,
        "beta_start": 5 / 15,
        "ramp": 0,
        "teacher": False,
        "consistency": 0,
        "agreement_cells": 0,
    },
    "train": {
        "minutes": 0,
        "iterations": 15000,
        "precision": "32",
        "optimizer": "sgd",
        "lr": 0.1,
        "backbone_lr": 0.1,
        "weight_decay": 1e-4,
        "warmup": 500 / 15000,
        "schedule": "step",
        "ema": 0,
    },
    "predict": {"nms": "box", "nms_threshold": 0.4, "refine_cells": 0, "precision": "32"},
}

_AUTHORS_CODE: dict[str, dict[str, Any]] = {group: dict(values) for group, values in _PAPER.items()}
_AUTHORS_CODE["model"] |= {"pretrained": False}
_AUTHORS_CODE["augment"] |= {"unlabeled_top_left": True}
_AUTHORS_CODE["loss"] |= {
    "heat_window": 0,
    "ignore_missing": False,
    "fusion_target": "onehot",
    "pseudo_set": "nms",
    "pseudo_score": "cls_quality",
    "pseudo_eval_pass": True,
    "pad_stretch": True,
    "beta_start": 4 / 15,
}
_AUTHORS_CODE["train"] |= {"schedule": "poly"}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "paper": _PAPER,
    "authors_code": _AUTHORS_CODE,
}
