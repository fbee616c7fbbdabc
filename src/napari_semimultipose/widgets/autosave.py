"""Labels that nobody saved: kept in a journal at every edit, found again later."""

from __future__ import annotations

import logging
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from napari_semimultipose.io.journal import Edit, Journal, Origin, Table, Videos, recover
from napari_semimultipose.io.lock import FileLock, LockedError
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.poses import Source
from napari_semimultipose.widgets import spare_journal
from napari_semimultipose.widgets.spare_journal import SpareJournal
from napari_semimultipose.widgets.unsaved import DAMAGED, SUFFIX, candidates, free_name

QUIET_S = 1.0
"""Edits are brought to the disk when nothing has changed for so long, ..."""
PATIENCE_S = 5.0
"""... and while work goes on at least so often. A killed process loses none in between."""

RETRY_S = 10.0
"""After a failure, for example a full disk, it is tried again so much later."""

SIGN_OF_LIFE_S = 20.0
"""Locks are refreshed so often."""

MANY_KEYPOINTS = 200_000
"""Larger tables are not written while somebody waits, unless there is no other way: they are written in
the background before the first edit (`SpareJournal`)."""

GROWTH_BYTES = 1 << 25
"""A journal is written anew when so much was added to it, and more than three tables."""

logger = logging.getLogger(__name__)
_disk = ThreadPoolExecutor(1, thread_name_prefix="autosave")


