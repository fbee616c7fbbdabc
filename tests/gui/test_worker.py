"""The bridge from event generators to worker threads."""

from __future__ import annotations

import gc
import sys
import threading
import time

import pytest
from qtpy.QtCore import QThread, QTimer
from qtpy.QtWidgets import QWidget

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets import worker
from napari_semimultipose.widgets.preload import collector_at_rest, import_quietly, long_work
from napari_semimultipose.widgets.worker import EventRunner


class Receiver:
    """Collects what a runner hands over, and in which thread."""

    def __init__(self, runner):
        self.events = []
        self.batches = []
        self.threads = set()
        self.ends = 0
        runner.received.connect(self.take)
        runner.ended.connect(self.end)

    def take(self, events):
        self.events += events
        self.batches.append(len(events))
        self.threads.add(QThread.currentThread())

    def end(self):
        self.ends += 1


@pytest.fixture
def runner(qtbot):
    host = QWidget()
    qtbot.addWidget(host)
    runner = EventRunner("work", "Work is being stopped.", host)
    yield runner
    runner.stop()
    qtbot.waitUntil(lambda: not runner.running, timeout=10_000)


def test_events_arrive_complete_and_in_order_in_the_main_thread(runner, qtbot):
    got = Receiver(runner)
    threads = []

    def numbers(should_stop):
        threads.append(threading.current_thread())
        yield from range(2000)

    assert runner.start(numbers)
    qtbot.waitUntil(lambda: got.ends == 1, timeout=10_000)
    assert got.events == list(range(2000))
    assert got.threads == {qtbot_thread(qtbot)}
    assert threads[0] is not threading.main_thread()
    assert max(got.batches) <= worker.BATCH
    assert not runner.running


def qtbot_thread(qtbot):
    from qtpy.QtWidgets import QApplication

    return QApplication.instance().thread()


def test_stopping_lets_the_generator_finish_its_work(runner, qtbot):
    got = Receiver(runner)

    def work(should_stop):
        while not should_stop():
            time.sleep(0.01)
            yield "step"
        yield "saved"

    runner.start(work)
    qtbot.waitUntil(lambda: len(got.events) > 2)
    assert runner.running
    assert not runner.stopping
    runner.stop()
    assert runner.stopping
    qtbot.waitUntil(lambda: got.ends == 1)
    assert got.events[-1] == "saved"


def test_a_second_start_is_refused_while_one_runs(runner, qtbot):
    got = Receiver(runner)
    wait = threading.Event()

    def first(should_stop):
        wait.wait(5)
        yield 1

    assert runner.start(first)
    assert not runner.start(lambda should_stop: iter([2]))
    wait.set()
    qtbot.waitUntil(lambda: got.ends == 1)
    assert got.events == [1]
    assert runner.start(lambda should_stop: iter([2]))
    qtbot.waitUntil(lambda: got.ends == 2)
    assert got.events == [1, 2]


@pytest.mark.parametrize(
    ("error", "message", "has_details"),
    [
        (RuntimeError("out of memory"), "RuntimeError: out of memory", True),
        (ValueError(), "ValueError: no further information", True),
        (LabelsError("there is no file x"), "there is no file x", False),
    ],
)
def test_an_exception_becomes_a_failed_event(runner, qtbot, error, message, has_details):
    got = Receiver(runner)

    def work(should_stop):
        yield 1
        raise error

    runner.start(work)
    qtbot.waitUntil(lambda: got.ends == 1)
    assert got.events[0] == 1
    failed = got.events[1]
    assert isinstance(failed, Failed)
    assert failed.message == message
    assert ("Traceback" in failed.details) == has_details


def test_an_exception_before_the_first_event_becomes_a_failed_event(runner, qtbot):
    got = Receiver(runner)

    def work(should_stop):
        raise RuntimeError("no such device")

    runner.start(work)
    qtbot.waitUntil(lambda: got.ends == 1)
    assert [type(e) for e in got.events] == [Failed]


@pytest.mark.parametrize("how", ["deleted by Qt", "collected by Python"])
def test_work_without_an_owner_stops(qtbot, how):
    host = QWidget()
    runner = EventRunner("work", "Work is being stopped.", host)
    host.cycle = lambda: host  # as callbacks of widgets are
    over = threading.Event()

    def work(should_stop):
        while not should_stop():
            time.sleep(0.01)
        over.set()
        yield "saved"

    runner.start(work)
    qtbot.wait(50)
    assert not over.is_set()
    if how == "deleted by Qt":
        host.deleteLater()
    else:
        del host, runner
        gc.collect()
    qtbot.waitUntil(over.is_set)


def test_a_small_window_stays_until_slow_work_has_ended(runner, qtbot):
    release = threading.Event()

    def work(should_stop):
        while not should_stop():
            time.sleep(0.01)
            yield 1
        release.wait(10)

    runner.start(work)
    qtbot.wait(50)
    QTimer.singleShot(0, runner.part)
    qtbot.waitUntil(lambda: len(worker._farewells) == 1)
    runner.part()
    assert len(worker._farewells) == 1
    (window,) = worker._farewells
    assert window.isVisible()
    window.close()
    assert window.isVisible()  # it cannot be closed while the work goes on
    release.set()
    qtbot.waitUntil(lambda: not worker._farewells)


def test_warnings_of_libraries_do_not_become_notifications(runner, qtbot, caplog):
    import warnings

    from napari.utils.notifications import notification_manager

    before = len(notification_manager.records)
    got = Receiver(runner)

    def work(should_stop):
        warnings.warn("deprecated", UserWarning, stacklevel=1)
        yield 1

    runner.start(work)
    qtbot.waitUntil(lambda: got.ends == 1)
    assert len(notification_manager.records) == before
    assert "deprecated" in caplog.text


def test_the_collector_is_as_before_after_long_work():
    frozen = gc.get_freeze_count()
    assert gc.isenabled()
    with long_work():
        with collector_at_rest():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
        with long_work():
            pass
        assert gc.get_freeze_count() > frozen  # the outer work still goes on
    assert gc.get_freeze_count() == 0


def test_threads_take_turns_more_often_during_long_work():
    usual = sys.getswitchinterval()
    with long_work():
        assert sys.getswitchinterval() == pytest.approx(0.001)
        with long_work():
            pass
        assert sys.getswitchinterval() == pytest.approx(0.001)
    assert sys.getswitchinterval() == usual


def test_import_quietly_raises_the_error_of_the_import():
    with long_work(), pytest.raises(ModuleNotFoundError):
        import_quietly("napari_semimultipose.no_such_module")
    assert gc.isenabled()
