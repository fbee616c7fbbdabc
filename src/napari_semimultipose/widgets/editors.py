"""One Qt editor for each kind of setting: the type and limits come from the pydantic field."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QWidget
from typing_extensions import override

from napari_semimultipose.widgets.editor_base import Editor, mark_invalid, readable
from napari_semimultipose.widgets.number_editors import FloatEditor, IntEditor

INT_LIMIT = 2**31 - 1
FLOAT_LIMIT = 1e12


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


class WordsEditor(Editor):
    """Any number of words, with commas between."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QLineEdit(self)
        self._add(self._line)
        self._line.textEdited.connect(lambda _: self.changed.emit())

    @override
    def value(self) -> tuple[str, ...]:
        words = (word.strip() for word in self._line.text().split(","))
        return tuple(word for word in words if word)

    @override
    def set_value(self, value: Any) -> None:
        self._line.setText(", ".join(map(str, value)))

    def set_example(self, text: str) -> None:
        """Show what could be written, as long as nothing is."""
        self._line.setPlaceholderText(text)


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
    if get_origin(kind) is tuple and args == (str, Ellipsis):
        return WordsEditor(parent)
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
