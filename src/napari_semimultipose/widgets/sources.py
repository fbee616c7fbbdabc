"""The part of the Train widget that asks what to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.points import info_from_metadata, poses_from_layer
from napari_semimultipose.widgets.choosers import LayerBox, PathField
from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.jobs import Recording
from napari_semimultipose.widgets.layer_frames import (
    frames_from_layer,
    holds_labels,
    holds_poses,
    is_frames,
    is_points,
    place_of,
)
from napari_semimultipose.widgets.recordings import fit, image_of, video_of

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_semimultipose.poses import Poses

FROM_LAYERS, FROM_FILE = 0, 1


class RecordingRows(QWidget):
    """Pairs of an image layer and a Points layer, one pair a recording."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._rows: list[tuple[LayerBox, LayerBox, QToolButton]] = []
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        self._grid.addWidget(QLabel("Frames", self), 0, 0)
        self._grid.addWidget(QLabel("Labels", self), 0, 1)
        self._add = QPushButton("Add recording", self)
        self._add.setToolTip("Learn from one more recording at the same time")
        self._add.clicked.connect(lambda: self.add_row())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._grid)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self._add)
        layout.addLayout(row)
        self.add_row()

    def add_row(self) -> None:
        """Ask for one more recording."""
        images = LayerBox(self._viewer, is_frames, "no image layer", self)
        points = LayerBox(self._viewer, is_points, "no Points layer", self)
        images.setToolTip("Image layer with the frames")
        points.setToolTip("Points layer with the labels, made with the Annotate widget")
        remove = QToolButton(self)
        remove.setText("×")
        remove.setToolTip("Leave this recording out")
        row = (images, points, remove)
        remove.clicked.connect(lambda: self._remove(row))
        images.layer_changed.connect(self.changed)
        points.layer_changed.connect(lambda: self._choose_image(images, points))
        points.layer_changed.connect(self.changed)
        line = self._grid.rowCount()
        for column, widget in enumerate(row):
            self._grid.addWidget(widget, line, column)
        self._rows.append(row)
        if len(self._rows) == 1:
            labels = [x for x in self._viewer.layers if is_points(x) and holds_poses(x)]
            if labels:
                points.set_layer(next(filter(holds_labels, labels), labels[0]))
        self._choose_image(images, points)
        self._mark()

    def _choose_image(self, images: LayerBox, points: LayerBox) -> None:
        """Choose the recording that the labels belong to, where that is known."""
        layer = points.layer()
        image = None if layer is None else image_of(self._viewer, layer)
        if image is not None:
            images.set_layer(image)

    def _remove(self, row: tuple[LayerBox, LayerBox, QToolButton]) -> None:
        self._rows.remove(row)
        for widget in row:
            self._grid.removeWidget(widget)
            widget.deleteLater()
        self._mark()
        self.changed.emit()

    def _mark(self) -> None:
        for _, _, remove in self._rows:
            remove.setVisible(len(self._rows) > 1)

    def boxes(self, row: int = 0) -> tuple[LayerBox, LayerBox]:
        """Return the boxes of a recording: image layer, Points layer."""
        images, points, _ = self._rows[row]
        return images, points

    def first_image(self) -> Image | None:
        """Return the image layer of the first recording."""
        return self._rows[0][0].layer()

    def snapshot(self) -> list[Recording]:
        """Take labels and frames of all recordings as they are now.

        Raises
        ------
        SemiMultiPoseError
            When a layer is missing, or its content cannot be used.
        """
        out: list[Recording] = []
        seen: set[int] = set()
        for images, points, _ in self._rows:
            image, layer = images.layer(), points.layer()
            if image is None:
                raise LabelsError("open a recording first: there is no image layer to learn from")
            if layer is None:
                raise LabelsError(
                    "there is no Points layer with labels: label some animals with the Annotate "
                    "widget, or choose 'Labels from: a file'"
                )
            if id(layer) in seen:
                raise LabelsError(
                    f"the labels '{layer.name}' are chosen twice: remove one recording"
                )
            seen.add(id(layer))
            poses = poses_from_layer(layer)
            info = info_from_metadata(layer.metadata)
            video = 0 if info is None else info.video
            path = layer.source.path
            out.append(
                Recording(
                    labels=_in_order_of(poses, video, image, layer.name),
                    video=video,
                    frames=frames_from_layer(image),
                    name=layer.name,
                    path=None if path is None else Path(path),
                )
            )
        return out


