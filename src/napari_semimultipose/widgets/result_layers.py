"""The layers of a prediction that is under way: they come one at a time, and follow the results."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer

from napari_semimultipose.layers.corrections import Corrections
from napari_semimultipose.layers.measured import Measured
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.style import ColorBy
from napari_semimultipose.metrics import Metrics
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

SHOW_S = 0.3
"""Least time between two updates of the layers while frames are being predicted."""

SHOW_SHARE = 0.1
"""Greatest share of the time that updating the layers may take."""

_FIXED = "these poses are still being predicted: change their skeleton when that is done"

SOON_MS = 60
"""Between two new layers napari gets time to draw."""


class ResultLayers(QObject):
    """Shows poses as they come.

    A new layer keeps napari busy for a moment, and so does its first painting: here only one of these
    is done at a time, and the viewer goes on between them.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject
    """

    def __init__(self, viewer: napari.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layers: PredictionLayers | None = None
        self._corrections: Corrections | None = None
        self._waiting: list[Poses] = []
        self._show_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether there are no layers, or the user has removed them."""
        return self.layers is None or self.layers.closed

    def forget(self) -> None:
        """Leave the layers of before alone: the next result gets its own."""
        self.release()
        self.layers = self._corrections = None
        self._waiting = []
        self._show_at = 0.0

    def open(self, poses: Poses, name: str, image: Image | None, color_by: ColorBy) -> None:
        """Make the layers of a new result, the skeleton and the paths later than the points."""
        self.layers = PredictionLayers(
            self._viewer, poses, name=name, image=image, color_by=color_by, edges=False
        )
        self._corrections = Corrections(self.layers.store)
        self.layers.store.fixed_skeleton = _FIXED
        self._show_later(self.layers.points, then=partial(self._add_edges, self.layers))

    def add(self, poses: Poses) -> None:
        """Show more frames; several parts together, not too often."""
        self._waiting.append(poses)
        if time.monotonic() >= self._show_at:
            self.catch_up()

    def catch_up(self) -> None:
        """Show what is still waiting."""
        if not self._waiting:
            return
        start = time.monotonic()
        poses = Poses.concatenate(self._waiting)
        self._waiting = []
        if self.layers is not None:
            self.layers.add(poses)  # nothing, when the user has removed the layer
        now = time.monotonic()
        self._show_at = now + max(SHOW_S, (now - start) / SHOW_SHARE)

    def finish(self, poses: Poses, metrics: Metrics) -> int:
        """Show the final poses, with how plausible they are, and then their paths.

        What the user has corrected on the way is kept; returns the number of these animals.
        """
        layers, corrections = self.layers, self._corrections
        self._waiting, self._corrections = [], None
        if layers is None:
            return 0
        self.release()
        corrected = None if corrections is None else corrections.end()
        n = 0
        with layers.view.one_refresh():
            layers.replace(poses, tracks=False)
            if metrics and not layers.closed:
                layers.store.set_measured(Measured(metrics, poses.xy))
            if corrected is not None and not layers.closed:
                n = corrected.apply_to(layers.store)
        self._soon(layers.show_tracks)
        return n

    def release(self) -> None:
        """Nothing more comes: the skeleton may be changed."""
        if self.layers is not None:
            self.layers.store.fixed_skeleton = ""

    def remove_empty(self) -> None:
        """Take the layers out again when not even one frame was predicted."""
        if self.layers is not None and not len(self.layers.store):
            self.layers.close()
            self.layers = None

    def _soon(self, step: Callable[[], None]) -> None:
        """Do something when napari has drawn what there is."""
        QTimer.singleShot(SOON_MS, lambda: step() if isalive(self) else None)

    def _show_later(self, layer: Layer, then: Callable[[], None] | None = None) -> None:
        layer.visible = False

        def show() -> None:
            if layer in self._viewer.layers:
                layer.visible = True
                if then is not None:
                    self._soon(then)

        self._soon(show)

    def _add_edges(self, layers: PredictionLayers) -> None:
        if not layers.closed:
            layers.view.edges_shown = True
            if layers.vectors is not None:
                self._show_later(layers.vectors)
