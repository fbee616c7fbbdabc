"""Choosing layers, files and folders; what all widgets ask in the same way."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari.utils.theme import get_theme
from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QWidget,
)
from typing_extensions import override

from napari_semimultipose.widgets.editor_base import keep_wheel_for_scrolling
from napari_semimultipose.widgets.plots import PlotColors

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

MESSAGE_LINES = 4

PathKind = Literal["file", "folder", "either", "save"]


class LayerBox(QComboBox):
    """The layers of one type, following the layer list of the viewer.

    The choice is kept as long as its layer is there. A layer that comes first is chosen by itself.

    Parameters
    ----------
    viewer : napari.Viewer
    wanted : callable
        Says of a layer whether it belongs in the list.
    empty : str
        Shown while there is none.
    """

    layer_changed = Signal()

    def __init__(
        self,
        viewer: napari.Viewer,
        wanted: Callable[[Layer], bool],
        empty: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._wanted = wanted
        self._empty = empty
        self._layers: list[Layer] = []
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        keep_wheel_for_scrolling(self)
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.connect(self._on_list)
        self.currentIndexChanged.connect(lambda _: self.layer_changed.emit())
        self._on_list()

    def layer(self) -> Layer | None:
        """Return the chosen layer."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def set_layer(self, layer: Layer) -> None:
        """Choose a layer of the list."""
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))

    def only_layer(self) -> Layer | None:
        """Return the layer of a list of one."""
        return self._layers[0] if len(self._layers) == 1 else None

    def choose_none(self, text: str) -> None:
        """Choose none of the layers, and show a text in their place."""
        if self._layers:
            self.setPlaceholderText(text)
            self.setCurrentIndex(-1)

    def _on_list(self, event: Any = None) -> None:
        if not isalive(self):  # napari keeps its listeners a little longer than Qt its widgets
            return
        before = self.layer()
        self._layers = [layer for layer in self._viewer.layers if self._wanted(layer)]
        self.blockSignals(True)
        self.setPlaceholderText("")  # with one, Qt would choose nothing
        self.clear()
        for layer in self._layers:
            self.addItem(layer.name)
            layer.events.name.connect(self._on_name)
        if not self._layers:
            self.addItem(self._empty)
        self.setEnabled(bool(self._layers))
        if before in self._layers:
            self.setCurrentIndex(self._layers.index(before))
        self.blockSignals(False)
        if self.layer() is not before:
            self.layer_changed.emit()

    def _on_name(self, event: Any = None) -> None:
        if not isalive(self):
            return
        for i, layer in enumerate(self._layers):
            self.setItemText(i, layer.name)


