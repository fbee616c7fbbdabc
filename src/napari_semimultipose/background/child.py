"""The working process: does one piece of work after the other, until the viewer is gone."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Iterable
from typing import Any

from napari_semimultipose.background.failures import guarded
from napari_semimultipose.background.lent import Asking, borrowed
from napari_semimultipose.background.wire import Answer, End, Event, MakeRoom, Stop, Wire, Work

logger = logging.getLogger(__name__)


def main() -> None:
    """Work for the process at the other end of standard input and output.

    Standard output becomes standard error, so that nothing that a library prints gets between the
    messages. When the viewer ends, by whatever cause, the work is stopped as if a person had done it,
    and the process ends.
    """
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
    warnings.simplefilter("default")
    step_back()
    # It comes with torch and is imported where it is found: a second more, for a compiler that is not used.
    sys.modules["triton"] = None  # type: ignore[assignment]  # Python's sign for "is not there"
    worker = Worker(incoming, outgoing)
    # Ctrl+C in a terminal reaches all its processes: the viewer decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: worker.leave())
    worker.serve()


class Worker:
    """Receives work and sends its events.

    Parameters
    ----------
    incoming, outgoing : binary file
    """

    def __init__(self, incoming: Any, outgoing: Any) -> None:
        self._asking = Asking(lambda question: self._wire.send(question))
        self._wire = Wire(incoming, outgoing, borrow=lambda d: borrowed(d, self._asking))
        self._tasks: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._leaving = threading.Event()

    def leave(self) -> None:
        """End the work, and then the process."""
        self._leaving.set()
        self._stop.set()
        self._tasks.put(None)

    def serve(self) -> None:
        """Do what comes, until nothing can come any more."""
        threading.Thread(target=self._listen, name="messages", daemon=True).start()
        while (work := self._tasks.get()) is not None:
            with contextlib.suppress(OSError):  # the viewer is gone: `_listen` notices too
                self._do(work)
            if self._leaving.is_set():
                break
            _tidy_up()

    def _listen(self) -> None:
        try:
            while True:
                message = self._wire.receive()
                match message:
                    case Work():
                        self._stop.clear()
                        self._tasks.put(message)
                    case Stop():
                        self._stop.set()
                    case MakeRoom():
                        _make_room(message.seconds)
                    case Answer():
                        self._asking.take(message)
        except (EOFError, OSError):
            pass
        except Exception:
            logger.exception("a message of the viewer could not be read")
        self._asking.close()
        self.leave()

    def _do(self, work: Work) -> None:
        listening = True
        for event in guarded(lambda: self._events(work)):
            if listening:
                try:
                    self._wire.send(Event(event))
                except OSError:
                    # Nobody is left to hear it; the work is all the same brought to its proper end.
                    listening = False
                    self.leave()
        if listening:
            self._wire.send(End())

    def _events(self, work: Work) -> Iterable[Any]:
        with contextlib.suppress(OSError):
            os.chdir(work.folder)
        function: Any = importlib.import_module(work.module)
        for name in work.function.split("."):
            function = getattr(function, name)
        events: Iterable[Any] = function(*work.arguments, self._stop.is_set)
        return events


def step_back() -> None:
    """Let the viewer, and whatever else a person looks at, go first when processors are scarce."""
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(10)


def _make_room(seconds: float) -> None:
    """Compute with one thread fewer for a while; where nothing is computed yet there is nothing to do."""
    threads = sys.modules.get("napari_semimultipose.models.threads")
    if threads is not None and hasattr(threads, "make_room"):  # it may be half imported
        threads.make_room(seconds)


def _tidy_up() -> None:
    """Give back what the next piece of work, of another kind perhaps, does not need."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
