"""Heat maps of a model over the frame that is looked at, as an image layer that follows the slider."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_semimultipose.layers.geometry import frame_at
from napari_semimultipose.layers.lean import lean
from napari_semimultipose.widgets.layer_frames import frames_from_layer
from napari_semimultipose.widgets.preload import import_quietly
from napari_semimultipose.widgets.worker import EventRunner, ShouldStop

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_semimultipose.config import PredictConfig
    from napari_semimultipose.inference.heatmaps import HeatMaps
    from napari_semimultipose.io.video import Frames

_KEPT = 50
OPACITY = 0.7
_WAIT_S = 0.1


@dataclass(frozen=True)
class Computed:
    """Heat maps of a frame, and the names of the keypoints."""

    frame: int
    maps: HeatMaps
    keypoints: tuple[str, ...]


def heat_events(
    model: Path,
    frames: Frames,
    config: PredictConfig,
    wanted: queue.SimpleQueue[int],
    should_stop: ShouldStop,
) -> Iterator[Computed]:
    """Compute the heat maps of the frames in a queue, of the newest one when there are several."""
    import_quietly("napari_semimultipose.inference.heatmaps")
    from napari_semimultipose.inference.heatmaps import heat_maps
    from napari_semimultipose.inference.predict import Predictor

    predictor = Predictor.from_folder(model, config)
    while not should_stop():
        try:
            frame = wanted.get(timeout=_WAIT_S)
            while not wanted.empty():
                frame = wanted.get_nowait()
        except queue.Empty:
            continue
        maps = heat_maps(predictor, frames, frame)
        yield Computed(frame, maps, predictor.skeleton.keypoints)


class HeatLayer(QObject):
    """An image layer with the heat maps of the current frame of another image layer.

    The last 50 frames are kept: going back to one of them shows it at once.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject
        The widget whose life bounds the work.
    """

    failed = Signal(str)
    """What went wrong, in words."""
    known = Signal(tuple)
    """Names of the keypoints, when the first heat maps have come."""

    def __init__(self, viewer: napari.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layer: Image | None = None
        self._image: Image | None = None
        self._keypoint: int | None = None
        self._kept: dict[int, Computed] = {}
        self._wanted: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._asked: int | None = None
        self._opacity = OPACITY
        self._dark = False
        self.runner = EventRunner("heat maps", "Heat maps are being computed.", self)
        self.runner.received.connect(self._on_events)
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def shown(self) -> bool:
        """Whether heat maps are being shown."""
        return self._image is not None

    def show(self, model: Path, image: Image, config: PredictConfig) -> None:
        """Show the heat maps of a model on the frames of an image layer.

        Raises
        ------
        FramesError
            When the layer is no recording.
        """
        self.hide()
        frames = frames_from_layer(image)
        self._image = image
        wanted: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._wanted = wanted
        if not self.runner.start(
            lambda should_stop: heat_events(model, frames, config, wanted, should_stop)
        ):
            self._image = None
            self.failed.emit("the heat maps of before are still being computed: try again")
            return
        self._ask()

    def hide(self) -> None:
        """Take the layer out, and stop computing."""
        self._image = None
        self._kept = {}
        self._asked = None
        self.runner.stop()
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def choose(self, keypoint: int | None) -> None:
        """Show one keypoint, or (None) the largest value of all."""
        self._keypoint = keypoint
        self._draw()

    # ----------------------------------------------------------------- frames

    def _frame(self) -> int:
        assert self._image is not None
        return frame_at(self._image, self._viewer.dims.point)

    def _on_step(self, event: Any = None) -> None:
        if self._image is not None:
            self._ask()

    def _ask(self) -> None:
        frame = self._frame()
        if frame in self._kept:
            self._draw()
        elif frame != self._asked:
            self._asked = frame
            self._wanted.put(frame)
            self._darken()  # what it shows is of another frame

    def _darken(self) -> None:
        """Show nothing; napari takes ten times as long to make a layer invisible."""
        if self.layer is not None and not self._dark:
            self._dark, self._opacity = True, self.layer.opacity
            self.layer.opacity = 0

    def _lighten(self) -> None:
        """Show the layer again, as the user had it."""
        if self.layer is not None and self._dark:
            self._dark = False
            if self.layer.opacity == 0:
                self.layer.opacity = self._opacity

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Computed):
                first = not self._kept
                self._kept[event.frame] = event
                while len(self._kept) > _KEPT:
                    del self._kept[next(iter(self._kept))]
                if first and self._image is not None:
                    self.known.emit(event.keypoints)
            else:
                self._image = None
                self.failed.emit(event.message)
        self._draw()

    def _draw(self) -> None:
        if self._image is None or (found := self._kept.get(self._frame())) is None:
            return
        values = found.maps.values
        k = self._keypoint
        picture = values.max(0) if k is None or k >= len(values) else values[k]
        scale = np.asarray(self._image.scale)[-2:]
        place = np.asarray(self._image.translate)[-2:]
        step, origin = np.array(found.maps.step_px), np.array(found.maps.origin_px)
        look = {"scale": scale * step, "translate": place + scale * origin}
        if self.layer is None:
            active = self._viewer.layers.selection.active
            self.layer = self._viewer.add_image(
                picture,
                name=f"{self._image.name} heat maps",
                colormap="inferno",
                blending="additive",
                contrast_limits=(0, 1),
                opacity=OPACITY,
                interpolation2d="linear",
                **look,
            )
            lean(self._viewer, self.layer)
            # Above the frames and under everything else.
            layers = self._viewer.layers
            layers.move(layers.index(self.layer), layers.index(self._image) + 1)
            layers.selection.active = active
            self._dark = False
            return
        self.layer.data = picture
        for name, value in look.items():  # each takes as long as the picture
            if not np.array_equal(getattr(self.layer, name), value):
                setattr(self.layer, name, value)
        self._lighten()

    def _on_removed(self, event: Any) -> None:
        removed = getattr(event, "value", None)
        if self.layer is not None and removed is self.layer:
            self.layer = None
            self.hide()
            self.failed.emit("")
        elif self._image is not None and removed is self._image:
            self.hide()
            self.failed.emit("")
