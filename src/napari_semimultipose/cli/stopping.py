"""Stop cleanly on Ctrl-C and when a job scheduler ends the job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer


class StopRequest:
    """A callable that tells whether the user wants to stop; `signal` says how they asked."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Return True once the user wants to stop."""
        return self.signal is not None

    def exit_if_asked(self) -> None:
        """End the command with the customary exit status, 128 + n, after signal n.

        Raises
        ------
        typer.Exit
        """
        if self.signal is not None:
            raise typer.Exit(128 + self.signal)


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Yield a `StopRequest` that the first SIGINT or SIGTERM fulfils; a second one aborts.

    Raises
    ------
    KeyboardInterrupt
        At the second signal.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            raise KeyboardInterrupt
        request.signal = number
        # Not through sys.stderr: the signal may have come in the middle of a write to it.
        os.write(2, b"\nstopping and saving; once more to give up at once\n")

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
