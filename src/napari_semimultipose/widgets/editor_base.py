"""What the editors of single settings have in common."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QHBoxLayout, QSizePolicy, QWidget
from typing_extensions import override


class Editor(QWidget):
    """Base of the editors: a value, and a signal when the user has changed it."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(4)

    def value(self) -> Any:
        """Return the value.

        Raises
        ------
        ValueError
            When what was typed is no value of the setting; the text says why.
        """
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    def _add(self, widget: QWidget, stretch: int = 1) -> None:
        widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        widget.setMinimumWidth(40)
        self.setFocusProxy(widget)
        self._row.addWidget(widget, stretch)
        keep_wheel_for_scrolling(widget)


def readable(name: str) -> str:
    """Turn the name of a setting or a choice into words."""
    return name.replace("_", " ")


def mark_invalid(widget: QWidget, reason: str) -> None:
    """Give a widget a red frame and say why when the pointer rests on it; "" takes them away."""
    widget.setStyleSheet("border: 1px solid #d04848;" if reason else "")
    widget.setToolTip(reason)


class _WheelGuard(QObject):
    """Leaves the wheel to the scrolling form, unless the user has clicked into the editor."""

    @override
    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def keep_wheel_for_scrolling(widget: QWidget) -> None:
    """Protect a spin box or list of choices from the wheel of a user who scrolls past."""
    if isinstance(widget, (QAbstractSpinBox, QComboBox)):
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_WheelGuard(widget))
