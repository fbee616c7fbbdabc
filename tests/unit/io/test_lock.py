"""Locks beside files: one owner at a time, and none that outlives its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from napari_semimultipose.io.lock import FileLock, LockedError, Owner, in_use, lock_path, owner_of

HOLD = """
import sys, pathlib
from napari_semimultipose.io.lock import FileLock
lock = FileLock.take(pathlib.Path(sys.argv[1]))
print("taken", flush=True)
sys.stdin.read()
"""
RACE = """
import sys, pathlib
from napari_semimultipose.io.lock import FileLock, LockedError
print("ready", flush=True)
sys.stdin.readline()
try:
    FileLock.take(pathlib.Path(sys.argv[1]))
    print("taken", flush=True)
except LockedError:
    print("refused", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def target(tmp_path):
    return tmp_path / "labels.slp"


@pytest.fixture
def processes():
    started = []

    def start(code, target):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


def write_lock(target, **changes) -> Owner:
    owner = replace(Owner.me(), **changes)
    stored = asdict(owner)
    del stored["seen"]
    lock_path(target).write_text(json.dumps(stored))
    return owner


def test_a_lock_is_taken_and_given_back(target):
    lock = FileLock.take(target)
    assert lock.mine
    assert lock_path(target).name == ".labels.slp.lock"
    lock.release()
    assert not lock_path(target).exists()


def test_one_window_may_take_it_twice_and_another_one_not(target):
    first, again = FileLock.take(target, "a"), FileLock.take(target, "a")
    with pytest.raises(LockedError, match=r"labels\.slp is open in another window of this program"):
        FileLock.take(target, "b")
    first.release()
    assert lock_path(target).exists()
    again.release()
    assert not lock_path(target).exists()
    FileLock.take(target, "b").release()


def test_a_living_process_keeps_it(target, processes):
    child = processes(HOLD, target)
    assert child.stdout.readline() == "taken\n"
    for force in (False, True):  # nobody can take it from a window that can be closed
        with pytest.raises(LockedError, match="in another window on this computer, since"):
            FileLock.take(target, force=force)
    assert in_use(target).pid == child.pid
    child.stdin.close()
    child.wait()
    assert not lock_path(target).exists()  # a process that ends clears up


def test_the_lock_of_a_killed_process_is_taken_over(target, processes):
    child = processes(HOLD, target)
    child.stdout.readline()
    child.kill()  # not yet waited for: a zombie is dead, too
    time.sleep(0.2)
    assert lock_path(target).exists()
    FileLock.take(target).release()


def test_a_process_with_the_number_of_a_dead_one_does_not_hold_its_lock(target, processes):
    child = processes(HOLD, target.with_name("other"))
    child.stdout.readline()
    write_lock(target, pid=child.pid, started="long ago")
    assert in_use(target) is None
    FileLock.take(target).release()


def test_a_lock_of_another_computer_is_reported_and_taken_on_purpose_only(target):
    write_lock(target, host="lab-7", user="anna", pid=1)
    with pytest.raises(LockedError, match=r"on the computer lab-7 by anna, since .*last sign"):
        FileLock.take(target)
    assert in_use(target).host == "lab-7"
    lock = FileLock.take(target, force=True)
    assert lock.mine
    lock.release()


def test_who_lost_a_lock_notices_and_leaves_the_new_one_alone(target):
    lock = FileLock.take(target)
    write_lock(target, host="lab-7")
    assert not lock.mine
    before = lock_path(target).stat().st_mtime
    lock.refresh()
    lock.release()
    assert owner_of(target).host == "lab-7"
    assert lock_path(target).stat().st_mtime == before


def test_a_sign_of_life_is_seen(target):
    lock = FileLock.take(target)
    os.utime(lock_path(target), (1e9, 1e9))
    assert owner_of(target).seen == 1e9
    lock.refresh()
    assert owner_of(target).seen > 1e9
    lock.release()


def test_an_empty_lock_is_the_remains_of_a_crash_when_it_is_old(target):
    path = lock_path(target)
    path.write_bytes(b"")
    with pytest.raises(LockedError):
        FileLock.take(target)
    os.utime(path, (1e9, 1e9))
    FileLock.take(target).release()


def test_a_link_has_the_lock_of_its_file(target, tmp_path):
    target.write_bytes(b"labels")
    link = tmp_path / "link.slp"
    link.symlink_to(target)
    lock = FileLock.take(link, "a")
    with pytest.raises(LockedError):
        FileLock.take(target, "b")
    lock.release()


def test_of_many_processes_one_takes_over_a_stale_lock(target, processes):
    write_lock(target, started="long ago")
    children = [processes(RACE, target) for _ in range(6)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [child.stdout.readline() for child in children]
    assert sorted(answers) == ["refused\n"] * 5 + ["taken\n"]
