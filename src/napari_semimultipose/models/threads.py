"""How many threads a network computes with on a processor that has other work as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean

import psutil
import torch

_BLOCKS = 6  # that are measured before a decision
# So many are enough that take so long: a wrong number can cost ten times the time.
_FEW_BLOCKS, _LONG_S = 2, 4.0
_SHORT = 0.8  # of the processor time that the threads could have had: below, others want it too
_IDLE_CORES = 0.6
_GAIN = 0.95  # a new number must take less than this share of the time
_HOPELESS = 2.0  # times as long: no need to measure on
_WAIT_S, _LONGEST_WAIT_S = 10.0, 320.0

_guest_until = 0.0


def make_room(seconds: float) -> None:
    """Let all computing here leave one processor to somebody else for a while, where it has several.

    May be called from any thread; `Threads` look before each block of work.
    """
    global _guest_until
    _guest_until = max(_guest_until, time.monotonic() + seconds)


def has_guest() -> bool:
    """Whether one processor is to be left to somebody else at the moment."""
    return time.monotonic() < _guest_until


class Threads:
    """Finds the number of threads that is quickest at the moment.

    The threads of a network wait for each other after every layer. Where other work takes one of their
    processors, all of them wait for the one that is held up, hundreds of times a step, and one thread alone
    would be several times as quick. So when the threads get much less processor time than they could use,
    half as many are tried, then one, and when processors are idle again, twice as many; what is quicker stays.

    While somebody works in the viewer (`make_room`), one fewer is used.

    Parameters
    ----------
    most : int, optional
        Largest number; by default that of torch (``OMP_NUM_THREADS``, or the number of cores).
    fixed : bool
        Stay with that number.
    clock, used : callable
        Return the time, and the processor time of this process, in s.
    idle : callable
        Returns how many cores were idle since it was last called.
    set_count : callable
        Sets the number of threads of the calling thread.
    guest : callable
        Says whether to leave a processor to somebody else.
    """

    def __init__(
        self,
        most: int | None = None,
        *,
        fixed: bool = False,
        clock: Callable[[], float] = time.perf_counter,
        used: Callable[[], float] = time.process_time,
        idle: Callable[[], float] | None = None,
        set_count: Callable[[int], None] = torch.set_num_threads,
        guest: Callable[[], bool] = has_guest,
    ) -> None:
        self._original = torch.get_num_threads()
        self.most = most or self._original
        self.count = self.most
        self._fixed = fixed or self.most == 1
        self._clock, self._used, self._set, self._guest = clock, used, set_count, guest
        self._narrow = False
        self._idle = idle or _idle_cores
        self._walls: list[float] = []
        self._cpus: list[float] = []
        self._before: tuple[int, float] | None = None  # number and time of a block before a trial
        self._wait_s = _WAIT_S
        self._next_trial = clock()
        if most:
            set_count(self.count)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure a block of work, always of about the same size, and decide after it."""
        if self._fixed or self._leaves_room():
            yield
            return
        wall, cpu = self._clock(), self._used()
        yield
        self._walls.append(self._clock() - wall)
        self._cpus.append(self._used() - cpu)
        if self._before is None:
            if _enough(self._walls):
                self._consider()
        else:
            self._judge(*self._before)

    def release(self) -> None:
        """Go back to the number of threads of before."""
        if self.count != self._original or self._narrow:
            self._set(self._original)
            self._narrow = False

    def _leaves_room(self) -> bool:
        """Use one thread fewer while there is a guest; what takes how long is then no measure."""
        if self._guest() != self._narrow:
            self._narrow = not self._narrow
            if self._before is not None:  # a trial under other conditions says nothing
                self.count, self._before = self._before[0], None
            self._walls, self._cpus = [], []
            self._set(max(1, self.count - 1) if self._narrow else self.count)
        return self._narrow

    def _consider(self) -> None:
        """Begin to try another number, if there is a reason."""
        wall_s = fmean(self._walls)
        got = fmean(self._cpus) / max(wall_s, 1e-9)
        idle = self._idle()
        self._walls, self._cpus = [], []
        if self._clock() < self._next_trial:
            return
        if self.count > 1 and got < _SHORT * self.count:
            other = self.count // 2
        elif self.count < self.most and idle >= _IDLE_CORES:
            other = min(self.most, 2 * self.count)
        else:
            return
        self._before = self.count, wall_s
        self._use(other)

    def _judge(self, count: int, wall_s: float) -> None:
        """Decide about a number that is being tried; the first block after a change does not count."""
        times = self._walls[1:]
        hopeless = len(times) == 1 and times[0] > _HOPELESS * wall_s
        if not _enough(times) and not hopeless:
            return
        if not hopeless and fmean(times) < _GAIN * wall_s:
            self._wait_s = _WAIT_S
        else:
            if 1 < self.count < count:
                self._use(1)
                return
            self._use(count)
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        self._before = None
        self._walls, self._cpus = [], []
        self._idle()  # what was idle until now says nothing of the next blocks
        self._next_trial = self._clock() + self._wait_s

    def _use(self, count: int) -> None:
        self.count = count
        self._walls, self._cpus = [], []
        self._set(count)


def _enough(walls: list[float]) -> bool:
    """Whether blocks that took so long [s] tell enough to decide."""
    return len(walls) >= _BLOCKS or (len(walls) >= _FEW_BLOCKS and sum(walls) >= _LONG_S)


def _idle_cores() -> float:
    """Return how many cores were idle since the last call, on average."""
    busy = float(psutil.cpu_percent(None)) / 100
    return (1 - busy) * (psutil.cpu_count() or 1)
