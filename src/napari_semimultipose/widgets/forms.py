"""Forms made from the pydantic models of the settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.config import Config
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.widgets.editor_base import Editor, readable
from napari_semimultipose.widgets.editors import editor_for

UNITS = {"_px": " px", "_deg": "°", "_mb": " MB", "_frames": " frames", "_cells": " cells"}

DEVICE_HELP = "auto: a graphics card if there is one, else the processor"

GROUP_TITLES = {
    "model": "Network",
    "heatmap": "One animal",
    "data": "Data",
    "augment": "Augmentation",
    "loss": "Losses",
    "video": "Video rules",
    "train": "Training",
    "predict": "Prediction",
    "track": "Tracking",
}


class Fold(QWidget):
    """A heading that shows and hides what is below it."""

    opened = Signal()

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._button = QToolButton(self)
        self._button.setCheckable(True)
        self._button.setAutoRaise(True)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setArrowType(Qt.ArrowType.RightArrow)
        self._button.setIconSize(QSize(10, 10))
        self._button.setStyleSheet("QToolButton { border: none; padding: 2px; }")
        self._button.toggled.connect(self._toggle)
        self.content = QWidget(self)
        self.content.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._button)
        layout.addWidget(self.content)
        self.set_title(title)

    def set_title(self, title: str) -> None:
        """Change the heading."""
        self._button.setText(title)

    def title(self) -> str:
        """Return the heading."""
        return str(self._button.text())

    def set_open(self, is_open: bool) -> None:
        """Show or hide the content."""
        self._button.setChecked(is_open)

    def _toggle(self, is_open: bool) -> None:
        self._button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        if is_open:
            self.opened.emit()
        self.content.setVisible(is_open)


class SettingsForm(QWidget):
    """One group of settings: a label and an editor for each field.

    The label of a setting that differs from the values that were set last is bold.

    Parameters
    ----------
    model : type of pydantic model
        Its fields become rows, with their limits, choices and descriptions.
    skip : names of fields
        Fields that have their place elsewhere.
    """

    changed = Signal()

    def __init__(
        self, model: type[BaseModel], skip: Collection[str] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        layout = QFormLayout(self)
        layout.setContentsMargins(8, 0, 0, 4)
        layout.setVerticalSpacing(3)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self._editors: dict[str, Editor] = {}
        self._labels: dict[str, QLabel] = {}
        self._base: dict[str, Any] = {}
        for name, field in model.model_fields.items():
            if name in skip:
                continue
            title, suffix = title_and_unit(name, field.title)
            editor = editor_for(field, suffix, self)
            label = QLabel(title, self)
            for part in (label, editor):
                part.setToolTip(f"{field.description or title} ({name})")
            layout.addRow(label, editor)
            editor.changed.connect(self._edited)
            self._editors[name] = editor
            self._labels[name] = label
        self.set_values(model())

    def editor(self, name: str) -> Editor:
        """Return the editor of a field."""
        return self._editors[name]

    def set_values(self, values: BaseModel | Mapping[str, Any]) -> None:
        """Show values and take them as what the user's changes are compared with."""
        for name, editor in self._editors.items():
            value = values[name] if isinstance(values, Mapping) else getattr(values, name)
            self._base[name] = value
            editor.blockSignals(True)
            editor.set_value(value)
            editor.blockSignals(False)
        self._mark()

    def changes(self) -> dict[str, Any]:
        """Return the values that differ from those that were set.

        Raises
        ------
        ConfigError
            When something that was typed is no value of its setting.
        """
        out: dict[str, Any] = {}
        for name, editor in self._editors.items():
            try:
                value = editor.value()
            except ValueError as error:
                raise ConfigError(f"{self._labels[name].text()}: {error}") from None
            if value != self._base[name]:
                out[name] = value
        return out

    def n_changes(self) -> int:
        """Return how many rows are not as they were set, wrong ones included."""
        return sum(label.font().bold() for label in self._labels.values())

    def _edited(self) -> None:
        self._mark()
        self.changed.emit()

    def _mark(self) -> None:
        for name, editor in self._editors.items():
            try:
                differs = editor.value() != self._base[name]
            except ValueError:
                differs = True
            label = self._labels[name]
            font = label.font()
            font.setBold(differs)
            label.setFont(font)


class AdvancedSettings(Fold):
    """All settings of some groups, folded away, and made only when they are unfolded.

    Parameters
    ----------
    groups : names of groups of `Config`
        One fold each.
    skip : names such as ``train.seed``
        Settings that have their place elsewhere.
    """

    changed = Signal()

    def __init__(
        self, groups: Collection[str], skip: Collection[str] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__("Advanced settings", parent)
        self._groups = tuple(groups)
        self._skip = frozenset(skip)
        self._config = Config()
        self._forms: dict[str, SettingsForm] = {}
        self._folds: dict[str, Fold] = {}
        self._reset = QPushButton("Undo changes", self.content)
        self._reset.setToolTip("Give all advanced settings the values of the preset again")
        self._reset.clicked.connect(lambda: self.set_config(self._config))
        self.opened.connect(self._build)

    def set_config(self, config: Config) -> None:
        """Show settings and take them as what the user's changes are compared with."""
        self._config = config
        for group, form in self._forms.items():
            form.set_values(getattr(config, group))
        self._retitle()

    def changes(self) -> dict[str, Any]:
        """Return what the user has changed, as ``{"group.name": value}``.

        Raises
        ------
        ConfigError
            When something that was typed is no value of its setting.
        """
        return {
            f"{group}.{name}": value
            for group, form in self._forms.items()
            for name, value in form.changes().items()
        }

    def form(self, group: str) -> SettingsForm:
        """Return the form of a group; it is made if need be."""
        self._build()
        if group not in self._forms:
            skip = {name.partition(".")[2] for name in self._skip if name.startswith(f"{group}.")}
            values = getattr(self._config, group)
            fold = self._folds[group]
            form = SettingsForm(type(values), skip, fold.content)
            form.set_values(values)
            form.changed.connect(self._edited)
            layout = QVBoxLayout(fold.content)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.addWidget(form)
            self._forms[group] = form
        return self._forms[group]

    def _build(self) -> None:
        if self._folds:
            return
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(10, 0, 0, 0)
        layout.setSpacing(2)
        for group in self._groups:
            fold = Fold(GROUP_TITLES.get(group, readable(group).capitalize()), self.content)
            fold.opened.connect(lambda g=group: self.form(g))
            layout.addWidget(fold)
            self._folds[group] = fold
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self._reset)
        layout.addLayout(row)

    def _edited(self) -> None:
        self._retitle()
        self.changed.emit()

    def _retitle(self) -> None:
        n = sum(form.n_changes() for form in self._forms.values())
        self.set_title(f"Advanced settings ({n} changed)" if n else "Advanced settings")
        self._reset.setEnabled(n > 0)


def title_and_unit(name: str, title: str | None = None) -> tuple[str, str]:
    """Return the label of a setting and its unit; the unit is the end of the name."""
    for end, unit in UNITS.items():
        if name.endswith(end):
            return title or readable(name.removesuffix(end)).capitalize(), unit
    return title or readable(name).capitalize(), ""


def rows_of(*rows: tuple[str, QWidget, str]) -> QFormLayout:
    """Return a layout with a row for each (label, widget, tooltip), like those of `SettingsForm`."""
    form = QFormLayout()
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    form.setVerticalSpacing(4)
    for text, widget, tip in rows:
        label = QLabel(text)
        label.setMinimumWidth(88)  # forms below one another are in line
        for part in (label, widget):
            part.setToolTip(tip)
        form.addRow(label, widget)
    return form
