"""What has to be known of the canvas of a viewer, and differs between versions of napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

LATER_S = 0.1
STILL_S = 0.3
"""What is not looked at while frames pass is painted when none has come for so long."""


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer, which napari 0.9 moved into its scene."""
    return getattr(viewer, "scene", viewer).camera


class Later:
    """Does something a moment after it was asked for, once for all times it was asked until then.

    What need not be on the screen at once shall not delay what must. Without a window it is done at once.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
    action : callable
    quiet_s : float, optional
        Wait until nobody has asked for so long, instead.
    """

    def __init__(
        self, viewer: Any, action: Callable[[], None], quiet_s: float | None = None
    ) -> None:
        self._action = action
        self._timer: Any = None
        self._waiting = False
        self._patient = quiet_s is not None
        if getattr(viewer, "window", None) is not None:
            from vispy.app import Timer  # of the event loop that napari runs, whichever it is

            self._timer = Timer(quiet_s or LATER_S, connect=self._on_time, iterations=1)

    def ask(self) -> None:
        """Ask for the action."""
        if self._timer is None:
            self._action()
        elif not self._waiting or self._patient:
            self._waiting = True
            if self._patient:
                self._timer.stop()
            self._timer.start()

    def forget(self) -> None:
        """Do not do it any more."""
        self._waiting = False
        if self._timer is not None:
            self._timer.stop()

    def _on_time(self, event: Any = None) -> None:
        if self._waiting:
            self.forget()
            self._action()


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


class _Refresh:
    """Stands before the method of napari's that shows a layer as it is now."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._refresh = layer._refresh_sync
        self._seen: tuple[Any, ...] = ()

    def __call__(self, *, extent: bool = False, highlight: bool = False, **others: bool) -> None:
        layer = self._layer
        if extent:
            known, self._seen = self._seen, (layer.data, layer.scale, layer.translate)
            extent = (
                not known
                or known[0] is not layer.data
                or not all(
                    np.array_equal(a, b) for a, b in zip(known[1:], self._seen[1:], strict=True)
                )
            )
        if highlight and hasattr(layer, "_highlight_index"):
            chosen = len(layer.selected_data) or len(layer._highlight_index)
            highlight = bool(chosen) or str(layer.mode) == "select"
        self._refresh(extent=extent, highlight=highlight, **others)


def keep_shader(viewer: Any, layer: Any) -> None:
    """Let vispy draw a Vectors layer with the same program, whatever its lines are.

    A mesh of vispy (up to at least 0.17) is given new functions with each change of its data. They say the
    same every time, but its shader is built anew for them, which takes longer than to draw it.
    """
    with suppress(AttributeError, KeyError, RuntimeError):  # no window, or another version
        node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
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


@lru_cache
def shrinks_together() -> bool:
    """Whether a Points layer with refreshes blocked can get fewer points.

    Before 0.9 napari's index of the points in view pointed behind their end then.
    """
    numbers = version("napari").split(".")[:2]
    return tuple(int(n) for n in numbers if n.isdigit()) >= (0, 9)


@contextmanager
def drawn_once(layer: Any, *, together: bool = True, slicing: bool = True) -> Iterator[None]:
    """Change several properties of a layer, and let napari draw it once afterwards.

    The colours and texts have events of their own: they would draw the points that are there now
    with the indices of those before, which is an IndexError where there were more. Without `together`
    napari still looks up after each property which part of the layer is in view. With `slicing` False
    that is not done at all: for what does not show in the picture.
    """
    with ExitStack() as stack:
        stack.enter_context(layer.events.blocker_all())
        for name in ("_face", "_border", "_edge", "text"):
            events = getattr(getattr(layer, name, None), "events", None)
            if events is not None:
                stack.enter_context(events.blocker_all())
        # This saves time only: without it all is drawn correctly too.
        if together:
            stack.enter_context(getattr(layer, "_block_refresh", nullcontext)())
        yield
    if slicing:
        layer.refresh(thumbnail=False, extent=False)


def focus_canvas(viewer: Any) -> None:
    """Give the keyboard to the canvas of a viewer."""
    with suppress(AttributeError, RuntimeError):  # no window, or one that is closing
        viewer.window._qt_viewer.canvas.native.setFocus()


def make_gl_current(viewer: Any) -> None:
    """Make the OpenGL context of the viewer's canvas the current one.

    napari (at least up to 0.9.2) frees the buffers and programs of a removed layer in whatever
    context happens to be current. When two layers go without a picture drawn in between, as ours
    do, the next picture crashes the program: a segmentation fault in Mesa, an access violation in
    other drivers.
    """
    with suppress(AttributeError, RuntimeError):  # no window, or one that is closing
        viewer.window._qt_viewer.canvas.native.makeCurrent()
