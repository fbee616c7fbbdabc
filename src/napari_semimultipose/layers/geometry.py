"""How the frames of an image layer lie in the world of a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image


def geometry_of(image: Image | None) -> dict[str, Any]:
    """Arguments that lay a layer (frame, row, column) over an image or a stack of images."""
    if image is None:
        return {}
    n = min(image.ndim, 3)
    scale, translate = np.ones(3), np.zeros(3)
    scale[-n:], translate[-n:] = image.scale[-n:], image.translate[-n:]
    return {
        "scale": scale,
        "translate": translate,
        "units": ("pixel",) * (3 - n) + tuple(image.units[-n:]),
    }


def image_shape(image: Image) -> tuple[int, int]:
    """Height and width of an image layer in px."""
    height, width = image.level_shapes[0][image.ndim - 2 : image.ndim]
    return int(height), int(width)


def n_frames(image: Image) -> int:
    """Return the number of frames of an image layer; a single image has one."""
    return int(image.level_shapes[0][image.ndim - 3]) if image.ndim > 2 else 1


def frame_at(image: Image, point: Sequence[float]) -> int:
    """Return the frame of an image layer that is shown at a point of the world; a single image has one."""
    if image.ndim < 3:
        return 0
    step = (point[-3] - float(image.translate[-3])) / float(image.scale[-3])
    return min(max(round(step), 0), n_frames(image) - 1)
