"""Buttons that undo and redo, and say what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from napari_semimultipose.widgets.keys import key_of

if TYPE_CHECKING:
    from napari_semimultipose.layers.history import History


class HistoryButtons(QWidget):
    """Undo and Redo; their tooltips name what they would take back or do again."""

    command = Signal(str)
    """The name of a command of the document."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.undo = self._button("↶", "undo")
        self.redo = self._button("↷", "redo")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2)
        layout.setSpacing(2)
        layout.addWidget(self.undo)
        layout.addWidget(self.redo)
        self.show_history(None)

    def _button(self, sign: str, command: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(sign)
        button.setMinimumSize(26, 24)
        button.setStyleSheet(
            "QToolButton { font-size: 17px; padding: 0px; } QToolButton:disabled { color: #777; }"
        )
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(lambda: self.command.emit(command))
        return button

    def show_history(self, history: History | None) -> None:
        """Show what can be undone and done again; None: nothing."""
        names = (None, None) if history is None else (history.undo_name, history.redo_name)
        for button, command, name in zip(
            (self.undo, self.redo), ("undo", "redo"), names, strict=True
        ):
            button.setEnabled(name is not None)
            what = f"Nothing to {command}" if name is None else f"{command.title()}: {name}"
            button.setToolTip(f"{what}  [{key_of(command)}]")
