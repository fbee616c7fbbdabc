"""Settings of smoothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_semimultipose.config.base import Fraction, PositiveInt, Settings


class SmoothConfig(Settings):
    """How positions are smoothed over time."""

    noise: Literal["fitted", "published"] = Field(
        "fitted",
        description="Variance of a predicted position: 'fitted': from the members' spread without the "
        "farthest one, scaled so that it explains the course; 'published': the members' variance as it "
        "is, with the smoothness chosen for its median over time, as Biderman et al. 2024",
    )
    smoothness: Annotated[float, Field(ge=0)] = Field(
        0.0,
        title="Motion",
        description="Variance of the movement from one frame to the next, px^2 (with calibrated or "
        "mirrored cameras: times the usual one); smaller values smooth more; 0: fitted to each keypoint",
    )
    max_gap_frames: Annotated[int, Field(ge=0)] = Field(
        25,
        title="Longest gap",
        description="A keypoint that is missing on more frames in a row is not bridged; counted in the "
        "frames that were predicted when these are every n-th of the video",
    )
    fill: bool = Field(
        True,
        title="Fill gaps",
        description="Give keypoints positions on the frames of a bridged gap",
    )
    min_score: Fraction = Field(
        0.0,
        title="Least confidence",
        description="Positions with a lower confidence count as missing",
    )
    fit_frames: PositiveInt = Field(
        4000,
        title="Frames to fit",
        description="Frames from which motion and noise of a keypoint are learned",
    )
