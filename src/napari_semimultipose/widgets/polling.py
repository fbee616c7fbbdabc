"""From a function that calls back to a generator of events, for `worker.EventRunner`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

POLL_S = 0.2

Result = TypeVar("Result")


def polled(
    name: str, work: Callable[[Callable[..., None]], Result], event: Callable[..., Any]
) -> Generator[Any, None, Result]:
    """Run a function in a thread of its own and say now and then how far it is.

    Parameters
    ----------
    name : str
        Of the thread.
    work : callable
        Takes a callable to report to.
    event : callable
        Makes an event of what was reported last.

    Yields
    ------
    object
        What `event` returns, every 0.2 s once something was reported.

    Returns
    -------
    object
        What `work` returns. An error in it is raised here.
    """
    reached: list[tuple[Any, ...]] = []
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def note(*state: Any) -> None:
        reached[:] = [state]

    def run() -> None:
        try:
            outcome.append(work(note))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name=name)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_S)
        if reached:
            yield event(*reached[0])
    if failure:
        raise failure[0]
    return outcome[0]
