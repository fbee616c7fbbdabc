"""Which layers with predictions of a recording are to be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_semimultipose.widgets.suggested import holds_predictions, pose_layers

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Points

LAYER = Qt.ItemDataRole.UserRole
MAX_HEIGHT = 64


class PredictionList(QListWidget):
    """Layers with predictions, the topmost first, with a tick each.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.setMaximumHeight(MAX_HEIGHT)

    def look(self, image: Image | None) -> None:
        """List the layers of a recording as they are now; ticks that were taken away stay away."""
        layers = [] if image is None else pose_layers(self._viewer, image)
        layers = [layer for layer in layers if holds_predictions(layer)]
        if [item.data(LAYER) for item in self._items()] == layers:
            return
        off = [i.data(LAYER) for i in self._items() if i.checkState() == Qt.CheckState.Unchecked]
        self.clear()
        for layer in layers:
            item = QListWidgetItem(layer.name)
            item.setData(LAYER, layer)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            ticked = Qt.CheckState.Unchecked if layer in off else Qt.CheckState.Checked
            item.setCheckState(ticked)
            self.addItem(item)

    def chosen(self) -> list[Points]:
        """Return the layers that are ticked."""
        return [i.data(LAYER) for i in self._items() if i.checkState() == Qt.CheckState.Checked]

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(i) for i in range(self.count())]
