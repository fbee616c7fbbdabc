"""Choosing layers, files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy import QT5
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_semimultipose.widgets.choosers import (
    Message,
    PathField,
    devices,
    duration,
    free_name,
)
from napari_semimultipose.widgets.layer_frames import beside


def test_a_path_can_be_chosen_with_the_button(qtbot, monkeypatch, tmp_path):
    field = PathField("folder", "Model folder")
    qtbot.addWidget(field)
    changes = []
    field.changed.connect(lambda: changes.append(field.path()))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    field.findChild(QPushButton).click()
    assert field.path() == tmp_path
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")  # cancelled
    field.findChild(QPushButton).click()
    assert changes == [tmp_path]
    field.set_path(None)
    assert field.path() is None
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    field.set_path("~/model")
    assert field.path() == tmp_path / "model"


def test_a_file_or_a_folder_is_chosen_from_a_menu(qtbot, monkeypatch):
    field = PathField("either", "Recording")
    qtbot.addWidget(field)
    field.show()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/clip.mp4", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/frames")
    field.findChild(QPushButton).click()
    actions = field.menu().actions()
    field.menu().close()
    assert [action.text() for action in actions] == ["Choose a file…", "Choose a folder…"]
    actions[0].trigger()
    assert field.path() == Path("/clip.mp4")
    actions[1].trigger()
    assert field.path() == Path("/frames")


def test_a_file_can_be_dropped(qtbot, tmp_path):
    field = PathField("file", "Labels")
    qtbot.addWidget(field)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "bees.slp"))])
    action, button, key = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    place = QPoint(5, 5) if QT5 else QPointF(5, 5)
    field.dropEvent(QDropEvent(place, action, data, button, key))
    assert field.path() == tmp_path / "bees.slp"


def test_names_that_are_taken_are_counted_on(tmp_path):
    target = tmp_path / "bees-poses.slp"
    assert free_name(target) == target
    target.touch()
    assert free_name(target) == tmp_path / "bees-poses-2.slp"
    (tmp_path / "bees-poses-2.slp").touch()
    assert free_name(target) == tmp_path / "bees-poses-3.slp"


def test_results_stand_beside_the_recording(tmp_path):
    (tmp_path / "frames.v2").mkdir()
    assert beside(tmp_path / "clip.mp4", "-model") == tmp_path / "clip-model"
    assert beside(tmp_path / "frames.v2", "-model") == tmp_path / "frames.v2-model"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (61, "1:01 min"),
        (3599, "59:59 min"),
        (3725, "1:02 h"),
        (float("inf"), "unknown time"),
        (float("nan"), "unknown time"),
        (-3, "0 s"),
    ],
)
def test_times_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_devices_are_listed_without_torch():
    assert devices()[:2] == ["auto", "cpu"]


def test_messages_are_added_up_to_a_few_lines(qtbot):
    message = Message()
    qtbot.addWidget(message)
    assert message.isHidden()
    for i in range(6):
        message.add(f"note {i}")
        message.add(f"note {i}")
    assert message.text().splitlines() == [f"note {i}" for i in range(2, 6)]
    message.say("failed", error=True, details="Traceback")
    assert message.text() == "failed"
    assert message.details() == "Traceback"
    message.say("")
    assert message.isHidden()
    assert message.details() == ""
