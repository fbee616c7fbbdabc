"""What has to be known of the canvas of a viewer, and differs between versions of napari."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer, which napari 0.9 moved into its scene."""
    return getattr(viewer, "scene", viewer).camera


@contextmanager
def drawn_once(layer: Any, *, together: bool = True) -> Iterator[None]:
    """Change several properties of a layer, and let napari draw it once afterwards.

    The colours and texts have events of their own: they would draw the points that are there now
    with the indices of those before, which is an IndexError where there were more. Without `together`
    napari still looks up after each property which part of the layer is in view.
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
