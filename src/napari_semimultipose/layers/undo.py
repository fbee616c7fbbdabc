"""Undo and redo of the changes of a store, whoever makes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from numpy.typing import NDArray

from napari_semimultipose.layers.store import Change, PoseStore

MOST_BYTES = 500_000_000
"""The oldest steps are forgotten when all together hold more, but never the last one."""


class UndoStack:
    """Listens to a store and takes its changes back, the last one first.

    Parameters
    ----------
    store : PoseStore

    Attributes
    ----------
    listeners : list of callables
        Called without arguments after every change of the store.
    """

    def __init__(self, store: PoseStore) -> None:
        self.store = store
        self.listeners: list[Callable[[], None]] = []
        self._done: deque[Change] = deque()
        self._undone: list[Change] = []
        self._bytes = 0
        self._stepping = False
        store.listeners.append(self._on_store)

    def close(self) -> None:
        """Stop listening."""
        if self._on_store in self.store.listeners:
            self.store.listeners.remove(self._on_store)

    @property
    def last(self) -> Change | None:
        """What `undo` would take back."""
        return self._done[-1] if self._done else None

    @property
    def next(self) -> Change | None:
        """What `redo` would do again."""
        return self._undone[-1] if self._undone else None

    def undo(self) -> Change | None:
        """Take the last change back and return it; None when there is none."""
        if not self._done:
            return None
        change = self._done.pop()
        self._bytes -= _size(change)
        self._undone.append(change)
        self._step(change.reversed())
        return change

    def redo(self) -> Change | None:
        """Do again what was taken back last, and return it; None when there is nothing."""
        if not self._undone:
            return None
        change = self._undone.pop()
        self._remember(change)
        self._step(change)
        return change

    def _step(self, change: Change) -> None:
        self._stepping = True
        try:
            self.store.apply(change)
        finally:
            self._stepping = False

    def _remember(self, change: Change) -> None:
        self._done.append(change)
        self._bytes += _size(change)
        while self._bytes > MOST_BYTES and len(self._done) > 1:
            self._bytes -= _size(self._done.popleft())

    def _on_store(self, change: Change | None) -> None:
        if change is None:  # another table: rows and slots mean something else now
            self._done.clear()
            self._undone.clear()
            self._bytes = 0
        elif not self._stepping:
            self._undone.clear()
            self._remember(change)
        for listener in list(self.listeners):
            listener()


def _size(change: Change) -> int:
    def bytes_of(values: Mapping[str, NDArray]) -> int:
        return sum(value.nbytes if value.base is None else 0 for value in values.values())

    places = change.row.nbytes + change.slot.nbytes
    return places + bytes_of(change.before) + bytes_of(change.after)
