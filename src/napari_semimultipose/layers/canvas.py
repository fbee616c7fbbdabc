"""What has to be known of the canvas of a viewer, and differs between versions of napari."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer, which napari 0.9 moved into its scene."""
    return getattr(viewer, "scene", viewer).camera


def make_gl_current(viewer: Any) -> None:
    """Make the OpenGL context of the viewer's canvas the current one.

    napari (at least up to 0.9.2) frees the buffers and programs of a removed layer in whatever
    context happens to be current. When two layers go without a picture drawn in between, as ours
    do, the next picture crashes the program: a segmentation fault in Mesa, an access violation in
    other drivers.
    """
    with suppress(AttributeError, RuntimeError):  # no window, or one that is closing
        viewer.window._qt_viewer.canvas.native.makeCurrent()
