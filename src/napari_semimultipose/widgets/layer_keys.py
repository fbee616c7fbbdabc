"""Which widget the keys on a layer belong to: the one that was shown or used last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget
from typing_extensions import override

from napari_semimultipose.widgets.keys import KeyAction

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True)
class _Binding:
    owner: object
    actions: Sequence[KeyAction]
    run: Callable[[KeyAction], None]


@dataclass
class _Layer:
    """Who wants the keys of a layer, the one that has them last; and whose keys they were before."""

    bindings: list[_Binding] = field(default_factory=list)
    before: dict[Any, Any] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)


_layers: WeakKeyDictionary[Layer, _Layer] = WeakKeyDictionary()


def bind(
    layer: Layer,
    owner: object,
    actions: Sequence[KeyAction],
    run: Callable[[KeyAction], None],
) -> None:
    """Give the keys of a layer to an owner, while the layer is the active one.

    Parameters
    ----------
    layer : Layer
    owner : object
        Who is asked for later; another owner of the same layer waits until this one goes.
    actions : sequence of KeyAction
    run : callable
        Called with the action of a key that is pressed.
    """
    known = _layers.get(layer)
    if known is None:
        known = _layers[layer] = _Layer(before=dict(layer.keymap))
    known.bindings = [b for b in known.bindings if b.owner is not owner]
    known.bindings.append(_Binding(owner, actions, run))
    _rebind(layer, known)


def unbind(layer: Layer, owner: object) -> None:
    """Give the keys of an owner to who had them before: another owner, or napari."""
    known = _layers.get(layer)
    if known is None or all(b.owner is not owner for b in known.bindings):
        return
    known.bindings = [b for b in known.bindings if b.owner is not owner]
    _rebind(layer, known)
    if not known.bindings:
        layer.keymap.update(known.before)
        del _layers[layer]


def to_front(layer: Layer, owner: object) -> None:
    """Give the keys to one of the owners that a layer has already."""
    known = _layers.get(layer)
    mine = [] if known is None else [b for b in known.bindings if b.owner is owner]
    if known is not None and mine and known.bindings[-1] is not mine[0]:
        known.bindings.remove(mine[0])
        known.bindings.append(mine[0])
        _rebind(layer, known)


def owner_of(layer: Layer) -> object | None:
    """Return who has the keys of a layer."""
    known = _layers.get(layer)
    return known.bindings[-1].owner if known is not None and known.bindings else None


def _rebind(layer: Layer, known: _Layer) -> None:
    for key in known.bound:
        layer.bind_key(key, None)
    known.bound = set()
    if not known.bindings:
        return
    top = known.bindings[-1]
    for action in top.actions:

        def press(_: Any, action: KeyAction = action) -> None:
            top.run(action)

        for key in action.keys:
            layer.bind_key(key, press, overwrite=True)
            known.bound.add(key)


def bind_shortcuts(
    widget: QWidget, actions: Sequence[KeyAction], run: Callable[[KeyAction], None]
) -> None:
    """Let keys work while a widget, or something in it, has the focus."""
    for action in actions:
        for key in action.keys:
            sequence = QKeySequence(key.replace("Control", "Ctrl").replace("-", "+"))
            shortcut = QShortcut(sequence, widget)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda action=action: run(action))


class Front(QObject):
    """Calls a function when a widget comes to the front, or is clicked.

    Parameters
    ----------
    widget : QWidget
    take : callable
    """

    def __init__(self, widget: QWidget, take: Callable[[], None]) -> None:
        super().__init__(widget)
        self._take = take
        widget.installEventFilter(self)

    @override
    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice it, and let it pass."""
        if event is not None and event.type() in (QEvent.Type.Show, QEvent.Type.MouseButtonPress):
            self._take()
        return False
