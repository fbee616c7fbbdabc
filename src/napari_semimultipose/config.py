"""All settings, with units, limits and help texts.

These models are the one source of the forms in the viewer, of the command line's ``--set`` and of
the ``config.yaml`` in a model folder.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
        25, description="An animal that is lost for at most this many frames keeps its track"
    )
    min_similarity: Fraction = Field(
        0.05, description="Least pose similarity (OKS) between a predicted motion and a detection"
    )
    min_length_frames: Annotated[int, Field(ge=1)] = Field(
        3, description="Shorter tracks are dropped"
    )
    sigma: Annotated[float, Field(gt=0)] = Field(
        0.2, description="Tolerance of the pose similarity as a share of the animal's size"
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
    area: Literal["extent", "box"] = Field(
        "extent",
        description="Area of a true animal: 'extent' is its keypoint box with a margin of "
        "`area_margin_px` on each side, 'box' the same without a margin",
    )
    area_margin_px: Annotated[float, Field(ge=0)] = Field(10.0, description="Margin of 'extent', px")
    swap: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of keypoints that may be exchanged within an animal"
    )
    pck: Annotated[float, Field(gt=0)] = Field(
        0.1, description="PCK counts a keypoint within this share of the animal's size as correct"
    )


class PredictConfig(Settings):
    """How a trained model is applied to frames."""

    score_threshold: Fraction = Field(0.2, description="Instances with a lower score are dropped")
    nms: Literal["oks", "box"] = Field("oks", description="What removes duplicates: OKS or box overlap")
    nms_threshold: Fraction = Field(0.5, description="Overlap above which the weaker one is removed")
    max_animals: Annotated[int, Field(ge=0)] = Field(
        0, description="Keep at most this many animals a frame; 0: no limit"
    )
    batch_size: Annotated[int, Field(ge=0)] = Field(0, description="Frames a forward pass; 0: automatic")
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'")
