"""What the labeller looks at: the keypoint to click next, the animal so far, the labelled frames."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QSplitter,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from typing_extensions import override

from napari_semimultipose.layers.style import animal_colors, animal_number, palette
from napari_semimultipose.layers.target import State, Walk
from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.keys import key_of
from napari_semimultipose.widgets.skeleton_editor import color_icon

if TYPE_CHECKING:
    from napari_semimultipose.widgets.document import LabelsDocument

_SIGNS = {State.VISIBLE: "●", State.OCCLUDED: "○", State.SKIPPED: "–", State.MISSING: ""}
_MEANING = {
    State.VISIBLE: "placed",
    State.OCCLUDED: "placed, occluded",
    State.SKIPPED: "skipped",
    State.MISSING: "missing",
}
_FRAME = Qt.ItemDataRole.UserRole

_BUTTONS = (
    ("Occluded", "toggle_occluded", None, "The selected keypoint is hidden, or visible again"),
    ("Skip", "skip", None, "Leave this keypoint out and go on to the next one"),
    ("Delete", "delete_keypoint", None, "Delete the selected keypoint"),
    ("Next animal", "new_animal", None, "This animal is done: begin the next one"),
    ("Copy last", "copy_from", -1, "Copy the animals of the previous labelled frame to this one"),
    ("No animal", "toggle_negative", None, "There is no animal on this frame: learn that as well"),
    ("Swap sides", "swap_sides", None, "Exchange left and right of the animal"),
    ("Last edit", "go_to_last_edit", None, "Back to the frame that was edited last"),
)
_WALKS = {
    Walk.KEYPOINTS: "next keypoint",
    Walk.FRAMES: f"same keypoint, next frame  [{key_of('toggle_walk', 1)}]",
    Walk.LABELLED: f"same keypoint, next labelled frame  [{key_of('toggle_walk', 2)}]",
}


class FrameModel(QAbstractListModel):
    """Labelled frames in their order, with their number of animals.

    Another frame, and one less, are told as such: a view of many thousands does not begin anew with each edit.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.frames: list[tuple[int, int]] = []
        self._shown: dict[int, int] | None = None

    def set_frames(self, frames: dict[int, int]) -> None:
        """Show other frames, if they are others."""
        if frames is self._shown:
            return
        self._shown = frames
        old, fresh = self.frames, list(frames.items())
        more = len(fresh) - len(old)
        first = next(
            (i for i, (a, b) in enumerate(zip(old, fresh, strict=False)) if a != b),
            min(len(old), len(fresh)),
        )
        if more == 0 and first < len(old) and fresh[first + 1 :] == old[first + 1 :]:
            self.frames = fresh
            self.dataChanged.emit(self.index(first), self.index(first))
        elif more == 1 and fresh[first + 1 :] == old[first:]:
            self.beginInsertRows(QModelIndex(), first, first)
            self.frames = fresh
            self.endInsertRows()
        elif more == -1 and fresh[first:] == old[first + 1 :]:
            self.beginRemoveRows(QModelIndex(), first, first)
            self.frames = fresh
            self.endRemoveRows()
        elif fresh != old:
            self.beginResetModel()
            self.frames = fresh
            self.endResetModel()

    @override
    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of frames."""
        return len(self.frames)

    @override
    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a row, or with `_FRAME` its frame."""
        if not index.isValid():
            return None
        frame, animals = self.frames[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"Frame {frame}   {_animals(animals)}"
        return frame if role == _FRAME else None

    def row_of(self, frame: int) -> int | None:
        """Row of a frame, if it is labelled."""
        row = bisect_left(self.frames, (frame, 0))
        return row if row < len(self.frames) and self.frames[row][0] == frame else None


class FrameNumber(QSpinBox):
    """The number of the frame; another one that is typed is gone to with Enter."""

    chosen = Signal(int)
    """The frame that was typed, or the one before when Escape was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frame = 0
        self.setPrefix("frame ")
        self.setToolTip(f"Go to a frame: type its number, then Enter [{key_of('ask_frame')}]")
        self.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.setKeyboardTracking(False)
        keep_wheel_for_scrolling(self)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)

    def show_frame(self, frame: int, n_frames: int | None) -> None:
        """Show where the viewer is; n_frames is the length of the recording, if known."""
        self._frame = frame
        if not self.hasFocus():
            self.setMinimum(min(frame, 0))
            self.setMaximum(max(frame, (n_frames or 10**7) - 1))
            self.setValue(frame)

    def ask(self) -> None:
        """Let the user type."""
        self.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.selectAll()

    @override
    def keyPressEvent(self, event: Any) -> None:
        """Go to the frame with Enter, and back to the picture with Escape."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.interpretText()
            self.chosen.emit(self.value())
        elif event.key() == Qt.Key.Key_Escape:
            self.setValue(self._frame)
            self.chosen.emit(self._frame)
        else:
            super().keyPressEvent(event)


class LabelPanel(QWidget):
    """Prompt, keypoints, buttons and labelled frames of the current labels."""

    command = Signal(str, object)
    """A command of the document and its argument, or None."""
    frame_chosen = Signal(int)
    size_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.swatch = QFrame(self)
        self.swatch.setFixedWidth(14)
        self.prompt = QLabel(self)
        self.prompt.setStyleSheet("QLabel { font-size: 20px; font-weight: bold; }")
        self.prompt.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.detail = QLabel(self)
        self.detail.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.keypoints = QListWidget(self)
        self.keypoints.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.keypoints.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.keypoints.setIconSize(QSize(12, 12))
        self.keypoints.setUniformItemSizes(True)
        self.keypoints.itemClicked.connect(
            lambda item: self.command.emit("choose_keypoint", self.keypoints.row(item))
        )
        self.model = FrameModel(self)
        # Unlike a list view, a table does not visit all rows when one of them changes.
        self.frames = QTableView(self)
        self.frames.setModel(self.model)
        self.frames.setShowGrid(False)
        self.frames.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.frames.horizontalHeader().hide()
        self.frames.horizontalHeader().setStretchLastSection(True)
        self.frames.verticalHeader().hide()
        self.frames.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 4)
        self.frames.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.frames.clicked.connect(lambda i: self.frame_chosen.emit(int(i.data(_FRAME))))
        self.walk = QComboBox(self)
        self.walk.addItems(list(_WALKS.values()))
        self.walk.setToolTip(
            "What a click leads to: one keypoint can be placed on many frames in a row"
        )
        self.walk.activated.connect(lambda index: self.command.emit("set_walk", index))
        self.frame = FrameNumber(self)
        self.frame.chosen.connect(self.frame_chosen)
        self.count = QLabel(self)
        self.count.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.color_by = QComboBox(self)
        self.color_by.addItems(["keypoint", "animal"])
        self.color_by.activated.connect(lambda index: self.command.emit("color_by_animal", index))
        self.lines = QCheckBox("Lines", self)
        self.lines.clicked.connect(lambda _: self.command.emit("toggle_lines", None))
        self.size = QSlider(Qt.Orientation.Horizontal, self)
        self.size.setRange(-10, 10)
        self.size.setToolTip("Size of the points")
        self.size.valueChanged.connect(lambda v: self.size_changed.emit(2 ** (v / 5)))
        self._lay_out()

    def _lay_out(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(0)
        line = QHBoxLayout()
        line.addWidget(self.prompt, 1)
        line.addWidget(self.frame)
        words.addLayout(line)
        words.addWidget(self.detail)
        top = QHBoxLayout()
        top.addWidget(self.swatch)
        top.addLayout(words, 1)

        grid = QGridLayout()
        grid.setSpacing(3)
        for i, (text, command, argument, tip) in enumerate(_BUTTONS):
            button = QPushButton(f"{text}  [{key_of(command, argument)}]", self)
            button.setToolTip(tip)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.setStyleSheet("QPushButton { padding: 3px 2px; }")
            button.clicked.connect(lambda _=False, c=command, a=argument: self.command.emit(c, a))
            grid.addWidget(button, i // 2, i % 2)

        frames = QWidget(self)
        column = QVBoxLayout(frames)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        head = QHBoxLayout()
        head.addWidget(self.count, 1)
        for text, direction, tip in (
            ("◀", -1, "Previous labelled frame"),
            ("▶", 1, "Next labelled frame"),
        ):
            button = QToolButton(self)
            button.setText(text)
            button.setToolTip(f"{tip} [{key_of('step_labelled', direction)}]")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(
                lambda _=False, d=direction: self.command.emit("step_labelled", d)
            )
            head.addWidget(button)
        column.addLayout(head)
        column.addWidget(self.frames, 1)

        split = QSplitter(Qt.Orientation.Vertical, self)
        split.addWidget(self.keypoints)
        split.addWidget(frames)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        split.setChildrenCollapsible(False)
        self.keypoints.setMinimumHeight(60)
        self.frames.setMinimumHeight(40)

        after = QHBoxLayout()
        after.addWidget(QLabel("After a click", self))
        after.addWidget(self.walk, 1)
        for box in (self.walk, self.color_by):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            keep_wheel_for_scrolling(box)
            box.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys belong to the canvas
        self.size.setMinimumWidth(30)
        look = QGridLayout()
        look.setHorizontalSpacing(8)
        look.setVerticalSpacing(3)
        look.setColumnStretch(1, 1)
        look.addWidget(QLabel("Colour by", self), 0, 0)
        look.addWidget(self.color_by, 0, 1)
        look.addWidget(self.lines, 0, 2)
        look.addWidget(QLabel("Point size", self), 1, 0)
        look.addWidget(self.size, 1, 1, 1, 2)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(top)
        layout.addLayout(after)
        layout.addLayout(grid)
        layout.addWidget(split, 1)
        layout.addLayout(look)

    # ---------------------------------------------------------------- showing

    def show_document(self, document: LabelsDocument) -> None:
        """Show the state of the labels."""
        session, skeleton = document.session, document.skeleton
        target = session.target
        name = skeleton.keypoints[target.keypoint]
        if session.store.is_negative(session.row):
            self.prompt.setText("no animal here")
            self.detail.setText(f"Press [{key_of('toggle_negative')}] again to take it back")
        else:
            self.prompt.setText(name)
            self.detail.setText(self._describe(document))
        self.prompt.setToolTip(self.prompt.text())
        self.detail.setToolTip(self.detail.text())
        self.walk.setCurrentIndex(list(_WALKS).index(session.walk))
        self.frame.show_frame(session.frame, session.n_frames)
        self._show_swatch(document)
        self._show_keypoints(document)
        counts = session.labelled()
        self.model.set_frames(counts)
        self.count.setText(f"{_frames(len(counts))} · {_animals(sum(counts.values()))}")
        row = self.model.row_of(session.frame)
        if row is None:
            self.frames.clearSelection()
        else:
            self.frames.setCurrentIndex(self.model.index(row))
        self.color_by.setCurrentText(document.view.style.color_by)
        self.lines.setChecked(document.view.edges_shown)

    def ask_frame(self) -> None:
        """Let the user type the number of a frame."""
        self.frame.ask()

    def _describe(self, document: LabelsDocument) -> str:
        session = document.session
        target, slots = session.target, session.slots
        verb = "Move" if session.moves else "Place"
        if target.slot is None:
            animal = f"new animal, {_ordinal(len(slots) + 1)} here"
        else:
            animal = f"animal {slots.index(target.slot) + 1} of {len(slots)}"
            track = int(session.store.array("track")[session.row, target.slot])
            animal += f", number {track + 1}" if track >= 0 else ""
        k = f"{target.keypoint + 1}/{len(document.skeleton)}"
        return f"{verb} {k} · {animal}"

    def _show_swatch(self, document: LabelsDocument) -> None:
        session, target = document.session, document.session.target
        if session.store.is_negative(session.row):
            self.swatch.setStyleSheet("")
            return
        if document.view.style.color_by == "keypoint":
            color = palette(len(document.skeleton))[target.keypoint]
        else:
            slot = target.slot
            row = session.row
            track = -1 if slot is None or row is None else session.store.array("track")[row, slot]
            free = next(i for i in range(len(session.slots) + 1) if i not in session.slots)
            color = animal_colors(animal_number([track], [free if slot is None else slot]))[0]
        rgb = ", ".join(str(int(255 * c)) for c in color[:3])
        self.swatch.setStyleSheet(f"QFrame {{ background: rgb({rgb}); border-radius: 3px; }}")

    def _show_keypoints(self, document: LabelsDocument) -> None:
        skeleton = document.skeleton
        names = [self.keypoints.item(i).data(_FRAME) for i in range(self.keypoints.count())]
        if names != list(skeleton.keypoints):
            self.keypoints.clear()
            colors = (palette(len(skeleton))[:, :3] * 255).astype(int).tolist()
            for name, color in zip(skeleton.keypoints, colors, strict=True):
                item = QListWidgetItem(color_icon(QColor(*color)), name)
                item.setData(_FRAME, name)
                self.keypoints.addItem(item)
        for i, state in enumerate(document.session.states()):
            item = self.keypoints.item(i)
            item.setText(f"{skeleton.keypoints[i]}  {_SIGNS[state]}")
            item.setToolTip(f"{skeleton.keypoints[i]}: {_MEANING[state]}")
        self.keypoints.setCurrentRow(document.session.target.keypoint)


def _animals(n: int) -> str:
    return "no animal" if n == 0 else f"{n} animal{'s' if n > 1 else ''}"


def _frames(n: int) -> str:
    return f"{n} labelled frame{'' if n == 1 else 's'}"


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
