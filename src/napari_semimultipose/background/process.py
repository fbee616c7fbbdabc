"""The viewer's side of a working process: starting it, giving it work, hearing its events."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any, BinaryIO, cast

from napari_semimultipose.background.importing import imported
from napari_semimultipose.background.lent import look_up
from napari_semimultipose.background.wire import End, Event, MakeRoom, Question, Stop, Wire, Work
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.training.events import Failed

ShouldStop = Callable[[], bool]

IN_PROCESS = "SEMIMULTIPOSE_IN_PROCESS"
"""Environment variable: where it is set, and not 0, all work is done in the viewer's own process."""
IDLE_S = 1800.0
"""A process without work ends after this time. Until then the next work begins without loading torch."""

ROOM_S = 1.5
"""How long one thread fewer computes after something was done in the viewer."""

_POLL_S = 0.05
_LAST_LINES = 40
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from napari_semimultipose.background.child import main; main()"
)

logger = logging.getLogger(__name__)


def run_apart(
    function: Callable[..., Iterable[Any]], *arguments: Any, should_stop: ShouldStop
) -> Iterator[Any]:
    """Run a generator of events in another process, and yield its events here.

    Nothing that it does can stop the viewer's Python for a moment, or end it: neither a long
    computation that does not let go of the interpreter's lock, nor a crash in a driver or a lack of
    memory. Where no process can be started, or the function is none that another process could find by
    its name, the work is done in this process.

    Parameters
    ----------
    function : callable
        Of a module, by its name; called with `arguments` and a callable that says whether to stop.
    *arguments : object
        Made of classes of this package, numpy arrays and plain values. Frames of files are opened again
        there; those of arrays stay here and are asked for one by one.
    should_stop : callable
        Asked 20 times a second.

    Yields
    ------
    object
        The events; `Failed` where the process ends before its work.
    """
    child = _take_child(should_stop) if _can_be_found(function) else None
    if child is None:
        yield from function(*arguments, should_stop)
        return
    try:
        yield from child.run(function, arguments, should_stop)
    finally:
        _put_back(child)


