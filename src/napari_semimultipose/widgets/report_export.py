"""A button that writes a report and opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QPushButton, QWidget

from napari_semimultipose.background.process import run_apart
from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.poses import Poses
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets.label_files import ask_file
from napari_semimultipose.widgets.report_jobs import Reported, Reporting, reporting_events
from napari_semimultipose.widgets.worker import EventRunner

_TEXT = "Report…"


def open_page(path: Path) -> bool:
    """Open a file with the program that the system has for it; False when there is none."""
    return bool(QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))))


class ReportButton(QPushButton):
    """Asks for a file, writes a report to it in the background, and opens it; a second click stops it.

    Parameters
    ----------
    source : callable
        Returns the poses or the model folder that the report is about, or None.
    frames : callable
        Returns where the frames are, as `api.report` takes it; None where that is not known. It may raise
        `SemiMultiPoseError`.
    place : callable
        Returns the file to propose, or None.
    about : str
        What the report is about, for the help.
    review : callable, optional
        Returns what counts as a problem of poses, a `ReviewConfig`; it may raise `SemiMultiPoseError`.
    """

    progressed = Signal(float, str)
    """Share that is done and what is being done; (0, "") at the beginning."""
    said = Signal(str)
    """What has been done, in words."""
    failed = Signal(str, str)
    """What went wrong, in words, and details for a report."""

    def __init__(
        self,
        source: Callable[[], Path | Poses | None],
        frames: Callable[[], Any],
        place: Callable[[], Path | None],
        about: str,
        parent: QWidget | None = None,
        *,
        review: Callable[[], ReviewConfig] | None = None,
    ) -> None:
        super().__init__(_TEXT, parent)
        self._review = review
        self._source, self._frames, self._place = source, frames, place
        self.setToolTip(f"Write a page about {about}, and open it in the browser")
        self.runner = EventRunner("writing a report", "The report is given up.", self)
        self.runner.received.connect(self._on_events)
        self.runner.ended.connect(lambda: self.setText(_TEXT))
        self.clicked.connect(lambda: self.runner.stop() if self.runner.running else self.write())

    def write(self, path: Path | None = None) -> None:
        """Write the report; asks for its name when none is given."""
        source = self._source()
        if source is None or self.runner.running:
            return
        try:
            frames = self._frames()
            review = None if self._review is None else self._review()
        except SemiMultiPoseError as error:
            self.failed.emit(str(error), "")
            return
        if path is None:
            path = ask_file(self, "Write a report", self._place(), "Page (*.html)", ".html")
            if path is None:
                return
        target = path
        self.runner.start(
            lambda stop: run_apart(
                reporting_events, source, frames, target, review, should_stop=stop
            )
        )
        self.setText("Stop")
        self.progressed.emit(0.0, "")

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case Reporting():
                    self.progressed.emit(event.share, event.text)
                case Reported():
                    self._on_reported(event.path)
                case Failed():
                    self.failed.emit(event.message, event.details)

    def _on_reported(self, path: Path | None) -> None:
        if path is None:
            self.said.emit("The report was given up.")
        elif open_page(path):
            self.said.emit(f"Report: {path}")
        else:
            self.said.emit(f"Report: {path}; no browser could be opened")
