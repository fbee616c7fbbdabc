"""Threads that compute side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from napari_semimultipose.models.crew import Crew


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew(3, guest=lambda: False)
    yield made
    made.close()


def test_each_thread_computes_alone_and_the_callers_number_stays(crew: Crew) -> None:
    before = torch.get_num_threads()
    barrier = threading.Barrier(3, timeout=10)

    def number() -> tuple[int, str]:
        barrier.wait()  # all three at once
        return torch.get_num_threads(), threading.current_thread().name

    found = [future.result() for future in [crew.submit(number) for _ in range(3)]]
    assert {count for count, _ in found} == {1}
    assert len({name for _, name in found}) == 3
    assert torch.get_num_threads() == before


def test_many_processors_are_shared_among_few_threads() -> None:
    many = Crew(32)
    assert many.size == 8
    counts = [many.submit(torch.get_num_threads) for _ in range(4)]
    assert [count.result() for count in counts] == [4] * 4
    many.close()


@pytest.mark.parametrize("guest", [False, True])
def test_one_thread_waits_while_somebody_works_in_the_viewer(guest: bool) -> None:
    made = Crew(2, guest=lambda: guest)
    now, most = [0], [0]
    lock = threading.Lock()

    def work() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1

    for future in [made.submit(work) for _ in range(4)]:
        future.result()
    made.close()
    assert most[0] == (1 if guest else 2)


def test_what_has_not_begun_is_dropped_when_it_closes() -> None:
    made = Crew(1)
    begun = threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.1)

    first, second = made.submit(work), made.submit(work)
    begun.wait(10)
    made.close()
    assert first.done()
    assert second.cancelled()
