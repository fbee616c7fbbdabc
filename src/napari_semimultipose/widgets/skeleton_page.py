"""The page of the Annotate widget on which a skeleton is made, loaded or changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.errors import LabelsError, SemiMultiPoseError
from napari_semimultipose.poses import Skeleton
from napari_semimultipose.widgets import label_files
from napari_semimultipose.widgets.choosers import Message
from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.skeleton_editor import SkeletonEditor
from napari_semimultipose.widgets.skeleton_presets import PRESETS

if TYPE_CHECKING:
    from napari.layers import Points


class SkeletonPage(QWidget):
    """A skeleton, where to take one from, and what to do with it."""

    start_clicked = Signal(object)
    """Begin new labels with this `Skeleton`."""
    change_clicked = Signal(object, object)
    """Give the labels this `Skeleton`; for each keypoint, where it was before."""
    points_chosen = Signal(object, object)
    """Take over a plain Points layer with this `Skeleton`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._has_labels = False
        self.plain_layers: Callable[[], list[Points]] = list
        self.presets = QComboBox(self)
        self.presets.addItem("Start from …")
        self.presets.addItems(list(PRESETS))
        self.presets.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.presets.activated.connect(self._on_preset)
        keep_wheel_for_scrolling(self.presets)
        self.load = QPushButton("Load", self)
        self.load.setToolTip("Take the skeleton of a labels file or of a trained model")
        menu = QMenu(self)
        menu.addAction("From a labels file…", self._ask_file)
        menu.addAction("From a model folder…", self._ask_model)
        self.load.setMenu(menu)
        self.editor = SkeletonEditor(self)
        self.message = Message(self)
        self.start = QPushButton("Start labelling", self)
        self.start.setToolTip("Begin new labels of the recording with this skeleton")
        self.change = QPushButton("Apply to labels", self)
        self.change.setToolTip("The labels stay, under the new names and in the new order")
        self.plain = QPushButton("Use plain points", self)
        self.plain.setToolTip(
            "Take over a Points layer made without this plugin: every animal with all its points, "
            "in the order of the skeleton"
        )
        self._plain_menu = QMenu(self)
        self._plain_menu.aboutToShow.connect(self._list_plain)
        self.plain.setMenu(self._plain_menu)
        self.editor.changed.connect(self._check)
        self.start.clicked.connect(self._on_start)
        self.change.clicked.connect(self._on_change)
        self._lay_out()
        self.editor.set_skeleton(PRESETS["Head, body, tail"])
        self.set_has_labels(False)

    def _lay_out(self) -> None:
        for widget in (self.presets, self.load, self.start, self.change, self.plain):
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        top = QHBoxLayout()
        top.addWidget(self.presets, 3)
        top.addWidget(self.load, 2)
        bottom = QHBoxLayout()
        bottom.addWidget(self.start)
        bottom.addWidget(self.change)
        bottom.addWidget(self.plain)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(top)
        layout.addWidget(self.editor, 1)
        hint = QLabel("Click order is the order of the rows.", self)
        layout.addWidget(hint)
        layout.addWidget(self.message)
        layout.addLayout(bottom)

    # ----------------------------------------------------------------- state

    def set_skeleton(self, skeleton: Skeleton) -> None:
        """Show the skeleton of the labels."""
        self.editor.set_skeleton(skeleton)

    def set_has_labels(self, there: bool) -> None:
        """Offer to change the skeleton of labels that are there."""
        self._has_labels = there
        self.change.setVisible(there)
        self.look_for_plain()
        self.start.setText("Start new labels" if there else "Start labelling")

    def look_for_plain(self) -> None:
        """Offer to take over plain points while there are some and no labels."""
        there = not self._has_labels and bool(self.plain_layers())
        if there == self.plain.isHidden():
            self.plain.setVisible(there)

    def load_skeleton(self, path: Path) -> None:
        """Show the skeleton of a labels file, project folder or model folder."""
        from napari_semimultipose.io.labels import read_poses
        from napari_semimultipose.models.checkpoint import is_model_folder, read_info

        try:
            skeleton = (
                read_info(path).skeleton if is_model_folder(path) else read_poses(path).skeleton
            )
        except SemiMultiPoseError as error:
            self.message.say(str(error), error=True)
            return
        self._use(skeleton)

    # ---------------------------------------------------------------- events

    def _use(self, skeleton: Skeleton) -> None:
        """Show a skeleton from elsewhere: its keypoints are those of the labels with the same name."""
        self.editor.set_skeleton(skeleton, keep_origin=True)

    def _on_preset(self, index: int) -> None:
        if index > 0:
            self._use(PRESETS[self.presets.itemText(index)])
        self.presets.setCurrentIndex(0)

    def _ask_file(self) -> None:
        path = label_files.ask_open(self, Path.home())
        if path is not None:
            self.load_skeleton(path)

    def _ask_model(self) -> None:
        path = label_files.ask_folder(self, "Model folder", Path.home())
        if path is not None:
            self.load_skeleton(path)

    def _list_plain(self) -> None:
        self._plain_menu.clear()
        for layer in self.plain_layers():
            self._plain_menu.addAction(
                layer.name, lambda layer=layer: self._with_skeleton(self.points_chosen, layer)
            )

    def _check(self) -> None:
        """Say what is wrong while it is wrong."""
        try:
            self.editor.skeleton()
        except ValueError as error:
            self.message.say(str(error))
        else:
            self.message.say("")

    def _on_start(self) -> None:
        self._with_skeleton(self.start_clicked)

    def _on_change(self) -> None:
        skeleton = self._skeleton()
        if skeleton is not None:
            self.change_clicked.emit(skeleton, self.editor.origin())

    def _with_skeleton(self, signal: Signal, *before: object) -> None:
        skeleton = self._skeleton()
        if skeleton is not None:
            signal.emit(*before, skeleton)

    def _skeleton(self) -> Skeleton | None:
        try:
            return self.editor.skeleton()
        except (ValueError, LabelsError) as error:
            self.message.say(str(error), error=True)
            return None