class Autosave:
    """Writes every edit of a store to a journal beside the labels file.

    An edit is with the operating system before the next one can be made: a process that is killed
    loses the edit that it was making, and no other. Call `tick` a few times a second; it brings the
    journal to the disk in a thread. Nothing here needs Qt, so that labels can still be written
    while the window is being torn down.

    Parameters
    ----------
    store : PoseStore
    place : path
        The recording; without a labels file the journal lies beside it, or in the user's data
        folder where that cannot be written to. A file that is there already is somebody's unsaved
        work and is left alone.
    labels : path, optional
        The labels file.
    format : str, optional
        Its format.
    window : str
        Tells the windows of this process apart.
    """

    def __init__(
        self,
        store: PoseStore,
        place: Path,
        labels: Path | None = None,
        format: str | None = None,
        window: str = "",
    ) -> None:
        self.store = store
        self.place = place
        self.labels = labels
        self.format = format
        self.path: Path | None = None
        self.keeping: object = None
        self.error: str = ""
        self.written_at: float | None = None
        self._window = window
        self._journal: Journal | None = None
        self._lock: FileLock | None = None
        self._replaced: Path | None = None  # a file of an earlier version whose labels these are
        self._written = store.revision
        self._whole = True  # the next record must be a table
        self._fixed = store.skeleton, store.track_names
        self._videos = store.videos
        self._table_size = 0
        self._changed_at = 0.0
        self._unsynced_since: float | None = None
        self._seen_at = time.monotonic()
        self._retry_at = 0.0
        self._job: Future[None] | None = None
        self._spare: SpareJournal | None = None
        self._prepared_at = -PATIENCE_S
        # What the table was when it held no more than the file; None: it did not since this began.
        self._kept_state: object = self._state
        store.listeners.append(self._on_change)

    @property
    def behind(self) -> bool:
        """Whether the store holds changes that are not in the file."""
        return self.store.revision != self._written

    @property
    def paths(self) -> set[Path]:
        """Files that hold these labels and no others."""
        return {path for path in (self.path, self._replaced) if path is not None}

    @property
    def _state(self) -> object:
        return History.of(self.store).state

    @property
    def _undone(self) -> bool:
        """Whether everything in the journal was taken back."""
        return bool(self.paths) and self._state is self._kept_state

    # ----------------------------------------------------------------- writing

    def _on_change(self, change: Change | None) -> None:
        store, now = self.store, time.monotonic()
        self._changed_at = now
        if store.half_done:  # all of it is written together
            self._whole = True
            return
        if change is None:
            if self._fixed == (store.skeleton, store.track_names):
                # Predictions were added, say: whoever made them keeps them, unless they are
                # among labels that a person made.
                added = len(store.videos) > len(self._videos)  # by a person
                kept = self._journal is None and not self.error and not added
                if kept and not _has_labels(store):
                    self._written, self._videos = store.revision, store.videos
                    self._kept_state = self._state
                    return
                if self._is_large:
                    self._whole = True
                    return
            self._whole = True
        if now >= self._retry_at:
            self._write(change)

    def _write(self, change: Change | None) -> None:
        """Write what is missing: an edit, or else all labels."""
        store = self.store
        try:
            if self._whole or change is None:
                self._use_spare(change)
            journal = self._journal or self._begin()
            fixed = store.skeleton, store.track_names
            if self._written == store.revision and not self._whole:
                pass  # the spare journal held everything
            elif self._whole or change is None or self._fixed != fixed:
                before = journal.size
                journal.append(self._table())
                self._whole, self._fixed, self._table_size = False, fixed, journal.size - before
            else:
                if store.videos != self._videos:
                    journal.append(Videos(store.videos))
                journal.append(_edit(store, change))
            self._videos = store.videos
        except Exception as error:
            self._failed(error)
        else:
            self.error, self.written_at, self._written = "", time.time(), store.revision
            self._retry_at = 0.0
            if self._unsynced_since is None:
                self._unsynced_since = time.monotonic()

    def _origin(self) -> Origin:
        labels = "" if self.labels is None else str(self.labels)
        return Origin(labels, self.format or "", str(self.place))

    def _table(self) -> Table:
        return Table(self.store.table(), self._origin())

    # ------------------------------------------------------- large tables, ahead

    @property
    def _is_large(self) -> bool:
        store = self.store
        return len(store) * store.n_slots * len(store.skeleton) > MANY_KEYPOINTS

    @property
    def _is_prepared_soon(self) -> bool:
        """Whether all labels as they are now are just being written in the background."""
        spare = self._spare
        return spare is not None and spare.revision == self.store.revision and not spare.ready

    def _prepare(self, now: float) -> None:
        """Write all labels in the background: they will have to be in the journal."""
        store, spare = self.store, self._spare
        if store.read_only or (spare is not None and spare.revision == store.revision):
            return
        if now - self._prepared_at < PATIENCE_S:
            return
        self._prepared_at = now
        self._drop_spare()
        anchor = self.place if self.labels is None else self.labels
        for path in candidates(anchor, spare_journal.SUFFIX, by_name=self.labels is not None):
            try:
                self._spare = SpareJournal(store, self._origin(), path, self._window)
            except LockedError:
                continue
            except OSError as error:  # then they are written when they have to be
                logger.warning("%s cannot be written", path, exc_info=error)
            return

    def _use_spare(self, change: Change | None) -> None:
        """Make the labels that were written ahead those of the journal, if they are of any use."""
        store, spare = self.store, self._spare
        if spare is None:
            return
        fixed = store.skeleton, store.track_names
        before = store.revision - (change is not None)
        if spare.fixed != fixed or spare.revision not in (store.revision, before):
            self._drop_spare()
            return
        self._spare = None
        if not spare.wait():
            spare.forget()
            return
        spare.use(self._install)
        self._whole, self._fixed, self._table_size = False, fixed, spare.size
        self._videos, self._written = spare.videos, spare.revision

    def _install(self, whole: Path) -> None:
        if self._journal is None:
            self._begin(whole)
        if whole.exists() and self._journal is not None:
            self._journal.take_over(whole)

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.forget()

    def _begin(self, whole: Path | None = None) -> Journal:
        """Open a journal of our own, or the one from which the labels were restored.

        A new one begins with the file `whole`, which is gone then.
        """
        if self.path is not None and self.path.name.endswith(SUFFIX):
            try:
                self._lock = self._lock or _try_lock(self.path, self._window)
                self._journal = Journal.reopen(self.path)
            except (LockedError, FileNotFoundError):  # somebody else restored the labels from it
                self._lock = self.path = None
            else:
                return self._journal
        anchor = self.place if self.labels is None else self.labels
        for path in candidates(anchor, SUFFIX, by_name=self.labels is not None):
            if path.exists():
                continue
            try:
                lock = _try_lock(path, self._window)
                self._journal = (
                    Journal.create(path) if whole is None else Journal.begin_with(path, whole)
                )
            except (LockedError, FileExistsError):  # another process was quicker
                continue
            self._replaced, self.path, self._lock = self.path, path, lock
            return self._journal
        raise OSError(f"no name for the journal is free beside {anchor}")

    def _failed(self, error: BaseException) -> None:
        logger.warning("autosave to %s failed", self.path, exc_info=error)
        self._whole = True
        self.error, self._retry_at = str(error), time.monotonic() + RETRY_S

    # -------------------------------------------------------------- the clock

    def tick(self) -> None:
        """Write what could not be written before, and bring edits to the disk, if it is time."""
        now = time.monotonic()
        quiet = now - self._changed_at >= QUIET_S
        if self._job is not None and self._job.done():
            self._collect()
        if quiet and self._undone:
            self.saved(self.labels, self.format)
        if quiet and now >= self._retry_at:
            self._write_in_peace(now)
        if now - self._seen_at >= SIGN_OF_LIFE_S:
            self._seen_at = now
            self._check_lock()
        journal = self._journal
        if journal is None:
            return
        since = self._unsynced_since
        if self._job is None and since is not None and (quiet or now - since >= PATIENCE_S):
            self._unsynced_since = None
            self._job = _disk.submit(journal.sync)

    def _write_in_peace(self, now: float) -> None:
        """Write labels that are not in the journal yet, and a long journal anew."""
        journal = self._journal
        long = journal is not None and journal.size > max(GROWTH_BYTES, 4 * self._table_size)
        if self._is_large and (journal is None or self.behind or long):
            self._prepare(now)
            if self._is_prepared_soon:
                return
        if self.behind:
            self._write(None)
        elif journal is not None and long and self._job is None:
            self._compact(journal)

    def _compact(self, journal: Journal) -> None:
        try:
            if self._is_large:
                self._use_spare(None)
            else:
                journal.replace(self._table())
                self._table_size = journal.size
        except Exception as error:
            self._failed(error)

    def _check_lock(self) -> None:
        """Give a sign of life; leave the journal to whoever has taken it over."""
        if self._lock is None:
            return
        if self._lock.mine:
            self._lock.refresh()
            return
        self._close()
        self.path = None
        self._write(None)

    def _collect(self) -> None:
        """Take the result of the thread, waiting for it if need be."""
        job, self._job = self._job, None
        error = None if job is None else job.exception()
        if error is not None:
            self._failed(error)

    def flush(self) -> None:
        """Bring everything to the disk now; works while the program ends as well."""
        self._collect()
        if self._undone:
            self.saved(self.labels, self.format)
        if self.behind:
            self._write(None)
        if self._journal is not None and self._journal.unsynced:
            self._unsynced_since = None
            try:
                self._journal.sync()
            except OSError as error:
                self._failed(error)

    # ------------------------------------------------------------ beginning, end

    def saved(self, labels: Path | None, format: str | None) -> None:
        """Take away the journal: there is nothing in it that the labels file does not hold."""
        mine = self._lock is None or self._lock.mine
        paths = self.paths if mine else set()
        self._close()
        self.labels, self.format, self.path, self._replaced = labels, format, None, None
        self._written, self._kept_state = self.store.revision, self._state
        self.error = ""
        for path in paths:
            path.unlink(missing_ok=True)

    def adopt(self, path: Path) -> None:
        """Go on writing to a file from which the labels were restored.

        The file is written to with the next edit. One that somebody else may be using is left
        alone: then the next edit begins another one.
        """
        try:
            self._lock = _try_lock(path, self._window)
        except LockedError:
            return
        if path.name.endswith(SUFFIX) and recover(path).damaged:
            shutil.copy2(path, free_name(path, DAMAGED))
        self.path, self._kept_state = path, None

    def pause(self) -> None:
        """Write what is missing and let go of the file; the next edit takes it up again."""
        self.flush()
        self._close()

    def close(self) -> None:
        """Write what is missing and stop following the store."""
        self.pause()
        self.store.listeners.remove(self._on_change)

    def _close(self) -> None:
        self._collect()
        self._drop_spare()
        self._whole, self._unsynced_since = True, None
        journal, self._journal = self._journal, None
        lock, self._lock = self._lock, None
        if journal is not None:
            journal.close()
        if lock is not None:
            lock.release()


def _has_labels(store: PoseStore) -> bool:
    """Whether a store holds more than predictions."""
    human = store.array("source") == Source.HUMAN
    return bool((human & store.present()).any())


def _edit(store: PoseStore, change: Change) -> Edit:
    video, frame = store.array("video"), store.array("frame")
    return Edit(
        video[change.row],
        frame[change.row],
        change.slot,
        change.after,
        np.column_stack([video[change.marked], frame[change.marked]]),
        change.mark_after,
    )


def _try_lock(path: Path, window: str) -> FileLock | None:
    """Lock a file that is to be written; None in a place where no lock can be made."""
    try:
        return FileLock.take(path, window)
    except OSError:
        return None
