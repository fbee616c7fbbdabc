"""How poses look: colours, symbols and sizes of the layers."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.metrics import POSE, TEMPORAL, VIEWS
from napari_semimultipose.poses import Poses, Visibility

ColorBy = Literal["keypoint", "animal", "confidence", "jump", "pose", "views"]

METRIC_OF_COLOR: Mapping[str, str] = {"jump": TEMPORAL, "pose": POSE, "views": VIEWS}
"""Colours that tell a metric: blue is plausible, yellow at the limit, red twice as much or more."""

# Bright on dark and on light footage, and neighbours in the list differ much in hue.
_HAND_PICKED = (
    "#ff4d4d",
    "#3da5ff",
    "#38d16a",
    "#ffb300",
    "#c77dff",
    "#00d0d0",
    "#ff7ac6",
    "#b5e61d",
    "#ff8c42",
    "#8f9bff",
    "#ffe14d",
    "#2ee6a6",
)
_GOLDEN_ANGLE = 0.381966  # share of the circle: successive hues never fall together

CANVAS_SIZES = (7, 40)
"""Least and greatest diameter of a point in screen pixels."""

SYMBOLS = {Visibility.VISIBLE: "disc", Visibility.OCCLUDED: "ring"}


@lru_cache
def palette(n: int) -> NDArray[np.float32]:
    """Return `n` distinct colours [n, 4] (RGBA, 0..1)."""
    colors = [tuple(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)) for code in _HAND_PICKED[:n]]
    for i in range(len(colors), n):
        hue = (0.03 + i * _GOLDEN_ANGLE) % 1
        colors.append(colorsys.hsv_to_rgb(hue, (0.55, 0.8)[i % 2], (1.0, 0.85)[i // 2 % 2]))
    table = np.ones((n, 4), np.float32)
    table[:, :3] = np.asarray(colors, np.float32).reshape(n, 3)
    table.setflags(write=False)
    return table


# Identities can be many: their colours repeat. Turned against the colours of the keypoints.
ANIMAL_PALETTE = np.roll(palette(24), -3, axis=0)


@dataclass(frozen=True)
class PoseStyle:
    """Look of the Points, Vectors and Tracks of one set of poses.

    Parameters
    ----------
    size_px : float
        Diameter of a point in image pixels.
    color_by : {"keypoint", "animal", "confidence", "jump", "pose", "views"}
        What the colour of a point tells: confidence goes from red over yellow to blue, and points
        without one (labels) are white; the last three are metrics (`METRIC_OF_COLOR`). The lines of the
        skeleton always tell the animal.
    """

    size_px: float = 8.0
    color_by: ColorBy = "keypoint"

    @classmethod
    def fitting(
        cls,
        poses: Poses,
        color_by: ColorBy = "keypoint",
        image_shape: tuple[int, int] | None = None,
    ) -> PoseStyle:
        """Style whose points are as large as suits the animals, or else the image.

        Parameters
        ----------
        poses : Poses
            Labels or predictions; may be empty.
        color_by : {"keypoint", "animal", "confidence", "jump", "pose", "views"}
        image_shape : (int, int), optional
            Height and width in px, if the videos of the poses do not say it.
        """
        shape = image_shape or next((v.shape for v in poses.videos if v.shape), None)
        size = poses.animal_size_px
        if not np.isfinite(size):
            share_of_image = 0.015 * min(shape) if shape else cls.size_px
            return cls(float(np.clip(share_of_image, 3.0, 60.0)), color_by)
        # A crowded skeleton gets smaller points; below 3 px a point could not be hit or seen, and
        # an animal that fills the image must not disappear behind them.
        share = 0.09 / np.sqrt(max(1.0, len(poses.skeleton) / 6))
        largest = max(3.0, 0.02 * min(shape)) if shape else 60.0
        return cls(float(np.clip(share * size, 3.0, min(60.0, largest))), color_by)

    def scaled(self, factor: float) -> PoseStyle:
        """Return the style with points `factor` times as large."""
        return replace(self, size_px=self.size_px * factor)

    @property
    def edge_width_px(self) -> float:
        """Width of the lines of the skeleton in image pixels."""
        return max(1.0, 0.25 * self.size_px)

    def point_colors(
        self,
        keypoint: ArrayLike,
        animal: ArrayLike,
        n_keypoints: int,
        score: ArrayLike | None = None,
        ratio: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Colours [P, 4] of points.

        Parameters
        ----------
        keypoint, animal : arrays [P] of int
            Index of the keypoint, number of the animal.
        n_keypoints : int
        score : array [P], optional
            Confidences.
        ratio : array [P], optional
            A metric as a share of what is plausible; NaN where it is unknown.
        """
        if self.color_by == "keypoint":
            return palette(n_keypoints)[np.asarray(keypoint, np.int64)]
        if self.color_by == "confidence" and score is not None:
            return confidence_colors(score)
        if self.color_by in METRIC_OF_COLOR:
            unknown = np.full(np.shape(keypoint), np.nan)
            return ratio_colors(unknown if ratio is None else ratio)
        return animal_colors(animal)

    def points_kwargs(self) -> dict[str, Any]:
        """Arguments of a Points layer that hold for all its points."""
        return {
            "size": self.size_px,
            "border_color": "black",
            "border_width": 0.08,
            "opacity": 1.0,
            # Seen from far away the points stay large enough to be hit with a mouse.
            "canvas_size_limits": CANVAS_SIZES,
        }

    def vectors_kwargs(self) -> dict[str, Any]:
        """Arguments of a Vectors layer that hold for all its lines."""
        return {"vector_style": "line", "edge_width": self.edge_width_px, "opacity": 0.75}

    def tracks_kwargs(self) -> dict[str, Any]:
        """Arguments of a Tracks layer."""
        return {"tail_length": 25, "head_length": 0, "tail_width": 2, "blending": "translucent"}


