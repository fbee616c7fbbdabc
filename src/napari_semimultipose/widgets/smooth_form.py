"""What the Smooth widget shows: poses, members, settings, jumps and buttons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.layers.ellipses import PROBABILITY
from napari_semimultipose.tracking.smoothing.jumps import Jump
from napari_semimultipose.widgets.choosers import LayerBox, Message
from napari_semimultipose.widgets.forms import Fold, SettingsForm, rows_of

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

_ROLE = Qt.ItemDataRole.UserRole
_ROWS_SHOWN = 5


class SmoothForm(QWidget):
    """The parts of the Smooth widget.

    Parameters
    ----------
    viewer : napari.Viewer
    wanted : callable
        Says of a layer whether it holds poses.
    """

    jump_chosen = Signal(int)
    """A jump was clicked; its frame."""

    def __init__(
        self, viewer: napari.Viewer, wanted: Callable[[Layer], bool], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.layer_box = LayerBox(viewer, wanted, "open or predict poses first", self)
        self.members = QListWidget(self)
        self.add_button = QPushButton("Add files…", self)
        self.mirrored = QLineEdit(self)
        self.fold = Fold("Settings", self)
        self.settings = SettingsForm(SmoothConfig, (), self.fold.content)
        self.ellipses = QCheckBox("Uncertainty as ellipses", self)
        self.smooth_button = QPushButton("Smooth", self)
        self.status = QLabel("", self)
        self.message = Message(self)
        self.jumps = QListWidget(self)
        self.jumps_title = QLabel("", self)
        self.plot_button = QPushButton("Plot before and after", self)
        self.save_button = QPushButton("Save as…", self)
        self._fill()
        self.add_button.clicked.connect(lambda: self._ask_files())
        self.jumps.currentItemChanged.connect(lambda item, _: self._on_jump(item))
        self.show_jumps([], ())

    def _fill(self) -> None:
        self.members.setToolTip(
            "Predictions of other models for the same recording: their disagreement says how sure "
            "each position is. Tick layers, or add files (Lightning Pose, DeepLabCut, SLEAP, ...)"
        )
        self.ellipses.setChecked(True)
        self.ellipses.setToolTip(
            f"A keypoint lies within its ellipse with a probability of {PROBABILITY:.0%}"
        )
        self.mirrored.setPlaceholderText("for example _top, _bot")
        self.status.setWordWrap(True)
        self.plot_button.setToolTip("The courses of the animals, smoothed and, in grey, before")
        self.save_button.setToolTip("Save the smoothed poses in any format")
        for table in (self.members, self.jumps):
            table.setMaximumHeight(24 * _ROWS_SHOWN)
            table.setUniformItemSizes(True)
        inside = QVBoxLayout(self.fold.content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.settings)
        above = rows_of(
            ("Poses", self.layer_box, "Points layer with the poses to smooth"),
            ("More models", self.members, self.members.toolTip()),
            ("", self.add_button, "Add files with the predictions of other models"),
            (
                "Mirrored views",
                self.mirrored,
                "Endings of the keypoints that are one body part, seen in a mirror, with a comma between; "
                "empty: none",
            ),
        )
        buttons = QHBoxLayout()
        buttons.addWidget(self.plot_button)
        buttons.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(above)
        layout.addWidget(self.fold)
        layout.addWidget(self.ellipses)
        layout.addWidget(self.smooth_button)
        layout.addWidget(self.status)
        layout.addWidget(self.message)
        layout.addWidget(self.jumps_title)
        layout.addWidget(self.jumps)
        layout.addLayout(buttons)
        layout.addStretch(1)

    # ----------------------------------------------------------------- members

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """List the layers that may be further members; files and ticks stay."""
        ticked = {id(layer) for layer in self.ticked_layers()}
        known, chosen = self._known_files(), self.files()
        self.members.clear()
        for layer in layers:
            self._add(layer.name, layer, checked=id(layer) in ticked)
        for file in known:
            self._add_file(file, checked=file in chosen)

    def add_files(self, files: Sequence[Path]) -> None:
        """Add members on disk; each is listed once."""
        for file in files:
            if file not in self._known_files():
                self._add_file(file, checked=True)

    def _known_files(self) -> list[Path]:
        """Return the files that are listed, ticked or not."""
        listed = [self.members.item(i).data(_ROLE) for i in range(self.members.count())]
        return [what for what in listed if isinstance(what, Path)]

    def _add_file(self, file: Path, *, checked: bool) -> None:
        self._add(file.name, file, checked=checked)
        self.members.item(self.members.count() - 1).setToolTip(str(file))

    def _add(self, text: str, what: object, *, checked: bool) -> None:
        item = QListWidgetItem(text)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked)
        item.setData(_ROLE, what)
        self.members.addItem(item)

    def _ticked(self) -> list[object]:
        items = [self.members.item(i) for i in range(self.members.count())]
        return [i.data(_ROLE) for i in items if i.checkState() == Qt.CheckState.Checked]

    def files(self) -> list[Path]:
        """Return the files that are ticked."""
        return [what for what in self._ticked() if isinstance(what, Path)]

    def ticked_layers(self) -> list[Layer]:
        """Return the layers that are ticked."""
        return [what for what in self._ticked() if not isinstance(what, Path)]

    def _ask_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Predictions of other models")
        self.add_files([Path(name) for name in chosen])

    # ---------------------------------------------------------------- settings

    def config(self) -> SmoothConfig:
        """Return the settings.

        Raises
        ------
        ConfigError
            When something that was typed is no value of its setting.
        """
        return SmoothConfig(**self.settings.changes())

    def endings(self) -> tuple[str, ...]:
        """Return the endings of mirrored views.

        Raises
        ------
        ConfigError
            When there is one only.
        """
        names = tuple(part.strip() for part in self.mirrored.text().split(",") if part.strip())
        if len(names) == 1:
            raise ConfigError("mirrored views: give two endings with a comma between them, or none")
        return names

    # ------------------------------------------------------------------ result

    def show_jumps(self, jumps: Sequence[Jump], names: Sequence[str]) -> None:
        """List where animals are suddenly elsewhere."""
        self.jumps.clear()
        for jump in jumps:
            item = QListWidgetItem(f"frame {jump.frame}: {jump.text(names)}")
            item.setData(_ROLE, jump.frame)
            self.jumps.addItem(item)
        self.jumps_title.setText("Look at these jumps; click to go there")
        for part in (self.jumps, self.jumps_title):
            part.setVisible(bool(jumps))

    def _on_jump(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.jump_chosen.emit(int(item.data(_ROLE)))

    def show_state(self, *, busy: bool, done: bool) -> None:
        """Show what can be done now."""
        self.smooth_button.setEnabled(self.layer_box.layer() is not None and not busy)
        self.plot_button.setEnabled(done)
        self.save_button.setEnabled(done and not busy)
