"""The right to write a labels file: one window has it, the others show the labels read-only."""

from __future__ import annotations

import time
from pathlib import Path

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.lock import FileLock, LockedError, Owner, in_use
from napari_semimultipose.layers.store import PoseStore

LOOK_S = 2.0
"""So often it is looked who holds the file."""
SIGN_OF_LIFE_S = 20.0


class Claim:
    """The right of one set of labels to be edited, which goes with that to write its file.

    Parameters
    ----------
    store : PoseStore
        Becomes read-only while another window has the file.
    window : str
        Tells the windows of this process apart.

    Attributes
    ----------
    holder : Owner or None
        Who else has the file.
    vacant : bool
        Whether the holder has given the file back.
    """

    def __init__(self, store: PoseStore, window: str) -> None:
        self.store = store
        self.window = window
        self.path: Path | None = None
        self.holder: Owner | None = None
        self.vacant = False
        self._lock: FileLock | None = None
        self._looked_at = self._seen_at = time.monotonic()

    def take(self, path: Path, *, force: bool = False) -> bool:
        """Ask for the right to write a file; without it the labels become read-only.

        Parameters
        ----------
        path : path
            The labels file.
        force : bool
            Take it from a window on another computer.
        """
        try:
            lock = self.lock(path, force=force)
        except LockedError as error:
            self._refused(path, error.owner)
            return False
        self.move_to(path, lock)
        return True

    def lock(self, path: Path, *, force: bool = False) -> FileLock | None:
        """Lock a file that is to be written; None in a place where no lock can be made.

        Raises
        ------
        LockedError
            When another window has it.
        """
        try:
            return FileLock.take(path, self.window, force=force)
        except OSError:
            return None

    def check(self) -> None:
        """Raise when the file may not be written any more.

        Raises
        ------
        LabelsError
            When another window has taken it over.
        """
        if self._lock is not None and not self._lock.mine and self.path is not None:
            owner = in_use(self.path, self.window)
            if owner is not None:
                self._refused(self.path, owner)
        if self.holder is not None:
            raise LabelsError(self.store.read_only)

    def move_to(self, path: Path, lock: FileLock | None) -> None:
        """Hold the lock of another file in place of the present one."""
        self.release()
        self.path, self._lock = path, lock
        self.holder, self.vacant, self.store.read_only = None, False, ""

    def tick(self) -> None:
        """Look at times who has the file; call it a few times a second."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_S or self.path is None:
            return
        self._looked_at = now
        if self.holder is not None:
            owner = in_use(self.path, self.window)
            self.holder, self.vacant = owner or self.holder, owner is None
        elif self._lock is not None:
            owner = None if self._lock.mine else in_use(self.path, self.window)
            if owner is not None:
                self._refused(self.path, owner)
            elif now - self._seen_at >= SIGN_OF_LIFE_S:
                self._seen_at = now
                self._lock.refresh()

    def resume(self) -> None:
        """Take the right again that was given back."""
        if self.path is not None and self._lock is None and self.holder is None:
            self.take(self.path)

    def release(self) -> None:
        """Give the right back."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def _refused(self, path: Path, owner: Owner) -> None:
        self.release()
        self.path, self.holder, self.vacant = path, owner, False
        self.store.read_only = (
            f"these labels are read-only: {path.name} is open {owner}. "
            "Save them as another file to go on with a copy."
        )
