"""Progress on stderr: a bar on a terminal, now and then a plain line anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

PLAIN_INTERVAL_S = 10.0


class Progress:
    """Plain lines, at most one in `PLAIN_INTERVAL_S`, for log files and pipes.

    Parameters
    ----------
    title : str
        What is going on.
    stream : text file
        Where to write.
    """

    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.flush()

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def update(self, share: float, text: str = "") -> None:
        """Say that `share` (0..1) is done."""
        now = time.monotonic()
        if now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            self.note(f"{self._title} {share:4.0%}  {text}".rstrip())


class _Bar(Progress):
    """A bar that is drawn over and over in one line of a terminal."""

    def __init__(self, title: str, stream: TextIO) -> None:
        super().__init__(title, stream)
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._rich.add_task(title, total=1.0, text="")

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rich.stop()

    def note(self, text: str) -> None:
        self._rich.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, share: float, text: str = "") -> None:
        self._rich.update(self._task, completed=share, text=text)


def progress(title: str) -> Progress:
    """Return the progress display that suits stderr."""
    return _Bar(title, sys.stderr) if sys.stderr.isatty() else Progress(title, sys.stderr)


def duration(seconds: float) -> str:
    """Write a duration as ``m:ss`` or ``h:mm:ss``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"
