"""A journal that is written before it is needed, because all labels of a long recording take a second."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from weakref import WeakSet

from napari_semimultipose.io.journal import Origin, Table, write_whole
from napari_semimultipose.io.lock import FileLock
from napari_semimultipose.layers.store import PoseStore

SUFFIX = ".semimultipose.part"
"""No journal yet: what is in such a file is in the labels file, or in a journal, as well."""

logger = logging.getLogger(__name__)
_ahead = ThreadPoolExecutor(1, thread_name_prefix="spare-journal")


class SpareJournal:
    """All labels as they were at one moment, written to a file in the background.

    With the first edit the file becomes the journal (`Journal.begin_with`) and the edit is its second
    record, so that nobody waits for a large table. The file of a process that was killed is written over
    by the next one.

    Parameters
    ----------
    store : PoseStore
        Copied at once: some hundredths of a second for 100,000 frames.
    origin : Origin
    path : path
        The file.
    window : str
        Tells the windows of this process apart.

    Raises
    ------
    LockedError, OSError
        When another window writes this file, or it cannot be made.
    """

    def __init__(self, store: PoseStore, origin: Origin, path: Path, window: str) -> None:
        self.path = path
        self.revision = store.revision
        self.fixed = store.skeleton, store.track_names
        self.videos = store.videos
        self.size = 0
        self._lock = FileLock.take(path, window)
        self._unwanted = Event()
        self._copy: PoseStore | None = store.copy()
        self._job = _ahead.submit(self._write, origin)
        _open.add(self)

    def _write(self, origin: Origin) -> bool:
        stop = self._unwanted.is_set
        copy, self._copy = self._copy, None
        if copy is None or stop():
            return False
        table = Table(copy.table(), origin)
        del copy  # there is another copy now
        if not write_whole(self.path, table, stop):
            return False
        self.size = self.path.stat().st_size
        return True

    @property
    def ready(self) -> bool:
        """Whether the file is complete, or never will be."""
        return self._job.done()

    def wait(self) -> bool:
        """Return whether the file is complete, once nothing is written to it any more."""
        error = self._job.exception()
        if error is not None:
            logger.warning("%s could not be written", self.path, exc_info=error)
            return False
        return self._job.result()

    def use(self, action: Callable[[Path], None]) -> None:
        """Do something with the complete file that takes it away."""
        try:
            action(self.path)
        finally:
            self.forget()

    def forget(self) -> None:
        """Remove the file, as soon as nothing is written to it any more."""
        if not self._unwanted.is_set():
            self._unwanted.set()
            _open.discard(self)
            self._job.add_done_callback(lambda _: self._remove())

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s could not be removed", self.path, exc_info=error)
        self._lock.release()


_open: WeakSet[SpareJournal] = WeakSet()


@atexit.register
def _forget_all() -> None:
    """Leave no file behind when the program ends without closing its window."""
    for spare in list(_open):
        spare.forget()