class Child:
    """A working process, for one piece of work at a time."""

    def __init__(self) -> None:
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows has it
        self._process = subprocess.Popen(
            [get_executable(), "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=flags,
        )
        self._lent: dict[int, Frames] = {}
        self._wire = Wire(
            cast(BinaryIO, self._process.stdout),
            cast(BinaryIO, self._process.stdin),
            lend=self._lend,
        )
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._refused: str | None = None
        self.busy = False
        self._talker = threading.Thread(target=self._read_errors, name="messages", daemon=True)
        self._talker.start()
        threading.Thread(target=self._listen, name="events", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it can take work."""
        return not self.busy and self._process.poll() is None

    def run(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], should_stop: ShouldStop
    ) -> Iterator[Any]:
        """Give it work, and yield the events; see `run_apart`."""
        self.busy = True
        told = False
        room_s = time.monotonic() - ROOM_S  # when it was last told to make room
        try:
            self._wire.send(Work(function.__module__, function.__qualname__, arguments, _folder()))
            while True:
                if not told and should_stop():
                    told = True
                    self._wire.send(Stop())
                if _touched > room_s and time.monotonic() > room_s + ROOM_S / 3:
                    room_s = time.monotonic()
                    self._wire.send(MakeRoom(ROOM_S))
                try:
                    message = self._heard.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                match message:
                    case Event():
                        yield message.value
                    case Question():
                        self._wire.send(look_up(self._lent[message.frames], message))
                    case End():
                        self.busy = False
                        return
                    case None:
                        yield self._last_words()
                        return
        except OSError:
            yield self._last_words()
        finally:
            self._lent.clear()

    def close(self) -> None:
        """End the process: at once where it is idle, after its state is saved where it works."""
        self._wire.close()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def _lend(self, frames: Frames) -> int:
        self._lent[id(frames)] = frames
        return id(frames)

    def _listen(self) -> None:
        try:
            while True:
                self._heard.put(self._wire.receive())
        except (EOFError, OSError, ValueError):  # closed on the other side, or on this
            pass
        except Exception as error:
            logger.exception("a message of the working process could not be read")
            self._refused = f"{type(error).__name__}: {error}"
            self._process.kill()
        self._heard.put(None)
        self._process.wait()
        cast(BinaryIO, self._process.stdout).close()

    def _read_errors(self) -> None:
        with cast(BinaryIO, self._process.stderr) as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                self._said.append(text)
                logger.warning("%s", text)

    def _last_words(self) -> Failed:
        """Say that the process has ended, and why, as far as that is known."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._talker.join(2)
        if self._refused is not None:
            text = f"a message of the process that did the work could not be read ({self._refused})"
            return Failed(text, "\n".join(self._said))
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                code = signal.Signals(-code).name
        cause = ""
        if code == "SIGKILL":
            cause = (
                ": the system ends programs like this when memory runs out; use smaller crops or "
                "batches, or close other programs"
            )
        text = f"the process that did the work has ended unexpectedly ({code}){cause}"
        return Failed(text, "\n".join(self._said))


def make_room() -> None:
    """Say that somebody works in the viewer: for a while, work apart leaves a processor to it.

    Costs next to nothing, so that it may be called for each movement of a mouse.
    """
    global _touched
    _touched = time.monotonic()


def warm_up(*modules: str) -> None:
    """Let a process import modules, so that work that needs them begins at once; returns immediately.

    Nothing happens where one waits for work already. What cannot be imported is told by the work that needs it.
    """
    global _warming
    with _lock:
        if _idle or _warming is not None or not _allowed():
            return
        _warming = threading.Thread(target=_warm, args=(modules,), name="warming up", daemon=True)
        _warming.start()


def _warm(modules: Sequence[str]) -> None:
    global _warming
    child = _new_child()
    try:
        if child is not None:
            for _ in child.run(imported, tuple(modules), lambda: False):
                pass
    finally:
        with _lock:
            _warming = None
        if child is not None:
            _put_back(child)


def _folder() -> str:
    """Return the current folder; an empty text where somebody has deleted it."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


_idle: list[tuple[Child, threading.Timer]] = []
_warming: threading.Thread | None = None
_touched = 0.0
_lock = threading.Lock()


def _allowed() -> bool:
    return os.environ.get(IN_PROCESS, "0") in ("", "0") and not getattr(sys, "frozen", False)


def _take_child(should_stop: ShouldStop) -> Child | None:
    """Return a process that waits for work, or a new one; None where there can be none."""
    if not _allowed():
        return None
    while not should_stop():
        with _lock:  # never sees a thread that has not been started
            warming = _warming
        if warming is None:
            break
        warming.join(_POLL_S)  # sooner ready than one that begins now
    with _lock:
        while _idle:
            child, timer = _idle.pop()
            timer.cancel()
            if child.alive:
                return child
    return _new_child()


def _new_child() -> Child | None:
    try:
        return Child()
    except OSError as error:
        logger.warning("no process could be started (%s): the work is done in the viewer's", error)
        return None


def _put_back(child: Child) -> None:
    """Keep one process without work for a while; end all others."""
    with _lock:
        if child.alive and not _idle:
            timer = threading.Timer(IDLE_S, _dismiss, [child])
            timer.daemon = True
            timer.start()
            _idle.append((child, timer))
            return
    child.close()


def _dismiss(child: Child) -> None:
    with _lock:
        mine = [entry for entry in _idle if entry[0] is child]
        for entry in mine:
            _idle.remove(entry)
    if mine:
        child.close()


def _can_be_found(function: Callable[..., Any]) -> bool:
    """Whether another process finds the same function by its name."""
    try:
        found: Any = importlib.import_module(function.__module__)
        for name in function.__qualname__.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return False
    return found is function
