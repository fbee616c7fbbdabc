"""The bridge from a generator of events to a napari worker thread.

napari's own generator workers do not fit here: `quit` leaves the generator hanging without running
its ``finally``, a `RuntimeError` (torch's out-of-memory is one) raised in it disappears, and each
event is a wake-up of the main thread. So the generator is drained by a plain function worker, is
told to stop through a callable, and hands its events over through a queue that the main thread
empties at its own pace.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from napari.qt.threading import FunctionWorker, create_worker
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QThread, QTimer, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget
from typing_extensions import override

from napari_semimultipose.background.failures import guarded
from napari_semimultipose.background.process import make_room, warm_up
from napari_semimultipose.widgets.docks import join_tabs
from napari_semimultipose.widgets.preload import long_work
from napari_semimultipose.widgets.progress import ProgressBar

ShouldStop = Callable[[], bool]
EventSource = Callable[[ShouldStop], Iterable[Any]]

POLL_MS = 50
BATCH = 500

logger = logging.getLogger(__name__)


class EventRunner(QObject):
    """Runs one generator of events at a time in a worker thread.

    All signals are emitted in the main thread. When the window closes or the runner is gone, a
    running generator is told to stop; where it takes a while, a small window says so and keeps the
    program alive as long.

    Parameters
    ----------
    title : str
        What the work is called, where napari asks whether to close its window.
    farewell : str
        What the small window says.
    parent : QObject
        The widget whose life bounds the work.
    """

    received = Signal(list)
    """Some events, in their order: at most 500, and not more often than every 50 ms."""
    ended = Signal()
    """The thread has ended, and all its events have been received."""

    def __init__(self, title: str, farewell: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._farewell = farewell
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._receive)
        self._jobs: list[_Job] = []  # none or one

    @property
    def running(self) -> bool:
        """Whether a generator has been started whose end has not been received."""
        return bool(self._jobs)

    @property
    def stopping(self) -> bool:
        """Whether the running generator was asked to stop."""
        return any(job.should_stop() for job in self._jobs)

    def start(self, make_events: EventSource) -> bool:
        """Run a generator; False, and nothing happens, when one is running.

        Parameters
        ----------
        make_events : callable
            Called in the worker thread with a callable that says whether to stop.
        """
        if self._jobs:
            return False
        job = _Job(self._title, self._farewell, make_events, self)
        self._jobs.append(job)
        self._timer.start()
        job.start()
        return True

    def stop(self) -> None:
        """Ask the running generator to stop."""
        for job in self._jobs:
            job.stop.set()

    def part(self) -> None:
        """Stop, because nobody can see the work any more."""
        for job in self._jobs:
            job.part()

    def _receive(self) -> None:
        if not self._jobs:
            return
        job = self._jobs[0]
        over = job.over.is_set()  # asked first: what was put before it was set is in the queue
        events = job.take(BATCH)
        if events:
            self.received.emit(events)
        if over and job.events.empty() and job in self._jobs:
            self._timer.stop()
            self._jobs.clear()
            self.ended.emit()


class DockedWidget(QWidget):
    """A dock widget that is deleted with its dock.

    napari takes a widget out of its dock when the user closes the dock, and lets go of it: then it
    would live on, unseen.
    """

    @override
    def event(self, event: Any) -> bool:
        """Notice that the dock has been closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            # a script may put the widget elsewhere at once
            QTimer.singleShot(0, self._on_orphaned)
        return bool(super().event(event))

    def _on_orphaned(self) -> None:
        if isalive(self) and self.parent() is None and not self.isVisible():
            self._leave()
            self.deleteLater()

    def _leave(self) -> None:
        """Do what is to be done before the widget is deleted."""


class WorkWidget(DockedWidget):
    """A dock widget with work in the background, which ends with the widget."""

    runner: EventRunner
    needs: tuple[str, ...] = ()
    """Modules that the work needs and that take long to import: they are loaded while the form is filled in."""
    _viewer: Any
    _seen = False

    @override
    def sizeHint(self) -> QSize:
        """Leave most of a small screen to the picture."""
        return QSize(350, 640)

    @override
    def showEvent(self, event: Any) -> None:
        """Join the other docks of ours when the widget is shown for the first time."""
        super().showEvent(event)
        if not self._seen:
            self._seen = True
            QTimer.singleShot(0, self._join)
            watch_for_hands(self._viewer)
            if self.needs:
                warm_up(*self.needs)

    def _join(self) -> None:
        if isalive(self):
            join_tabs(self, DockedWidget)

    @override
    def _leave(self) -> None:
        self.runner.part()


