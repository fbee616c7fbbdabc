"""One Qt editor for each kind of setting: the type and limits come from the pydantic field."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, QLocale, QObject, Qt, Signal
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QWidget,
)
from typing_extensions import override

INT_LIMIT = 2**31 - 1
FLOAT_LIMIT = 1e12


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


class BoolEditor(Editor):
    """A check box."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QCheckBox(self)
        self._add(self._box)
        self._box.toggled.connect(self.changed)

    @override
    def value(self) -> bool:
        return bool(self._box.isChecked())

    @override
    def set_value(self, value: Any) -> None:
        self._box.setChecked(bool(value))


class ChoiceEditor(Editor):
    """A list of values, each with a text to show."""

    def __init__(self, choices: dict[Any, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values = list(choices)
        self._box = QComboBox(self)
        self._box.addItems(list(choices.values()))
        self._box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._add(self._box)
        self._box.currentIndexChanged.connect(lambda _: self.changed.emit())

    @override
    def value(self) -> Any:
        return self._values[self._box.currentIndex()]

    @override
    def set_value(self, value: Any) -> None:
        self._box.setCurrentIndex(self._values.index(value))

    def set_help(self, texts: dict[Any, str]) -> None:
        """Give some choices a tooltip of their own."""
        for i, value in enumerate(self._values):
            if value in texts:
                self._box.setItemData(i, texts[value], Qt.ItemDataRole.ToolTipRole)


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


class TextEditor(Editor):
    """Any other value, in YAML notation, checked against the type of the setting."""

    def __init__(self, adapter: TypeAdapter[Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._adapter = adapter
        self._line = QLineEdit(self)
        self._add(self._line)
        self._line.editingFinished.connect(self._edited)
        self._shown = ""

    @override
    def value(self) -> Any:
        text = self._line.text().strip()
        try:
            return self._adapter.validate_python(yaml.safe_load(text) if text else ())
        except yaml.YAMLError:
            raise ValueError(f"{text!r} is no list or word") from None
        except ValidationError as error:
            raise ValueError(str(error.errors()[0]["msg"])) from None

    @override
    def set_value(self, value: Any) -> None:
        plain = self._adapter.dump_python(value, mode="json")
        text = plain if isinstance(plain, str) else yaml.safe_dump(plain, default_flow_style=True)
        self._shown = str(text).removesuffix("...\n").strip()
        self._line.setText(self._shown)
        mark_invalid(self._line, "")

    def _edited(self) -> None:
        if self._line.text() == self._shown:
            return
        self._shown = self._line.text()
        try:
            self.value()
        except ValueError as error:
            mark_invalid(self._line, str(error))
        else:
            mark_invalid(self._line, "")
        self.changed.emit()


class WordEditor(Editor):
    """A text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QLineEdit(self)
        self._add(self._line)
        self._line.textEdited.connect(lambda _: self.changed.emit())

    @override
    def value(self) -> str:
        return str(self._line.text().strip())

    @override
    def set_value(self, value: Any) -> None:
        self._line.setText(str(value))


class TupleEditor(Editor):
    """A fixed number of numbers side by side."""

    def __init__(
        self, parts: list[IntEditor | FloatEditor], suffix: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._parts = parts
        for i, part in enumerate(parts):
            if i:
                self._row.addWidget(QLabel("–", self))
            part.hide_buttons()
            self._row.addWidget(part, 1)
            part.changed.connect(self.changed)
        if suffix:
            self._row.addWidget(QLabel(suffix.strip(), self))
        self.setFocusProxy(parts[0])

    @override
    def value(self) -> tuple[Any, ...]:
        return tuple(part.value() for part in self._parts)

    @override
    def set_value(self, value: Any) -> None:
        for part, one in zip(self._parts, value, strict=True):
            part.set_value(one)


def editor_for(field: FieldInfo, suffix: str = "", parent: QWidget | None = None) -> Editor:
    """Make the editor of a field of a pydantic model, with the limits of the field.

    A description that ends with "0: automatic" gives the word that is shown instead of 0.
    """
    found = re.search(r"(?:^|; )0: ([^;.`]+)$", field.description or "")
    word = found[1] if found else ""
    return _editor(field.annotation, list(field.metadata), suffix, parent, word)


def _editor(
    kind: Any, limits: list[Any], suffix: str, parent: QWidget | None, word_for_zero: str = ""
) -> Editor:
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        inner = [m for x in more for m in (x.metadata if isinstance(x, FieldInfo) else [x])]
        return _editor(kind, limits + inner, suffix, parent, word_for_zero)
    if kind is bool:
        return BoolEditor(parent)
    if kind is int:
        low, high, step = _limits(limits, 1)
        first = -INT_LIMIT if low is None else math.ceil(low)
        last = INT_LIMIT if high is None else math.floor(high)
        return IntEditor(first, last, int(step or 1), suffix, parent, word_for_zero)
    if kind is float:
        low, high, _ = _limits(limits, 1e-12)
        bottom = -FLOAT_LIMIT if low is None else low
        top = FLOAT_LIMIT if high is None else high
        return FloatEditor(bottom, top, suffix, parent, word_for_zero)
    if get_origin(kind) is Literal:
        return ChoiceEditor({value: readable(str(value)) for value in get_args(kind)}, parent)
    if kind is str:
        return WordEditor(parent)
    args = get_args(kind)
    if get_origin(kind) is tuple and Ellipsis not in args and args:
        parts = [_editor(arg, [], "", None) for arg in args]
        numbers = [part for part in parts if isinstance(part, (IntEditor, FloatEditor))]
        if len(numbers) == len(parts):
            return TupleEditor(numbers, suffix, parent)
    whole: Any = Annotated[(kind, *limits)] if limits else kind
    return TextEditor(TypeAdapter(whole), parent)


def _limits(metadata: list[Any], least: float) -> tuple[float | None, float | None, float | None]:
    """Return closed limits and step of a number; an open limit is moved by `least`."""
    low = high = step = None
    for m in metadata:
        if isinstance(m, annotated_types.Interval):
            metadata = [*metadata, *m]
    for m in metadata:
        if isinstance(m, annotated_types.Ge):
            low = float(m.ge)  # type: ignore[arg-type]
        elif isinstance(m, annotated_types.Gt):
            low = float(m.gt) + least  # type: ignore[arg-type]
        elif isinstance(m, annotated_types.Le):
            high = float(m.le)  # type: ignore[arg-type]
        elif isinstance(m, annotated_types.Lt):
            high = float(m.lt) - least  # type: ignore[arg-type]
        elif isinstance(m, annotated_types.MultipleOf):
            step = float(m.multiple_of)  # type: ignore[arg-type]
    return low, high, step


def readable(name: str) -> str:
    """Turn the name of a setting or a choice into words."""
    return name.replace("_", " ")


def mark_invalid(widget: QWidget, reason: str) -> None:
    """Give a widget a red frame and say why when the pointer rests on it; "" takes them away."""
    widget.setStyleSheet("border: 1px solid #d04848;" if reason else "")
    widget.setToolTip(reason)


def narrow(box: QAbstractSpinBox) -> None:
    """Make a number need little room: no buttons, less than the least width of napari's theme."""
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setStyleSheet("QAbstractSpinBox { min-width: 36px; padding: 1px 4px; }")


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
