"""The progress bar of the widgets."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QVBoxLayout, QWidget
from typing_extensions import override

from napari_semimultipose.widgets.progress import ProgressBar


class Counting(ProgressBar):
    paintings = 0

    @override
    def paintEvent(self, event):
        self.paintings += 1
        super().paintEvent(event)


@pytest.fixture
def bar(qtbot):
    host = QWidget()
    bar = Counting(host)
    QVBoxLayout(host).addWidget(bar)
    qtbot.addWidget(host)
    host.show()
    qtbot.waitExposed(host)
    qtbot.wait(50)
    yield bar
    host.close()


def test_values_are_painted_with_the_window_and_not_at_once(bar, qtbot):
    bar.setRange(0, 1000)
    qtbot.wait(50)
    before = bar.paintings
    for value in range(100, 1000, 100):
        bar.setValue(value)
        bar.setFormat(f"{value}")
    assert bar.paintings == before  # Qt's own has painted nine times by now
    qtbot.waitUntil(lambda: bar.paintings > before)
    qtbot.wait(50)
    assert bar.paintings - before <= 2
    assert bar.value() == 900
    assert bar.text() == "900"


def test_nothing_is_painted_for_what_is_shown_already(bar, qtbot):
    bar.setRange(0, 10)
    bar.setValue(3)
    bar.setFormat("three")
    qtbot.wait(50)
    before = bar.paintings
    bar.setRange(0, 10)
    bar.setValue(3)
    bar.setFormat("three")
    qtbot.wait(50)
    assert bar.paintings == before


def test_it_begins_again(bar):
    bar.setRange(0, 10)
    bar.setValue(3)
    bar.reset()
    assert bar.value() < 0
