"""Files and folders that appear whole or not at all.

Whatever writes a result writes it beside the target first and then puts it in place with one
rename: a crash, a full disk or an error on the way leaves the old result as it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well, it becomes `path`.

    The temporary path lies in a new folder beside the target, so that the rename stays within one
    file system, and has the target's own name, so that writers which look at the suffix or store
    the file's name accept it. Folders above the target are made. A link is followed: its target
    is replaced and the link stays.

    Parameters
    ----------
    path : path
        The file to create or replace.

    Yields
    ------
    pathlib.Path
        Where to write. The file does not exist yet.

    Raises
    ------
    FileNotFoundError
        When the block ends without having written the file. The old file is left untouched then,
        as with any other error.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder, a file cannot take its place")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _workplace(target) as place:
        fresh = place / target.name
        yield fresh
        if not fresh.is_file():
            raise FileNotFoundError(f"nothing was written to {fresh}")
        _sync(fresh)
        if target.exists():
            shutil.copymode(target, fresh)
        fresh.replace(target)
    _sync(target.parent)


@contextlib.contextmanager
def replace_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends well, it becomes `path`.

    No system call replaces a folder that is not empty, so an old folder is first renamed into the
    temporary place and comes back if the second rename fails. Between the two renames the target
    does not exist; it never holds a mixture of old and new files.

    Parameters
    ----------
    path : path
        The folder to create or replace.

    Yields
    ------
    pathlib.Path
        An empty folder beside the target, with the target's name.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target} is a file, a folder cannot take its place")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _workplace(target) as place:
        fresh = place / target.name
        fresh.mkdir()
        yield fresh
        for folder, _, files in os.walk(fresh):
            for name in files:
                _sync(Path(folder, name))
            _sync(Path(folder))
        old = place / "old"
        if old == fresh:
            old = place / "previous"
        if target.exists():
            target.replace(old)
        try:
            fresh.replace(target)
        except BaseException:
            if old.exists():
                old.replace(target)
            raise
    _sync(target.parent)


def check_space(path: str | os.PathLike[str], needed: int) -> None:
    """Make sure that a file of about `needed` bytes fits onto the disk beside the one that it replaces.

    For writers that a full disk does not leave a choice: the HDF5 library takes the program down with it.

    Raises
    ------
    OSError
        With the number of a full disk, where there is less room.
    """
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{free / 1e6:.1f} MB are free on the disk and about {needed / 1e6:.1f} MB are needed; "
            "make room, or choose another folder",
        )


@contextlib.contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """Make a hidden folder beside `target` and remove it in the end."""
    place = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".tmp", dir=target.parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _sync(path: Path) -> None:
    """Ask the system to bring a file or folder to the disk; folders only where that is possible."""
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except PermissionError:  # Windows does not open folders; a rename is durable there on its own
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
