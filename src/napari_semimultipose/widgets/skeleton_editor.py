"""A table in which a skeleton is made: keypoints, lines between them, mirrored pairs."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.layers.style import palette
from napari_semimultipose.poses import Skeleton

NAME, LINES, MIRROR = range(3)
_ORIGIN = Qt.ItemDataRole.UserRole


class SkeletonEditor(QWidget):
    """Names of the keypoints, the lines to draw and the mirrored pairs.

    The table has a row a keypoint: its name; the keypoints to which lines are drawn, with commas;
    its counterpart on the other side of the body.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._filling = False
        self.kind = QLineEdit("animal", self)
        self.kind.setToolTip("Name of the kind of animal")
        self.kind.textEdited.connect(lambda _: self.changed.emit())
        self.table = QTableWidget(0, 3, self)
        self.table.setHorizontalHeaderLabels(["Keypoint", "Lines to", "Mirror of"])
        for column, tip in enumerate(
            (
                "Names in the order in which they are clicked. Double-click to rename.",
                "Keypoints to which a line is drawn, separated by commas. Each line once is enough.",
                "The same point on the other side of the body: wingL and wingR, for example",
            )
        ):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(LINES, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(MIRROR, QHeaderView.ResizeMode.Interactive)
        self.table.setColumnWidth(NAME, 104)
        self.table.setColumnWidth(MIRROR, 84)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.verticalHeader().setMinimumWidth(22)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(False)
        self.table.setMinimumHeight(90)
        self.table.itemChanged.connect(self._on_item)
        self.add_button = self._button("+", "Add a keypoint below the selected one")
        self.remove_button = self._button("−", "Remove the selected keypoints")
        self.up_button = self._button("↑", "Move the selected keypoint up")
        self.down_button = self._button("↓", "Move the selected keypoint down")
        self.guess_button = QPushButton("Guess mirrored pairs", self)
        self.guess_button.setToolTip("Pair names such as wingL and wingR, left_ear and right_ear")
        self.add_button.clicked.connect(lambda: self.add_keypoint())
        self.remove_button.clicked.connect(self.remove_selected)
        self.up_button.clicked.connect(lambda: self.move_selected(-1))
        self.down_button.clicked.connect(lambda: self.move_selected(1))
        self.guess_button.clicked.connect(self.guess_symmetry)
        top = QHBoxLayout()
        top.addWidget(QLabel("Animal", self))
        top.addWidget(self.kind, 1)
        row = QHBoxLayout()
        row.setSpacing(3)
        for button in (self.add_button, self.remove_button, self.up_button, self.down_button):
            row.addWidget(button)
        row.addStretch()
        row.addWidget(self.guess_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        layout.addLayout(row)

    def _button(self, text: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        button.setMinimumSize(26, 24)
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        return button

    # ----------------------------------------------------------------- value

    def skeleton(self) -> Skeleton:
        """Return the skeleton that the table describes.

        Raises
        ------
        ValueError
            When a name is empty or occurs twice, or a line or pair names no keypoint.
        """
        names = [self._text(i, NAME) for i in range(self.table.rowCount())]
        if "" in names:
            raise ValueError(f"row {names.index('') + 1}: give the keypoint a name")
        if any("," in name for name in names):
            raise ValueError("names of keypoints must not contain commas")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the name '{twice}' occurs twice")
        where = {name: i for i, name in enumerate(names)}
        edges: dict[frozenset[int], tuple[int, int]] = {}
        mirror: dict[frozenset[int], tuple[int, int]] = {}
        for i, name in enumerate(names):
            for column, pairs in ((LINES, edges), (MIRROR, mirror)):
                for other in self._names(i, column):
                    if other not in where or other == name:
                        raise ValueError(
                            f"row {i + 1}, '{self._head(column)}': there is no other keypoint "
                            f"'{other}'"
                        )
                    pairs.setdefault(frozenset((i, where[other])), (i, where[other]))
        return Skeleton(
            tuple(names),
            tuple(edges.values()),
            tuple(mirror.values()),
            self.kind.text().strip() or "animal",
        )

    def set_skeleton(self, skeleton: Skeleton, *, keep_origin: bool = False) -> None:
        """Show a skeleton.

        Parameters
        ----------
        skeleton : Skeleton
        keep_origin : bool
            Whether `origin` goes on counting the keypoints of the skeleton before, where the names
            are the same; by default this skeleton is the one that is counted.
        """
        before = {
            self._text(i, NAME): origin for i, origin in enumerate(self.origin()) if keep_origin
        }
        self._filling = True
        self.kind.setText(skeleton.name)
        self.table.setRowCount(0)
        for i, name in enumerate(skeleton.keypoints):
            self._insert(i, name, before.get(name) if keep_origin else i)
        for a, b in skeleton.edges:
            self._append(a, LINES, skeleton.keypoints[b])
        for a, b in skeleton.symmetry:
            self._append(a, MIRROR, skeleton.keypoints[b])
            self._append(b, MIRROR, skeleton.keypoints[a])
        self._filling = False
        self._recolor()
        self.changed.emit()

    def origin(self) -> list[int | None]:
        """For each row the index of the keypoint in the skeleton that was set; None: a new one."""
        return [self.table.item(i, NAME).data(_ORIGIN) for i in range(self.table.rowCount())]

    # ----------------------------------------------------------------- edits

    def add_keypoint(self, name: str | None = None) -> None:
        """Add a keypoint below the selected row, ready to be named."""
        rows = self._selected()
        place = rows[-1] + 1 if rows else self.table.rowCount()
        taken = {self._text(i, NAME) for i in range(self.table.rowCount())}
        number = next(n for n in range(1, len(taken) + 2) if f"keypoint{n}" not in taken)
        self._insert(place, name or f"keypoint{number}", None)
        self._recolor()
        self.table.setCurrentCell(place, NAME)
        if name is None:
            self.table.editItem(self.table.item(place, NAME))
        self.changed.emit()

    def remove_selected(self) -> None:
        """Remove the selected keypoints, and the lines and pairs that name them."""
        gone = {self._text(i, NAME) for i in self._selected()}
        for i in reversed(self._selected()):
            self.table.removeRow(i)
        self._rename(dict.fromkeys(gone, ""))
        self._recolor()
        self.changed.emit()

    def move_selected(self, step: int) -> None:
        """Move the selected keypoint up (-1) or down (+1)."""
        rows = self._selected()
        if len(rows) != 1 or not 0 <= rows[0] + step < self.table.rowCount():
            return
        i = rows[0]
        self._filling = True
        row = [self.table.takeItem(i, column) for column in range(3)]
        self.table.removeRow(i)
        self.table.insertRow(i + step)
        for column, item in enumerate(row):
            self.table.setItem(i + step, column, item)
        self._filling = False
        self.table.setCurrentCell(i + step, NAME)
        self._recolor()
        self.changed.emit()

    def guess_symmetry(self) -> None:
        """Fill in the mirrored pairs that the names tell."""
        names = [self._text(i, NAME) for i in range(self.table.rowCount())]
        if len(set(names)) < len(names) or "" in names or not names:
            return
        guessed = Skeleton(tuple(names)).with_guessed_symmetry()
        for a, b in guessed.symmetry:
            self._set_text(a, MIRROR, names[b])
            self._set_text(b, MIRROR, names[a])
        self.changed.emit()

    # -------------------------------------------------------------- plumbing

    def _insert(self, place: int, name: str, origin: int | None) -> None:
        before, self._filling = self._filling, True
        self.table.insertRow(place)
        for column in range(3):
            self.table.setItem(place, column, QTableWidgetItem(""))
        item = self.table.item(place, NAME)
        item.setText(name)
        item.setData(_ORIGIN, origin)
        item.setData(_ORIGIN + 1, name)
        self._filling = before

    def _on_item(self, item: QTableWidgetItem) -> None:
        if self._filling:
            return
        if item.column() == NAME:
            old, new = item.data(_ORIGIN + 1), item.text().strip()
            rows = range(self.table.rowCount())
            others = {self._text(i, NAME) for i in rows if i != item.row()}
            if new and new not in others:  # otherwise it is waited for a name that can stay
                self._filling = True
                item.setData(_ORIGIN + 1, new)
                self._filling = False
                self._rename({old: new})
        elif item.column() == MIRROR:
            self._mirror_back(item.row())
        self.changed.emit()

    def _mirror_back(self, row: int) -> None:
        """Enter a pair on both of its sides, and end the pairs that it replaces."""
        name = self._text(row, NAME)
        other = self._text(row, MIRROR)
        for i in range(self.table.rowCount()):
            if i == row:
                continue
            if self._text(i, NAME) == other:
                self._set_text(i, MIRROR, name)
            elif self._text(i, MIRROR) in (name, other) and self._text(i, MIRROR):
                self._set_text(i, MIRROR, "")

    def _rename(self, names: dict[str, str]) -> None:
        """Let lines and pairs follow new names; an empty one drops them."""
        for i in range(self.table.rowCount()):
            for column in (LINES, MIRROR):
                old = self._names(i, column)
                new = [names.get(name, name) for name in old]
                if new != old:
                    self._set_text(i, column, ", ".join(name for name in new if name))

    def _recolor(self) -> None:
        colors = (palette(self.table.rowCount())[:, :3] * 255).astype(int)
        self._filling = True
        for i, color in enumerate(colors):
            self.table.item(i, NAME).setIcon(color_icon(QColor(*color.tolist())))
        self._filling = False

    def _selected(self) -> list[int]:
        return sorted({index.row() for index in self.table.selectedIndexes()})

    def _append(self, row: int, column: int, name: str) -> None:
        self._set_text(row, column, ", ".join([*self._names(row, column), name]))

    def _names(self, row: int, column: int) -> list[str]:
        return [part.strip() for part in self._text(row, column).split(",") if part.strip()]

    def _text(self, row: int, column: int) -> str:
        return str(self.table.item(row, column).text().strip())

    def _set_text(self, row: int, column: int, text: str) -> None:
        before, self._filling = self._filling, True
        item = self.table.item(row, column)
        item.setText(text)
        item.setToolTip(text)
        self._filling = before

    def _head(self, column: int) -> str:
        return str(self.table.horizontalHeaderItem(column).text())


def color_icon(color: Any, size: int = 12) -> QIcon:
    """Return a square of a colour."""
    pixmap = QPixmap(size, size)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)
