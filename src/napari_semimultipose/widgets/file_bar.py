"""The file of the labels: buttons to begin, open and save, and the state of what is saved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.widgets import label_files

if TYPE_CHECKING:
    from napari_semimultipose.widgets.document import LabelsDocument


class FileBar(QWidget):
    """Buttons for labels files, and below them the name of the file and whether it is up to date."""

    new_clicked = Signal()
    save_clicked = Signal()
    open_chosen = Signal(object)
    """Path of a labels file or project folder."""
    save_as_chosen = Signal(object, object)
    """Path and name of a format."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.suggestion: Callable[[], Path] = Path.home
        self._format: str | None = None
        self.new_button = self._button("New", "Begin new labels of the recording")
        self.open_button = self._button("Open", "Open labels of SLEAP, DeepLabCut, COCO and others")
        self.save_button = self._button("Save", "Save the labels to their file")
        self.save_as_button = self._button(
            "Save as", "Save the labels to another file or in another format"
        )
        self.state = QLabel(self)
        self.state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.new_button.clicked.connect(self.new_clicked)
        self.save_button.clicked.connect(self.save_clicked)
        menu = QMenu(self)
        menu.addAction("Labels file…", self._ask_open)
        menu.addAction("Project folder…", self._ask_open_folder)
        self.open_button.setMenu(menu)
        menu = QMenu(self)
        menu.addAction("File…", self.ask_save_as)
        for known in label_files.folder_formats():
            menu.addAction(f"{known.title}…", lambda k=known: self._ask_save_folder(k.name))
        self.save_as_button.setMenu(menu)
        row = QHBoxLayout()
        row.setSpacing(3)
        for button, room in (
            (self.new_button, 4),
            (self.open_button, 5),
            (self.save_button, 4),
            (self.save_as_button, 6),
        ):
            row.addWidget(button, room)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(row)
        layout.addWidget(self.state)

    def _button(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        return button

    def show_document(self, document: LabelsDocument | None) -> None:
        """Show the file of the labels, and whether it holds all that was done."""
        self.save_button.setEnabled(document is not None)
        self.save_as_button.setEnabled(document is not None)
        self._format = None if document is None else document.format
        text = tip = ""
        if document is not None:
            name = "Not in a file yet" if document.path is None else document.path.name
            text = f"{name}{_state(document)}"
            keeper = document.autosave
            kept = keeper.path if keeper.path is not None and keeper.path.exists() else None
            lines = [
                "" if document.path is None else str(document.path),
                "" if kept is None else f"Unsaved labels are kept in {kept}",
                keeper.error,
            ]
            tip = "\n".join(line for line in lines if line)
        if (text, tip) != (self.state.text(), self.state.toolTip()):
            self.state.setText(text)
            self.state.setToolTip(tip)

    # ---------------------------------------------------------------- dialogs

    def _ask_open(self) -> None:
        path = label_files.ask_open(self, self.suggestion().parent)
        if path is not None:
            self.open_chosen.emit(path)

    def _ask_open_folder(self) -> None:
        path = label_files.ask_folder(self, "Open a project folder", self.suggestion().parent)
        if path is not None:
            self.open_chosen.emit(path)

    def ask_save_as(self) -> None:
        """Ask for a file and its format."""
        chosen = label_files.ask_save(self, self.suggestion(), self._format)
        if chosen is not None:
            self.save_as_chosen.emit(*chosen)

    def _ask_save_folder(self, format: str) -> None:
        path = label_files.ask_new_folder(self, self.suggestion().parent)
        if path is not None:
            self.save_as_chosen.emit(path, format)


def _state(document: LabelsDocument) -> str:
    keeper = document.autosave
    if document.claim.holder is not None:
        return " · read-only"
    if not document.unsaved:
        return "" if document.path is None else " · saved"
    if keeper.error:
        return " · AUTOSAVE FAILED, save elsewhere"
    if keeper.behind or keeper.written_at is None:
        return " · unsaved changes"
    return f" · autosaved {datetime.fromtimestamp(keeper.written_at):%H:%M:%S}"
