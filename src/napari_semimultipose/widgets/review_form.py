"""What the Review widget shows: poses, problems, repairs and buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.errors import FramesError
from napari_semimultipose.widgets.check_panel import CheckPanel
from napari_semimultipose.widgets.choosers import LayerBox, Message
from napari_semimultipose.widgets.forms import Fold, SettingsForm
from napari_semimultipose.widgets.identity_panel import IdentityPanel
from napari_semimultipose.widgets.layer_frames import beside, frames_from_layer, place_of
from napari_semimultipose.widgets.problem_table import ProblemTable
from napari_semimultipose.widgets.report_export import ReportButton
from napari_semimultipose.widgets.review_keys import help_html, key_of
from napari_semimultipose.widgets.suggested import poses_of
from napari_semimultipose.widgets.video_export import VideoButton

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

    from napari_semimultipose.io.frames import Frames
    from napari_semimultipose.layers.predictions import PredictionLayers
    from napari_semimultipose.poses import Poses


class ReviewForm(QWidget):
    """The parts of the Review widget, laid out in its parent.

    Parameters
    ----------
    viewer : napari.Viewer
    wanted : callable
        Says of a layer whether it holds poses.
    parent : QWidget
        The widget that is filled.
    """

    command = Signal(str, object)
    """Name of a command and its argument, from a button."""
    layers: PredictionLayers | None = None
    """The layers that are reviewed."""

    def __init__(
        self, viewer: napari.Viewer, wanted: Callable[[Layer], bool], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.layer_box = LayerBox(viewer, wanted, "open or predict poses first", self)
        self.message = Message(self)
        self.animals = QSpinBox(self)
        self.find_button = QPushButton("Find problems", self)
        self.check = CheckPanel(self)
        self.limits = Fold("What counts as a problem", self)
        self.settings = SettingsForm(ReviewConfig, ("animals",), self.limits.content)
        self.status = QLabel("Find problems, or choose animals and repair them.", self)
        self.read_only = QLabel(self)
        self.table = ProblemTable(self)
        self.usual = QLabel(self)
        self.identities = IdentityPanel(self)
        self.previous_button = self._button("Previous", "next_problem", -1)
        self.next_button = self._button("Next", "next_problem", 1)
        self.fine_button = self._button("Fine", "mark_fine")
        self.repair_button = self._button("Repair", "repair")
        self.undo_button = self._button("Undo", "undo")
        self.redo_button = self._button("Redo", "redo")
        self.save_button = self._button("Save as…", "save_as", key=False)
        self.plot_button = self._button("Plot", "show_plot", key=False)
        self.report_button = ReportButton(
            self._poses,
            self._frames,
            lambda: None if (i := self._image()) is None else beside(place_of(i), "-report.html"),
            "these poses: counts, tracks, paths, confidences and likely problems",
            self,
            review=self.config,
        )
        self.video_button = VideoButton(
            lambda: None if self._poses() is None else poses_of(self.layer_box.layer()),
            self._recording,
            lambda: None if (i := self._image()) is None else place_of(i),
            self,
        )
        self.help = Fold("Keys", self)
        self._fill()

    def _button(
        self, text: str, command: str, argument: int | None = None, *, key: bool = True
    ) -> QPushButton:
        shown = key_of(command, argument) if key else ""
        button = QPushButton(f"{text} [{shown}]" if len(shown) in (1, 2) else text, self)
        button.setToolTip(f"{text} [{shown}]" if key else "")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self.command.emit(command, argument))
        return button

    def _fill(self) -> None:
        self.animals.setRange(0, 10_000)
        self.animals.setSpecialValueText("unknown")
        self.animals.setToolTip("Number of animals, if it is the same on every frame")
        self.save_button.setToolTip("Save the poses in any format")
        self.plot_button.setToolTip("Position, speed and confidence over time, in a plot")
        self.fine_button.setToolTip("Nothing is wrong here: on to the next one [F]")
        self.layer_box.setToolTip("Points layer with the poses to review")
        self.status.setWordWrap(True)
        self.usual.setWordWrap(True)
        self.read_only.setWordWrap(True)
        self.read_only.setStyleSheet(
            "QLabel { border-left: 3px solid #d9a441; padding-left: 6px; }"
        )
        inside = QVBoxLayout(self.limits.content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.settings)
        keys = QVBoxLayout(self.help.content)
        keys.setContentsMargins(8, 0, 0, 0)
        keys.addWidget(QLabel(help_html(), self.help.content))
        self.report_button.progressed.connect(
            lambda share, text: self.status.setText(f"Report, {share:.0%}: {text or 'begun'}")
        )
        self.video_button.progressed.connect(
            lambda done, total: self.status.setText(f"Labelled video: frame {done} of {total}")
        )
        for button in (self.report_button, self.video_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.said.connect(self.message.say)
            button.failed.connect(
                lambda text, details: self.message.say(text, error=True, details=details)
            )
            button.runner.ended.connect(lambda: self.status.setText(""))
        self.identities.command.connect(lambda command: self.command.emit(command, None))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(_row((QLabel("Poses", self), 0), (self.layer_box, 1)))
        layout.addLayout(
            _row((QLabel("Animals", self), 0), (self.animals, 1), (self.find_button, 1))
        )
        layout.addWidget(self.read_only)
        layout.addWidget(self.limits)
        layout.addWidget(self.check)
        layout.addWidget(self.status)
        layout.addWidget(self.message)
        layout.addWidget(self.table, 1)
        layout.addLayout(
            _row(
                (self.previous_button, 6),
                (self.next_button, 4),
                (self.fine_button, 4),
                (self.repair_button, 5),
            )
        )
        layout.addWidget(self.usual)
        layout.addWidget(self.identities)
        for buttons in (
            (self.undo_button, self.redo_button, self.plot_button),
            (self.save_button, self.video_button, self.report_button),
        ):
            layout.addLayout(_row(*((button, 1) for button in buttons)))
        layout.addWidget(self.help)

    # ----------------------------------------------------------------- content

    def config(self) -> ReviewConfig:
        """Return what counts as a problem.

        Raises
        ------
        ConfigError
            When something that was typed is no value of its setting.
        """
        return ReviewConfig(animals=self.animals.value(), **self.settings.changes())

    def _poses(self) -> Poses | None:
        layers = self.layers
        return None if layers is None or layers.closed else layers.store.copy().snapshot()

    def _image(self) -> Image | None:
        return None if self.layers is None else self.layers.view.image

    def _frames(self) -> dict[int, Frames]:
        """Return the frames of the video that is shown; none where its recording is not open."""
        image = self._image()
        if self.layers is None or image is None:
            return {}
        return {self.layers.view.video: frames_from_layer(image)}

    def _recording(self) -> Frames:
        """Return the recording.

        Raises
        ------
        FramesError
            When it is not open.
        """
        image = self._image()
        if image is None:
            raise FramesError("open the recording of these poses first: it is drawn into")
        return frames_from_layer(image)

    def show_poses(
        self, names: dict[int, str], last: str | None, following: str | None, *, unsaved: bool
    ) -> None:
        """Show the animals, and what can be undone and done again."""
        self.identities.setEnabled(bool(names) or last is not None)
        self.identities.set_tracks(names)
        for button, word, name, command in (
            (self.undo_button, "Undo", last, "undo"),
            (self.redo_button, "Redo", following, "redo"),
        ):
            button.setEnabled(name is not None)
            button.setToolTip(f"{word}{': ' + name if name else ''} [{key_of(command)}]")
        self.save_button.setText("Save as… *" if unsaved else "Save as…")

    def show_state(self, *, busy: bool, saving: bool, problem: str, read_only: str = "") -> None:
        """Show what can be done now.

        Parameters
        ----------
        busy, saving : bool
            Whether problems are being looked for, and poses saved.
        problem : str
            What is usually done about the current problem; "" when there is none.
        read_only : str
            Why the poses cannot be changed; "" when they can.
        """
        there = self.layer_box.layer() is not None
        any_problem = bool(self.table.model.problems)
        self.find_button.setEnabled(there and not busy)
        self.check.show_state(there=there, busy=busy)
        self.save_button.setEnabled(there and not saving)
        self.plot_button.setEnabled(there)
        self.report_button.setEnabled(there)
        self.video_button.setEnabled(there)
        for button in (self.previous_button, self.next_button):
            button.setEnabled(any_problem)
        self.fine_button.setEnabled(bool(problem))
        self.repair_button.setEnabled(bool(problem) and not read_only)
        self.read_only.setText(f"{read_only[:1].upper()}{read_only[1:]}")
        self.read_only.setVisible(bool(read_only))
        if read_only:
            for part in (self.identities, self.undo_button, self.redo_button):
                part.setEnabled(False)
        self.usual.setText(f"Repair: {problem}" if problem else "")
        self.usual.setVisible(bool(problem))


def _row(*parts: tuple[QWidget, int]) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(3)
    for part, room in parts:
        row.addWidget(part, room)
    return row
