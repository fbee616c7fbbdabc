"""A row of a form that shows heat maps of a model over the frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.forms import rows_of
from napari_semimultipose.widgets.heat_layer import HeatLayer

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_semimultipose.config import PredictConfig

OFF, ALL = 0, 1


class HeatChooser(QWidget):
    """Chooses whether heat maps are shown, and of which keypoint.

    Parameters
    ----------
    viewer : napari.Viewer
    model : callable
        Returns the model folder; raises `SemiMultiPoseError` when there is none.
    image : callable
        Returns the image layer, or None.
    config : callable
        Returns the settings of prediction.
    """

    failed = Signal(str)
    """What went wrong, in words."""

    def __init__(
        self,
        viewer: napari.Viewer,
        model: Callable[[], Path],
        image: Callable[[], Image | None],
        config: Callable[[], PredictConfig],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._model, self._image, self._config = model, image, config
        self.heat = HeatLayer(viewer, self)
        self.box = QComboBox(self)
        self.box.addItems(["off", "all keypoints"])
        keep_wheel_for_scrolling(self.box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            rows_of(
                (
                    "Heat maps",
                    self.box,
                    "Where the model believes each keypoint to be, on the frame that is shown",
                )
            )
        )
        self.box.activated.connect(self._on_choice)
        self.heat.known.connect(self._on_keypoints)
        self.heat.failed.connect(self._on_failed)

    def _on_choice(self, index: int) -> None:
        if index == OFF:
            self.heat.hide()
            return
        self.heat.choose(None if index == ALL else index - 2)
        if self.heat.shown:
            return
        try:
            image = self._image()
            if image is None:
                self._on_failed("heat maps need the frames in an image layer: open the recording")
                return
            self.heat.show(self._model(), image, self._config())
        except SemiMultiPoseError as error:
            self._on_failed(str(error))

    def _on_keypoints(self, keypoints: tuple[str, ...]) -> None:
        chosen = self.box.currentIndex()
        while self.box.count() > 2:
            self.box.removeItem(2)
        self.box.addItems(list(keypoints))
        self.box.setCurrentIndex(chosen if chosen < self.box.count() else ALL)

    def _on_failed(self, text: str) -> None:
        self.box.setCurrentIndex(OFF)
        if text:
            self.failed.emit(text)

    def stop(self) -> None:
        """Take the heat maps away, because another model or recording is chosen."""
        if self.heat.shown:
            self.heat.hide()
            self.box.setCurrentIndex(OFF)
