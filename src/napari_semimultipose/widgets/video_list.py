"""The page of the Annotate widget with all recordings of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.io.locate import VIDEO_SUFFIXES
from napari_semimultipose.widgets.videos import Recording

MISSING = "#e0605f"


class VideoList(QWidget):
    """Recordings with their numbers of labelled frames; a click shows one."""

    chosen = Signal(int)
    """Index of a recording that was clicked."""
    folder_chosen = Signal(object)
    """Folder below which missing recordings are to be found."""
    files_chosen = Signal(object)
    """Paths of videos to add."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tree = QTreeWidget(self)
        self.tree.setHeaderLabels(["Recording", "Labelled", ""])
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.itemClicked.connect(
            lambda item, _: self.chosen.emit(self.tree.indexOfTopLevelItem(item))
        )
        self.summary = QLabel(self)
        self.summary.setWordWrap(True)
        self.add_button = QPushButton("Add videos…", self)
        self.add_button.setToolTip("Label further videos in the same labels file")
        self.find_button = QPushButton("Find missing…", self)
        self.find_button.setToolTip(
            "Choose a folder: all missing recordings are looked for below it, by their file names"
        )
        for button, ask in (
            (self.add_button, self._ask_files),
            (self.find_button, self._ask_folder),
        ):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(ask)
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self.find_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.summary)
        layout.addLayout(row)
        self.show_recordings([])

    def show_recordings(self, recordings: Sequence[Recording]) -> None:
        """Show the recordings of some labels."""
        self.tree.clear()
        for recording in recordings:
            state = "" if recording.there else "missing"
            item = QTreeWidgetItem([recording.name, str(recording.n_labelled), state])
            item.setToolTip(0, recording.place)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            font = item.font(0)
            font.setBold(recording.current)
            item.setFont(0, font)
            if not recording.there:
                item.setForeground(2, QColor(MISSING))
            self.tree.addTopLevelItem(item)
        lost = sum(not recording.there for recording in recordings)
        n = sum(recording.n_labelled for recording in recordings)
        text = f"{n} labelled frames in {len(recordings)} recordings" if recordings else ""
        self.summary.setText(f"{text}; {lost} missing" if lost else text)
        self.find_button.setEnabled(lost > 0)
        self.add_button.setEnabled(bool(recordings))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Find missing recordings below this folder")
        if path:
            self.folder_chosen.emit(Path(path))

    def _ask_files(self) -> None:
        endings = " ".join(f"*{ending}" for ending in VIDEO_SUFFIXES)
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Add videos", "", f"Videos ({endings});;All files (*)"
        )
        if paths:
            self.files_chosen.emit([Path(path) for path in paths])
