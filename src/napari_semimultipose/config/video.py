"""Settings of the losses on frames without labels that follow each other."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_semimultipose.config.base import Fraction, Settings


class VideoConfig(Settings):
    """Losses on clips of unlabelled frames (Lightning Pose, Biderman et al. 2024)."""

    @model_validator(mode="after")
    def _one_kind_of_views(self) -> Self:
        if self.cameras and self.views:
            raise ValueError(
                "give either views (keypoints of mirrored views in one picture) or cameras, not both"
            )
        return self

    losses: tuple[Literal["temporal", "pca", "multiview"], ...] = Field(
        (),
        description="What predictions on frames without labels must obey: 'temporal': no jumps; 'pca': poses "
        "like the labelled ones; 'multiview': views of one body part agree (mirrors, or cameras)",
    )
    strength: Annotated[float, Field(ge=0)] = Field(
        1.0,
        description="Strength of these losses; at 1 their gradients are 10 % (views: 20 %) of that of the labels",
    )
    clip_frames: Annotated[int, Field(ge=2, le=64)] = Field(
        8,
        title="Clip",
        description="Consecutive frames in a clip; the cameras of a session share them, two each at least",
    )
    every: Annotated[int, Field(ge=1)] = Field(
        2, title="Clip every", description="A clip takes part in every so many steps"
    )
    start: Fraction = Field(
        0.3, title="From", description="Share of training after which these losses act"
    )
    ramp: Fraction = Field(0.1, description="Share of training over which they grow")
    jump_px: Annotated[float, Field(ge=0)] = Field(
        0.0,
        title="Tolerated jump",
        description="Way from one frame to the next that is not punished, px of the frame; 0: measured",
    )
    pca_px: Annotated[float, Field(ge=0)] = Field(
        0.0,
        title="Tolerated shape",
        description="Distance from plausible poses or between views that is not punished, px of the frame; "
        "0: measured on labels",
    )
    frame: Literal["auto", "image", "body"] = Field(
        "auto",
        title="Poses compared",
        description="'image': by place in the picture, for a fixed camera and posture; 'body': independent "
        "of place, direction and size; 'auto': from the labels",
    )
    views: tuple[tuple[str, ...], ...] = Field(
        (),
        description="Keypoints of each view of the same animal (mirrors), in the same order of body parts; "
        "empty: from name endings such as nose_top, nose_bot",
    )
    cameras: tuple[str, ...] = Field(
        (),
        description="Names of synchronous cameras, each part of the names of its recordings and pictures "
        "(run1_top.mp4, run1_side.mp4: top, side); 'multiview' compares what they see at the same frame",
    )
    min_confidence: Fraction = Field(
        0.05, title="Least confidence", description="Keypoints that are less sure do not take part"
    )