class PathField(QWidget):
    """A path to type, to drop, or to find with a button.

    Parameters
    ----------
    kind : {"file", "folder", "either", "save"}
        What is asked for; "either" is a file or a folder.
    caption : str
        Title of the dialog.
    filter : str
        Qt's filter of file names.
    """

    changed = Signal()

    def __init__(
        self,
        kind: PathKind,
        caption: str,
        *,
        filter: str = "",
        placeholder: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._caption = caption
        self._filter = filter
        self._line = QLineEdit(self)
        self._line.setPlaceholderText(placeholder)
        self._line.setMinimumWidth(60)
        self._line.textChanged.connect(lambda _: self._on_text())
        self.setFocusProxy(self._line)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        row.addWidget(self._line, 1)
        self.setAcceptDrops(True)
        self._line.setAcceptDrops(False)
        asks: dict[str, Callable[[], str]] = {}
        if kind in ("file", "either"):
            asks["Choose a file"] = self._ask_file
        if kind in ("folder", "either"):
            asks["Choose a folder"] = self._ask_folder
        if kind == "save":
            asks["Choose where to save"] = self._ask_save
        button = QPushButton("…", self)
        button.setFixedWidth(28)
        button.setToolTip(" or ".join(asks).replace(" or Choose", " or"))
        row.addWidget(button)
        self._menu = QMenu(button)
        for text, ask in asks.items():
            self._menu.addAction(f"{text}…", lambda ask=ask: self._browse(ask))
        if len(asks) == 1:
            button.clicked.connect(self._menu.actions()[0].trigger)
        else:
            button.clicked.connect(
                lambda: self._menu.popup(button.mapToGlobal(button.rect().bottomLeft()))
            )

    def text(self) -> str:
        """Return the path as it was typed."""
        return str(self._line.text().strip())

    def path(self) -> Path | None:
        """Return the path, or None when the field is empty."""
        return Path(self.text()).expanduser() if self.text() else None

    def set_path(self, path: Path | str | None) -> None:
        """Show a path."""
        self._line.setText("" if path is None else str(path))

    def menu(self) -> QMenu:
        """Return what the button offers."""
        return self._menu

    def _on_text(self) -> None:
        self._line.setToolTip(self.text())  # the end of a long path is not in sight
        self.changed.emit()

    def _browse(self, ask: Callable[[], str]) -> None:
        chosen = ask()
        if chosen:
            self.set_path(chosen)

    def _start(self) -> str:
        return str(self.path() or "")

    def _ask_file(self) -> str:
        return str(QFileDialog.getOpenFileName(self, self._caption, self._start(), self._filter)[0])

    def _ask_save(self) -> str:
        return str(QFileDialog.getSaveFileName(self, self._caption, self._start(), self._filter)[0])

    def _ask_folder(self) -> str:
        return str(QFileDialog.getExistingDirectory(self, self._caption, self._start()))

    @override
    def dragEnterEvent(self, event: Any) -> None:
        """Take files that are dragged here from a file manager."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    @override
    def dropEvent(self, event: Any) -> None:
        """Show the path of the file that was dropped."""
        self.set_path(event.mimeData().urls()[0].toLocalFile())


class Message(QWidget):
    """What went wrong or should be known; takes no room while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = QLabel(self)
        self._label.setWordWrap(True)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._copy = QToolButton(self)
        self._copy.setText("Copy report")
        self._copy.setToolTip("Copy the details, for a bug report")
        self._copy.clicked.connect(self._copy_details)
        self._details = ""
        self._lines: list[str] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._label, 1)
        row.addWidget(self._copy, 0, Qt.AlignmentFlag.AlignTop)
        self.say("")

    def text(self) -> str:
        """Return what is shown."""
        return str(self._label.text())

    def details(self) -> str:
        """Return what the button copies."""
        return self._details

    def say(self, text: str, *, error: bool = False, details: str = "") -> None:
        """Show a text instead of what was said before; "" hides the line."""
        self._lines = [text] if text else []
        self._show(error, details)

    def add(self, text: str) -> None:
        """Show a text below what was said before; of many, the last ones."""
        if text not in self._lines:
            self._lines = [*self._lines, text][-MESSAGE_LINES:]
            self._show(False, self._details)

    def _show(self, error: bool, details: str) -> None:
        self._details = details
        self._label.setText("\n".join(self._lines))
        color = "#e0605f" if error else "#d9a441"
        self._label.setStyleSheet(
            f"QLabel {{ border-left: 3px solid {color}; padding-left: 6px; }}"
        )
        self._copy.setVisible(bool(details))
        self.setVisible(bool(self._lines))

    def _copy_details(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f"{self.text()}\n\n{self._details}")


def scrollable(content: QWidget) -> QScrollArea:
    """Put a widget into an area that scrolls up and down, and is as wide as there is room."""
    area = QScrollArea()
    area.setWidget(content)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return area


def devices() -> list[str]:
    """Names of devices to offer, found without torch, which would take seconds to import.

    ``auto`` and ``cpu`` always; graphics cards where the system shows the driver's signs.
    """
    out = ["auto", "cpu"]
    cards = Path("/proc/driver/nvidia/gpus")
    if cards.is_dir():
        n = len(list(cards.iterdir()))
        out += ["cuda"] + [f"cuda:{i}" for i in range(1, n)]
    elif sys.platform == "win32" and Path("C:/Windows/System32/nvcuda.dll").exists():
        out.append("cuda")
    elif sys.platform == "darwin" and platform.machine() == "arm64":
        out.append("mps")
    return out


def plain_viewer(viewer: Any) -> napari.viewer.Viewer:
    """Return the viewer itself from the proxy that napari hands to the widgets of plugins.

    The proxy is not equal to the viewer, wraps whatever is read through it, and slows each access.
    """
    plain: napari.viewer.Viewer = getattr(viewer, "__wrapped__", viewer)
    return plain


def plot_colors(viewer: napari.Viewer) -> PlotColors:
    """Return the colours of the viewer's theme for plots."""
    theme = get_theme(viewer.theme)
    return PlotColors(background=theme.background.as_hex(), text=theme.text.as_hex())


def free_name(path: Path) -> Path:
    """Return `path`, or the first of "path-2", "path-3", ... that does not exist."""
    if not path.exists():
        return path
    return next(p for p in _numbered(path) if not p.exists())


def _numbered(path: Path) -> Iterator[Path]:
    n = 2
    while True:
        yield path.with_name(f"{path.stem}-{n}{path.suffix}")
        n += 1


def duration(seconds: float) -> str:
    """Write a time as people say it: ``1:05 h``, ``3:20 min``, ``12 s``."""
    if seconds != seconds or seconds == float("inf"):
        return "unknown time"
    s = max(0, round(seconds))
    if s >= 3600:
        return f"{s // 3600}:{s // 60 % 60:02} h"
    if s >= 60:
        return f"{s // 60}:{s % 60:02} min"
    return f"{s} s"
