"""Clicks and drags on a Points layer, for labelling.

napari's own tools stay as they are. In its pan and zoom mode a click places the next keypoint, a
click on a point selects it, a drag of a point moves it, and a drag of anything else moves the
picture as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.canvas import camera_of, shows_pictures
from napari_semimultipose.layers.labelling import LabelSession
from napari_semimultipose.layers.target import Key
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Visibility

DRAG_DISTANCE = 4.0
"""Screen pixels from which on a press that moves is a drag and no click."""


class MouseLabelling:
    """Connects the mouse on the Points layer of a view to a session.

    Parameters
    ----------
    view : PoseView
    session : LabelSession
    complain : callable
        Gets the text when something cannot be done.
    """

    def __init__(
        self, view: PoseView, session: LabelSession, complain: Callable[[str], None]
    ) -> None:
        self.view = view
        self.session = session
        self.complain = complain
        layer = view.points
        layer.mouse_drag_callbacks.append(self._on_press)
        layer.mouse_double_click_callbacks.append(self._on_double_click)
        layer.events.mode.connect(self._show_cursor)
        view.on_native_add = self._on_native_add
        self._zoom_on_double_click = self._replace_double_click()
        self._show_cursor()

    def close(self) -> None:
        """Give the mouse back."""
        layer = self.view.points
        layer.mouse_drag_callbacks.remove(self._on_press)
        layer.mouse_double_click_callbacks.remove(self._on_double_click)
        layer.events.mode.disconnect(self._show_cursor)
        self.view.on_native_add = None
        callbacks = self.view.viewer.mouse_double_click_callbacks
        if self._zoom_on_double_click is not None and self._on_viewer_double_click in callbacks:
            place = callbacks.index(self._on_viewer_double_click)
            callbacks[place] = self._zoom_on_double_click

    @property
    def active(self) -> bool:
        """Whether a click on the canvas labels now."""
        viewer, layer = self.view.viewer, self.view.points
        return (
            viewer.layers.selection.active is layer
            and str(layer.mode) == "pan_zoom"
            and shows_pictures(viewer)
            and layer.visible
        )

    def _show_cursor(self, event: Any = None) -> None:
        if str(self.view.points.mode) == "pan_zoom":
            self.view.points.cursor = "crosshair"

    # ---------------------------------------------------------------- clicks

    def _on_press(self, layer: Any, event: Any) -> Iterator[None]:
        if not self.active or event.button != 1 or "Alt" in event.modifiers:
            return
        key = self._hit(event)
        start = np.asarray(event.pos, np.float64)
        grip = np.zeros(2)
        confirms = key is not None and self.session.is_target(key)
        if key is not None:
            event.handled = True  # the camera must not follow
            self.session.select(key)
            grip = self.session.store.array("xy")[key] - self.view.to_xy(event.position)
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = dragged or self._distance(event, start) > DRAG_DISTANCE
            if key is not None:
                event.handled = True
                if dragged:
                    self.view.drag(key, self.view.to_xy(event.position) + grip)
            yield
        if key is not None and dragged:
            self._try(lambda: self.session.move(key, self.view.to_xy(event.position) + grip))
            self.view.refresh()  # also when the new place was refused
        elif confirms:
            self.session.step_walk()
        elif key is None and not dragged and self._distance(event, start) <= DRAG_DISTANCE:
            self._place(event)

    def _on_double_click(self, layer: Any, event: Any) -> None:
        """Take the second of two quick clicks as a click like any other."""
        if not self.active or event.button != 1 or "Alt" in event.modifiers:
            return
        key = self._hit(event)
        if key is not None:
            self.session.select(key)
        else:
            self._place(event)

    def _place(self, event: Any) -> None:
        occluded = "Shift" in event.modifiers
        visibility = Visibility.OCCLUDED if occluded else Visibility.VISIBLE
        xy = self.view.to_xy(event.position)
        self._try(lambda: self.session.click(xy, visibility))

    def _hit(self, event: Any) -> Key | None:
        if "Control" in event.modifiers:  # places a point on top of another one
            return None
        return self.view.hit(event.position, camera_of(self.view.viewer).zoom)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            with self.view.one_refresh():
                action()
        except LabelsError as error:
            self.complain(str(error))

    @staticmethod
    def _distance(event: Any, start: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(np.asarray(event.pos, np.float64) - start))

    # ---------------------------------------------------------- napari's own

    def _on_native_add(self, points: NDArray[np.float64]) -> None:
        if not shows_pictures(self.view.viewer):
            self.complain("points can only be placed on the pictures, row by column")
            return
        with self.session.history.group(f"add {len(points)} point{'s' if len(points) > 1 else ''}"):
            for t, y, x in points:
                self._try(lambda t=t, y=y, x=x: self.session.click((x, y), frame=round(t)))  # type: ignore[misc]

    def _replace_double_click(self) -> Callable[..., Any] | None:
        """Keep napari from zooming in when two keypoints are clicked quickly one after the other."""
        callbacks = self.view.viewer.mouse_double_click_callbacks
        for i, callback in enumerate(callbacks):
            if getattr(callback, "__name__", "") == "double_click_to_zoom":
                callbacks[i] = self._on_viewer_double_click
                return callback  # type: ignore[no-any-return]
        return None

    def _on_viewer_double_click(self, viewer: Any, event: Any) -> Any:
        if self.active or self._zoom_on_double_click is None:
            return None
        return self._zoom_on_double_click(viewer, event)
