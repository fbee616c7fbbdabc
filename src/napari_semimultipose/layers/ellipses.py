"""Uncertainty of positions as ellipses around the keypoints near the current frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers.canvas import drawn_once
from napari_semimultipose.layers.geometry import geometry_of, lay
from napari_semimultipose.layers.store import Change
from napari_semimultipose.layers.style import animal_number
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    from napari.layers import Points, Vectors

PROBABILITY = 0.95
"""Share of the keypoints that lie within their ellipses, if the standard deviations are right."""

# Radius in standard deviations: chi-squared with two degrees of freedom.
RADIUS = float(np.sqrt(-2.0 * np.log(1.0 - PROBABILITY)))
_CORNERS = 20
# About so many lines are handed to napari at once; Shapes would take a hundred times as long.
_LINES = 8000


class Ellipses:
    """A Vectors layer with the ellipses of the poses that a view shows.

    Ellipses of keypoints that were moved by hand go away. Removing the layer, or the Points layer of the
    view, ends it.

    Parameters
    ----------
    view : PoseView
        With a store that knows the spread of its positions.
    """

    _known: ClassVar[WeakKeyDictionary[Points, ref[Ellipses]]] = WeakKeyDictionary()

    @classmethod
    def of(cls, points: Points) -> Ellipses | None:
        """Return the ellipses of a Points layer, if they are shown."""
        known = cls._known.get(points)
        found = None if known is None else known()
        return None if found is None or found.closed else found

    def __init__(self, view: PoseView) -> None:
        from napari.layers import Vectors

        self.view = view
        self.closed = False
        self._span = range(0)
        points = view.points
        self.layer: Vectors = Vectors(
            np.zeros((0, 2, 3)),
            ndim=3,
            name=f"{points.name} uncertainty",
            vector_style="line",
            edge_width=max(0.5, 0.1 * view.style.size_px),
            opacity=0.9,
            **geometry_of(view.image),
        )
        layers = view.viewer.layers
        layers.insert(layers.index(points), self.layer)
        layers.selection.active = points
        view.frame_listeners.append(self._on_frame)
        view.video_listeners.append(self._on_video)
        view.place_listeners.append(self._on_moved)
        view.close_listeners.append(self.close)
        view.store.listeners.append(self._on_store)
        layers.events.removed.connect(self._on_removed)
        self._known[points] = ref(self)
        self.refresh()

    def refresh(self) -> None:
        """Draw the ellipses near the current frame."""
        if self.closed:
            return
        store, frame = self.view.store, self.view.frame
        per_frame = max(1, store.n_slots * len(store.skeleton) * _CORNERS)
        radius = _LINES // (2 * per_frame)
        self._span = range(frame - radius, frame + radius + 1)
        poses = store.take(store.rows_near(self.view.video, frame, radius))
        data, keypoint, animal = ellipse_lines(poses)
        colors = self.view.style.point_colors(keypoint, animal, len(store.skeleton))
        with drawn_once(self.layer, together=len(data) >= len(self.layer.data)):
            self.layer.data = data
            if len(data):
                self.layer.edge_color = colors

    def _on_frame(self, frame: int) -> None:
        if frame not in self._span:
            self.refresh()

    def _on_video(self, video: int) -> None:
        self._on_moved()
        self.refresh()

    def _on_moved(self) -> None:
        lay((self.layer,), self.view.image)

    def _on_store(self, change: Change | None) -> None:
        self.refresh()

    def _on_removed(self, event: object) -> None:
        if getattr(event, "value", None) is self.layer:
            self.close()

    def close(self) -> None:
        """Take the layer out of the viewer and stop following the view."""
        if self.closed:
            return
        self.closed = True
        view = self.view
        for listeners, mine in (
            (view.frame_listeners, self._on_frame),
            (view.video_listeners, self._on_video),
            (view.place_listeners, self._on_moved),
            (view.close_listeners, self.close),
            (view.store.listeners, self._on_store),
        ):
            if mine in listeners:
                listeners.remove(mine)  # type: ignore[arg-type]  # each takes what its list gives
        layers = view.viewer.layers
        layers.events.removed.disconnect(self._on_removed)
        if self.layer in layers:
            layers.remove(self.layer)


def ellipse_lines(
    poses: Poses,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Ellipses that hold a keypoint with the probability `PROBABILITY`, as lines.

    Returns
    -------
    data : array [E, 2, 3]
        Start point (frame, row, column) and direction (0, rows, columns).
    keypoint, animal : arrays [E]
        What the ellipse of a line is around.
    """
    if poses.spread is None:
        return np.zeros((0, 2, 3)), np.zeros(0, np.int64), np.zeros(0, np.int64)
    known = np.isfinite(poses.spread).all(-1) & (poses.visible > 0)
    row, slot, keypoint = np.nonzero(known)
    turn = np.linspace(0, 2 * np.pi, _CORNERS + 1)
    circle = RADIUS * np.stack([np.cos(turn), np.sin(turn)], -1)
    corner = (
        poses.xy[row, slot, keypoint][:, None] + poses.spread[row, slot, keypoint][:, None] * circle
    )
    data = np.zeros((len(row), _CORNERS, 2, 3))
    data[:, :, 0, 0] = poses.frame[row][:, None]
    data[:, :, 0, 1:] = corner[:, :-1, ::-1]
    data[:, :, 1, 1:] = np.diff(corner, axis=1)[..., ::-1]
    animal = animal_number(poses.track[row, slot], slot)
    return data.reshape(-1, 2, 3), np.repeat(keypoint, _CORNERS), np.repeat(animal, _CORNERS)
