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


def test_results_come_in_the_order_of_the_parts(crew: Crew) -> None:
    def late(part: int) -> int:
        time.sleep(0.02 * (3 - part))
        return 10 * part

    assert crew.map(late, [0, 1, 2]) == [0, 10, 20]
    assert crew.map(late, [2]) == [20]


def test_each_thread_computes_alone_and_the_callers_number_stays(crew: Crew) -> None:
    before = torch.get_num_threads()
    barrier = threading.Barrier(3, timeout=10)

    def number(part: int) -> tuple[int, str]:
        barrier.wait()  # all three at once
        return torch.get_num_threads(), threading.current_thread().name

    found = crew.map(number, range(3))
    assert {count for count, _ in found} == {1}
    assert len({name for _, name in found}) == 3
    assert torch.get_num_threads() == before


def test_many_processors_are_shared_among_few_threads() -> None:
    many = Crew(32)
    assert many.size == 8
    assert many.map(lambda _: torch.get_num_threads(), range(4)) == [4] * 4
    many.close()


def test_the_error_of_a_part_is_raised_after_the_others_have_ended(crew: Crew) -> None:
    ended = []

    def work(part: int) -> None:
        if part == 0:
            raise ValueError("the first part")
        time.sleep(0.05)
        ended.append(part)

    with pytest.raises(ValueError, match="the first part"):
        crew.map(work, range(3))
    assert sorted(ended) == [1, 2]


@pytest.mark.parametrize("guest", [False, True])
def test_one_thread_waits_while_somebody_works_in_the_viewer(guest: bool) -> None:
    made = Crew(2, guest=lambda: guest)
    now, most = [0], [0]
    lock = threading.Lock()

    def work(part: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1

    made.map(work, range(4))
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
