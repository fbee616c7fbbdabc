"""Settings of the network, its data, losses and training."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_semimultipose.config.base import Fraction, PositiveInt, Settings


class ModelConfig(Settings):
    """The network: DirectPose for several animals, or heat maps for one animal (see `HeatmapConfig`)."""

    kind: Literal["auto", "directpose", "heatmap"] = Field(
        "auto",
        title="Animals",
        description="'directpose': any number of animals; 'heatmap': one animal a frame, a heat map for "
        "each keypoint; 'auto': 'heatmap' when no labelled frame has more than one animal",
    )
    backbone: Literal[
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "regnet_x_400mf",
        "regnet_y_400mf",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
        "efficientnet_b0",
        "efficientnet_b1",
        "efficientnet_b2",
        "swin_t",
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
    tower_norm: Literal["bn", "gn"] = Field(
        "bn", title="Tower normalisation", description="Normalisation in the towers: batch or group"
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
    context: bool = Field(
        False,
        title="Neighbouring frames",
        description="A second head looks at five frames, two before and two after; each keypoint is taken from "
        "the surer head. The labelled frames must be of a video, or have the frames around them beside them",
    )

    @model_validator(mode="after")
    def _borders_between_levels(self) -> Self:
        if len(self.level_ranges) != max(len(self.levels) - 1, 0):
            raise ValueError(
                f"{len(self.levels)} levels need {max(len(self.levels) - 1, 0)} level_ranges, not "
                f"{len(self.level_ranges)}: the borders in px between levels for half the longer side of an animal"
            )
        return self


class DataConfig(Settings):
    """Which pixels the network sees."""

    animal_px: Annotated[float, Field(ge=0)] = Field(
        80.0,
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
        160,
        title="Crop side",
        description="Side of a training crop, px: about twice the length of an animal (`animal_px`)",
    )
    batch_labeled: PositiveInt = Field(
        3, title="Labelled batch", description="Labelled crops a step"
    )
    batch_unlabeled: PositiveInt = Field(
        3,
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
    paste: Fraction = Field(
        0.5,
        title="Pasted animals",
        description="Probability that animals of another labelled picture are pasted into a picture",
    )
    unlabeled_top_left: bool = Field(
        False,
        title="Top left crops",
        description="Unlabelled crops are always the top left corner (as in the authors' code)",
    )

    @property
    def all_round(self) -> bool:
        """Whether pictures are turned to all sides, so that the network knows turned ones."""
        return self.rotate_deg >= 180


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
        4.0, title="Heat map weight", description="Weight of the heat-map loss"
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
        1.0, title="Unlabelled fusion", description="Weight of the fusion loss on unlabelled frames"
    )
    alpha_start: Fraction = Field(
        0.2, title="Labelled from", description="Share of training after which alpha acts"
    )
    beta_start: Fraction = Field(
        0.4, title="Unlabelled from", description="Share of training after which beta acts"
    )
    beta_stop: Fraction = Field(
        1.0,
        title="Unlabelled until",
        description="Share of training after which beta acts no longer: the rest is of labelled frames alone",
    )
    ramp: Fraction = Field(0.1, description="Share of training over which alpha and beta grow")
    teacher: bool = Field(
        True,
        description="Pseudo keypoints come from the averaged weights (EMA) on an unaltered view",
    )
    pseudo_from: Literal["views", "frames"] = Field(
        "frames",
        title="Pseudo labels from",
        description="The teacher looks at the unlabelled views of each step, or now and then at whole "
        "frames (needs `animal_px`)",
    )
    pseudo_frames: PositiveInt = Field(
        60,
        description="Whole frames that the teacher looks at ('frames'), each time; fewer where they "
        "would take more than a twentieth of training",
    )
    pseudo_rounds: PositiveInt = Field(
        2,
        description="How often it does, from `beta_start` to `beta_stop` at equal distances ('frames')",
    )
    teacher_turns: Literal[1, 2, 4] = Field(
        4,
        description="The teacher averages over so many turned copies of its view; one where pictures are not "
        "turned to all sides in training",
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

    @model_validator(mode="after")
    def _acts_at_all(self) -> Self:
        if self.beta_stop < 1 and self.beta_stop <= self.beta_start:
            raise ValueError(
                f"beta_stop ({self.beta_stop:g}) is not after beta_start ({self.beta_start:g}), so that "
                "unlabelled frames would never act; use method=labeled for that"
            )
        return self


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
    threads: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Threads on the processor; 0: as many as are quickest beside other work, which may change "
        "on the way. With a fixed number equal runs give equal results to the last digit",
    )
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto",
        description="Number format of the network; 'auto': bf16 where the processor computes in it",
    )
    optimizer: Literal["muon", "adamw", "sgd"] = Field(
        "muon", description="Optimiser; 'muon': Muon for hidden convolutions, AdamW for the rest"
    )
    lr: Annotated[float, Field(gt=0)] = Field(
        4e-3, title="Learning rate", description="Highest learning rate, of the heads"
    )
    muon_lr: Annotated[float, Field(gt=0)] = Field(
        8e-3, title="Muon rate", description="Highest learning rate of the weights that Muon trains"
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
