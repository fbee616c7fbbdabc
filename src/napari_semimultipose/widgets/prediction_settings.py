"""The parts of the Predict widget that ask for a model, a recording and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.config import Config, PredictConfig, TrackConfig
from napari_semimultipose.errors import ConfigError, ModelError, SemiMultiPoseError
from napari_semimultipose.layers.geometry import frame_at
from napari_semimultipose.models.checkpoint import describe_model, read_info
from napari_semimultipose.widgets.choosers import (
    LayerBox,
    PathField,
    devices,
    free_name,
)
from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.editors import ChoiceEditor, editor_for
from napari_semimultipose.widgets.forms import DEVICE_HELP, AdvancedSettings, rows_of
from napari_semimultipose.widgets.layer_frames import frames_from_layer, is_frames, place_of

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

ALL, CURRENT, SPAN = "all", "current", "span"
LAYER, FILE = 0, 1
SHOWN_KEYPOINTS = 8
IN_MAIN_FORM = (
    "predict.score_threshold",
    "predict.batch_size",
    "predict.max_animals",
    "predict.device",
    "track.animals",
)


class ModelChooser(QWidget):
    """A model folder and what is in it."""

    loaded = Signal(object)
    """Other settings than those of the model before, a `Config`."""
    changed = Signal()
    """Another folder was chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = PathField("folder", "Model folder", parent=self)
        self.summary = QLabel("", self)
        self.summary.setWordWrap(True)
        self.summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(
            rows_of(("Model folder", self.field, "A folder that the Train widget has written"))
        )
        layout.addWidget(self.summary)
        self._folder: Path | None = None
        self._config: Config | None = None
        # The path is looked up when the typing has come to a halt.
        self._halt = QTimer(self)
        self._halt.setSingleShot(True)
        self._halt.setInterval(300)
        self._halt.timeout.connect(self.look)
        self.field.changed.connect(self._halt.start)
        self.look()

    def set_folder(self, folder: Path) -> None:
        """Choose a model."""
        self.field.set_path(folder)
        self.look()

    def folder(self) -> Path:
        """Return the folder of a usable model.

        Raises
        ------
        ModelError
            When there is none.
        """
        folder = self.field.path()
        if folder is None:
            raise ModelError("choose a model folder first; the Train widget makes one")
        if not describe_model(folder)["trained"]:
            raise ModelError(f"{folder} has no weights yet: train it first")
        return folder

    def look(self) -> None:
        """Show what the folder holds."""
        self._halt.stop()
        folder = self.field.path()
        if folder != self._folder:
            self._folder = folder
            self.changed.emit()
        if folder is None:
            self.summary.setText("Choose the folder of a trained model.")
            return
        try:
            text = summary_of(describe_model(folder))
            config = read_info(folder).config
        except SemiMultiPoseError as error:
            self.summary.setText(str(error))
            self.summary.setStyleSheet("color: #e0605f;")
            return
        self.summary.setText(text)
        self.summary.setStyleSheet("")
        if config != self._config:
            self._config = config
            self.loaded.emit(config)


