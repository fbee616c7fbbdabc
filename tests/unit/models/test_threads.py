"""The number of threads follows what the machine has to give."""

from __future__ import annotations

import pytest

from napari_semimultipose.models import threads as module
from napari_semimultipose.models.threads import Threads


class Machine:
    """A clock that runs as fast as a network computes beside other work.

    A step is 1 s of work that threads share without loss; when one of them has to wait for a processor, the
    step takes `stall_s` longer.
    """

    def __init__(self, cores: int = 2, others: int = 0, stall_s: float = 3.0) -> None:
        self.cores, self.others, self.stall_s = cores, others, stall_s
        self.now = self.cpu = 0.0
        self.threads = cores
        self.tried: list[int] = []

    def set_count(self, count: int) -> None:
        self.threads = count
        self.tried.append(count)

    def step(self) -> None:
        free = max(0, self.cores - self.others)
        wall = 1 / self.threads
        if self.threads > max(free, 1):
            wall += self.stall_s
        self.now += wall
        self.cpu += 1 if self.threads <= max(free, 1) else 0.6 * wall * self.threads

    def idle(self) -> float:
        return max(0.0, self.cores - self.others - self.threads)


def work(machine: Machine, threads: Threads, steps: int) -> float:
    start = machine.now
    for _ in range(steps):
        with threads.timed():
            machine.step()
    return machine.now - start


def watched(machine: Machine, **options: object) -> Threads:
    return Threads(
        machine.cores,
        clock=lambda: machine.now,
        used=lambda: machine.cpu,
        idle=machine.idle,
        set_count=machine.set_count,
        **options,  # type: ignore[arg-type]
    )


def test_an_idle_machine_is_used_whole_and_nothing_is_tried() -> None:
    machine = Machine(cores=4)
    work(machine, watched(machine), 200)
    assert machine.tried == [4]


@pytest.mark.parametrize("cores", [2, 8])
def test_threads_give_way_to_other_work_and_come_back(cores: int) -> None:
    machine = Machine(cores=cores)
    threads = watched(machine)
    work(machine, threads, 20)
    machine.others = cores - 1
    work(machine, threads, 100)
    assert threads.count == 1
    busy = work(machine, threads, 50)
    assert busy < 50 * machine.stall_s  # what all threads would have taken
    machine.others = 0
    work(machine, threads, 400)
    assert threads.count == cores


def test_a_number_that_is_no_quicker_is_taken_back_and_tried_less_and_less_often() -> None:
    machine = Machine(others=1, stall_s=0.0)  # waiting costs nothing: two threads stay quicker
    threads = watched(machine)
    work(machine, threads, 3000)
    assert threads.count == 2
    assert 2 <= machine.tried.count(1) <= 8


def test_a_fixed_number_stays() -> None:
    machine = Machine(others=1)
    threads = watched(machine, fixed=True)
    work(machine, threads, 100)
    assert machine.tried == [2]


def test_one_thread_fewer_while_there_is_a_guest_and_all_again_after_it() -> None:
    machine, guest = Machine(cores=4), [False]
    threads = watched(machine, guest=lambda: guest[0])
    work(machine, threads, 10)
    guest[0] = True
    work(machine, threads, 100)
    assert machine.threads == 3
    guest[0] = False
    work(machine, threads, 10)
    assert machine.threads == 4
    assert machine.tried == [4, 3, 4]


def test_a_guest_ends_a_trial_and_its_steps_are_no_measure() -> None:
    machine, guest = Machine(cores=4, others=3), [False]
    threads = watched(machine, guest=lambda: guest[0])
    while machine.threads == 4:  # until fewer are tried
        work(machine, threads, 1)
    guest[0] = True
    work(machine, threads, 30)
    assert machine.threads == 3
    guest[0] = False
    work(machine, threads, 1)
    assert machine.threads == 4
    work(machine, threads, 200)
    assert machine.threads == 1


def test_releasing_while_there_is_a_guest_gives_all_threads_back() -> None:
    machine = Machine(cores=2)
    threads = watched(machine, guest=lambda: True)
    threads._original = 2
    work(machine, threads, 3)
    assert machine.threads == 1
    threads.release()
    assert machine.threads == 2


def test_room_is_made_for_a_while(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_guest_until", 0.0)
    assert not module.has_guest()
    module.make_room(1.5)
    module.make_room(0.1)  # does not shorten it
    now[0] = 101.4
    assert module.has_guest()
    now[0] = 101.6
    assert not module.has_guest()


def test_steps_that_take_very_long_are_not_waited_for() -> None:
    """In a training of two minutes six steps of ten seconds each are half of it."""
    machine = Machine(cores=2, others=1, stall_s=10.0)
    threads = watched(machine)
    work(machine, threads, 2)
    assert threads.count == 1
    assert work(machine, threads, 20) < 40
