"""The part of the Review widget that checks labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QSpinBox, QWidget

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.widgets.choosers import duration
from napari_semimultipose.widgets.layer_frames import frames_from_layer
from napari_semimultipose.widgets.review_jobs import CheckJob

if TYPE_CHECKING:
    from napari_semimultipose.crossfit import FoldProgress
    from napari_semimultipose.layers.predictions import PredictionLayers


class CheckPanel(QWidget):
    """A button that checks labels, and how many models are trained for it."""

    started = Signal()
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("Check labels", self)
        self.button.setToolTip(
            "List labels that are likely to be wrong: left and right exchanged, labelled twice, odd shapes"
        )
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.folds = QSpinBox(self)
        self.folds.setRange(0, 20)
        self.folds.setSpecialValueText("no models")
        self.folds.setSuffix(" models")
        self.folds.setToolTip(
            "Train so many models, each without a part of the labels: where they see something else on "
            "that part, the label is worth a look"
        )
        self.minutes = QDoubleSpinBox(self)
        self.minutes.setRange(0.1, 600)
        self.minutes.setValue(5)
        self.minutes.setDecimals(1)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("How long each model is trained")
        self.progress = QLabel(self)
        self.progress.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        row.addWidget(self.button, 4)
        row.addWidget(self.folds, 8)
        row.addWidget(self.minutes, 7)
        row.addWidget(self.progress, 12)
        self._busy = False
        self._models = 0
        self.button.clicked.connect(lambda: (self.stopped if self._busy else self.started).emit())
        self.folds.valueChanged.connect(lambda n: self._show_folds(n))
        self._show_folds(0)

    def job(self, layers: PredictionLayers | None) -> CheckJob:
        """Return what is to be done, about a copy of the labels that some layers show.

        Raises
        ------
        LabelsError
            When there are no labels, or models are to be trained and the recording is not open.
        """
        if layers is None:
            raise LabelsError("open labels first")
        folds, image = self.folds.value(), layers.view.image
        if folds and image is None:
            raise LabelsError(
                "open the recording of these labels first: models learn from its frames"
            )
        frames = frames_from_layer(image) if folds and image is not None else None
        video = layers.view.video
        return CheckJob(layers.store.copy(), video, frames, folds, self.minutes.value())

    def show_progress(self, event: FoldProgress) -> None:
        """Show how far the training is."""
        left = getattr(event.event, "remaining_s", None)
        text = f"model {event.fold} of {event.folds}, {100 * event.share:.0f} %"
        self.progress.setText(text if left is None else f"{text}; this one {duration(left)} more")

    def show_state(self, *, there: bool, busy: bool) -> None:
        """Show what can be done now; `busy` while labels are checked or problems looked for."""
        self._busy = busy and bool(self.folds.value())
        self.button.setText("Stop" if self._busy else "Check labels")
        self.button.setEnabled(there and (self._busy or not busy))
        for box in (self.folds, self.minutes):
            box.setVisible(not self._busy)
        self.progress.setVisible(self._busy)
        if not self._busy:
            self.progress.clear()
            self._show_folds(self.folds.value())

    def _show_folds(self, n: int) -> None:
        if n == 1:  # one model would have nothing to learn from
            self.folds.setValue(2 if self._models == 0 else 0)
            return
        self._models = n
        self.minutes.setEnabled(n > 0)
