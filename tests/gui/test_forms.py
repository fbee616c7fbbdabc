"""Forms made from the settings."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QLabel, QLineEdit, QSpinBox

from napari_semimultipose.config import PRESETS, Config, Settings
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.widgets.editors import (
    BoolEditor,
    ChoiceEditor,
    TextEditor,
    TupleEditor,
    WordEditor,
)
from napari_semimultipose.widgets.forms import AdvancedSettings, SettingsForm, title_and_unit
from napari_semimultipose.widgets.number_editors import FloatEditor, IntEditor

GROUPS = [
    name
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Settings)
]


class Sample(BaseModel):
    flag: bool = Field(True, description="A flag")
    count: Annotated[int, Field(ge=8, le=64, multiple_of=4)] = Field(16, description="A count")
    size_px: Annotated[float, Field(gt=0)] = Field(2.5, description="A size")
    share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    kind: Literal["one_way", "other"] = Field("one_way", title="Way")
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.5, 2.0)
    levels: tuple[Literal[4, 8], ...] = (8,)
    name: str = "auto"


@pytest.fixture
def form(qtbot):
    form = SettingsForm(Sample)
    qtbot.addWidget(form)
    return form


def label_of(form, text):
    return next(x for x in form.findChildren(QLabel) if x.text() == text)


def test_each_type_has_its_editor_with_limits_unit_and_help(form):
    kinds = {name: type(form.editor(name)) for name in Sample.model_fields}
    assert kinds == {
        "flag": BoolEditor,
        "count": IntEditor,
        "size_px": FloatEditor,
        "share": FloatEditor,
        "kind": ChoiceEditor,
        "scale": TupleEditor,
        "levels": TextEditor,
        "name": WordEditor,
    }
    box = form.editor("count").findChild(QSpinBox)
    assert (box.minimum(), box.maximum(), box.singleStep()) == (8, 64, 4)
    assert form.editor("size_px")._box.suffix() == " px"
    assert "A count" in form.editor("count").toolTip()
    assert label_of(form, "Way").toolTip()
    assert form.changes() == {}


def test_changed_settings_are_returned_and_marked(form):
    form.editor("count")._box.setValue(32)
    assert form.changes() == {"count": 32}
    assert label_of(form, "Count").font().bold()
    assert not label_of(form, "Size").font().bold()
    form.set_values(Sample(count=32))
    assert form.changes() == {}
    assert not label_of(form, "Count").font().bold()


def test_numbers_keep_to_their_limits(form):
    size = form.editor("size_px")._box
    size.setValue(-1)
    assert 0 < form.editor("size_px").value() < 1e-9
    share = form.editor("share")._box
    share.setValue(1)
    assert 0.99 < form.editor("share").value() < 1
    Sample(**{**Sample().model_dump(), **form.changes()})


@pytest.mark.parametrize("text", ["0.0001", "1e-4"])
def test_small_numbers_can_be_typed_and_are_shown_in_full(form, qtbot, text):
    box = form.editor("size_px")._box
    box.clear()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert form.editor("size_px").value() == 0.0001
    assert box.text() in ("0.0001 px", "0.0001")


def test_steps_fit_the_size_of_the_number(form):
    box = form.editor("size_px")._box
    for start, up in ((0.002, 0.0021), (1.0, 1.1), (64.0, 65.0), (2000.0, 2100.0)):
        box.setValue(start)
        box.stepBy(1)
        assert box.value() == pytest.approx(up)


@pytest.mark.parametrize("typed", ["[4, 5]", "[4,", "word"])
def test_a_wrong_list_is_marked_and_refused(form, qtbot, typed):
    line = form.editor("levels").findChild(QLineEdit)
    line.clear()
    qtbot.keyClicks(line, typed)
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert line.toolTip()
    with pytest.raises(ConfigError, match="Levels"):
        form.changes()
    line.clear()
    qtbot.keyClicks(line, "[4, 8]")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert not line.toolTip()
    assert form.changes() == {"levels": (4, 8)}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_setting_of_every_preset_comes_back_unchanged(qtbot, group, preset):
    values = getattr(Config.from_preset(preset), group)
    form = SettingsForm(type(values))
    qtbot.addWidget(form)
    form.set_values(values)
    back = {name: form.editor(name).value() for name in type(values).model_fields}
    assert type(values).model_validate(back) == values
    assert form.changes() == {}


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(value=st.floats(1e-9, 1e9))
def test_any_number_comes_back_as_it_was_set(form, value):
    form.editor("size_px").set_value(value)
    assert form.editor("size_px").value() == value


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_has_a_help_text(group):
    for name, field in Config.model_fields[group].annotation.model_fields.items():
        assert field.description, name


def test_a_number_whose_zero_has_a_meaning_shows_the_word(qtbot):
    class Limits(BaseModel):
        most: Annotated[int, Field(ge=0)] = Field(0, description="At most; 0: no limit")
        size: Annotated[float, Field(ge=0)] = Field(0.0, description="Length; 0: automatic")
        other: Annotated[int, Field(ge=0)] = Field(0, description="Length; 0: use `most`")

    form = SettingsForm(Limits)
    qtbot.addWidget(form)
    texts = [form.editor(name)._box.text() for name in Limits.model_fields]
    assert texts == ["no limit", "automatic", "0"]
    assert [form.editor(name).value() for name in Limits.model_fields] == [0, 0.0, 0]
    size = form.editor("size")._box
    size.selectAll()
    qtbot.keyClicks(size, "2.5")
    qtbot.keyClick(size, Qt.Key.Key_Return)
    assert form.changes() == {"size": 2.5}


def test_the_wheel_scrolls_the_form_and_leaves_the_numbers_alone(form, qtbot):
    form.show()
    box = form.editor("count").findChild(QSpinBox)
    before = box.value()
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(box.mapToGlobal(QPoint(5, 5))),
        QPoint(0, 120),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, event)
    assert box.value() == before
    assert not event.isAccepted()


def test_advanced_settings_are_folded_and_made_when_needed(qtbot):
    advanced = AdvancedSettings(["model", "train"], skip=["train.seed", "train.device"])
    qtbot.addWidget(advanced)
    advanced.show()
    assert not advanced.findChildren(SettingsForm)
    assert not advanced.content.isVisible()
    advanced.set_open(True)
    assert advanced.content.isVisible()
    assert not advanced.findChildren(SettingsForm)  # groups are folded too
    form = advanced.form("train")
    with pytest.raises(KeyError):
        form.editor("seed")
    form.editor("lr").set_value(0.5)
    form.editor("lr").changed.emit()
    assert advanced.changes() == {"train.lr": 0.5}
    assert advanced.title() == "Advanced settings (1 changed)"
    Config().with_settings(advanced.changes())


def test_another_preset_replaces_what_is_shown(qtbot):
    advanced = AdvancedSettings(["model", "loss"])
    qtbot.addWidget(advanced)
    form = advanced.form("model")
    form.editor("channels").set_value(32)
    paper = Config.from_preset("paper")
    advanced.set_config(paper)
    assert form.editor("channels").value() == paper.model.channels
    assert advanced.form("loss").editor("heat").value() == paper.loss.heat
    assert advanced.changes() == {}


def test_titles_are_words_with_units():
    assert title_and_unit("crop_px") == ("Crop", " px")
    assert title_and_unit("rotate_deg") == ("Rotate", "°")
    assert title_and_unit("validate_every") == ("Validate every", "")
    assert title_and_unit("lr", "Learning rate") == ("Learning rate", "")
