"""Lean layers show what plain ones show, whatever is done to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer, Points, Tracks, Vectors

from napari_semimultipose.layers.lean import lean

N_FRAMES = 12
RNG = np.random.default_rng(0)
DOTS = np.column_stack([np.arange(60) % N_FRAMES, RNG.uniform(0, 50, (60, 2))])
PATHS = np.column_stack([np.arange(60) // N_FRAMES, DOTS])


def points() -> Points:
    return Points(DOTS.copy(), name="points")


def vectors() -> Vectors:
    return Vectors(np.stack([DOTS, np.ones_like(DOTS)], 1), name="vectors")


def tracks() -> Tracks:
    return Tracks(PATHS.copy(), name="tracks")


CHANGES: dict[str, Callable[[Layer], None]] = {
    "scale": lambda layer: setattr(layer, "scale", (2.0, 1.0, 1.0)),
    "translate": lambda layer: setattr(layer, "translate", (-3.0, 1.0, 1.0)),
    "affine": lambda layer: setattr(layer, "affine", np.diag([0.5, 1.0, 1.0, 1.0])),
    "rotate": lambda layer: setattr(layer, "rotate", (90.0, 0.0, 0.0)),
    "units": lambda layer: setattr(layer, "units", ("mm", "um", "um")),
    "data": lambda layer: setattr(layer, "data", layer.data[::2]),
    "hidden and shown": lambda layer: [setattr(layer, "visible", v) for v in (False, True)],
}


def in_view(layer: Layer) -> list[object]:
    """Return which part of a layer napari shows."""
    place = np.nan_to_num(np.array(layer._data_slice.point, float), nan=-1).tolist()
    if isinstance(layer, Tracks):
        return [float(np.nan_to_num(layer.current_time)), *place]
    return [np.sort(layer._view_data.ravel()).tolist(), *place]


@pytest.mark.parametrize("make", [points, vectors, tracks])
@pytest.mark.parametrize("change", CHANGES)
def test_a_lean_layer_shows_what_a_plain_one_shows(make: Callable[[], Layer], change: str) -> None:
    views = []
    for wanted in (False, True):
        viewer = ViewerModel()
        clip = viewer.add_image(np.zeros((N_FRAMES, 50, 50), np.uint8))
        layer = make()
        if wanted:
            lean(viewer, layer)
        viewer.add_layer(layer)
        seen: list[object] = []
        for frame in (0, 3, 3, 7):
            viewer.dims.set_point(0, frame)
            seen.append(in_view(layer))
        CHANGES[change](layer)
        seen.append(in_view(layer))
        for frame in (7, 4, 2):
            viewer.dims.set_point(0, frame)
            seen.append(in_view(layer))
        viewer.dims.order = (1, 0, 2)
        seen.append(in_view(layer))
        viewer.dims.order = (0, 1, 2)
        viewer.dims.ndisplay = 3
        viewer.dims.ndisplay = 2
        clip.units = ("pixel", "pixel", "pixel")
        viewer.dims.set_point(0, 5)
        seen.append(in_view(layer))
        views.append(seen)
    assert views[0] == views[1]


def test_a_frame_is_looked_up_once() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((N_FRAMES, 50, 50), np.uint8))
    layer = points()
    calls: list[int] = []
    own = layer._slice_dims
    layer._slice_dims = lambda dims, force=False: (calls.append(1), own(dims, force))
    lean(viewer, layer)
    viewer.add_layer(layer)
    calls.clear()
    viewer.dims.set_point(0, 4)
    assert len(calls) == 1
