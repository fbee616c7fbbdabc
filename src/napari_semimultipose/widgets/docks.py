"""Several dock widgets of this plugin in one place."""

from __future__ import annotations

from typing import TypeVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

Ancestor = TypeVar("Ancestor", bound=QWidget)


def join_tabs(widget: QWidget, family: type[QWidget]) -> bool:
    """Put the dock of a widget behind a tab beside a dock that holds another one of its family.

    napari stacks docks; three of ours would leave each a third of the height.

    Parameters
    ----------
    widget : QWidget
        What has just been shown in a dock of its own.
    family : type
        Class of the widgets that belong together.

    Returns
    -------
    bool
        Whether there was another dock to join.
    """
    dock, window = _ancestor(widget, QDockWidget), _ancestor(widget, QMainWindow)
    if dock is None or window is None or dock.isFloating() or window.tabifiedDockWidgets(dock):
        return False
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        if other is dock or other.isFloating() or other.isHidden():
            continue
        if window.dockWidgetArea(other) == area and other.findChildren(family):
            window.tabifyDockWidget(other, dock)
            dock.raise_()
            return True
    return False


def move_to_bottom(widget: QWidget, height: int) -> None:
    """Put the dock of a widget that is wide and low below the picture, instead of beside it.

    Parameters
    ----------
    widget : QWidget
        What has just been shown in a dock of its own.
    height : int
        Height of the dock in screen pixels.
    """
    dock, window = _ancestor(widget, QDockWidget), _ancestor(widget, QMainWindow)
    if dock is None or window is None or dock.isFloating() or window.tabifiedDockWidgets(dock):
        return
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    window.resizeDocks([dock], [height], Qt.Orientation.Vertical)


def _ancestor(widget: QWidget, kind: type[Ancestor]) -> Ancestor | None:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, kind):
        parent = parent.parentWidget()
    return parent
