"""Who is repaired, on which frames, and how: the buttons of the Review widget."""

from __future__ import annotations

from typing import NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.review_keys import key_of

NONE, NEW = -1, -2
SPANS = ("from here to the end", "on this frame", "on the frames")
TO_END, HERE, RANGE = range(3)


class Span(NamedTuple):
    """Frames to repair; `last` None is the end of the recording."""

    first: int
    last: int | None


BUTTONS: tuple[tuple[str, str, str], ...] = (
    ("Swap", "swap", "Exchange the two animals on these frames"),
    ("Assign", "assign", "The first animal is the second one on these frames, and who was it is the first"),
    ("Delete", "delete", "Delete the poses of the first animal on these frames"),
    ("Merge", "merge", "The second animal is the first one, on all frames"),
    ("Split", "split", "The first animal is a new one from this frame on"),
    ("Interpolate", "interpolate", "Replace the poses of the first animal on these frames by lines between those around them"),
)  # fmt: skip


class IdentityPanel(QGroupBox):
    """Two animals, some frames, and a button for each repair of identities."""

    command = Signal(str)
    """Name of the repair whose button was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Identities", parent)
        self.first = QComboBox(self)
        self.second = QComboBox(self)
        self.span_box = QComboBox(self)
        self.start = QSpinBox(self)
        self.stop = QSpinBox(self)
        self.count = QSpinBox(self)
        self.count_button = self._button("Fix number", "fix_count")
        self.buttons = {command: self._button(text, command) for text, command, _ in BUTTONS}
        for _, command, tip in BUTTONS:
            self.buttons[command].setToolTip(f"{tip} [{key_of(command)}]")
        self.count_button.setToolTip(
            "Leave no more than so many animals on these frames: pieces of tracks become the animal "
            "that is missing, and what is too much is deleted"
        )
        self.span_box.addItems(SPANS)
        self.span_box.currentIndexChanged.connect(self._show_range)
        self.first.setToolTip("Click on an animal to choose it")
        self.second.setToolTip("Click on an animal with Shift to choose it")
        for box in (self.first, self.second, self.span_box):
            keep_wheel_for_scrolling(box)
            box.setMinimumContentsLength(4)
            box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for spin in (self.start, self.stop):
            spin.setRange(0, 2**31 - 1)
            spin.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.count.setRange(1, 10_000)
        self._lay_out()
        self._show_range()

    def _button(self, text: str, command: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self.command.emit(command))
        return button

    def _lay_out(self) -> None:
        animals = QHBoxLayout()
        for part, room in (
            (QLabel("Animal", self), 0),
            (self.first, 1),
            (QLabel("and", self), 0),
            (self.second, 1),
        ):
            animals.addWidget(part, room)
        frames = QHBoxLayout()
        frames.addWidget(self.span_box, 3)
        frames.addWidget(self.start, 2)
        frames.addWidget(self.stop, 2)
        grid = QGridLayout()
        grid.setSpacing(3)
        for i, button in enumerate(self.buttons.values()):
            grid.addWidget(button, i // 3, i % 3)
        number = QHBoxLayout()
        number.addWidget(self.count_button, 2)
        number.addWidget(QLabel("to", self))
        number.addWidget(self.count, 1)
        number.addWidget(QLabel("animals", self), 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        for part in (animals, frames, grid, number):
            part.setSpacing(3)
            layout.addLayout(part)

    # ----------------------------------------------------------------- content

    def set_tracks(self, names: dict[int, str]) -> None:
        """Offer the animals of a recording; who was chosen stays chosen while it is there."""
        extra = {
            self.first: {NONE: "without identity"},
            self.second: {NEW: "a new one", NONE: "nobody"},
        }
        for box, others in extra.items():
            chosen = box.currentData()
            entries = {**names, **others}
            if list(entries) == [box.itemData(i) for i in range(box.count())]:
                continue
            box.blockSignals(True)
            box.clear()
            for track, name in entries.items():
                box.addItem(name, track)
            place = box.findData(chosen)
            fallback = 0 if box is self.first else min(1, len(names) - 1)
            box.setCurrentIndex(place if place >= 0 else max(0, fallback))
            box.blockSignals(False)

    def choose(self, first: int | None = None, second: int | None = None) -> None:
        """Choose animals by their tracks."""
        for box, track in ((self.first, first), (self.second, second)):
            place = box.findData(track)
            if track is not None and place >= 0:
                box.setCurrentIndex(place)

    def animals(self) -> tuple[int, int]:
        """Return the tracks of the two animals; `NONE` or `NEW`."""
        first, second = self.first.currentData(), self.second.currentData()
        return NONE if first is None else int(first), NONE if second is None else int(second)

    def set_span(self, first: int, last: int | None) -> None:
        """Choose frames."""
        self.start.setValue(first)
        if last is None:
            self.span_box.setCurrentIndex(TO_END)
        else:
            self.stop.setValue(last)
            self.span_box.setCurrentIndex(RANGE)

    def span(self, here: int) -> Span:
        """Return the frames to repair, when the viewer is on frame `here`."""
        kind = self.span_box.currentIndex()
        if kind == TO_END:
            return Span(here, None)
        if kind == HERE:
            return Span(here, here)
        return Span(self.start.value(), self.stop.value())

    def _show_range(self) -> None:
        for spin in (self.start, self.stop):
            spin.setVisible(self.span_box.currentIndex() == RANGE)
