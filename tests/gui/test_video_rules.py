"""Video rules in the Train form: boxes, strength, and what they set."""

from __future__ import annotations

import pytest
from qtpy.QtTest import QTest

from napari_semimultipose.config import Config
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.widgets.training_settings import TrainingSettings


def test_rules_become_settings(qtbot):
    form = TrainingSettings()
    qtbot.addWidget(form)
    form.show()
    assert form.config() == Config()
    assert not form.rules.content.isVisible()
    form.rules.set_open(True)
    form.rules.boxes["temporal"].click()
    form.rules.boxes["multiview"].click()
    form.rules.strength.set_value(2.5)
    QTest.keyClicks(form.rules.cameras.focusProxy(), " top,side ,")
    config = form.config()
    assert config.video.losses == ("temporal", "multiview")
    assert config.video.strength == 2.5
    assert config.video.cameras == ("top", "side")
    assert form.rules.title() == "Video rules: 2 of 3"


def test_one_animal_may_learn_from_labels_alone_too(qtbot):
    form = TrainingSettings()
    qtbot.addWidget(form)
    form.kind.set_value("heatmap")
    assert form.method.isEnabled()
    form.method.set_value("directpose")
    config = form.config()
    assert (config.model.kind, config.train.method) == ("heatmap", "directpose")


def test_a_preset_sets_the_network_and_the_rules(qtbot):
    form = TrainingSettings()
    qtbot.addWidget(form)
    form.rules.boxes["pca"].click()
    form.preset.set_value("lightning_pose")
    assert form.config() == Config.from_preset("lightning_pose")
    assert not form.rules.boxes["pca"].isChecked()


def test_cameras_and_mirrors_exclude_each_other(qtbot):
    form = TrainingSettings()
    qtbot.addWidget(form)
    form.rules.cameras.set_value(("top", "side"))
    form.advanced.form("video").editor("views").set_value((("a", "b"), ("c", "d")))
    with pytest.raises(ConfigError, match="either views"):
        form.config()