class UnlabeledList(QWidget):
    """Further recordings without labels: files and folders."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = QListWidget(self)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._list.setMaximumHeight(72)
        self._list.setTextElideMode(Qt.TextElideMode.ElideLeft)  # the end of a path tells most
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setVisible(False)
        self._remove = QToolButton(self)
        self._remove.setText("×")
        self._remove.setToolTip("Remove the selected recordings from the list")
        self._remove.setVisible(False)
        self._remove.clicked.connect(self._remove_selected)
        files = QPushButton("Add files…", self)
        files.setToolTip("Videos, image stacks, or text files that list images")
        files.clicked.connect(self._ask_files)
        folder = QPushButton("Add folder…", self)
        folder.setToolTip("A folder of images or of videos")
        folder.clicked.connect(self._ask_folder)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(files)
        row.addWidget(folder)
        row.addStretch()
        row.addWidget(self._remove)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._list)
        layout.addLayout(row)

    def paths(self) -> list[Path]:
        """Return the paths in the list."""
        return [Path(self._list.item(i).text()) for i in range(self._list.count())]

    def add(self, path: Path | str) -> None:
        """Append a path, unless it is there already."""
        if Path(path) not in self.paths():
            self._list.addItem(str(path))
            self._list.item(self._list.count() - 1).setToolTip(str(path))
        self._show()

    def _ask_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Recordings without labels")
        for path in chosen:
            self.add(path)

    def _ask_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of recordings without labels")
        if chosen:
            self.add(chosen)

    def _remove_selected(self) -> None:
        for item in self._list.selectedItems() or [self._list.item(self._list.count() - 1)]:
            self._list.takeItem(self._list.row(item))
        self._show()

    def _show(self) -> None:
        for widget in (self._list, self._remove):
            widget.setVisible(self._list.count() > 0)


class TrainingSources(QWidget):
    """What to learn from: layers or a labels file, and recordings without labels."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._kind = QComboBox(self)
        self._kind.addItems(["layers of the viewer", "a file"])
        keep_wheel_for_scrolling(self._kind)
        self.rows = RecordingRows(viewer, self)
        self.labels_file = PathField(
            "either",
            "Labels",
            placeholder="labels file, or DeepLabCut project",
            parent=self,
        )
        self.frames_path = PathField(
            "either", "Frames of the labels", placeholder="found by the labels", parent=self
        )
        file_page = QWidget(self)
        grid = QGridLayout(file_page)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.addWidget(QLabel("Labels", file_page), 0, 0)
        grid.addWidget(self.labels_file, 0, 1)
        grid.addWidget(QLabel("Frames", file_page), 1, 0)
        grid.addWidget(self.frames_path, 1, 1)
        grid.setRowStretch(2, 1)
        self.labels_file.setToolTip(
            "Labels of SLEAP, DeepLabCut, COCO, Lightning Pose and others; see File > Open"
        )
        self.frames_path.setToolTip(
            "The video of the labels, or the folder that their image names start from. Leave it "
            "empty when they lie where the labels say, or beside the labels."
        )
        self._pages = QStackedWidget(self)
        self._pages.addWidget(self.rows)
        self._pages.addWidget(file_page)
        self._kind.currentIndexChanged.connect(self._on_kind)
        self.unlabeled = UnlabeledList(self)
        top = QHBoxLayout()
        top.addWidget(QLabel("Labels from", self))
        top.addWidget(self._kind, 1)
        more = QLabel("More frames without labels", self)
        more.setToolTip(
            "All frames of the labelled recordings that have no label are used anyway. Further "
            "recordings of the same kind of animal, in the same kind of picture, can help."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self._pages)
        layout.addWidget(more)
        layout.addWidget(self.unlabeled)
        self.rows.changed.connect(self.changed)
        self.labels_file.changed.connect(self.changed)

    def use_file(self, use: bool) -> None:
        """Ask for a file instead of layers, or the other way round."""
        self._kind.setCurrentIndex(FROM_FILE if use else FROM_LAYERS)

    def uses_file(self) -> bool:
        """Whether the labels come from a file."""
        return bool(self._kind.currentIndex() == FROM_FILE)

    def place(self) -> Path | None:
        """Return the file or folder beside which results belong, or None when there is none yet."""
        if self.uses_file():
            return self.labels_file.path()
        image = self.rows.first_image()
        return None if image is None else place_of(image)

    def _on_kind(self, index: int) -> None:
        self._pages.setCurrentIndex(index)
        self.changed.emit()


def _in_order_of(poses: Poses, video: int, image: Image, name: str) -> Poses:
    """Give the labels the frame numbers of an image layer, where both know the names of images."""
    fitted = fit(poses, video, image)
    if fitted is not None:
        return fitted
    if poses.videos[video].images and video_of(image).images:
        raise LabelsError(
            f"the labels '{name}' belong to other images than the layer '{image.name}' shows: "
            "choose the layer of their images"
        )
    return poses  # the recording has another name, or none, since it was labelled
