"""Labels kept while they are edited: a file that only grows, by one record an edit.

The first record of a journal holds the whole table of labels; every further one holds what an edit
left behind: the animals that it touched, as they are afterwards. Records do not depend on how an
edit was made, an undone one is recorded like any other. Animals are addressed by video, frame and
slot, and slots are those of the table.

When a process is killed while it writes, the last record is cut off; that is seen from its length or
checksum, and the record is left out. Records go to the operating system at once and
thereby survive the end of the process; `Journal.sync` brings them to the disk, for the case that the
computer fails.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.io.journal_records import (
    MAGIC,
    Edit,
    Origin,
    Table,
    Videos,
    encode,
    first_line,
    is_torn,
    records,
)
from napari_semimultipose.io.journal_replay import Replay, videos_of
from napari_semimultipose.poses import Poses, Video

__all__ = [
    "Edit",
    "Journal",
    "Origin",
    "Recovered",
    "Table",
    "Videos",
    "origin_of",
    "recover",
    "write_whole",
]

_SMALL = 1 << 20
_PIECE = 1 << 24


class Journal:
    """A journal that is written to; make one with `create` or `reopen`.

    Attributes
    ----------
    path : path
    size : int
        Bytes of complete records.
    unsynced : bool
        Whether there are records that may not be on the disk yet.
    """

    def __init__(self, path: Path, handle: FileIO, size: int) -> None:
        self.path = path
        self.size = size
        self.unsynced = True
        self._handle = handle

    @classmethod
    def create(cls, path: Path) -> Journal:
        """Begin a journal.

        Raises
        ------
        FileExistsError
            When there is such a file: it is somebody's work.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("xb", buffering=0)
        journal = cls(path, handle, 0)
        journal._write([MAGIC])
        return journal

    @classmethod
    def begin_with(cls, path: Path, whole: Path) -> Journal:
        """Begin a journal with a file of `write_whole`, which becomes the journal.

        Raises
        ------
        FileExistsError
            When there is such a file: it is somebody's work.
        """
        try:
            os.link(whole, path)  # never takes the place of a file
            whole.unlink()
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if path.exists():
                raise FileExistsError(path) from None
            whole.rename(path)
        return cls._at_end(path)

    @classmethod
    def _at_end(cls, path: Path) -> Journal:
        handle = path.open("r+b", buffering=0)
        journal = cls(path, handle, handle.seek(0, os.SEEK_END))
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """Go on with a journal behind its last complete record; see `Recovered.damaged`."""
        end = max((end for _, _, end in records(path.read_bytes())), default=len(MAGIC))
        handle = path.open("r+b", buffering=0)
        journal = cls(path, handle, end)
        journal._cut()
        return journal

    def append(self, record: Table | Edit | Videos) -> None:
        """Add a record; it is with the operating system when this returns.

        Raises
        ------
        OSError
            When it cannot be written. The journal is as it was before then.
        """
        self._write(encode(record))

    def take_over(self, whole: Path) -> None:
        """Put a file of `write_whole` in the place of all records, and go on behind it.

        Raises
        ------
        OSError
            When it cannot be put there. The journal is as it was before then.
        """
        self._handle.close()  # an open file cannot be replaced on Windows
        try:
            whole.replace(self.path)
        finally:
            self._handle = self.path.open("r+b", buffering=0)
            self.size = self._handle.seek(0, os.SEEK_END)
        self.unsynced = False

    def replace(self, table: Table) -> None:
        """Put one table in the place of all records; the old ones stay until it is on the disk.

        Raises
        ------
        OSError
            When it cannot be written. The journal is as it was before then.
        """
        parts = encode(table)
        self._handle.close()  # an open file cannot be replaced on Windows
        try:
            with replace_file(self.path) as fresh:
                _write_all(fresh, parts)
        finally:
            self._handle = self.path.open("r+b", buffering=0)
            self.size = self._handle.seek(0, os.SEEK_END)
        self.unsynced = False

    def sync(self) -> None:
        """Bring all records to the disk."""
        self.unsynced = False
        try:
            os.fsync(self._handle.fileno())
        except OSError:
            self.unsynced = True
            raise

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def _write(self, parts: Sequence[bytes | memoryview]) -> None:
        # One call where that is cheap: an edit is whole in the file, or not there.
        small = sum(len(part) for part in parts) < _SMALL
        try:
            for part in [b"".join(parts)] if small else parts:
                view = memoryview(part)
                while view:
                    view = view[self._handle.write(view) :]
        except BaseException:
            self._cut()
            raise
        self.size += sum(len(part) for part in parts)
        self.unsynced = True

    def _cut(self) -> None:
        """Forget what stands behind the last complete record."""
        self._handle.truncate(self.size)
        self._handle.seek(self.size)


def write_whole(path: Path, table: Table, should_stop: Callable[[], bool]) -> bool:
    """Write a journal of one table to a file that becomes one later; see `Journal.begin_with`.

    It is on the disk when this returns. Whatever is in the file is replaced.

    Parameters
    ----------
    path : path
    table : Table
    should_stop : callable
        Asked now and then; when it says yes, the file is left unfinished.

    Returns
    -------
    bool
        Whether the file is complete.
    """
    parts = encode(table)
    return not should_stop() and _write_all(path, parts, should_stop)


def _write_all(
    path: Path,
    parts: Sequence[bytes | memoryview],
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    with path.open("wb") as file:
        file.write(MAGIC)
        for part in parts:
            for at in range(0, len(part), _PIECE):
                if should_stop():
                    return False
                file.write(part[at : at + _PIECE])
        file.flush()
        os.fsync(file.fileno())
    return True


# ------------------------------------------------------------------- recovery


@dataclass(frozen=True, eq=False)
class Recovered:
    """What a journal holds.

    Parameters
    ----------
    poses : Poses
        The labels after the last complete record, sorted by video and frame.
    origin : Origin
    edits : int
        Number of edits behind the last table.
    damaged : bool
        Whether more than a record that was being written had to be left out: then the file should
        be kept as it is.
    """

    poses: Poses
    origin: Origin
    edits: int
    damaged: bool


def recover(path: str | os.PathLike[str]) -> Recovered:
    """Read the labels of a journal, whatever happened to the process that wrote it.

    Raises
    ------
    LabelsError
        When it is no journal, or holds no complete table.
    """
    place = Path(path)
    data = _read(place)
    replay = Replay()
    good = len(MAGIC)
    fits = True
    for meta, arrays, end in records(data):
        fits = replay.take(meta, arrays)
        if not fits:
            break
        good = end
    if replay.skeleton is None:
        raise LabelsError(f"{place} holds no labels: it was cut off while it was begun")
    return Recovered(
        replay.poses(), replay.origin, replay.n_edits, not fits or not is_torn(data, good)
    )


def origin_of(path: str | os.PathLike[str]) -> tuple[Origin, tuple[Video, ...]] | None:
    """Return what a journal belongs to, or None when there are no labels in it.

    Reads the beginning of the file only.
    """
    try:
        with Path(path).open("rb") as file:
            meta = first_line(file)
        return Origin(**meta["origin"]), videos_of(meta["videos"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def read(path: Path, root: Path | None = None) -> Poses:
    """Read the labels of a journal, as `io.labels.read_poses` does."""
    return recover(path).poses


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        newer = data.startswith(MAGIC[:-1]) and len(data) >= len(MAGIC)
        raise LabelsError(
            f"{path} was written by a newer version of this program: open it with that one"
            if newer
            else f"{path} is no journal of unsaved labels, or it was cut off while it was begun"
        )
    return data
