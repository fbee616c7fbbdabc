"""The Suggest widget: frames that are worth labelling, why, and the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from typing_extensions import override

from napari_semimultipose.background.process import run_apart
from napari_semimultipose.errors import ConfigError, LabelsError, SemiMultiPoseError
from napari_semimultipose.labeling.suggest import Progress, Suggestion
from napari_semimultipose.layers.geometry import frame_at
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets.choosers import LayerBox, Message, PathField, plain_viewer
from napari_semimultipose.widgets.document import LabelsDocument, document_of
from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.keys import key_of
from napari_semimultipose.widgets.layer_frames import frames_from_layer, is_frames
from napari_semimultipose.widgets.prediction_list import PredictionList
from napari_semimultipose.widgets.progress import ProgressBar
from napari_semimultipose.widgets.suggested import (
    SuggestedFrames,
    holds_predictions,
    labelled_in,
    pose_layers,
    poses_of,
    predictions_on,
    suggested_frames,
)
from napari_semimultipose.widgets.suggestion_jobs import (
    Suggested,
    SuggestionJob,
    Thumbnail,
    suggestion_events,
    thumbnail_events,
)
from napari_semimultipose.widgets.suggestion_list import SuggestionList
from napari_semimultipose.widgets.worker import EventRunner, WorkWidget

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

WAYS = (
    ("different looks", "diverse", "Pictures that differ from each other and from labelled ones"),
    ("doubtful predictions", "uncertain", "Low scores, jumps, odd poses, animals lost or too many"),
    ("evenly spaced", "even", "The largest gaps between labelled frames; needs no time"),
)


class SuggestWidget(WorkWidget):
    """Dock widget that finds frames worth labelling and leads through them.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        viewer = plain_viewer(viewer)
        self._viewer = viewer
        self._shown: SuggestedFrames | None = None
        self._searched: Image | None = None
        self.images = LayerBox(viewer, is_frames, "open a video or images first", self)
        self.way = QComboBox(self)
        self.predictions = PredictionList(viewer, self)
        self.model = PathField(
            "folder", "Model folder", placeholder="none: compare no turned copies", parent=self
        )
        self.count = QSpinBox(self)
        self.start_button = QPushButton("Suggest", self)
        self.stop_button = QPushButton("Stop", self)
        self.next_button = QPushButton(f"Next  [{key_of('step_suggestion', 1)}]", self)
        self.accept_button = QPushButton(f"Use predictions  [{key_of('accept_predictions')}]", self)
        self.progress = ProgressBar(self)
        self.message = Message(self)
        self.list = SuggestionList(self)
        farewell = "The search for frames is being stopped. This window closes by itself."
        self.runner = EventRunner("search for frames", farewell, self)
        self.painter = EventRunner("reading of thumbnails", farewell, self)
        self._lay_out()
        self._connect()
        self._on_recording()
        if self.predictions.count():
            self.way.setCurrentIndex(1)
        self._show()

    # ----------------------------------------------------------------- layout

    def _lay_out(self) -> None:
        for text, value, tip in WAYS:
            self.way.addItem(text, value)
            self.way.setItemData(self.way.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.count.setRange(1, 1000)
        self.count.setValue(20)
        for box in (self.way, self.count):
            keep_wheel_for_scrolling(box)
        self._predictions_label = QLabel("Predictions", self)
        self._model_label = QLabel("Model", self)
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.setColumnStretch(1, 1)
        rows: tuple[tuple[QLabel, QWidget, str], ...] = (
            (QLabel("Recording", self), self.images, "Image layer whose frames are looked at"),
            (QLabel("Look for", self), self.way, "What makes a frame worth labelling"),
            (
                self._predictions_label,
                self.predictions,
                "Layers with predictions on this recording. Of several models the disagreement counts "
                "as well; the first one is judged.",
            ),
            (
                self._model_label,
                self.model,
                "Folder of a model that looks at some frames mirrored and turned as well: where it then "
                "finds something else, it guesses. Takes time; without predictions it makes them.",
            ),
            (QLabel("Number", self), self.count, "How many frames to suggest"),
        )
        for row, (label, widget, tip) in enumerate(rows):
            label.setToolTip(tip)
            widget.setToolTip(tip)
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(widget, row, 1)
        work = QHBoxLayout()
        work.setSpacing(4)
        work.addWidget(self.start_button, 1)
        work.addWidget(self.stop_button, 1)
        self.start_button.setToolTip(
            "Find frames; those that are labelled in any layer of the recording are left out"
        )
        self.stop_button.setToolTip("Stop and suggest from what was seen so far")
        below = QHBoxLayout()
        below.setSpacing(4)
        below.addWidget(self.next_button, 1)
        below.addWidget(self.accept_button, 1)
        self.next_button.setToolTip("Go to the next suggestion that is not labelled yet")
        self.accept_button.setToolTip("Make the predictions on this frame labels that you can edit")
        for button in (self.next_button, self.accept_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.progress.setFormat("")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(5)
        layout.addLayout(grid)
        layout.addLayout(work)
        layout.addWidget(self.progress)
        layout.addWidget(self.message)
        layout.addWidget(self.list, 1)
        layout.addLayout(below)
        self.setMinimumWidth(300)

    def _connect(self) -> None:
        self.images.layer_changed.connect(self._on_recording)
        self.way.currentIndexChanged.connect(lambda _: self._show())
        self.start_button.clicked.connect(lambda: self.start())
        self.stop_button.clicked.connect(lambda: self.stop())
        self.next_button.clicked.connect(lambda: self.step(1))
        self.accept_button.clicked.connect(lambda: self.accept())
        self.list.clicked.connect(lambda index: self._look_at(index.row()))
        self.list.selectionModel().currentChanged.connect(
            lambda index, _: self._look_at(index.row())
        )
        self.runner.received.connect(self._on_events)
        self.runner.ended.connect(self._on_ended)
        self.painter.received.connect(self._on_events)
        self.painter.ended.connect(self._on_painted)
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.connect(self._on_layers)

    # ---------------------------------------------------------------- choices

    @override
    def enterEvent(self, event: Any) -> None:
        """Look again which layers hold predictions: theirs come after the layers themselves."""
        super().enterEvent(event)
        self._on_layers()

    def _on_layers(self, event: Any = None) -> None:
        if isalive(self):
            self.predictions.look(self.images.layer())
            self._show_labelled()

    def _on_recording(self) -> None:
        """Show the suggestions of another recording."""
        self.painter.stop()
        image = self.images.layer()
        if self._shown is not None:
            self._shown.listeners.remove(self._on_suggested)
        self._shown = None if image is None else suggested_frames(image)
        if self._shown is not None:
            self._shown.listeners.append(self._on_suggested)
        self._on_layers()
        self._on_suggested()

    # --------------------------------------------------------------- the work

    def start(self) -> None:
        """Begin to search; ignored while a search is running."""
        if self.runner.running:
            return
        self._on_layers()
        self.message.say("")
        try:
            job = self._job()
        except SemiMultiPoseError as error:
            self.message.say(str(error), error=True)
            return
        self.painter.stop()
        self._searched = self.images.layer()
        self.progress.setRange(0, 0)
        self.runner.start(
            lambda should_stop: run_apart(suggestion_events, job, should_stop=should_stop)
        )
        self._show()

    def _job(self) -> SuggestionJob:
        """Take everything that the worker needs out of the form and the layers."""
        image = self.images.layer()
        if image is None:
            raise ConfigError("open a recording first: drop a video or images on the viewer")
        by = self.way.currentData()
        predictions = self.predictions.chosen() if by == "uncertain" else []
        model = self.model.path() if by == "uncertain" else None
        if by == "uncertain" and not predictions and model is None:
            raise ConfigError(
                "there are no predictions on this recording: make some with Plugins > SemiMultiPose > "
                "Predict, or open them, and tick their layer above; or choose a model"
            )
        poses = {layer: poses_of(layer) for layer in pose_layers(self._viewer, image)}
        return SuggestionJob(
            frames_from_layer(image),
            by,
            self.count.value(),
            [poses[layer] for layer in predictions],
            list(poses.values()),
            model=model,
        )

    def stop(self) -> None:
        """Stop and suggest from what was seen; ignored when nothing is running."""
        if self.runner.running:
            self.runner.stop()
            self._show()

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case Progress():
                    self.progress.setRange(0, max(1, event.total))
                    self.progress.setValue(event.done)
                    self.progress.setFormat(f"{event.what}: {event.done} of {event.total}")
                case Suggested():
                    self._on_found(event)
                case Thumbnail():
                    self.list.suggestions.set_thumbnail(event)
                case Failed():
                    self.message.say(event.message, error=True, details=event.details)

    def _on_found(self, event: Suggested) -> None:
        image = self._searched
        if image not in self._viewer.layers:
            return
        suggested_frames(image).set(event.suggestions)
        n, wanted = len(event.suggestions), self.count.value()
        if event.stopped:
            self.message.say(f"Stopped: {n} suggestion(s) from what was seen so far.")
        elif n < wanted:
            self.message.say(f"There are only {n} frames to suggest.")

    def _on_ended(self) -> None:
        self.progress.setRange(0, 1)
        self.progress.setValue(0)
        self.progress.setFormat("")
        self._paint()
        self._show()

    def _paint(self) -> None:
        """Read the thumbnails that are missing, unless they are being read."""
        image, wanted = self.images.layer(), self.list.suggestions.missing()
        if image is None or not wanted or self.painter.running or self.runner.running:
            return
        try:
            frames = frames_from_layer(image)
        except SemiMultiPoseError as error:
            self.message.say(str(error), error=True)
            return
        self.painter.start(lambda should_stop: thumbnail_events(frames, wanted, should_stop))

    def _on_painted(self) -> None:
        if not self.message.text():  # otherwise it would fail again
            self._paint()

    @override
    def _leave(self) -> None:
        super()._leave()
        self.painter.part()

    # -------------------------------------------------------- the suggestions

    def _on_suggested(self) -> None:
        """Follow the suggestions of the recording, whoever has changed them."""
        if not isalive(self):
            return
        shown = self._shown
        suggestions: tuple[Suggestion, ...] = () if shown is None else shown.suggestions
        if suggestions != self.list.suggestions.suggestions:
            self.list.suggestions.set_suggestions(suggestions)
            self._paint()
        self.list.show_current(None if shown is None else shown.current)
        self._show_labelled()
        self._show()

    def _show_labelled(self) -> None:
        if self.list.suggestions.suggestions:
            self.list.suggestions.set_labelled(self._labelled())

    def _labelled(self) -> frozenset[int]:
        """Frames that are labelled in any layer of the recording."""
        image = self.images.layer()
        if image is None:
            return frozenset()
        return frozenset().union(*map(labelled_in, pose_layers(self._viewer, image)))

    def _look_at(self, row: int) -> None:
        if row >= 0 and self._shown is not None and row != self._shown.current:
            self._go_to(self._shown.go_to(row))

    def step(self, direction: int) -> None:
        """Go to the next (+1) or previous (-1) suggestion that is not labelled yet."""
        self.message.say("")
        try:
            if self._shown is not None:
                self._go_to(self._shown.step(direction, self._labelled()))
        except LabelsError as error:
            self.message.say(str(error))

    def _go_to(self, suggestion: Suggestion) -> None:
        image = self.images.layer()
        if image is not None and image.ndim > 2:
            world = image.data_to_world((suggestion.frame, *[0] * (image.ndim - 1)))
            axis = self._viewer.dims.ndim - image.ndim
            self._viewer.dims.set_point(axis, world[0])

    def accept(self) -> None:
        """Make the predictions on the shown frame labels; begins labels where there are none."""
        self.message.say("")
        try:
            document = self._document()
            document.accept_predictions()
        except SemiMultiPoseError as error:
            self.message.say(str(error))
            return
        self._viewer.layers.selection.active = document.points
        self._show_labelled()

    def _document(self) -> LabelsDocument:
        """Return the labels of the recording: those that are worked on, or any, or new ones."""
        image = self.images.layer()
        if image is None:
            raise LabelsError("open a recording first: drop a video or images on the viewer")
        layers = pose_layers(self._viewer, image)
        active = self._viewer.layers.selection.active
        layers.sort(key=lambda layer: layer is not active)
        for layer in layers:
            document = document_of(layer)
            if document is not None and document.image is image:
                return document
        for layer in layers:
            if not holds_predictions(layer):
                return LabelsDocument.of_layer(self._viewer, layer, image)
        predicted = predictions_on(self._viewer, image, self._frame(image))
        if predicted is None:
            raise LabelsError(
                "there are no predictions on this frame, and no labels to add them to"
            )
        return LabelsDocument.new(self._viewer, predicted.skeleton, image)

    def _frame(self, image: Image) -> int:
        return frame_at(image, self._viewer.dims.point)

    # ----------------------------------------------------------------- showing

    def _show(self) -> None:
        running = self.runner.running
        uncertain = self.way.currentData() == "uncertain"
        for widget in (self.predictions, self._predictions_label, self.model, self._model_label):
            widget.setVisible(uncertain)
        for widget in (self.images, self.way, self.predictions, self.model, self.count):
            widget.setEnabled(not running)
        self.start_button.setEnabled(not running and self.images.layer() is not None)
        self.stop_button.setEnabled(running and not self.runner.stopping)
        self.next_button.setEnabled(bool(self.list.suggestions.suggestions))
