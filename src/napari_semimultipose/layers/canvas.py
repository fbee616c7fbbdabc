"""What has to be known of the canvas of a viewer, and differs between versions of napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import lru_cache
from importlib.metadata import version
from typing import Any

LATER_S = 0.1


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer, which napari 0.9 moved into its scene."""
    return getattr(viewer, "scene", viewer).camera


def shows_pictures(viewer: Any) -> bool:
    """Whether a viewer shows single frames: rows and columns, and not for example columns over time."""
    dims = viewer.dims
    return dims.ndisplay == 2 and set(dims.displayed) == {dims.ndim - 2, dims.ndim - 1}


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


_leaving: set[Later] = set()


def remove_companion(viewer: Any, layer: Any) -> None:
    """Remove a layer because the one to which it belongs has gone.

    napari removes selected layers one after the other, and fails when one of them is gone already: a
    selected layer goes a moment later, if it is still there then.
    """

    def remove() -> None:
        _leaving.discard(later)
        if layer in viewer.layers:
            make_gl_current(viewer)
            viewer.layers.remove(layer)

    later = Later(viewer, remove)
    if layer not in viewer.layers.selection:
        remove()
    else:
        _leaving.add(later)
        later.ask()


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
