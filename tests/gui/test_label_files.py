"""Dialogs that ask where to save; the dialogs of Qt are answered here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_semimultipose.io.labels import FORMATS
from napari_semimultipose.widgets.label_files import ask_file, ask_save, filter_of

YES, NO = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No


@pytest.fixture
def parent(qtbot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def answers(monkeypatch) -> Callable[..., SimpleNamespace]:
    """Set what the user types and chooses, dialog after dialog, and whether a file may be replaced."""

    def set_answers(*typed: tuple[object, str | None], replace: bool = True) -> SimpleNamespace:
        left: Iterator[tuple[object, str | None]] = iter(typed)
        told = SimpleNamespace(questions=[], titles=[])

        def save_name(parent, title, proposal, filters, first=""):
            told.titles.append(title)
            path, format = next(left)
            return str(path or ""), first if format is None else filter_of(FORMATS[format])

        def question(parent, title, text):
            told.questions.append(text)
            return YES if replace else NO

        monkeypatch.setattr(QFileDialog, "getSaveFileName", save_name)
        monkeypatch.setattr(QMessageBox, "question", question)
        return told

    return set_answers


def test_the_format_that_is_chosen_gives_the_ending(parent, answers, tmp_path: Path) -> None:
    told = answers((tmp_path / "out", None), (tmp_path / "out.slp", "lightning-pose"))
    assert ask_save(parent, None, title="Save poses") == (tmp_path / "out.slp", "sleap")
    assert ask_save(parent, None) == (tmp_path / "out.csv", "lightning-pose")
    assert (told.titles, told.questions) == (["Save poses", "Save labels"], [])


def test_a_typed_ending_decides_where_the_list_was_left_alone(
    parent, answers, tmp_path: Path
) -> None:
    answers((tmp_path / "out.json", None), (tmp_path / "out.csv", None), (tmp_path / "a.b", None))
    assert ask_save(parent, None) == (tmp_path / "out.json", "coco")
    proposed = ask_save(parent, tmp_path / "out.csv", "lightning-pose")
    assert proposed == (tmp_path / "out.csv", "lightning-pose")
    assert ask_save(parent, None) == (tmp_path / "a.b.slp", "sleap")


def test_a_file_that_the_ending_leads_to_is_not_replaced_unasked(
    parent, answers, tmp_path: Path
) -> None:
    (tmp_path / "foo.slp").write_text("labels")
    told = answers((tmp_path / "foo", None), (tmp_path / "bar", None), replace=False)
    assert ask_save(parent, None) == (tmp_path / "bar.slp", "sleap")  # asked for a name again
    assert len(told.questions) == 1
    assert "foo.slp" in told.questions[0]
    told = answers((tmp_path / "foo", None))
    assert ask_save(parent, None) == (tmp_path / "foo.slp", "sleap")
    assert len(told.questions) == 1
    told = answers((tmp_path / "foo.slp", None))  # Qt has asked already
    assert ask_save(parent, None) == (tmp_path / "foo.slp", "sleap")
    assert told.questions == []


def test_no_name_means_no_file(parent, answers) -> None:
    answers(("", None), ("", None))
    assert ask_save(parent, None) is None
    assert ask_file(parent, "Write a video", None, "Video (*.mp4)", ".mp4") is None


def test_other_files_get_an_ending_and_are_not_replaced_unasked(
    parent, answers, tmp_path: Path
) -> None:
    (tmp_path / "clip.mp4").write_text("")
    told = answers((tmp_path / "clip", None), (tmp_path / "v1.mov", None), replace=False)
    chosen = ask_file(parent, "Write a video", None, "Video (*.mp4)", ".mp4")
    assert chosen == tmp_path / "v1.mov"
    assert len(told.questions) == 1
