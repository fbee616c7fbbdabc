"""How far a report is, and whether it is still wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[float, str], None]


class StoppedError(Exception):
    """Nobody wants the report any more."""


@dataclass(frozen=True)
class Work:
    """Tells the progress of a report and asks whether to go on.

    Parameters
    ----------
    should_stop : callable
        True ends the work.
    on_progress : callable
        Called with the share that is done (0..1) and what is being done.
    low, high : float
        The shares at which this part of the work begins and ends.
    """

    should_stop: Callable[[], bool] = lambda: False
    on_progress: Progress = lambda share, text: None
    low: float = 0.0
    high: float = 1.0

    def at(self, share: float, text: str) -> None:
        """Say that a share of this part is done.

        Raises
        ------
        StoppedError
            When the report is not wanted any more.
        """
        if self.should_stop():
            raise StoppedError
        self.on_progress(self.low + (self.high - self.low) * min(max(share, 0.0), 1.0), text)

    def part(self, low: float, high: float) -> Work:
        """Return the work between two shares of this part."""
        span = self.high - self.low
        return Work(
            self.should_stop, self.on_progress, self.low + span * low, self.low + span * high
        )
