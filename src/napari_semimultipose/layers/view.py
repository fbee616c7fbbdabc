"""A window into a table of poses: Points and Vectors that show the frames around the current one.

napari needs time in proportion to all points of a layer for every edit. Here a layer never holds
more than about a thousand: those of the frames near the one that is looked at. Within that window
napari steps from frame to frame by itself; outside of it the window moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.layers import edits, thumbnails
from napari_semimultipose.layers.canvas import (
    Later,
    drawn_once,
    make_gl_current,
    remove_companion,
    shrinks_together,
)
from napari_semimultipose.layers.geometry import (
    PLACE,
    follow,
    geometry_of,
    image_shape,
    lay,
    leave,
    pixel_step,
)
from napari_semimultipose.layers.lean import draw_lean, lean
from napari_semimultipose.layers.points import (
    METADATA_KEY,
    PointsInfo,
    PointTable,
    info_from_metadata,
)
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.layers.style import CANVAS_SIZES, ColorBy, PoseStyle, border_look
from napari_semimultipose.layers.target import Key
from napari_semimultipose.layers.vectors import vectors_from_poses
from napari_semimultipose.poses import IntArray, Poses

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Points, Vectors

    Shown = TypeVar("Shown", Points, Vectors)

WINDOW_POINTS = 1000
"""About so many points are handed to napari at once: more cost time, fewer move the window often."""

ENOUGH_ANIMALS = 20
"""From so many animals on the size of the points is settled."""

HIT_RADIUS = 5.0
"""Least distance in screen pixels at which a click still means a point."""


class PoseView:
    """Points and Vectors of one video of a store, near the current frame of a viewer.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
    store : PoseStore
        What is shown; the view follows its changes.
    video : int
        Index of the video to show.
    name : str
        Name of the Points layer; the Vectors layer is called "<name> skeleton".
    image : Image layer, optional
        Where the frames are; the layers lie over it, also when it is moved.
    points : Points layer, optional
        A layer of the viewer to take over instead of adding one.
    color_by : ColorBy
        See `PoseStyle`.
    edges : bool
        False: the Vectors layer is added when `edges_shown` is set for the first time.

    Attributes
    ----------
    on_native_add : callable or None
        Gets the positions [P, 3] of points that the user added with napari's own tool.
    frame_listeners : list of callables
        Called with the new frame when the viewer moves to another one.
    video_listeners : list of callables
        Called with the video when another one is shown, or another image layer has its frames.
    place_listeners : list of callables
        Called when the layers have followed the image to another place.
    close_listeners : list of callables
        Called once when the layers are gone or about to go.
    """

    # A view lives as long as its layer: the layer's metadata hold the store, whose listeners hold it.
    _views: ClassVar[WeakKeyDictionary[Points, ref[PoseView]]] = WeakKeyDictionary()

    @classmethod
    def of(cls, points: Points) -> PoseView | None:
        """Return the view that a Points layer belongs to, if it is the window of one."""
        known = cls._views.get(points)
        return None if known is None else known()

    def __init__(
        self,
        viewer: napari.Viewer | napari.components.ViewerModel,
        store: PoseStore,
        *,
        video: int = 0,
        name: str = "labels",
        image: Image | None = None,
        points: Points | None = None,
        color_by: ColorBy = "keypoint",
        edges: bool = True,
    ) -> None:
        self.viewer = viewer
        self.store = store
        self.frame_listeners: list[Callable[[int], None]] = []
        self.video_listeners: list[Callable[[int], None]] = []
        self.place_listeners: list[Callable[[], None]] = []
        self.close_listeners: list[Callable[[], None]] = []
        self.on_native_add: Callable[[NDArray[np.float64]], None] | None = None
        self._video = video
        self._image = image
        self._color_by: ColorBy = color_by
        self._size_factor = 1.0
        self._settled = False
        self._style = PoseStyle()
        self._fit()
        self._edges_shown = edges
        self._updating = False
        self._held = self._stale = False
        self._closed = False
        self._marked: tuple[Key | None, int | None] = (None, None)
        self._keys: IntArray = np.zeros((0, 3), np.int64)
        self._poses: Poses = store.take([])
        self._rows: IntArray = np.zeros(0, np.int64)
        self._span = range(0)
        self._table: PointTable | None = None
        self._later = Later(viewer, self._show_features)
        self.points: Points = points if points is not None else self._make_points(name)
        self.points.metadata[METADATA_KEY] = self._info()
        self._views[self.points] = ref(self)  # before anybody hears of the layer
        if points is None:
            viewer.add_layer(self.points)
        lean(viewer, self.points)
        draw_lean(viewer, self.points)
        self.vectors: Vectors | None = self._make_vectors() if edges else None
        self._frame = self.frame
        self.refresh()
        store.listeners.append(self._on_store)
        follow(image, self._on_image_moved)
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removing.connect(self._before_removal)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self.points.events.data.connect(self._on_native_edit)
        self.points.events.visible.connect(self._on_visible)

    # ---------------------------------------------------------------- layers

    def _info(self) -> PointsInfo:
        return PointsInfo(self.store.skeleton, self.store.videos, self._video, store=self.store)

    def _make_points(self, name: str) -> Points:
        from napari.layers import Points

        return Points(
            np.zeros((0, 3)),
            ndim=3,
            name=name,
            **geometry_of(self._image),
            **self._style.points_kwargs(),
        )

    def _make_vectors(self) -> Vectors:
        from napari.layers import Vectors

        geometry = {key: getattr(self.points, key) for key in PLACE}
        layer = Vectors(
            np.zeros((0, 2, 3)),
            ndim=3,
            name=f"{self.points.name} skeleton",
            **geometry,
            **self._style.vectors_kwargs(),
        )
        lean(self.viewer, layer, self._paint_lines)
        # Under the points, and the points stay the layer that gets clicks and keys.
        self.viewer.layers.insert(self.viewer.layers.index(self.points), layer)
        draw_lean(self.viewer, layer)
        self.viewer.layers.selection.active = self.points
        return layer

    @property
    def video(self) -> int:
        """Index of the video that is shown."""
        return self._video

    @property
    def image(self) -> Image | None:
        """The layer with the frames."""
        return self._image

    @property
    def closed(self) -> bool:
        """Whether the layers are gone."""
        return self._closed

    def show_video(self, video: int, image: Image | None) -> None:
        """Show another video of the store, over another image layer."""
        other = video != self._video or image is not self._image
        leave(self._image, self._on_image_moved)
        self._video, self._image = video, image
        follow(image, self._on_image_moved)
        self.points.metadata[METADATA_KEY] = self._info()
        lay((self.points, self.vectors), image)
        self._frame = self.frame  # where the recording has another time scale
        self.refresh()
        for listener in list(self.video_listeners) if other else ():
            listener(video)

    def _fit(self) -> bool:
        """Fit the style to the animals, as long as there are few; tell whether it changed."""
        if self._settled:
            return False
        self._settled = int(self.store.present().sum()) >= ENOUGH_ANIMALS
        return self._set_style()

    def _set_style(self) -> bool:
        shape = None if self._image is None else image_shape(self._image)
        style = PoseStyle.fitting(self.store.sample(200), self._color_by, shape)
        changed = (style := style.scaled(self._size_factor)) != self._style
        self._style = style
        return changed

    @property
    def style(self) -> PoseStyle:
        """Colours and sizes; sizes follow the animals."""
        return self._style

    def set_look(
        self, *, color_by: ColorBy | None = None, size_factor: float | None = None
    ) -> None:
        """Change what the colours tell, or make all points larger or smaller."""
        self._color_by = color_by or self._color_by
        self._size_factor = size_factor or self._size_factor
        if self._set_style():
            self.refresh()
            self._show_width()

    def _show_width(self) -> None:
        if self.vectors is not None:
            self.vectors.edge_width = self._style.edge_width_px

    @property
    def edges_shown(self) -> bool:
        """Whether the lines of the skeleton are drawn."""
        return self._edges_shown

    @edges_shown.setter
    def edges_shown(self, shown: bool) -> None:
        self._edges_shown = shown
        if self.vectors is None and shown and not self._closed:
            self.vectors = self._make_vectors()
            self._show_vectors()
        self._on_visible()

    # ----------------------------------------------------------------- frames

    @property
    def frame(self) -> int:
        """Index of the frame that the viewer shows; negative before the recording begins."""
        point = np.asarray(self.viewer.dims.point)[-3:]
        return round(float(self.points.world_to_data(point)[0]))

    def go_to(self, frame: int) -> None:
        """Let the viewer show a frame."""
        world = self.points.data_to_world((frame, 0, 0))[0]
        self.viewer.dims.set_point(self.viewer.dims.ndim - 3, world)

    def _on_step(self, event: Any = None) -> None:
        frame = self.frame
        if frame == self._frame:
            return
        self._frame = frame
        if frame not in self._span:
            self.refresh()
        else:
            self._hide_placeholder()
        for listener in list(self.frame_listeners):
            listener(frame)

    # ---------------------------------------------------------------- showing

    def refresh(self) -> None:
        """Hand the frames around the current one to napari."""
        self._stale = self._held
        if self._closed or self._held:
            return
        frame = self.frame
        per_frame = max(1, self.store.n_slots * len(self.store.skeleton))
        radius = WINDOW_POINTS // (2 * per_frame)
        self._span = range(frame - radius, frame + radius + 1)
        self._rows = self.store.rows_near(self._video, frame, radius)
        self._poses = self.store.take(self._rows)
        measured = self.store.measured
        known = ({}, {}) if measured is None else measured.at(self._rows, self._poses.xy)
        table = PointTable.of(self._poses, None, known)
        self._keys = np.column_stack([self._rows[table.row], table.slot, table.keypoint])
        # napari's index of the points in view would point behind the end of fewer ones.
        fewer = len(table) < len(self.points.data)
        together = shrinks_together() or not fewer
        self._table = table
        with self._one_update(self.points, together=together) as points:
            points.selected_data = set()
            if len(points.features.columns):  # a table that napari would cut and read anew
                points.features = {}
            points.data = table.data
            if len(table):
                points.size = self._style.size_px
                points.symbol = table.symbols()
                points.face_color = table.colors(self._style, len(self.store.skeleton))
                points.border_color, points.border_width = self._borders()
        self._later.ask()
        self._hide_placeholder()
        self._show_vectors()

    def _show_features(self) -> None:
        """Hand over what the status bar says of a point under the mouse, and napari's table shows."""
        if self._closed or self._table is None or len(self._table) != len(self.points.data):
            return
        features = self._table.features(self.store.skeleton)
        with self._one_update(self.points, slicing=False) as points:
            points.features = features
        points.events.features()

    @contextmanager
    def one_refresh(self) -> Iterator[None]:
        """Hand several changes to napari at once, at the end of the block."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held
            if self._stale and not held:
                self.refresh()

    def _hide_placeholder(self) -> None:
        """Keep napari from drawing a dot at the origin of frames without points.

        It draws an invisible point of the size 0 there, which the least size on the screen makes
        visible.
        """
        empty = not (self.points.data[:, 0].round() == self.frame).any()
        limits = (0 if empty else CANVAS_SIZES[0], CANVAS_SIZES[1])
        if tuple(self.points.canvas_size_limits) != limits:
            self.points.canvas_size_limits = limits

    def _show_vectors(self) -> None:
        if self.vectors is None:
            return
        data, _, colors = vectors_from_poses(self._poses, None)
        with self._one_update(self.vectors) as vectors:
            vectors.data = data
            if len(data):
                vectors.edge_color = colors

    def _paint_lines(self) -> NDArray[np.uint8]:
        """Paint the lines of this frame for the list of layers."""
        assert self.vectors is not None
        data = np.asarray(self.vectors.data).reshape(-1, 2, 3)
        here = data[:, 0, 0].round() == self._frame
        color = np.asarray(self.vectors.edge_color).reshape(-1, 4)[here]
        return thumbnails.lines(data[here, 0, 1:], data[here, 1, 1:], color, self.shape)

    @property
    def shape(self) -> tuple[float, float]:
        """Height and width of the recording in px; where it is not open, what the points need."""
        known = None if self._image is None else image_shape(self._image)
        most = np.nanmax(self._poses.xy, axis=(0, 1, 2), initial=1.0)
        return known or (float(most[1]) + 1, float(most[0]) + 1)

    def mark(self, selected: Key | None, slot: int | None) -> None:
        """Set the selected keypoint off with a white ring, and the others of the animal `slot`."""
        if (selected, slot) == self._marked:
            return
        self._marked = selected, slot
        if self._held:
            self._stale = True
        elif len(self._keys):
            with self._one_update(self.points) as points:
                points.border_color, points.border_width = self._borders()

    def _borders(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        selected, slot = self._marked
        row = self.store.row(self._video, self._frame)
        return border_look(self._keys, selected, None if slot is None else (row, slot))

    # ----------------------------------------------------------------- mouse

    def hit(self, position: ArrayLike, zoom: float) -> Key | None:
        """Keypoint of the current frame under a position in world coordinates, if any.

        Parameters
        ----------
        position : array [ndim]
            Place of the mouse.
        zoom : float
            Screen pixels to a unit of the world.
        """
        here = np.flatnonzero(self.points.data[:, 0].round() == self._frame)
        if not len(here):
            return None
        point = np.asarray(self.points.world_to_data(np.asarray(position)[-3:]))[1:]
        step = pixel_step(self.points) * zoom  # screen pixels to an image pixel
        distance = np.linalg.norm((self.points.data[here, 1:] - point) @ step.T, axis=1)
        nearest = int(distance.argmin())
        size = self._style.size_px * float(np.linalg.norm(step[:, 1]))
        drawn = float(np.clip(size, *CANVAS_SIZES)) / 2
        if distance[nearest] > max(drawn, HIT_RADIUS):
            return None
        return Key(*map(int, self._keys[here[nearest]]))

    def to_xy(self, position: ArrayLike) -> NDArray[np.float64]:
        """Convert world coordinates to (x, y) in pixels."""
        point = np.asarray(self.points.world_to_data(np.asarray(position)[-3:]), np.float64)
        return point[[2, 1]]

    def drag(self, key: Key, xy: ArrayLike) -> None:
        """Show a keypoint elsewhere without changing the store, while the mouse drags it."""
        index = np.flatnonzero((self._keys == np.array(key)).all(1))
        if not len(index):
            return
        x, y = np.asarray(xy, np.float64)
        self.points.data[index[0], 1:] = y, x
        self.points.refresh()
        row = int(np.flatnonzero(self._rows == key.row)[0])
        self._poses.xy[row, key.slot, key.keypoint] = x, y
        self._show_vectors()

    def chosen(self) -> IntArray:
        """Return row, slot and keypoint [P, 3] of what is selected with napari's select tool."""
        selects = str(self.points.mode) == "select"
        return self._keys[sorted(self.points.selected_data) if selects else []]

    # ---------------------------------------------------------------- events

    @contextmanager
    def _one_update(
        self, layer: Shown, together: bool = True, slicing: bool = True
    ) -> Iterator[Shown]:
        """Change several properties of a layer, and let napari draw it once; see `canvas.drawn_once`."""
        before, self._updating = self._updating, True
        try:
            with drawn_once(layer, together=together, slicing=slicing):
                yield layer
        finally:
            self._updating = before

    def _on_store(self, change: Change | None) -> None:
        if change is None:  # another skeleton, perhaps
            self.points.metadata[METADATA_KEY] = self._info()
        fitted = self._fit()
        self.refresh()
        if fitted:
            self._show_width()

    def _on_native_edit(self, event: Any) -> None:
        """Take over what the user did with napari's own tools: select and drag, delete, add."""
        if self._updating or self._closed:
            return
        action = str(getattr(event.action, "value", event.action))
        if action not in ("added", "removed", "changed"):
            return
        if self.store.read_only:
            self.refresh()
            return
        data, keys = np.asarray(self.points.data), self._keys
        index = np.unique(np.asarray(event.data_indices, np.int64))
        if action == "changed" and len(data) == len(keys):
            row, slot, keypoint = keys[index].T
            edits.move_keypoints(self.store, row, slot, keypoint, data[index][:, [2, 1]])
        elif action == "removed" and len(data) + len(index) == len(keys):
            row, slot, keypoint = keys[index].T
            edits.remove_keypoints(self.store, row, slot, keypoint)
        else:
            new = data[len(keys) :].copy()
            self.refresh()
            if action == "added" and self.on_native_add is not None:
                self.on_native_add(new)

    def _on_visible(self, event: Any = None) -> None:
        if self.vectors is not None:
            self.vectors.visible = self.points.visible and self._edges_shown

    def _on_layer_inserted(self, event: Any) -> None:
        """Give a duplicate of the points a table of its own, as it is now: edits here do not reach it."""
        layer = event.value
        info = info_from_metadata(layer.metadata)
        if info is not None and info.store is self.store and self.of(layer) is None:
            layer.metadata[METADATA_KEY] = replace(info, store=self.store.copy())

    def _on_image_moved(self, event: Any = None) -> None:
        lay((self.points, self.vectors), self._image)
        for listener in list(self.place_listeners):
            listener()

    def _before_removal(self, event: Any = None) -> None:
        make_gl_current(self.viewer)

    def _on_layer_removed(self, event: Any) -> None:
        if event.value is self.points:
            self.close()
        elif event.value is self.vectors:
            self.vectors = None
            self._edges_shown = False

    def close(self) -> None:
        """Take the layers out of the viewer and stop following it."""
        if self._closed:
            return
        for listener in list(self.close_listeners):
            listener()
        self._closed = True
        self._later.forget()
        self._views.pop(self.points, None)
        self.store.listeners.remove(self._on_store)
        leave(self._image, self._on_image_moved)
        self.viewer.dims.events.current_step.disconnect(self._on_step)
        self.viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        self.viewer.layers.events.removing.disconnect(self._before_removal)
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self.points.events.data.disconnect(self._on_native_edit)
        self.points.events.visible.disconnect(self._on_visible)
        if self.vectors is not None:
            remove_companion(self.viewer, self.vectors)
        if self.points in self.viewer.layers:
            self._before_removal()
            self.viewer.layers.remove(self.points)
