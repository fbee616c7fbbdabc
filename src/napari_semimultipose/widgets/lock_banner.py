"""Says that labels are open elsewhere, and offers to edit them here all the same."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_semimultipose.widgets.claims import Claim


class LockBanner(QWidget):
    """Lines that say who else has the labels file, and a button to get it."""

    edit_clicked = Signal(bool)
    """Whether the file has to be taken from a window on another computer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._force = False
        self.text = QLabel(self)
        self.text.setWordWrap(True)
        self.edit = QPushButton(self)
        self.edit.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.edit.clicked.connect(lambda: self.edit_clicked.emit(self._force))
        row = QHBoxLayout()
        row.addWidget(self.edit)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def show_claim(self, claim: Claim | None) -> None:
        """Show who has the file of some labels, if that is somebody else."""
        if claim is None or claim.holder is None or claim.path is None:
            self.hide()
            return
        name, holder = claim.path.name, claim.holder
        self._force = not claim.vacant and not holder.is_here
        if claim.vacant:
            text = f"<b>Read-only.</b> {name} was open elsewhere, and is free now."
            button, tip = "Edit here", "Read the file again, as it is now, and edit it"
        elif self._force:
            text = (
                f"<b>Read-only.</b> {name} is open {holder}. Take it over only if nobody works "
                "on it there any more."
            )
            button, tip = "Take over", "Edit the file here; the other window becomes read-only"
        else:
            text = f"<b>Read-only.</b> {name} is open {holder}. Close it there to edit it here."
            button, tip = "Try again", "Look again whether the file is free"
        if text != self.text.text():
            self.text.setText(text)
            self.edit.setText(button)
            self.edit.setToolTip(tip)
        self.show()
