"""Editors of numbers."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QLocale
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QSpinBox, QWidget
from typing_extensions import override

from napari_semimultipose.widgets.editor_base import Editor


class IntEditor(Editor):
    """A whole number."""

    def __init__(
        self,
        low: int,
        high: int,
        step: int = 1,
        suffix: str = "",
        parent: QWidget | None = None,
        word_for_zero: str = "",
    ) -> None:
        super().__init__(parent)
        self._box = QSpinBox(self)
        if low == 0:
            self._box.setSpecialValueText(word_for_zero)
        self._box.setRange(low, high)
        self._box.setSingleStep(step)
        self._box.setSuffix(suffix)
        self._box.setKeyboardTracking(False)
        self._add(self._box)
        self._box.valueChanged.connect(lambda _: self.changed.emit())

    @override
    def value(self) -> int:
        self._box.interpretText()
        return int(self._box.value())

    @override
    def set_value(self, value: Any) -> None:
        self._box.setValue(int(value))

    def hide_buttons(self) -> None:
        """Leave the room to the number."""
        narrow(self._box)


class FloatSpinBox(QDoubleSpinBox):
    """Shows numbers as people write them: 0.0001, 0.5, 2000, without trailing zeros."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plain = QDoubleValidator()  # first: the setters below validate
        self.setDecimals(15)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setKeyboardTracking(False)
        locale = self.locale()
        locale.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator)
        self.setLocale(locale)

    @override
    def textFromValue(self, value: float) -> str:
        return str(self.locale().toString(value, "g", 12))

    @override
    def validate(self, text: str | None, position: int) -> Any:
        """Accept numbers such as 1e-4 too, and the beginning of any number."""
        if text and text == self.specialValueText():
            return QDoubleValidator.State.Acceptable, text, position
        number = (text or "").removesuffix(self.suffix())
        self._plain.setLocale(self.locale())
        state, *_ = self._plain.validate(number, 0)
        if state == QDoubleValidator.State.Acceptable:
            value, fine = self.locale().toDouble(number)
            if not (fine and self.minimum() <= value <= self.maximum()):
                state = QDoubleValidator.State.Intermediate
        return state, text, position

    @override
    def valueFromText(self, text: str | None) -> float:
        if text and text == self.specialValueText():
            return float(self.minimum())
        number = (text or "").removesuffix(self.suffix())
        value, fine = self.locale().toDouble(number)
        shown = self.textFromValue(self.value())  # has fewer digits than the value
        return float(value) if fine and number != shown else self.value()

    @override
    def stepBy(self, steps: int) -> None:
        """Step by a tenth of the leading digit, also below 1, where Qt's steps are too large."""
        value = self.value()
        size = abs(value) or min(1.0, self.maximum())
        step = 10.0 ** (math.floor(math.log10(size) + 1e-9) - (1 if value else 2))
        self.setValue(float(f"{value + steps * step:.12g}"))


class FloatEditor(Editor):
    """A number."""

    def __init__(
        self,
        low: float,
        high: float,
        suffix: str = "",
        parent: QWidget | None = None,
        word_for_zero: str = "",
    ) -> None:
        super().__init__(parent)
        self._box = FloatSpinBox(self)
        if low == 0:
            self._box.setSpecialValueText(word_for_zero)
        self._box.setRange(low, high)
        self._box.setSuffix(suffix)
        self._value: float | None = None
        self._add(self._box)
        self._box.valueChanged.connect(self._edited)

    def _edited(self) -> None:
        self._value = None
        self.changed.emit()

    @override
    def value(self) -> float:
        self._box.interpretText()
        return float(self._box.value()) if self._value is None else self._value

    @override
    def set_value(self, value: Any) -> None:
        self._box.setValue(float(value))
        self._value = float(value)  # 1/3 comes back as it was set, not as it is shown

    def hide_buttons(self) -> None:
        """Leave the room to the number."""
        narrow(self._box)


def narrow(box: QAbstractSpinBox) -> None:
    """Make a number need little room: no buttons, less than the least width of napari's theme."""
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setStyleSheet("QAbstractSpinBox { min-width: 36px; padding: 1px 4px; }")
