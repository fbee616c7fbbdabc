"""Spare layers the work that napari does for them on every frame, although nothing of it can be seen.

Everything here saves time only. It reaches into napari where its versions differ: what a version lacks is left
as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers.canvas import Later

STILL_S = 0.3
"""What is not looked at while frames pass is painted when none has come for so long."""


def lean(viewer: Any, layer: Any, paint: Callable[[], NDArray[np.uint8]] | None = None) -> None:
    """Spare a layer what napari does for it on every frame, although nobody sees it.

    The small picture in the list of layers is painted when the frames stand still; painting it takes
    longer than to show the frame. The extent, which depends on data and place alone, is not forgotten with
    each frame, and what is selected not drawn again when nothing is.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
    layer : Layer
    paint : callable, optional
        Returns the picture [32, 32, 4]; napari's own is black for lines and trails (at least up to 0.9.2).
    """
    if getattr(layer, "_semimultipose_lean", False):
        return
    layer._semimultipose_lean = True
    own = layer._update_thumbnail

    def show() -> None:
        if layer in viewer.layers and getattr(viewer, "window", None) is not None:
            if paint is None:
                own()
            else:
                layer.thumbnail = paint()

    later = Later(viewer, show, STILL_S)
    layer._update_thumbnail = later.ask
    if hasattr(layer, "_refresh_sync"):  # napari 0.7 and later
        layer._refresh_sync = _Refresh(layer)
    if hasattr(layer, "_slice_dims") and hasattr(layer, "_slicing_state"):  # napari 0.9
        layer._slice_dims = _Slicing(layer)
        _remember_place(layer)


class _Refresh:
    """Stands before the method of napari's that shows a layer as it is now."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._refresh = layer._refresh_sync
        self._seen: tuple[Any, ...] = ()

    def __call__(self, *, extent: bool = False, highlight: bool = False, **others: bool) -> None:
        layer = self._layer
        if extent:
            known, self._seen = self._seen, (layer.data, _place_of(layer))
            extent = not known or known[0] is not layer.data or known[1] != self._seen[1]
        if highlight and hasattr(layer, "_highlight_index"):
            chosen = len(layer.selected_data) or len(layer._highlight_index)
            highlight = bool(chosen) or str(layer.mode) == "select"
        self._refresh(extent=extent, highlight=highlight, **others)


class _Slicing:
    """Stands before the method of napari's that looks up which part of a layer is in view.

    napari calls it twice with each frame: for the point, and for the step.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._slice = layer._slice_dims
        self._seen: tuple[Any, ...] = ()
        self._input: Any = None

    def __call__(self, dims: Any, force: bool = False) -> None:
        state = self._layer._slicing_state
        seen = (
            dims.point,
            dims.margin_left,
            dims.margin_right,
            dims.order,
            dims.ndisplay,
            dims.units,
            self._layer.ndim,
        )
        if not force and self._input is state._slice_input and seen == self._seen:
            return
        self._slice(dims, force)
        self._seen, self._input = seen, state._slice_input


def _remember_place(layer: Any) -> None:
    """Let napari work out once, not with each frame, how the world is mapped to the data of a layer."""
    try:
        from napari.layers.base.base import apply_units_to_transform
    except ImportError:  # another version
        return
    kind = type(layer._slicing_state)
    if not isinstance(getattr(kind, "data_slice", None), property):
        return

    class Remembering(kind):  # type: ignore[valid-type, misc]  # which class, napari says
        """Slices of a layer that seldom moves."""

        _seen: tuple[Any, ...] = ()
        _to_data: Any = None

        @property
        def data_slice(self) -> Any:
            if len(self._slice_input.not_displayed) == 0:
                return super().data_slice
            seen = (_place_of(self.layer), self._units)
            if self._to_data is None or seen != self._seen:
                to_data = self.layer._data_to_world.inverse
                self._to_data = apply_units_to_transform(to_data, self._units)
                self._seen = seen
            return self._slice_input.data_slice(world_to_data=self._to_data)

    layer._slicing_state.__class__ = Remembering


def _place_of(layer: Any) -> tuple[Any, ...]:
    """Return what says where a layer lies, to be compared."""
    return (
        layer.units,
        *((t.linear_matrix.tobytes(), t.translate.tobytes()) for t in layer._transforms),
    )


def draw_lean(viewer: Any, layer: Any) -> None:
    """Spare the picture of a layer what is the same on every frame; it must be in the viewer."""
    with suppress(AttributeError, KeyError, RuntimeError):  # no window, or another version
        visual = viewer.window._qt_viewer.canvas.layer_to_visual[layer]
        if isinstance(visual._on_matrix_change, _Matrix):
            return
        visual._on_matrix_change = _Matrix(visual, layer)
        if hasattr(layer, "vector_style"):
            _keep_shader(visual.node)


class _Matrix:
    """Stands before the method of napari's that places the picture of a layer."""

    def __init__(self, visual: Any, layer: Any) -> None:
        self._visual, self._layer = visual, layer
        self._place = visual._on_matrix_change
        self._seen: tuple[Any, ...] = ()

    def __call__(self) -> None:
        layer = self._layer
        seen = (
            tuple(layer._slice_input.displayed),
            tuple(self._visual._world_to_layer_units_scale),
            _place_of(layer),
        )
        if seen != self._seen:
            self._place()
            self._seen = seen


def _keep_shader(node: Any) -> None:
    """Let vispy draw lines with the same program, whatever they are.

    A mesh of vispy (up to at least 0.17) is given new functions with each change of its data. They say the
    same every time, but its shader is built anew for them, which takes longer than to draw it.
    """
    for name, kind in (
        ("_ensure_vec4_func", lambda dims: dims),
        ("_build_color_transform", lambda colors: (colors.ndim, colors.shape[-1])),
    ):
        setattr(node, name, _made_once(getattr(node, name), kind))


def _made_once(make: Callable[[Any], Any], kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    known: dict[Any, Any] = {}

    def get(given: Any) -> Any:
        key = kind(given)
        if key not in known:
            known[key] = make(given)
        return known[key]

    return get
