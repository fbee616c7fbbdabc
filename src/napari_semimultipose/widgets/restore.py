"""Offers labels that were never saved."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.io.lock import in_use
from napari_semimultipose.widgets import unsaved

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_semimultipose.poses import Poses


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

    def look(
        self,
        place: Path,
        used: set[Path],
        labels: Path | None = None,
        poses: Callable[[], Poses] | None = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        """Offer the newest unsaved labels of a recording, or of the labels file that was opened.

        Parameters
        ----------
        place : path
            The recording.
        used : set of paths
            Files that are being written to now.
        labels : path, optional
            A labels file that has just been opened.
        poses : callable, optional
            Returns the labels in it.
        shape : (int, int), optional
            Height and width of a recording in memory.
        """
        for path in unsaved.found(place, labels, shape):
            if path in used or path in self._offered:
                continue
            at = path.stat().st_mtime
            older = labels is not None and at <= labels.stat().st_mtime
            if older and poses is not None and unsaved.holds_no_more(path, poses()):
                continue  # the program ended between saving and clearing up
            self.path = path
            self._offered.add(path)
            text = (
                f"<b>Unsaved labels</b> of this recording were found, last changed on "
                f"{datetime.fromtimestamp(at):%d %b %Y at %H:%M}."
            )
            owner = in_use(path)
            if owner is not None:
                text += f" They were made {owner}: they may still be worked on there."
            self._say(text, path)
            return
        owner = unsaved.busy(place)
        if owner is not None and not used:
            self.path = None
            self._say(f"This recording is being labelled {owner}.", place)
            return
        self.hide()

    def _say(self, text: str, path: Path) -> None:
        self.text.setText(text)
        self.text.setToolTip(str(path))
        for button in (self.restore, self.discard):
            button.setVisible(self.path is not None)
        self.later.setText("Not now" if self.path is not None else "OK")
        self.show()

    def offer_again(self, path: Path) -> None:
        """Forget that a file was offered."""
        self._offered.discard(path)

    def _on_restore(self) -> None:
        self.hide()
        if self.path is not None and not unsaved.is_busy(self.path):  # restored elsewhere meanwhile
            self.restore_clicked.emit(self.path)

    def _on_discard(self) -> None:
        self.hide()
        if self.path is not None and self.path.exists():
            self.discarded.emit(unsaved.discard(self.path))