def confidence_colors(score: ArrayLike) -> NDArray[np.float32]:
    """Colours [P, 4] of confidences [P] of 0..1; white where it is not a number."""
    value = np.asarray(score, float)
    # Distinct for colour-blind eyes, too.
    stops = palette(12)[[0, 10, 1]]
    table = np.stack(
        [np.interp(np.nan_to_num(value, nan=1.0), (0, 0.5, 1), stops[:, c]) for c in range(4)], -1
    )
    table[np.isnan(value)] = 1
    return table.astype(np.float32)


def ratio_colors(ratio: ArrayLike) -> NDArray[np.float32]:
    """Colours [P, 4] of metrics [P], 1 being the limit of what is plausible; white where unknown."""
    return confidence_colors(1 - np.clip(np.asarray(ratio, float) / 2, 0, 1))


def animal_colors(animal: ArrayLike) -> NDArray[np.float32]:
    """Colours [M, 4] of animals from their numbers [M] (track, or place in the frame)."""
    colors: NDArray[np.float32] = ANIMAL_PALETTE[np.asarray(animal, np.int64) % len(ANIMAL_PALETTE)]
    return colors


def animal_number(track: ArrayLike, slot: ArrayLike) -> NDArray[np.int64]:
    """Return the number [M] that colours an animal: its track, or its slot when it has none.

    Slots count from the middle of the palette: where some animals of a frame have a track and
    others have not, the colours must not make them one.
    """
    track = np.asarray(track, np.int64)
    return np.where(track >= 0, track, np.asarray(slot, np.int64) + len(ANIMAL_PALETTE) // 2)


def border_look(
    keys: NDArray[np.int64],
    selected: tuple[int, int, int] | None,
    animal: tuple[int | None, int] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Border of points: white around a selected one and, thinner, around those of its animal.

    Parameters
    ----------
    keys : array [P, 3]
        Row, slot and keypoint of the points.
    selected : (row, slot, keypoint) or None
    animal : (row, slot) or None

    Returns
    -------
    color : array [P, 4]
    width : array [P]
        As a share of the size of the point.
    """
    color = np.zeros((len(keys), 4))
    color[:, 3] = 1
    width = np.full(len(keys), 0.08)
    if animal is not None:
        own = (keys[:, 0] == animal[0]) & (keys[:, 1] == animal[1])
        color[own], width[own] = 1, 0.12
    if selected is not None:
        chosen = (keys == np.array(selected)).all(1)
        color[chosen], width[chosen] = 1, 0.3
    return color, width
