"""The Predict widget: from a model folder and a recording to poses in the viewer and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.utils.notifications import show_error, show_info
from npe2 import PluginManager
from qtpy.compat import isalive
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from typing_extensions import override

from napari_semimultipose.background.process import run_apart
from napari_semimultipose.errors import ConfigError, SemiMultiPoseError
from napari_semimultipose.layers.style import METRIC_OF_COLOR
from napari_semimultipose.poses import Poses
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets.choosers import (
    Message,
    duration,
    plain_viewer,
    scrollable,
)
from napari_semimultipose.widgets.heat_chooser import HeatChooser
from napari_semimultipose.widgets.jobs import (
    Chunk,
    Measuring,
    Predicted,
    PredictionJob,
    Ready,
    Saved,
    Tracking,
    prediction_events,
    saving_events,
    with_layers_at_hand,
)
from napari_semimultipose.widgets.label_files import ask_save
from napari_semimultipose.widgets.layer_frames import beside
from napari_semimultipose.widgets.prediction_settings import (
    ModelChooser,
    PredictionSettings,
    RecordingChooser,
)
from napari_semimultipose.widgets.progress import ProgressBar
from napari_semimultipose.widgets.report_export import ReportButton
from napari_semimultipose.widgets.result_layers import ResultLayers
from napari_semimultipose.widgets.video_export import VideoButton
from napari_semimultipose.widgets.worker import EventRunner, WorkWidget

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

PLUGIN = "napari-semimultipose"


class PredictWidget(WorkWidget):
    """Form, buttons and progress of a prediction; its results arrive in the viewer as it goes.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    needs = ("napari_semimultipose.inference.predict",)

    # napari looks for exactly this annotation
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        viewer = plain_viewer(viewer)
        self._viewer = viewer
        self._result = ResultLayers(viewer, self)
        self._poses: Poses | None = None
        self._missing: Mapping[str, str] = {}
        self._image: Image | None = None
        self._frames: Any = None  # of the last result, like the rest
        self._place: Path | None = None
        self._out: Path | None = None
        self._name = "poses"
        self._failed = False

        self.model = ModelChooser(self)
        self.recording = RecordingChooser(viewer, self)
        self.settings = PredictionSettings(self)
        self.start_button = QPushButton("Predict", self)
        self.stop_button = QPushButton("Stop", self)
        self.save_button = QPushButton("Save as…", self)
        self.video_button = VideoButton(self.poses, lambda: self._frames, lambda: self._place, self)
        self.report_button = ReportButton(
            self.poses,
            lambda: self._frames,
            lambda: None if self._place is None else beside(self._place, "-report.html"),
            "these poses: counts, tracks, paths, confidences and likely problems",
            self,
        )
        self.heat = HeatChooser(
            viewer,
            self.model.folder,
            self.recording.layer,
            lambda: self.settings.config().predict,
            self,
        )
        self.progress = ProgressBar(self)
        self.status = QLabel("Choose a model and a recording, then press Predict.", self)
        self.message = Message(self)
        self.runner = EventRunner(
            "prediction of poses",
            "The prediction is being stopped and what it found is saved. This window closes by "
            "itself.",
            self,
        )
        self.saver = EventRunner("saving poses", "Poses are being saved.", self)
        self._lay_out()
        self._connect()
        self._suggest_file()
        self._update_buttons()
        _open.add(self)

    # ----------------------------------------------------------------- layout

    def _lay_out(self) -> None:
        content = QWidget(self)
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(4)
        for part in (self.model, self.recording, self.settings, self.heat):
            column.addWidget(part)
        column.addStretch(1)

        self.status.setWordWrap(True)
        self.progress.setFormat("")
        rows = (
            (self.start_button, self.stop_button),
            (self.save_button, self.video_button, self.report_button),
        )
        self.start_button.setToolTip("Find the animals on the chosen frames")
        self.stop_button.setToolTip("Stop; what was found so far stays")
        self.save_button.setToolTip("Save the last result, with what you changed in its layer")
        self._form_area = scrollable(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self._form_area, 1)
        layout.addWidget(self.message)
        layout.addWidget(self.status)
        layout.addWidget(self.progress)
        for buttons in rows:
            row = QHBoxLayout()
            row.setSpacing(4)
            for button in buttons:
                row.addWidget(button, 1)
            layout.addLayout(row)
        self.setMinimumWidth(300)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _connect(self) -> None:
        self.model.loaded.connect(self.settings.set_config)
        self.recording.changed.connect(self._suggest_file)
        self.settings.colors.changed.connect(self._on_colors)
        self.start_button.clicked.connect(lambda: self.start())
        self.stop_button.clicked.connect(lambda: self.stop())
        self.save_button.clicked.connect(lambda: self.save_as())
        self.runner.received.connect(self._on_events)
        self.runner.ended.connect(self._on_ended)
        self.saver.received.connect(self._on_events)
        self.saver.ended.connect(self._update_buttons)
        self.video_button.progressed.connect(self._on_video)
        self.video_button.said.connect(self.message.add)
        self.video_button.failed.connect(self._complain)
        self.video_button.runner.ended.connect(lambda: self._on_video(0, 0))
        self.report_button.progressed.connect(self._on_report)
        self.report_button.said.connect(self.message.add)
        self.report_button.failed.connect(self._complain)
        self.report_button.runner.ended.connect(lambda: self._on_video(0, 0))
        self.model.loaded.connect(lambda _: self.heat.stop())
        self.model.changed.connect(self.heat.stop)
        self.recording.changed.connect(self.heat.stop)
        self.heat.failed.connect(lambda text: self.message.say(text, error=True))

    @override
    def _leave(self) -> None:
        self.heat.heat.hide()
        super()._leave()

    def set_model(self, folder: Path) -> None:
        """Choose a model folder."""
        self.model.set_folder(folder)

    def _suggest_file(self) -> None:
        place = self.recording.place()
        if place is not None and not self.runner.running:
            self.settings.suggest_file(beside(place, "-poses.slp"))

    # --------------------------------------------------------------- the work

    def start(self) -> None:
        """Begin to predict; ignored while a prediction is running."""
        if self.runner.running:
            return
        self.message.say("")
        try:
            job = self._job()
        except SemiMultiPoseError as error:
            self._complain(str(error))
            return
        self._failed = False
        self._result.forget()
        self._poses = None
        self._missing = {}
        self.progress.setRange(0, 0)
        self.status.setText("Loading the model and torch…")
        self.runner.start(
            lambda should_stop: with_layers_at_hand(
                run_apart(prediction_events, job, should_stop=should_stop)
            )
        )
        self._update_buttons()

    def _job(self) -> PredictionJob:
        """Take everything that the worker needs out of the form and the layers."""
        model = self.model.folder()
        self._suggest_file()  # the last run may have taken the name
        out = self.settings.out.path()
        if out is not None and out.exists():
            raise ConfigError(f"{out} exists: choose another name under 'Save to', or empty it")
        job = PredictionJob(
            model,
            self.recording.frames(),
            self.settings.config(),
            self.settings.track.isChecked(),
            self.recording.span(),
            out,
        )
        self._image, self._out = self.recording.layer(), out
        self._frames, self._place = job.frames, self.recording.place()
        name = self._image.name if self._image is not None else Path(job.frames).stem
        self._name = f"{name} poses"
        return job

    def stop(self) -> None:
        """Stop and keep what was found; ignored when nothing is running."""
        self.video_button.runner.stop()
        self.report_button.runner.stop()
        if self.runner.running:
            self.runner.stop()
            self.status.setText("Stopping…")
        self._update_buttons()

    def poses(self) -> Poses | None:
        """Return the last result, with what the user changed in its layer; None without any."""
        layers = self._result.layers
        return self._poses if layers is None or layers.closed else layers.poses

    def save_as(self, path: Path | None = None, format: str | None = None) -> None:
        """Write the last result to a file of any format; asks for its name when none is given."""
        poses = self.poses()
        if poses is None or self.saver.running:
            return
        if path is None:
            chosen = ask_save(self, self.settings.out.path(), title="Save poses")
            if chosen is None:
                return
            path, format = chosen
        target, kind = path, format
        self.saver.start(lambda should_stop: saving_events(poses, target, format=kind))
        self._update_buttons()

    # ---------------------------------------------------------------- events

    def _on_video(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)
        self.progress.setFormat(f"video: {done} of {total} frames" if total else "")
        self._update_buttons()

    def _on_report(self, share: float, text: str) -> None:
        self.progress.setRange(0, 1000)
        self.progress.setValue(round(1000 * share))
        self.progress.setFormat(f"report: {text}" if text else "report")
        self._update_buttons()

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case Ready():
                    self.progress.setRange(0, max(1, event.total))
                    self._poses = Poses.empty(event.skeleton, videos=(event.video,))
                    # Now, and not with the first poses: new layers keep napari busy for a moment.
                    self._show(self._poses)
                    self.status.setText(f"Predicting {event.total} frames on {event.device}")
                case Chunk():
                    self._result.add(event.poses)
                    self.progress.setValue(event.done)
                    self.progress.setFormat(
                        f"{event.done} of {event.total} frames, {duration(event.remaining_s)} left"
                    )
                case Tracking():
                    self.progress.setRange(0, 0)
                    self.status.setText("Joining animals over time…")
                case Measuring():
                    self.progress.setRange(0, 0)
                    self.status.setText("Comparing the poses with the labels of the model…")
                case Saved():
                    self._on_saved(event)
                case Predicted():
                    self._on_predicted(event)
                case Failed():
                    self._failed = True
                    self._complain(event.message, event.details)

    def _show(self, poses: Poses) -> None:
        image = self._image if self._image in self._viewer.layers else None
        self._result.open(poses, self._name, image, self.settings.colors.value())

    def _on_predicted(self, event: Predicted) -> None:
        self._poses = event.poses
        if not len(event.poses):
            self._result.remove_empty()
        else:
            if self._result.closed:
                # Removed on the way, perhaps to see the frames: the result is shown all the same.
                self._show(event.poses)
            self._say_kept(self._result.finish(event.poses, event.metrics))
        self._missing = event.missing
        self._say_missing()
        n = len(event.poses)
        animals = event.poses.n_instances
        words = {"finished": "Finished", "stopped": "Stopped", "failed": "Failed"}
        text = f"{words[event.reason]}: {animals} animals on {n} frames"
        self.status.setText(text)
        self.progress.setRange(0, 1)
        self.progress.setValue(1 if event.reason == "finished" else 0)
        self.progress.setFormat(words[event.reason].lower())
        if event.reason == "finished":
            show_info(text)

    def _on_saved(self, event: Saved) -> None:
        text = f"Saved to {event.path}"
        if event.lost:
            text += ". This format cannot hold: " + "; ".join(event.lost)
        self.message.add(text)

    def _on_ended(self) -> None:
        self._result.catch_up()
        self._result.release()
        self._result.remove_empty()
        if self.progress.maximum() == 0:
            self.progress.setRange(0, 1)
            self.progress.setValue(0)
            self.progress.setFormat("")
        if self._failed and (self._poses is None or not len(self._poses)):
            self.status.setText("Prediction failed.")
        self._update_buttons()

    def _on_colors(self) -> None:
        layers = self._result.layers
        if layers is not None and not layers.closed:
            layers.view.set_look(color_by=self.settings.colors.value())
            self._say_missing()

    def _say_kept(self, n: int) -> None:
        """Say how many animals were corrected by hand while others were predicted."""
        if n:
            text = f"{n} animal{'s stay' if n > 1 else ' stays'} as you corrected them on the way"
            saved = " The file that was written does not have that: use 'Save as…'."
            self.message.add(f"{text}.{saved if self._out is not None else ''}")

    def _say_missing(self) -> None:
        """Say why the chosen colours are all white."""
        why = self._missing.get(METRIC_OF_COLOR.get(self.settings.colors.value(), ""))
        if why:
            self.message.say(f"These colours tell nothing: {why}")

    def _complain(self, text: str, details: str = "") -> None:
        self.message.say(text, error=True, details=details)
        show_error(text)

    def _update_buttons(self) -> None:
        running, stopping = self.runner.running, self.runner.stopping
        self._form_area.setEnabled(not running)
        self.start_button.setEnabled(not running)
        reporting = self.report_button.runner.running
        writing = self.video_button.runner.running or reporting
        self.stop_button.setEnabled((running and not stopping) or writing)
        for button in (self.video_button, self.report_button):
            button.setEnabled(not running and not writing and self._poses is not None)
        self.report_button.setEnabled(self.report_button.isEnabled() or reporting)
        self.save_button.setEnabled(
            not running and not self.saver.running and self._poses is not None
        )


_open: WeakSet[PredictWidget] = WeakSet()


def open_predict(viewer: napari.Viewer, model: Path) -> PredictWidget:
    """Show the Predict widget of a viewer, open one if there is none, and choose a model."""
    viewer = plain_viewer(viewer)
    for widget in list(_open):
        if isalive(widget) and widget._viewer is viewer and widget.window() is not widget:
            dock = widget.parentWidget()
            break
    else:
        dock, widget = _dock(viewer)
    if dock is not None:
        dock.show()
        dock.raise_()
    widget.set_model(model)
    return widget


def _dock(viewer: napari.Viewer) -> tuple[Any, PredictWidget]:
    """Open the widget as the menu does, so that the menu knows of it."""
    plugins = PluginManager.instance()
    if PLUGIN in plugins and not plugins.is_disabled(PLUGIN):
        dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Predict", tabify=True)
    else:
        widget = PredictWidget(viewer)
        dock = viewer.window.add_dock_widget(widget, name="Predict", area="right", tabify=True)
    return dock, widget
