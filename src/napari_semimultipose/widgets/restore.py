"""Offers labels that were never saved."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.widgets import autosave


class RestoreBanner(QWidget):
    """A line that says which unsaved labels there are, and buttons to take them or not.

    Every file is offered once.
    """

    restore_clicked = Signal(object)
    """Path of the file with the labels."""
    discarded = Signal(object)
    """Where the file was put."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path: Path | None = None
        self._offered: set[Path] = set()
        self.text = QLabel(self)
        self.text.setWordWrap(True)
        self.restore = QPushButton("Restore", self)
        self.later = QPushButton("Not now", self)
        self.discard = QPushButton("Discard", self)
        self.restore.clicked.connect(self._on_restore)
        self.later.clicked.connect(self.hide)
        self.discard.clicked.connect(self._on_discard)
        self.discard.setToolTip("Do not offer them again; the file stays on the disk")
        row = QHBoxLayout()
        row.setSpacing(3)
        for button in (self.restore, self.later, self.discard):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def look(self, place: Path, used: set[Path | None], newer_than: float = 0.0) -> None:
        """Offer the newest unsaved labels of a recording.

        Parameters
        ----------
        place : path
            The recording.
        used : set of paths
            Files that are being written to now.
        newer_than : float
            Time of the labels file that is open: what is older is in it already.
        """
        for path in autosave.found(place):
            if path in used or path in self._offered or path.stat().st_mtime <= newer_than:
                continue
            self.path = path
            self._offered.add(path)
            at = datetime.fromtimestamp(path.stat().st_mtime)
            self.text.setText(
                f"<b>Unsaved labels</b> of this recording were found, last changed on "
                f"{at:%d %b %Y at %H:%M}."
            )
            self.text.setToolTip(str(path))
            self.show()
            return
        self.hide()

    def offer_again(self, path: Path) -> None:
        """Forget that a file was offered."""
        self._offered.discard(path)

    def _on_restore(self) -> None:
        self.hide()
        if self.path is not None:
            self.restore_clicked.emit(self.path)

    def _on_discard(self) -> None:
        self.hide()
        if self.path is not None and self.path.exists():
            self.discarded.emit(autosave.discard(self.path))