def watch_for_hands(viewer: Any) -> None:
    """Let the work leave a processor to the viewer while frames are browsed and the mouse moves in it."""
    viewer.dims.events.current_step.connect(_on_hands)
    camera = getattr(viewer, "scene", viewer).camera  # napari 0.9 moved it
    for emitter in (camera.events.center, camera.events.zoom):
        emitter.connect(_on_hands)
    viewer.cursor.events.position.connect(_on_hands)


def _on_hands(event: Any = None) -> None:
    make_room()


class _Job:
    """One generator and its thread."""

    def __init__(
        self, title: str, farewell: str, make_events: EventSource, owner: EventRunner
    ) -> None:
        self._title = title
        self._farewell: str | None = farewell
        self._make_events = make_events
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.over = threading.Event()
        # Looked at, and not told by the signal `destroyed`: when Python's collector deletes the
        # owner, it has taken the functions apart that are connected to it, and calling them crashes.
        self._owner = weakref.ref(owner)

    def __str__(self) -> str:
        # napari shows the function of a worker when it asks whether to close the window
        return self._title

    __repr__ = __str__

    def start(self) -> None:
        worker = create_worker(self, _worker_class=_Worker)
        worker.start()

    def should_stop(self) -> bool:
        """Whether somebody wants the end, or nobody is there any more."""
        owner = self._owner()
        return self.stop.is_set() or owner is None or not isalive(owner)

    def part(self) -> None:
        """Stop because the window or the program ends, and say so when it takes a while."""
        self.stop.set()
        deadline = time.monotonic() + 0.05
        while not self.over.is_set() and time.monotonic() < deadline:
            time.sleep(0.005)
        alive = QThread.currentThread().loopLevel() > 0  # otherwise nobody would paint a window
        if self._farewell is not None and not self.over.is_set() and alive:
            _Farewell(self, self._farewell).show()
            self._farewell = None

    def take(self, limit: int) -> list[Any]:
        """Return the events that have come, at most so many."""
        out: list[Any] = []
        try:
            while len(out) < limit:
                out.append(self.events.get_nowait())
        except queue.Empty:
            pass
        return out

    def __call__(self) -> None:
        """Drain the generator, in the worker thread."""
        try:
            with long_work(), warnings.catch_warnings():
                # napari's worker would show each warning of each library as a notification
                warnings.simplefilter("default")
                warnings.showwarning = _log_warning  # type: ignore[assignment]
                for event in guarded(lambda: self._make_events(self.should_stop)):
                    self.events.put(event)
        finally:
            self.over.set()


class _Worker(FunctionWorker):
    """A napari worker that can be asked to stop."""

    def __init__(self, job: _Job) -> None:
        super().__init__(job)
        self._job = job

    @override
    def quit(self) -> None:
        """Stop, because napari's window closes or the program ends."""
        super().quit()
        self._job.part()


def _log_warning(message: Any, category: Any, filename: Any, lineno: Any, *_: Any) -> None:
    logger.warning("%s:%s: %s: %s", filename, lineno, category.__name__, message)


class _Farewell(QWidget):
    """Small window that stays until work whose window has been closed has ended.

    A Qt program ends with its last window: this one keeps it alive, and alive to look at.
    """

    def __init__(self, job: _Job, text: str) -> None:
        super().__init__(None, Qt.WindowType.Window | Qt.WindowType.CustomizeWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("napari")
        self._job = job
        label = QLabel(text, self)
        label.setWordWrap(True)
        label.setMinimumWidth(340)
        bar = ProgressBar(self)
        bar.setRange(0, 0)
        layout = QVBoxLayout(self)
        layout.addWidget(label)
        layout.addWidget(bar)
        timer = QTimer(self)
        timer.timeout.connect(self._look)
        timer.start(POLL_MS)
        _farewells.add(self)

    def _look(self) -> None:
        if self._job.over.is_set():
            _farewells.discard(self)
            self.close()

    @override
    def closeEvent(self, event: Any) -> None:
        """Stay while the work goes on."""
        event.setAccepted(self._job.over.is_set())


_farewells: set[_Farewell] = set()
