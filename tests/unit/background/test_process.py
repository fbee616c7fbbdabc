"""Work in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose.background import process
from napari_semimultipose.background.process import IN_PROCESS, Child, run_apart
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.io.video import as_layer_data, open_frames
from napari_semimultipose.io.video_writer import write_video
from napari_semimultipose.training.events import Failed, Notice

sys.path.insert(0, str(Path(__file__).parent))  # for the processes too
import background_work as work


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def _no_process_is_left(monkeypatch):
    monkeypatch.delenv(IN_PROCESS, raising=False)
    yield
    with process._lock:
        while process._idle:
            child, timer = process._idle.pop()
            timer.cancel()
            child.close()


def wait_for(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_events_arrive_complete_and_in_order():
    events = list(run_apart(work.numbers, 500, should_stop=never))
    assert events == [Notice(str(i)) for i in range(500)]


def test_the_process_is_another_and_is_used_again():
    first = list(run_apart(work.process, should_stop=never))
    second = list(run_apart(work.process, should_stop=never))
    assert first == second != [os.getpid()]


def test_two_pieces_of_work_at_once_have_two_processes(tmp_path):
    stop = threading.Event()
    one = run_apart(work.until_stopped, tmp_path, should_stop=stop.is_set)
    assert next(one) == "working"
    (other,) = run_apart(work.process, should_stop=never)
    assert not stop.is_set()
    assert process._idle[0][0].pid == other
    stop.set()
    assert list(one) == ["saved"]


def test_only_one_process_waits_for_work(tmp_path):
    stop = threading.Event()
    one = run_apart(work.until_stopped, tmp_path, should_stop=stop.is_set)
    next(one)
    (other,) = run_apart(work.process, should_stop=never)
    stop.set()
    list(one)
    assert len(process._idle) == 1
    assert process._idle[0][0].pid == other


def test_a_process_without_work_ends_after_a_while(monkeypatch):
    monkeypatch.setattr(process, "IDLE_S", 0.2)
    (pid,) = run_apart(work.process, should_stop=never)
    wait_for(lambda: gone(pid))
    assert not process._idle


def test_warming_up_loads_modules_for_the_next_work():
    started = time.monotonic()
    process.warm_up("colorsys", "no_such_module")
    assert time.monotonic() - started < 1
    process.warm_up("colorsys")  # one is enough
    assert list(run_apart(work.knows, "colorsys", should_stop=never)) == [True]
    wait_for(lambda: len(process._idle) == 1)
    process.warm_up("wave")  # one waits already
    assert process._warming is None


def test_nothing_is_warmed_up_where_work_stays_in_this_process(monkeypatch):
    monkeypatch.setenv(IN_PROCESS, "1")
    process.warm_up("colorsys")
    assert process._warming is None


def test_stopping_lets_the_work_come_to_its_proper_end(tmp_path):
    stop = threading.Event()
    events = run_apart(work.until_stopped, tmp_path, should_stop=stop.is_set)
    assert next(events) == "working"
    stop.set()
    assert list(events) == ["saved"]
    assert (tmp_path / "saved").exists()


def test_a_stop_of_before_does_not_stop_the_next_work(tmp_path):
    stop = threading.Event()
    stop.set()
    assert list(run_apart(work.until_stopped, tmp_path, should_stop=stop.is_set))[-1] == "saved"
    assert len(list(run_apart(work.numbers, 5, should_stop=never))) == 5
    calm = threading.Event()
    events = run_apart(work.until_stopped, tmp_path, should_stop=calm.is_set)
    next(events)
    time.sleep(0.2)
    assert process._idle == []
    calm.set()
    assert list(events) == ["saved"]


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3), np.uint8)


def test_frames_of_arrays_are_asked_for_one_by_one(pictures):
    frames = open_frames(pictures)
    kind, *answers = run_apart(work.sums, frames, [0, 5, 2], should_stop=never)
    assert kind == "LentFrames"
    assert answers == [((20, 30), int(pictures[i].sum(dtype=np.int64))) for i in (0, 5, 2)]


def test_an_error_in_the_frames_is_that_of_the_frames(pictures):
    bad = pictures.astype(float) + 0.5
    events = list(run_apart(work.sums, open_frames(bad), [0], should_stop=never))
    assert isinstance(events[-1], Failed)
    assert "scale them to 0..1" in events[-1].message
    assert not events[-1].details


def test_frames_of_files_are_opened_again(tmp_path):
    recording = SyntheticRecording(4, animals=1, size=(64, 64))
    with write_video(tmp_path / "clip.mp4", (64, 64), 10) as video:
        for i in range(4):
            video.write(recording.frame(i))
    with open_frames(tmp_path / "clip.mp4") as frames:
        shown = open_frames(as_layer_data(frames))
        kind, *answers = run_apart(work.sums, shown, [3, 1], should_stop=never)
        assert kind == "VideoFrames"
        assert answers == [((64, 64), int(frames[i].astype(int).sum())) for i in (3, 1)]


def test_a_list_of_images_of_many_sizes_is_opened_again(tmp_path, monkeypatch, pictures):
    from skimage.io import imsave

    monkeypatch.chdir(tmp_path)
    for i, size in enumerate((20, 12)):
        imsave(f"{i}.png", pictures[i, :size], check_contrast=False)
    with open_frames(["0.png", "1.png"]) as frames:
        kind, *answers = run_apart(work.sums, frames, [0, 1], should_stop=never)
        assert kind == "ImageFrames"
        assert [shape for shape, _ in answers] == [(20, 30), (12, 30)]


def test_frames_whose_file_is_gone_are_asked_for(tmp_path, pictures):
    np.save(tmp_path / "stack.npy", pictures)
    with open_frames(tmp_path / "stack.npy") as frames:
        (tmp_path / "stack.npy").unlink()
        kind, answer = run_apart(work.sums, frames, [4], should_stop=never)
        assert kind == "LentFrames"
        assert answer == ((20, 30), int(pictures[4].sum(dtype=np.int64)))


def test_errors_for_users_and_all_others_become_failed_events():
    assert list(run_apart(work.broken, "label", should_stop=never))[1] == Failed(
        "the file has no labels"
    )
    failed = list(run_apart(work.broken, "other", should_stop=never))[1]
    assert failed.message == "RuntimeError: no such device"
    assert "Traceback" in failed.details


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
@pytest.mark.parametrize(("name", "hint"), [("SIGKILL", "memory"), ("SIGSEGV", "SIGSEGV")])
def test_a_crash_is_told_and_the_next_work_gets_a_new_process(name, hint):
    events = list(run_apart(work.broken, name, should_stop=never))
    assert events[0] == "working"
    assert isinstance(events[1], Failed)
    assert hint in events[1].message
    assert "a last word" in events[1].details
    assert len(list(run_apart(work.numbers, 5, should_stop=never))) == 5


def test_what_is_printed_does_not_get_between_the_messages():
    assert list(run_apart(work.chatty, should_stop=never)) == ["done"]


def test_a_function_that_nobody_else_can_find_runs_here():
    def inner(should_stop):
        yield os.getpid()

    assert list(run_apart(inner, should_stop=never)) == [os.getpid()]


def test_a_variable_keeps_all_work_in_this_process(monkeypatch):
    list(run_apart(work.process, should_stop=never))  # one that waits is not used either
    monkeypatch.setenv(IN_PROCESS, "1")
    assert list(run_apart(work.process, should_stop=never)) == [os.getpid()]


def test_without_a_process_the_work_is_done_here(monkeypatch):
    def refuse(*given, **more):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert list(run_apart(work.process, should_stop=never)) == [os.getpid()]


def test_work_that_nobody_listens_to_any_more_is_stopped_properly(tmp_path):
    events = run_apart(work.until_stopped, tmp_path, should_stop=never)
    next(events)
    events.close()
    wait_for((tmp_path / "saved").exists)
    assert not process._idle


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_the_work_is_saved_when_the_viewer_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from napari_semimultipose.background.process import run_apart;"
        "import background_work as work;"
        "events = run_apart(work.until_stopped, Path(sys.argv[2]), should_stop=lambda: False);"
        "print(next(events), flush=True); time.sleep(60)"
    )
    here = Path(__file__).parent
    viewer = subprocess.Popen(
        [sys.executable, "-c", code, str(here), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert viewer.stdout is not None
    assert viewer.stdout.readline().strip() == b"working"
    viewer.kill()
    viewer.wait()
    viewer.stdout.close()
    wait_for((tmp_path / "saved").exists)


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_the_process_alone_can_be_asked_to_end(tmp_path):
    child = Child()
    events = child.run(work.until_stopped, (tmp_path,), never)
    assert next(events) == "working"
    os.kill(child.pid, signal.SIGTERM)
    assert next(events) == "saved"
    assert list(events) == []
    wait_for(lambda: gone(child.pid))


def test_an_event_that_is_refused_is_told_as_such():
    events = list(run_apart(work.unknown_things, should_stop=never))
    assert events[0] == "first"
    assert isinstance(events[1], Failed)
    assert "could not be read" in events[1].message
    assert "memory" not in events[1].message
    assert len(list(run_apart(work.numbers, 5, should_stop=never))) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="keeps folders that are in use")
def test_a_deleted_current_folder_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert len(list(run_apart(work.numbers, 5, should_stop=never))) == 5


def test_work_hears_that_somebody_uses_the_viewer():
    events = run_apart(work.told_to_make_room, should_stop=never)
    assert next(events) == "working"
    process.make_room()
    assert next(events)[0] == process.ROOM_S


def test_work_hears_nothing_of_a_viewer_that_is_left_alone(tmp_path):
    process._touched = time.monotonic() - 60
    deadline = time.monotonic() + 1
    events = run_apart(work.told_to_make_room, should_stop=lambda: time.monotonic() > deadline)
    assert list(events) == ["working", []]
