"""Settings of the heat-map tracker for one animal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_semimultipose.config.base import Fraction, Settings


class HeatmapConfig(Settings):
    """The heat-map tracker for one animal (after Lightning Pose, Biderman et al. 2024)."""

    side_px: Annotated[int, Field(ge=32, multiple_of=32)] = Field(
        192,
        title="Frame side",
        description="Frames are scaled so that the longer side is this long, px",
    )
    head: Literal["deconvolution", "pyramid"] = Field(
        "pyramid",
        description="'deconvolution': linear transposed convolutions on the coarsest features, as in "
        "Lightning Pose, for pretrained backbones; 'pyramid': finer features take part, which learns "
        "more quickly from random weights",
    )
    downsample: Literal[1, 2, 3] = Field(
        2, description="Heat maps are smaller than the picture by 2 to this power"
    )
    sigma_cells: Annotated[float, Field(ge=0.7, le=4)] = Field(
        1.25,
        title="Width",
        description="Width (standard deviation) of the Gaussian of a label, in cells",
    )
    loss: Literal["mse", "kl", "js"] = Field(
        "kl",
        title="Heat map loss",
        description="Distance between heat map and Gaussian: squared error, Kullback-Leibler or "
        "Jensen-Shannon divergence",
    )
    missing: Literal["uniform", "ignore"] = Field(
        "uniform",
        description="What a keypoint without a label teaches: 'uniform': it is hidden, be unsure; "
        "'ignore': nothing",
    )
    posture: Literal["auto", "fixed", "free"] = Field(
        "auto",
        description="'fixed': the animal is always the same way up; 'free': it is seen from above and turns "
        "to all sides, so that pictures are turned and mirrored at will; 'auto': free when the headings of the labels spread "
        "by 8 degrees or more",
    )
    rotate_deg: Annotated[float, Field(ge=0, le=180)] = Field(
        15.0,
        title="Rotation",
        description="Rotation by up to this angle with a fixed posture, degrees",
    )
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (0.85, 1.15), title="Zoom", description="Range of the random zoom"
    )
    shift: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.06, description="Largest random shift, as a share of the side"
    )
    batch: Annotated[int, Field(ge=1)] = Field(8, title="Batch", description="Frames a step")
    teach: Annotated[float, Field(ge=0)] = Field(
        1.0,
        title="Other frames",
        description="Weight of plausible poses that the network finds on frames without labels and learns from, half "
        "of each batch ('semimultipose'; from `loss.beta_start` on); 0: labels alone",
    )
    teach_mass: Fraction = Field(
        0.3,
        title="Sure keypoint",
        description="Such a keypoint counts where its peak has at least this share of the heat map",
    )
