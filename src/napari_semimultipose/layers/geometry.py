"""How the frames of an image layer lie in the world of a viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Image, Layer

PLACE = ("scale", "translate", "affine", "units")
"""Attributes that place a layer of ours over an image."""

_MOVES = ("scale", "translate", "rotate", "shear", "affine", "units")


def geometry_of(image: Image | None) -> dict[str, Any]:
    """Arguments that lay a layer (frame, row, column) over an image or a stack of images."""
    if image is None:
        return {}
    n = min(image.ndim, 3)
    scale, translate = np.ones(3), np.zeros(3)
    scale[-n:], translate[-n:] = image.scale[-n:], image.translate[-n:]
    own = np.eye(4)
    own[:3, :3], own[:3, 3] = np.diag(scale), translate
    # What rotation, shear and affine transform of the image add to its scale and translation.
    affine = _matrix(image, n) @ np.linalg.inv(own)
    return {
        "scale": scale,
        "translate": translate,
        "affine": np.eye(4) if np.allclose(affine, np.eye(4)) else affine,
        "units": ("pixel",) * (3 - n) + tuple(image.units[-n:]),
    }


def _matrix(image: Image, n: int) -> NDArray[np.float64]:
    """Return the homogeneous matrix [4, 4] that leads from the last `n` axes of an image to the world."""
    axes = np.eye(image.ndim)[-n:]
    origin = np.asarray(image.data_to_world(np.zeros(image.ndim)))[-n:]
    out = np.eye(4)
    out[3 - n : 3, 3] = origin
    for i, axis in enumerate(axes, 3 - n):
        out[3 - n : 3, i] = np.asarray(image.data_to_world(axis))[-n:] - origin
    return out


def follow(image: Image | None, moved: Callable[[Any], None]) -> None:
    """Call a function whenever an image layer is laid elsewhere."""
    if image is not None:
        for name in _MOVES:
            getattr(image.events, name).connect(moved)


def leave(image: Image | None, moved: Callable[[Any], None]) -> None:
    """Undo `follow`."""
    if image is not None:
        for name in _MOVES:
            getattr(image.events, name).disconnect(moved)


def lay(layers: Iterable[Layer | None], image: Image | None) -> None:
    """Lay layers (frame, row, column) over an image or a stack of images."""
    for name, value in geometry_of(image).items():
        for layer in layers:
            if layer is not None:
                setattr(layer, name, value)


def pixel_step(layer: Layer) -> NDArray[np.float64]:
    """Return the way in the world [2, 2] of one pixel down and of one pixel right, as columns."""
    origin, down, right = (
        np.asarray(layer.data_to_world((0, *p)))[-2:] for p in ((0, 0), (1, 0), (0, 1))
    )
    return np.column_stack([down - origin, right - origin])


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
