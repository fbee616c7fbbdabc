"""Who works on a file: a small file beside it that names the process, robust against crashes.

A lock is a hidden file ".NAME.lock" beside the file NAME, made in one step, so that of two processes
one gets it. It names host, process and user. A process of this host can be asked whether it is
still alive, and the lock of a dead one is taken over without a word. Nothing is known of processes
of other hosts but the time at which the lock was refreshed last: a person decides.
"""

from __future__ import annotations

import atexit
import getpass
import json
import os
import platform
import time
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from napari_semimultipose.errors import LabelsError

UNREADABLE_S = 10.0
"""A lock that says nothing is taken for the remains of a crash when it is that old."""


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock.

    Parameters
    ----------
    host, machine : str
        Name of the computer, and its identity where the system has one.
    pid : int
    started : str
        When the process began, in words of its system: process numbers are used again.
    user : str
    window : str
        Tells windows of one process apart.
    since : float
        Unix time at which the lock was taken.
    seen : float
        Unix time of the last sign of life; not stored, but the time of the file.
    """

    host: str
    machine: str
    pid: int
    started: str
    user: str
    window: str
    since: float
    seen: float = 0.0

    @classmethod
    def me(cls, window: str = "") -> Owner:
        """Return this process."""
        pid = os.getpid()
        return cls(
            platform.node(), _machine(), pid, _started(pid) or "", _user(), window, time.time()
        )

    def same_as(self, other: Owner) -> bool:
        """Whether two owners are one window of one process."""
        return replace(self, since=0, seen=0) == replace(other, since=0, seen=0)

    @property
    def is_here(self) -> bool:
        """Whether the process runs, or ran, on this computer."""
        return (self.host, self.machine) == (platform.node(), _machine())

    @property
    def may_live(self) -> bool:
        """Whether the process is alive, or on another computer and may be."""
        return not self.is_here or _started(self.pid) in (self.started, "")

    def __str__(self) -> str:
        since, seen = (_when(t) for t in (self.since, self.seen or self.since))
        if self.is_here:
            where = "of this program" if self.pid == os.getpid() else "on this computer"
            return f"in another window {where}, since {since}"
        return (
            f"on the computer {self.host} by {self.user}, since {since}, last sign of life {seen}"
        )


class LockedError(LabelsError):
    """A file is being worked on elsewhere.

    Attributes
    ----------
    owner : Owner
    """

    def __init__(self, target: Path, owner: Owner) -> None:
        super().__init__(f"{target.name} is open {owner}")
        self.owner = owner


class FileLock:
    """A lock that this process holds; get one with `take`."""

    _held: dict[Path, FileLock] = {}  # noqa: RUF012  # of all locks of this process, on purpose

    def __init__(self, path: Path, owner: Owner) -> None:
        self.path = path
        self.owner = owner
        self._count = 1

    @classmethod
    def take(cls, target: Path, window: str = "", *, force: bool = False) -> FileLock:
        """Get the lock of a file; the same window gets it as often as it asks.

        Parameters
        ----------
        target : path
            The file or folder, which need not exist.
        window : str
            Tells windows of one process apart.
        force : bool
            Take it from a process of another computer, too.

        Raises
        ------
        LockedError
            When somebody else has it.
        OSError
            When no file can be made there.
        """
        path, me = lock_path(target), Owner.me(window)
        for _ in range(10):
            if _create(path, me):
                lock = cls._held[path] = cls(path, me)
                return lock
            other = owner_of(target)
            if other is None:
                time.sleep(0.01)  # it went, or is being written just now
                continue
            mine = cls._held.get(path)
            if other.same_as(me) and mine is not None:
                mine._count += 1
                return mine
            if other.may_live and not other.same_as(me) and not (force and not other.is_here):
                raise LockedError(target, other)
            _remove(path, other)
        raise LockedError(target, replace(me, window="?", since=time.time()))

    @property
    def mine(self) -> bool:
        """Whether the lock was not taken over by somebody else."""
        owner = _read(self.path)
        return owner is not None and owner.same_as(self.owner)

    def refresh(self) -> None:
        """Give a sign of life."""
        if self.mine:
            os.utime(self.path)

    def release(self) -> None:
        """Give the lock back, as often as it was taken."""
        self._count -= 1
        if self._count == 0:
            self._held.pop(self.path, None)
            if self.owner.pid == os.getpid() and self.mine:
                self.path.unlink(missing_ok=True)


def lock_path(target: Path) -> Path:
    """Return the path of the lock of a file; links to one file have one lock."""
    real = Path(os.path.realpath(target))
    return real.with_name(f".{real.name}.lock")


def owner_of(target: Path) -> Owner | None:
    """Return who holds the lock of a file, dead or alive, or None when nobody does."""
    path = lock_path(target)
    owner = _read(path)
    if owner is None:
        try:
            age = time.time() - path.stat().st_mtime
        except OSError:
            return None
        if age > UNREADABLE_S:
            path.unlink(missing_ok=True)
    return owner


def in_use(target: Path, window: str = "") -> Owner | None:
    """Return who else may be working on a file, or None; the lock of a dead process is removed."""
    owner = owner_of(target)
    if owner is None or owner.same_as(Owner.me(window)):
        return None
    if not owner.may_live:
        _remove(lock_path(target), owner)
        return None
    return owner


def _create(path: Path, owner: Owner) -> bool:
    stored = asdict(owner)
    del stored["seen"]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(handle, json.dumps(stored).encode())
    finally:
        os.close(handle)
    return True


def _read(path: Path) -> Owner | None:
    try:
        seen = path.stat().st_mtime
        return Owner(**json.loads(path.read_bytes()), seen=seen)
    except (OSError, ValueError, TypeError):
        return None


def _remove(path: Path, owner: Owner) -> None:
    """Remove the lock of one owner, and not one that another process has put in its place."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except OSError:
        return
    found = _read(aside)
    if found is not None and not found.same_as(owner):
        if not path.exists():
            aside.rename(path)
        return
    aside.unlink(missing_ok=True)


def _started(pid: int) -> str | None:
    """Return when a process of this computer began: None when it is no more, "" if not known."""
    if Path("/proc/self/stat").exists():
        try:
            # Behind the name, which may hold anything: state, parent, ..., start in clock ticks.
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return _unless_gone(pid)
        if words[0] in "ZX":  # killed, and its parent has not noticed
            return None
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {words[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.AccessDenied:
        return ""
    except psutil.Error:
        return None


def _unless_gone(pid: int) -> str | None:
    """Return "" for a process that is hidden from this user, None when there is none."""
    try:
        os.kill(pid, 0)  # POSIX: only asks
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return ""


@lru_cache
def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"


def _when(at: float) -> str:
    then = datetime.fromtimestamp(at)
    today = then.date() == datetime.now().date()
    return f"{then:%H:%M}" if today else f"{then:%d %b %Y %H:%M}"


@atexit.register
def _release_all() -> None:
    for lock in list(FileLock._held.values()):
        lock._count = 1
        lock.release()
