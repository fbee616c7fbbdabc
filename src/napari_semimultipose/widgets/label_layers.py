"""Which layers the Annotate widget works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Points
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_semimultipose.layers.points import info_from_metadata
from napari_semimultipose.widgets.choosers import LayerBox
from napari_semimultipose.widgets.layer_frames import is_frames

if TYPE_CHECKING:
    import napari


class LabelLayers(QWidget):
    """Choosers of the recording and of the labels."""

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.images = LayerBox(viewer, is_frames, "open a video or images first", self)
        self.images.setToolTip("Image layer whose frames are labelled")
        self.labels = LayerBox(viewer, holds_labels, "none yet", self)
        self.labels.setToolTip("Points layer that holds the labels")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.setColumnStretch(1, 1)
        for row, (text, box) in enumerate((("Recording", self.images), ("Labels", self.labels))):
            grid.addWidget(QLabel(text, self), row, 0)
            grid.addWidget(box, row, 1)


def holds_labels(layer: object) -> bool:
    """Whether a layer is a Points layer with poses."""
    return isinstance(layer, Points) and info_from_metadata(layer.metadata) is not None
