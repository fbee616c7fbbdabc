"""What keeps the changes of poses from being lost, whichever widgets work on them."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import ClassVar
from weakref import WeakKeyDictionary, ref

from napari_semimultipose.io.lock import FileLock
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.widgets.autosave import Autosave
from napari_semimultipose.widgets.claims import Claim


class Keeping:
    """The journal of a table, and the right to write its labels file.

    There is one for a table, and it lives as long: get it with `of_store`. Widgets `join` while they work
    on the table and call `tick` a few times a second.

    Attributes
    ----------
    autosave : Autosave
    claim : Claim
    """

    _known: ClassVar[WeakKeyDictionary[PoseStore, ref[Keeping]]] = WeakKeyDictionary()

    def __init__(self, store: PoseStore, place: Path, labels: Path | None, window: str) -> None:
        self.store = store
        self.autosave = Autosave(store, place, labels, window=window)
        self.claim = Claim(store, window)
        self._users: set[str] = set()
        self._known[store] = ref(self)
        self.autosave.keeping = self  # the store holds the journal, and that holds this

    @classmethod
    def of_store(cls, store: PoseStore, place: Path, labels: Path | None, window: str) -> Keeping:
        """Return what keeps a table; it begins with the first call.

        Parameters
        ----------
        store : PoseStore
        place : path
            The recording.
        labels : path or None
            The labels file, if there is one; without the right to write it the table becomes read-only.
        window : str
            Tells the windows of this process apart.
        """
        keeping = cls.known(store)
        if keeping is None:
            keeping = cls(store, place, labels, window)
            if labels is not None:
                keeping.claim.take(labels)
        return keeping

    @classmethod
    def known(cls, store: PoseStore) -> Keeping | None:
        """Return what keeps a table, if it has begun."""
        known = cls._known.get(store)
        return None if known is None else known()

    def join(self, user: str) -> None:
        """Say that a widget works on the table."""
        self._users.add(user)
        self.claim.resume()

    def part(self, user: str) -> None:
        """Say that a widget does not work on the table any more; the last one gives its file back.

        A change that comes all the same is kept.
        """
        self._users.discard(user)
        if not self._users:
            self.autosave.pause()
            self.claim.release()

    def close(self) -> None:
        """Stop following the table, because its layer is gone."""
        self._users.clear()
        if self._known.pop(self.store, None) is not None:
            self.autosave.close()
            self.claim.release()

    def tick(self) -> None:
        """Keep the journal and the right to the labels file."""
        self.autosave.tick()
        self.claim.tick()

    def saved(self, path: Path, format: str | None, lock: FileLock | None, revision: int) -> None:
        """Say that the table was written to a file; the journal goes, if it holds no more.

        Parameters
        ----------
        path : path
        format : str or None
        lock : FileLock or None
            The lock of the file, which is kept.
        revision : int
            `PoseStore.revision` of what was written.
        """
        self.claim.move_to(path, lock)
        if self.store.revision == revision:
            self.autosave.saved(path, format)


@atexit.register
def _flush_all() -> None:
    """Write what is not written yet when the program ends without closing its window."""
    for known in list(Keeping._known.values()):
        keeping = known()
        if keeping is not None:
            keeping.autosave.flush()