class RecordingChooser(QWidget):
    """An image layer or a file, and which of its frames."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.kind = QComboBox(self)
        self.kind.addItems(["layer", "file"])
        self.image = LayerBox(viewer, is_frames, "no image layer", self)
        self.file = PathField("either", "Recording", placeholder="video or folder", parent=self)
        self.range = ChoiceEditor({ALL: "all", CURRENT: "the current one", SPAN: "from … to"}, self)
        self.first, self.last = QSpinBox(self), QSpinBox(self)
        for box in (self.first, self.last):
            box.setRange(0, 2**31 - 1)
        self.last.setValue(99)
        for box in (self.first, self.last, self.kind):
            keep_wheel_for_scrolling(box)
        self._sources = QStackedWidget(self)
        self._sources.addWidget(self.image)
        self._sources.addWidget(self.file)
        self._sources.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._span = QWidget(self)
        span = QHBoxLayout(self._span)
        span.setContentsMargins(0, 0, 0, 0)
        span.addWidget(self.first, 1)
        span.addWidget(QLabel("to", self._span))
        span.addWidget(self.last, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            rows_of(
                ("Recording", _side_by_side(self, self.kind, self._sources), "What to predict"),
                (
                    "Frames",
                    _below(self, self.range, self._span),
                    "Frames are counted from 0; the last one is included",
                ),
            )
        )
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.range.changed.connect(self._on_range)
        self.first.valueChanged.connect(self.last.setMinimum)
        self.image.layer_changed.connect(self.changed)
        self.file.changed.connect(self.changed)
        self._on_range()

    def place(self) -> Path | None:
        """Return the recording on disk, or a name for one in memory; None without any."""
        if self.kind.currentIndex() == FILE:
            return self.file.path()
        image = self.image.layer()
        return None if image is None else place_of(image)

    def layer(self) -> Image | None:
        """Return the image layer, when one is chosen."""
        return self.image.layer() if self.kind.currentIndex() == LAYER else None

    def frames(self) -> Any:
        """Return the path of a file, or the frames of the layer.

        Raises
        ------
        SemiMultiPoseError
            When there is no recording, or the layer cannot be used as one.
        """
        if self.kind.currentIndex() == FILE:
            path = self.file.path()
            if path is None:
                raise ConfigError("choose a recording to predict")
            return path
        image = self.image.layer()
        if image is None:
            raise ConfigError("open a recording first: there is no image layer to predict")
        return frames_from_layer(image)

    def span(self) -> tuple[int, int] | None:
        """Return the first frame and the one after the last; None for all frames.

        Raises
        ------
        ConfigError
            When the current frame of a file is asked for.
        """
        if self.range.value() == SPAN:
            return self.first.value(), self.last.value() + 1
        if self.range.value() == ALL:
            return None
        image = self.layer()
        if image is None:
            raise ConfigError("a file has no current frame: choose its frames with 'from … to'")
        frame = frame_at(image, self._viewer.dims.point)
        return frame, frame + 1

    def _on_kind(self, index: int) -> None:
        self._sources.setCurrentIndex(index)
        self.changed.emit()

    def _on_range(self) -> None:
        self._span.setVisible(self.range.value() == SPAN)


COLOR_NAMES = {
    "animal": "by animal",
    "keypoint": "by keypoint",
    "confidence": "by confidence",
    "jump": "by jump from the frame before",
    "pose": "by distance from usual poses",
    "views": "by disagreement of the views",
}


class PredictionSettings(QWidget):
    """Score, number of animals, tracking, device, colours, output file, and the rest folded away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config = Config()
        self._suggested: Path | None = None
        predict, track = PredictConfig.model_fields, TrackConfig.model_fields
        self.animals = editor_for(track["animals"], parent=self)
        self.track = QCheckBox("join animals over time", self)
        self.track.setChecked(True)
        self.score = editor_for(predict["score_threshold"], parent=self)
        self.device = ChoiceEditor({name: name for name in devices()}, self)
        self.batch = editor_for(predict["batch_size"], parent=self)
        self.colors = ChoiceEditor(COLOR_NAMES, self)
        self.out = PathField("save", "Save the poses", placeholder="not saved", parent=self)
        self.advanced = AdvancedSettings(("predict", "track"), IN_MAIN_FORM, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            rows_of(
                ("Animals", self.animals, "Number of animals on each frame, if it is fixed"),
                ("Tracks", self.track, "Give each animal one identity over all frames"),
                ("Least score", self.score, predict["score_threshold"].description or ""),
                ("Device", self.device, DEVICE_HELP),
                ("Batch", self.batch, predict["batch_size"].description or ""),
                (
                    "Colours",
                    self.colors,
                    "What the colour of a point tells. Confidence: red is low, blue is high. Jumps, poses and "
                    "views, at the end of a prediction: blue is as usual, yellow at the limit of what is "
                    "plausible, red beyond; white is not known",
                ),
                (
                    "Save to",
                    self.out,
                    "Labels file that is written at the end, when you stop, and every two minutes. "
                    "The ending chooses the format. Leave it empty to save later, with 'Save as…'.",
                ),
            )
        )
        layout.addWidget(self.advanced)

    def set_config(self, config: Config) -> None:
        """Show the settings of a model."""
        self._config = config
        self.score.set_value(config.predict.score_threshold)
        self.batch.set_value(config.predict.batch_size)
        self.animals.set_value(config.track.animals or config.predict.max_animals)
        self.advanced.set_config(config)

    def config(self) -> Config:
        """Return the settings as they stand in the form.

        Raises
        ------
        ConfigError
            When something that was typed is no value of its setting.
        """
        animals = self.animals.value()
        changes: Mapping[str, Any] = {
            "predict.score_threshold": self.score.value(),
            "predict.batch_size": self.batch.value(),
            "predict.device": self.device.value(),
            "predict.max_animals": animals,
            "track.animals": animals,
            **self.advanced.changes(),
        }
        return self._config.with_settings(changes)

    def suggest_file(self, place: Path) -> None:
        """Name the output file, by a name that is free, unless the user has named it."""
        if self.out.path() == self._suggested:
            self._suggested = free_name(place)
            self.out.set_path(self._suggested)


def _below(parent: QWidget, top: QWidget, bottom: QWidget) -> QWidget:
    box = QWidget(parent)
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    column.addWidget(top)
    column.addWidget(bottom)
    return box


def _side_by_side(parent: QWidget, left: QWidget, right: QWidget) -> QWidget:
    box = QWidget(parent)
    row = QHBoxLayout(box)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    row.addWidget(left, 1)
    row.addWidget(right, 2)
    return box


def summary_of(about: Mapping[str, Any]) -> str:
    """Describe a model in a few lines; `about` is what `describe_model` returns."""
    keypoints = about["keypoints"]
    more = len(keypoints) - SHOWN_KEYPOINTS
    shown = ", ".join(keypoints[:SHOWN_KEYPOINTS]) + (f" and {more} more" if more > 0 else "")
    lines = [
        f"{len(keypoints)} keypoints: {shown}" if len(keypoints) > 1 else f"1 keypoint: {shown}",
        f"{about['method']}{', with context' if about.get('context') else ''}, preset {about['preset']}, {about['iteration']} steps",
    ]
    texts = {"ap": "AP {:.2f}", "median_error_px": "median error {:.1f} px"}
    scores = about["scores"]
    known = [
        text.format(scores[name])
        for name, text in texts.items()
        if scores.get(name) is not None and scores[name] == scores[name]
    ]
    lines.append("On validation frames: " + ", ".join(known) if known else "Not validated")
    if not about["trained"]:
        lines.append("No weights yet: training has not saved any")
    return "\n".join(lines)
