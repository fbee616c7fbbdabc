"""The Train widget: from labels to a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.background.process import run_apart
from napari_semimultipose.errors import ConfigError, SemiMultiPoseError
from napari_semimultipose.models.checkpoint import check_new_folder
from napari_semimultipose.training.events import (
    Done,
    Failed,
    Notice,
    Started,
    Step,
    Validation,
)
from napari_semimultipose.widgets.choosers import (
    Message,
    duration,
    plain_viewer,
    plot_colors,
    scrollable,
)
from napari_semimultipose.widgets.jobs import TrainingJob, training_events
from napari_semimultipose.widgets.layer_frames import beside
from napari_semimultipose.widgets.plots import TrainingPlot
from napari_semimultipose.widgets.progress import ProgressBar
from napari_semimultipose.widgets.report_export import ReportButton
from napari_semimultipose.widgets.report_jobs import frames_of_training
from napari_semimultipose.widgets.sources import TrainingSources
from napari_semimultipose.widgets.training_settings import TrainingSettings
from napari_semimultipose.widgets.worker import EventRunner, WorkWidget

if TYPE_CHECKING:
    import napari.viewer

SCORE_NAMES = {
    "ap": ("AP", "{:.3f}", "Average precision, OKS .50:.95; 1 is perfect"),
    "ap50": ("AP50", "{:.3f}", "Average precision at OKS .50"),
    "ap75": ("AP75", "{:.3f}", "Average precision at OKS .75"),
    "recall": ("Recall", "{:.3f}", "Share of the labelled animals that are found"),
    "median_error_px": ("Median error", "{:.2f} px", "Distance between prediction and label"),
}


class TrainWidget(WorkWidget):
    """Form, buttons, progress and live plots of a training run.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    needs = ("napari_semimultipose.training.loop",)

    # napari looks for exactly this annotation
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        viewer = plain_viewer(viewer)
        self._viewer = viewer
        self._model: Path | None = None
        self._job_done: TrainingJob | None = None
        self._last: Started | None = None
        self._failed = False
        self._newest: Step | None = None

        self.sources = TrainingSources(viewer, self)
        self.settings = TrainingSettings(self)
        self.start_button = QPushButton("Start", self)
        self.stop_button = QPushButton("Stop", self)
        self.resume_button = QPushButton("Resume", self)
        self.progress = ProgressBar(self)
        self.status = QLabel("Choose frames and labels, then press Start.", self)
        self.message = Message(self)
        self.plot = TrainingPlot(plot_colors(viewer), self)
        self.scores = QLabel("", self)
        self.use_button = QPushButton("Use in Predict", self)
        self.report_button = ReportButton(
            lambda: self._model,
            lambda: None if self._job_done is None else frames_of_training(self._job_done),
            lambda: None if self._model is None else beside(self._model, "-report.html"),
            "the model: scores, errors of each keypoint, learning curves, best and worst examples",
            self,
        )
        self.runner = EventRunner(
            "training of a pose model",
            "Training is being stopped and its state saved. This window closes by itself.",
            self,
        )
        self._lay_out()
        self._connect()
        self._suggest_folder()
        self._update_buttons()

    # ----------------------------------------------------------------- layout

    def _lay_out(self) -> None:
        setup = QWidget(self)
        column = QVBoxLayout(setup)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self.sources)
        line = QFrame(setup)
        line.setFrameShape(QFrame.Shape.HLine)
        column.addWidget(line)
        column.addWidget(self.settings)
        column.addStretch(1)

        live = QWidget(self)
        column = QVBoxLayout(live)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.plot, 1)
        row = QHBoxLayout()
        row.addWidget(self.scores, 1)
        row.addWidget(self.report_button, 0, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(self.use_button, 0, Qt.AlignmentFlag.AlignBottom)
        column.addLayout(row)
        self.scores.setWordWrap(True)
        self.use_button.setToolTip("Open the Predict widget with this model")
        self._show_next_steps(False)

        self.tabs = QTabWidget(self)
        self.tabs.addTab(scrollable(setup), "Setup")
        self.tabs.addTab(live, "Progress")
        self.progress.setTextVisible(True)
        self.progress.setFormat("")
        self.status.setWordWrap(True)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.start_button, self.stop_button, self.resume_button):
            buttons.addWidget(button, 1)
        self.start_button.setToolTip("Train a new model")
        self.stop_button.setToolTip("Save the state and stop; Resume goes on from there")
        self.resume_button.setToolTip(
            "Go on from the state saved in the model folder, with its settings. What is chosen "
            "under 'Train for' is the length in all: raise it to train longer than planned."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.message)
        layout.addWidget(self.status)
        layout.addWidget(self.progress)
        layout.addLayout(buttons)
        self.setMinimumWidth(300)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _connect(self) -> None:
        self.sources.changed.connect(self._suggest_folder)
        self.settings.out.changed.connect(self._update_buttons)
        self.start_button.clicked.connect(lambda: self.start())
        self.resume_button.clicked.connect(lambda: self.start(resume=True))
        self.stop_button.clicked.connect(self.stop)
        self.use_button.clicked.connect(self._use_in_predict)
        self.report_button.progressed.connect(self._on_report)
        self.report_button.said.connect(self.message.add)
        self.report_button.failed.connect(self._complain)
        self.report_button.runner.ended.connect(self._on_report_ended)
        self.plot.redrawn.connect(self._catch_up)
        self.runner.received.connect(self._on_events)
        self.runner.ended.connect(self._on_ended)
        self._viewer.events.theme.connect(self._on_theme)
        self._viewer.dims.events.current_step.connect(self._on_frame)

    def _on_theme(self, event: Any = None) -> None:
        if isalive(self):  # napari keeps its listeners a little longer than Qt its widgets
            self.plot.set_colors(plot_colors(self._viewer))

    def _on_frame(self, event: Any = None) -> None:
        if isalive(self):
            self.plot.give_way()

    def _suggest_folder(self) -> None:
        place = self.sources.place()
        if place is not None and not self.runner.running:
            self.settings.suggest_folder(beside(place, "-model"))

    # -------------------------------------------------------------- the work

    def start(self, *, resume: bool = False) -> None:
        """Begin, or go on with, a training run; ignored while one is running."""
        if self.runner.running:
            return
        self.message.say("")
        try:
            job = self._job(resume)
        except SemiMultiPoseError as error:
            self._complain(str(error))
            return
        self._failed = False
        self._last = None
        self._model = None
        self._job_done = job
        self._show_next_steps(False)
        self.scores.setText("")
        if not resume:
            self.plot.clear()
        self.progress.setRange(0, 0)
        self.status.setText("Loading labels, frames and torch…")
        self.tabs.setCurrentIndex(1)
        self.runner.start(
            lambda should_stop: run_apart(training_events, job, should_stop=should_stop)
        )
        self._update_buttons()

    def _job(self, resume: bool) -> TrainingJob:
        """Take everything that the worker needs out of the form and the layers."""
        if not resume:
            self._suggest_folder()  # the last run may have taken the name
        out = self.settings.out.path()
        if out is None:
            raise ConfigError("choose a folder for the model")
        if not resume:
            check_new_folder(out)
        config = self.settings.config()
        if self.sources.uses_file():
            labels = self.sources.labels_file.path()
            if labels is None:
                raise ConfigError("choose a labels file")
            return TrainingJob(
                out,
                config,
                resume,
                labels_file=labels,
                frames_path=self.sources.frames_path.path(),
                unlabeled=self.sources.unlabeled.paths(),
                members=self.settings.members.value(),
            )
        return TrainingJob(
            out,
            config,
            resume,
            recordings=self.sources.rows.snapshot(),
            unlabeled=self.sources.unlabeled.paths(),
            members=self.settings.members.value(),
        )

    def stop(self) -> None:
        """Save the state and stop, or give up a report; ignored when nothing is running."""
        self.report_button.runner.stop()
        if self.runner.running:
            self.runner.stop()
            self.status.setText("Stopping after this step; the state is being saved…")
            self._update_buttons()

    # ---------------------------------------------------------------- events

    def _on_events(self, events: list[Any]) -> None:
        step: Step | None = None
        for event in events:
            match event:
                case Started():
                    self._on_started(event)
                case Step():
                    self.plot.add_losses(event.iteration, event.losses)
                    step = event
                case Validation():
                    self.plot.add_scores(event.iteration, event.scores)
                    self._show_scores(event.scores, f"Validation at step {event.iteration}")
                case Notice():
                    self.message.add(event.message)
                case Done():
                    self._on_done(event)
                    step = None
                case Failed():
                    self._on_failed(event)
                    step = None
        if step is not None:
            self._wait_for(step)

    def _on_started(self, event: Started) -> None:
        self._last = event
        self.progress.setRange(0, 1000)
        self._say_running(event.iteration)

    def _say_running(self, iteration: int) -> None:
        if self._last is None or self.runner.stopping:
            return
        e = self._last
        self.status.setText(
            f"Training on {e.device}, step {iteration}: {e.n_labeled} labelled, "
            f"{e.n_validation} validation, {e.n_unlabeled} unlabelled frames"
            + (f"; scale {e.scale:.2f}" if e.scale else "")
        )

    def _wait_for(self, step: Step) -> None:
        """Show how far it is with the next drawing of the plot, so that the window is painted once."""
        self._newest = step
        if not self.plot.will_redraw:
            self._catch_up()

    def _catch_up(self) -> None:
        step, self._newest = self._newest, None
        if step is not None and self.runner.running:
            self._on_step(step)

    def _on_step(self, event: Step) -> None:
        self.progress.setRange(0, 1000)
        self.progress.setValue(round(1000 * min(1.0, event.progress)))
        self.progress.setFormat(f"{event.progress:.0%}, {duration(event.remaining_s)} left")
        self._say_running(event.iteration)

    def _on_done(self, event: Done) -> None:
        self._model = event.folder
        self.plot.redraw()
        if event.reason == "finished":
            self.progress.setRange(0, 1000)
            self.progress.setValue(1000)
            self.progress.setFormat("finished")
            self.status.setText(f"Finished after {event.iteration} steps. Model: {event.folder}")
            show_info(f"Training finished: {event.folder}")
        else:
            self.status.setText(
                f"Stopped after {event.iteration} steps. Resume goes on; the model so far: "
                f"{event.folder}"
            )
        self._show_scores(event.scores, "Scores of the model")
        self._show_next_steps(True)
        self.tabs.setCurrentIndex(1)

    def _on_failed(self, event: Failed) -> None:
        self._failed = True
        self.status.setText("Training failed.")
        self._complain(event.message, event.details)

    def _on_ended(self) -> None:
        if self.progress.maximum() == 0:
            self.progress.setRange(0, 1000)
            self.progress.setValue(0)
        if self._model is None and not self._failed:
            self.status.setText("Training ended before the first step.")
        if self._model is None:
            self.progress.setFormat("")
        self._update_buttons()

    def _show_next_steps(self, shown: bool) -> None:
        for button in (self.report_button, self.use_button):
            button.setVisible(shown)

    def _on_report(self, share: float, text: str) -> None:
        self.progress.setRange(0, 1000)
        self.progress.setValue(round(1000 * share))
        self.progress.setFormat(f"report: {text}" if text else "report")
        self._update_buttons()

    def _on_report_ended(self) -> None:
        self.progress.setValue(0)
        self.progress.setFormat("")
        self._update_buttons()

    def _complain(self, text: str, details: str = "") -> None:
        self.message.say(text, error=True, details=details)
        show_error(text)

    def _show_scores(self, scores: Mapping[str, float], title: str) -> None:
        parts, tips = [], []
        for name, (label, text, tip) in SCORE_NAMES.items():
            value = scores.get(name)
            if value is not None and value == value:
                parts.append(f"{label} <b>{text.format(value)}</b>".replace(" ", "&nbsp;"))
                tips.append(f"{label}: {tip}")
        self.scores.setText(f"{title}: " + ", ".join(parts) if parts else "")
        self.scores.setToolTip("\n".join(tips))

    def _update_buttons(self) -> None:
        running, stopping = self.runner.running, self.runner.stopping
        reporting = self.report_button.runner.running
        out = self.settings.out.path()
        resumable = out is not None and any(
            (out / name).is_file() for name in ("resume.pt", "ensemble.json")
        )
        self.start_button.setEnabled(not running and not reporting)
        self.stop_button.setEnabled((running and not stopping) or reporting)
        self.resume_button.setEnabled(not running and not reporting and resumable)
        self.report_button.setEnabled(not running)
        self.tabs.widget(0).setEnabled(not running)

    def _use_in_predict(self) -> None:
        if self._model is not None:
            from napari_semimultipose.widgets.predict import open_predict

            open_predict(self._viewer, self._model)
