"""Predictions in the viewer: points, skeletons and paths that stay quick with millions of points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers.geometry import geometry_of
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.layers.style import ColorBy
from napari_semimultipose.layers.tracks import tracks_from_poses, tracks_look
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    import napari
    import pandas as pd
    from napari.layers import Image, Points, Tracks, Vectors

TRACK_VERTICES = 8000
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
        Where the frames are; gives scale and translation.
    color_by : {"keypoint", "animal"}
    points : Points layer, optional
        A layer of the viewer to take over instead of adding one.
    """

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
    ) -> None:
        self.viewer = viewer
        self.store = poses if isinstance(poses, PoseStore) else PoseStore(poses)
        self.view = PoseView(
            viewer,
            self.store,
            video=video,
            name=name,
            image=image,
            color_by=color_by,
            points=points,
        )
        self.tracks: Tracks | None = None
        self._paths = tracks_from_poses(Poses.empty(self.store.skeleton, self.store.videos), video)
        self._span: range | None = None
        viewer.layers.events.removed.connect(self._on_removed)
        self._closed = False
        self.view.close_listeners.append(self._on_view_closed)
        self.view.frame_listeners.append(self._on_frame)
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

    def replace(self, poses: Poses) -> None:
        """Show other poses instead, for example the same ones with their tracks."""
        if not self._closed:
            self.store.replace(poses)
            self.show_tracks()

    def show_tracks(self) -> None:
        """Draw the paths of the animals again, from the poses as they are now."""
        self._paths = tracks_from_poses(self.store.snapshot(), self.view.video)
        if self.tracks is not None and self.tracks in self.viewer.layers:
            self.viewer.layers.remove(self.tracks)
        self.tracks = None
        data, features = self._near(self.view.frame)
        if not len(data):
            return
        from napari.layers import Tracks

        self.tracks = Tracks(
            data,
            name=f"{self.points.name} tracks",
            **tracks_look(features, self.view.style),
            **geometry_of(self.view.image),
        )
        below = self.vectors if self.vectors is not None else self.points
        self.viewer.layers.insert(self.viewer.layers.index(below), self.tracks)
        self.viewer.layers.selection.active = self.points

    def _near(self, frame: int) -> tuple[NDArray[np.float64], pd.DataFrame]:
        """Return the paths near a frame, all of them if they are few, and note the frames they suit."""
        data, features = self._paths
        if len(data) <= TRACK_VERTICES:
            self._span = None
            return data, features
        first, last = data[:, 1].min(), data[:, 1].max()
        radius = int(TRACK_VERTICES / 2 * (last - first + 1) / len(data))
        self._span = range(frame - radius // 2, frame + radius // 2 + 1)
        chosen = np.abs(data[:, 1] - frame) <= radius
        return data[chosen], features[chosen]

    def _on_frame(self, frame: int) -> None:
        if self.tracks is None or self._span is None or frame in self._span:
            return
        data, features = self._near(frame)
        if not len(data):
            return
        look = tracks_look(features, self.view.style)
        self.tracks.color_by = "track_id"  # the features go away for a moment
        self.tracks.data = data
        self.tracks.features = look["features"]
        self.tracks.color_by = look["color_by"]

    def close(self) -> None:
        """Take all three layers out of the viewer."""
        self.view.close()

    def _on_view_closed(self) -> None:
        self._closed = True
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        if self.tracks is not None and self.tracks in self.viewer.layers:
            self.viewer.layers.remove(self.tracks)
        self.tracks = None

    def _on_removed(self, event: object) -> None:
        if getattr(event, "value", None) is self.tracks:
            self.tracks = None
