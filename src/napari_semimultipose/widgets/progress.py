"""A progress bar that does not stop the viewer to paint itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtWidgets import QProgressBar
from typing_extensions import override


class ProgressBar(QProgressBar):
    """A progress bar that is painted with the rest of its window.

    Qt's own paints itself at once with each new value. In a window with a canvas of OpenGL all of the
    window is put together for this, which takes some 40 ms without a graphics card.
    """

    @contextmanager
    def _later(self) -> Iterator[None]:
        """Let Qt's painting at once do nothing; the window is painted when its turn comes."""
        self.setUpdatesEnabled(False)
        try:
            yield
        finally:
            self.setUpdatesEnabled(True)

    @override
    def setValue(self, value: int) -> None:
        """Set the value."""
        if value != self.value():
            with self._later():
                super().setValue(value)

    @override
    def setRange(self, minimum: int, maximum: int) -> None:
        """Set the least and the greatest value; the same ones change nothing."""
        if (minimum, maximum) != (self.minimum(), self.maximum()):
            with self._later():
                super().setRange(minimum, maximum)

    @override
    def reset(self) -> None:
        """Begin again."""
        with self._later():
            super().reset()

    @override
    def setFormat(self, text: str) -> None:
        """Set the text on the bar."""
        if text != self.format():
            super().setFormat(text)
