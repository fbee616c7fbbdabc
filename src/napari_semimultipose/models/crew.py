"""Threads that compute side by side, each on pictures of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import torch

from napari_semimultipose.models.threads import has_guest

_MOST = 8  # more would mostly wait for Python's lock
_LOOK_S = 0.05  # between two looks whether a guest has gone

Result = TypeVar("Result")
Given = ParamSpec("Given")


class Crew:
    """Threads that compute side by side, each on pictures of its own.

    Where pictures are small, the threads of one network mostly wait for each other, after each of its layers;
    networks side by side that have a thread each do not.

    While somebody works in the viewer (`threads.make_room`), one fewer computes at a time.

    Parameters
    ----------
    processors : int, optional
        Processors to compute with; by default as many as torch does.
    guest : callable
        Says whether to leave a processor to somebody else.

    Attributes
    ----------
    size : int
        Number of threads.
    """

    def __init__(
        self, processors: int | None = None, *, guest: Callable[[], bool] = has_guest
    ) -> None:
        processors = processors or torch.get_num_threads()
        self.size = min(processors, _MOST)
        self._guest = guest
        self._computing = 0
        self._turn = threading.Condition()
        self._pool = ThreadPoolExecutor(
            self.size,
            "crew",
            initializer=torch.set_num_threads,
            initargs=(max(1, processors // self.size),),
        )

    def submit(
        self, work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Have one of the threads do some work."""
        return self._pool.submit(self._in_turn, work, *args, **kwargs)

    def close(self) -> None:
        """Wait for what is being worked on; what has not begun is dropped."""
        self._pool.shutdown(cancel_futures=True)

    def _in_turn(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            while self._computing >= (max(1, self.size - 1) if self._guest() else self.size):
                self._turn.wait(_LOOK_S)
            self._computing += 1
        try:
            return work(*args, **kwargs)
        finally:
            with self._turn:
                self._computing -= 1
                self._turn.notify()
