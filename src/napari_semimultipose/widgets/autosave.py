"""Labels that nobody saved: written beside the recording all the time, found again later."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses

SUFFIX = ".semimultipose.slp"
DISCARDED = ".discarded"

QUIET_S = 1.0
"""Labels are written when nothing has changed for so long, ..."""
PATIENCE_S = 5.0
"""... and while work goes on at least so often."""

RETRY_S = 10.0
"""After a failure, for example a full disk, it is tried again so much later."""

logger = logging.getLogger(__name__)
_writer = ThreadPoolExecutor(1, thread_name_prefix="autosave")


class Autosave:
    """Writes a store to a file whenever it has changed, in a thread.

    Call `tick` a few times a second. Nothing here needs Qt, so that labels can still be written
    while the window is being torn down.

    Parameters
    ----------
    store : PoseStore
    place : path
        The recording; the file lies beside it, or in the user's data folder where that cannot be
        written to. A file that is there already is somebody's unsaved work and is left alone.
    """

    def __init__(self, store: PoseStore, place: Path) -> None:
        self.store = store
        self.place = place
        self.path: Path | None = None
        self.error: str = ""
        self.written_at: float | None = None
        self._written = store.revision
        self._seen = store.revision
        self._changed_at = 0.0
        self._waiting_since: float | None = None
        self._job: Future[None] | None = None
        self._submitted = 0
        self._retry_at = 0.0

    @property
    def behind(self) -> bool:
        """Whether the store holds changes that are not in the file."""
        return self.store.revision != self._written

    def tick(self) -> None:
        """Write if it is time."""
        self._collect()
        if not self.behind:
            self._waiting_since = None
            return
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        if self.store.revision != self._seen:
            self._seen, self._changed_at = self.store.revision, now
        due = now - self._changed_at >= QUIET_S or now - self._waiting_since >= PATIENCE_S
        if self._job is None and due and now >= self._retry_at:
            self._submit()

    def flush(self) -> None:
        """Write now, if anything changed, in this thread; works while the program ends as well."""
        if self._job is not None:
            self._job.exception()
            self._collect()
        if not self.behind:
            return
        revision = self.store.revision
        try:
            _write(self.store.snapshot(), self._own_path())
        except Exception as error:
            self._failed(error)
        else:
            self._wrote(revision)

    def saved(self) -> None:
        """Take away the file: the labels have been saved elsewhere as they are now."""
        if self._job is not None:
            self._job.exception()
            self._collect()
        self._written = self.store.revision
        self.error = ""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def adopt(self, path: Path) -> None:
        """Go on writing to a file from which the labels were restored."""
        self.path = path

    def _own_path(self) -> Path:
        if self.path is None:
            self.path = free_path(self.place)
        return self.path

    def _submit(self) -> None:
        self._submitted = self.store.revision
        self._waiting_since = None
        self._job = _writer.submit(_write, self.store.snapshot(), self._own_path())

    def _collect(self) -> None:
        if self._job is None or not self._job.done():
            return
        error = self._job.exception()
        self._job = None
        if error is None:
            self._wrote(self._submitted)
        else:
            self._failed(error)

    def _wrote(self, revision: int) -> None:
        self.error, self.written_at, self._written = "", time.time(), revision

    def _failed(self, error: BaseException) -> None:
        logger.warning("autosave to %s failed", self.path, exc_info=error)
        self.error, self._retry_at = str(error), time.monotonic() + RETRY_S


def _write(poses: Poses, path: Path) -> None:
    from napari_semimultipose.io.labels import write_poses

    path.parent.mkdir(parents=True, exist_ok=True)
    write_poses(poses, path, format="sleap")


def free_path(place: Path) -> Path:
    """Return a path for the unsaved labels of a recording that no file has yet."""
    folder = folder_of(place)
    name = _name(place)
    candidates = (f"{name}{'' if n == 1 else f'.{n}'}{SUFFIX}" for n in range(1, 1000))
    return next(folder / c for c in candidates if not (folder / c).exists())


def found(place: Path) -> list[Path]:
    """Files with unsaved labels of a recording, the newest first."""
    name = _name(place)
    files = {
        p
        for folder in {place.parent, user_folder()}
        if folder.is_dir()
        for p in folder.glob(f"*{SUFFIX}")
        if (rest := p.name.removesuffix(SUFFIX)) == name
        or (rest.startswith(f"{name}.") and rest[len(name) + 1 :].isdigit())
    }
    return sorted(files, key=lambda p: p.stat().st_mtime, reverse=True)


def discard(path: Path) -> Path:
    """Put a file with unsaved labels aside, so that it is not offered again; it stays on disk."""
    aside = path.with_name(path.name.removesuffix(SUFFIX) + DISCARDED + SUFFIX)
    path.replace(aside)
    return aside


def folder_of(place: Path) -> Path:
    """Folder of the recording, or the user's data folder where it cannot be written to."""
    parent = place.parent
    existing = next((p for p in (parent, *parent.parents) if p.exists()), parent)
    return parent if os.access(existing, os.W_OK) else user_folder()


def user_folder() -> Path:
    """Return the folder for recordings in places that cannot be written to."""
    return Path.home() / "semimultipose"


def _name(place: Path) -> str:
    return place.name if place.is_dir() else place.stem
