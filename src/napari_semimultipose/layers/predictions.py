"""Predictions in the viewer: points, skeletons and paths that stay quick with millions of points."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers import thumbnails
from napari_semimultipose.layers.canvas import Later, remove_companion
from napari_semimultipose.layers.geometry import geometry_of, lay
from napari_semimultipose.layers.lean import draw_lean, lean
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.layers.style import ColorBy
from napari_semimultipose.layers.tracks import tracks_from_poses, tracks_look
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    import napari
    import pandas as pd
    from napari.layers import Image, Points, Tracks, Vectors

TRACK_VERTICES = 4000
"""napari looks at every vertex of all paths in every frame: longer recordings show paths near by."""


class PredictionLayers:
    """Three layers that show poses of any number of frames without slowing the viewer down.

    The poses may arrive in parts (`add`) while a model runs. ``poses_from_layer(self.points)``
    and napari's own *Save* give all of them, not only those near the current frame. What the user
    moves or deletes in the Points layer is kept. Use it in the main thread only.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
    poses : Poses or PoseStore
        What is there already; may be empty. A store is shown and changed itself, poses are copied.
    name : str
        Name of the Points layer; "<name> skeleton" and "<name> tracks" are the others.
    video : int
        Index of the video to show.
    image : Image layer, optional
        Where the frames are; the layers lie over it, also when it is moved.
    color_by : ColorBy
        See `PoseStyle`.
    points : Points layer, optional
        A layer of the viewer to take over instead of adding one. When it is the window of a store
        already, that window stays as it is.
    edges : bool
        False: ``view.edges_shown = True`` adds the layer of the skeleton later. A new layer keeps
        napari busy for some 0.1 s, and a viewer should not have to wait for all three at once.
    """

    _known: ClassVar[WeakKeyDictionary[Points, ref[PredictionLayers]]] = WeakKeyDictionary()

    @classmethod
    def of(cls, points: Points) -> PredictionLayers | None:
        """Return what a Points layer belongs to, if it was made or taken over here."""
        known = cls._known.get(points)
        layers = None if known is None else known()
        return None if layers is None or layers.closed else layers

    def __init__(
        self,
        viewer: napari.Viewer | napari.components.ViewerModel,
        poses: Poses | PoseStore,
        *,
        name: str = "predictions",
        video: int = 0,
        image: Image | None = None,
        color_by: ColorBy = "animal",
        points: Points | None = None,
        edges: bool = True,
    ) -> None:
        self.viewer = viewer
        self.store = poses if isinstance(poses, PoseStore) else PoseStore(poses)
        known = None if points is None else PoseView.of(points)
        self.view = known or PoseView(
            viewer,
            self.store,
            video=video,
            name=name,
            image=image,
            color_by=color_by,
            points=points,
            edges=edges,
        )
        self.tracks: Tracks | None = None
        self._wanted = True
        self._span: range | None = None
        self._later = Later(viewer, self._move_tracks)
        viewer.layers.events.removed.connect(self._on_removed)
        self._closed = False
        self._known[self.view.points] = ref(self)
        self.store.listeners.append(self._on_store)  # holds these layers as long as the store lives
        self.view.close_listeners.append(self._on_view_closed)
        self.view.frame_listeners.append(self._on_frame)
        self.view.video_listeners.append(self._on_video)
        self.view.place_listeners.append(self._on_moved)
        self.show_tracks()

    @property
    def points(self) -> Points:
        """The Points layer; it speaks for all poses."""
        return self.view.points

    @property
    def vectors(self) -> Vectors | None:
        """The Vectors layer of the skeleton."""
        return self.view.vectors

    @property
    def poses(self) -> Poses:
        """All poses, as they are now."""
        return self.store.snapshot()

    @property
    def closed(self) -> bool:
        """Whether the user removed the Points layer (or `close` did)."""
        return self._closed

    def add(self, poses: Poses) -> None:
        """Show more frames; the skeleton and videos must be those of the first poses."""
        if not self._closed:
            self.store.add(poses)

    def replace(self, poses: Poses, *, tracks: bool = True) -> None:
        """Show other poses instead, for example the same ones with their tracks.

        Without `tracks` the paths of the former poses go away; `show_tracks` draws the new ones.
        """
        if self._closed:
            return
        self.store.replace(poses)
        if tracks:
            self.show_tracks()
        else:
            self._wanted = False
            self._remove_tracks()

    def show_tracks(self) -> None:
        """Draw the paths of the animals again, from the poses as they are now."""
        if self._closed:
            return
        self._wanted = True
        self._remove_tracks()
        self._move_tracks()
        self.viewer.layers.selection.active = self.points

    def _remove_tracks(self) -> None:
        layer, self.tracks = self.tracks, None
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def _insert_tracks(self, data: NDArray[np.float64], features: pd.DataFrame) -> None:
        from napari.layers import Tracks

        active = self.viewer.layers.selection.active
        self.tracks = Tracks(
            data,
            name=f"{self.points.name} tracks",
            **tracks_look(features, self.view.style),
            **geometry_of(self.view.image),
        )
        lean(self.viewer, self.tracks, self._paint_tracks)
        below = self.vectors if self.vectors is not None else self.points
        self.viewer.layers.insert(self.viewer.layers.index(below), self.tracks)
        draw_lean(self.viewer, self.tracks)
        self.viewer.layers.selection.active = active

    def _paint_tracks(self) -> NDArray[np.uint8]:
        """Paint the paths that lead to this frame for the list of layers."""
        assert self.tracks is not None
        data = np.asarray(self.tracks.data)
        age = self.view.frame - data[:, 1]
        here = (age >= 0) & (age <= self.tracks.tail_length)
        color = np.asarray(self.tracks.track_colors).reshape(-1, 4)[here]
        return thumbnails.dots(data[here, -2:], color, self.view.shape)

    def _near(self, frame: int) -> tuple[NDArray[np.float64], pd.DataFrame]:
        """Return the paths near a frame, all of them if they are few, and note the frames they suit."""
        store, video = self.store, self.view.video
        per_frame = max(1, store.n_slots)
        if len(store) * per_frame <= TRACK_VERTICES:
            self._span = None
            return tracks_from_poses(store.take(np.arange(len(store))), video)
        # Frames may lie apart, when only every n-th of the video was predicted.
        index = store.array("frame")[store.array("video") == video]
        apart = max(1, (int(index.max(initial=0)) + 1) // max(1, len(index)))
        radius = apart * TRACK_VERTICES // (2 * per_frame)
        self._span = range(frame - radius // 2, frame + radius // 2 + 1)
        return tracks_from_poses(store.take(store.rows_near(video, frame, radius)), video)

    def _on_moved(self) -> None:
        lay((self.tracks,), self.view.image)

    def _on_frame(self, frame: int) -> None:
        if self._span is not None and frame not in self._span:
            self._later.ask()

    def _on_video(self, video: int) -> None:
        """Lay the paths of another video over its frames."""
        lay((self.tracks,), self.view.image)
        self._move_tracks()

    def _move_tracks(self) -> None:
        """Show the paths near the current frame, unless the user has removed their layer."""
        if self._closed or not self._wanted:
            return
        data, features = self._near(self.view.frame)
        if not len(data):  # napari cannot hold nothing
            self._remove_tracks()
        elif self.tracks is None:
            self._insert_tracks(data, features)
        else:
            look = tracks_look(features, self.view.style)
            self.tracks.color_by = "track_id"  # the features go away for a moment
            self.tracks.data = data
            self.tracks.features = look["features"]
            self.tracks.color_by = look["color_by"]

    def _on_store(self, change: Change | None) -> None:
        """Let the paths follow an edit; other poses come with `add` and `replace`."""
        if change is None or self._closed or not {"track", "xy"} & set(change.after):
            return
        if self._span is not None:
            near = self.store.array("frame")[change.row]
            radius = len(self._span)
            middle = self._span[len(self._span) // 2]
            if not (np.abs(near - middle) <= radius).any():
                return
        self._later.ask()

    def close(self) -> None:
        """Take all three layers out of the viewer."""
        self.view.close()

    def _on_view_closed(self) -> None:
        self._closed = True
        self._later.forget()
        self.store.listeners.remove(self._on_store)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        if self.tracks is not None:
            remove_companion(self.viewer, self.tracks)
            self.tracks = None

    def _on_removed(self, event: object) -> None:
        if self.tracks is not None and getattr(event, "value", None) is self.tracks:
            self.tracks = None
            self._wanted = False
