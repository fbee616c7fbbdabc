"""A button that writes a labelled video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.poses import Poses
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets.label_files import ask_file
from napari_semimultipose.widgets.layer_frames import beside
from napari_semimultipose.widgets.video_jobs import Rendered, Rendering, rendering_events
from napari_semimultipose.widgets.worker import EventRunner

_TEXT = "Video…"


class VideoButton(QPushButton):
    """Asks for a file and writes a video with poses drawn into it, in the background.

    A second click stops it.

    Parameters
    ----------
    poses : callable
        Returns the poses, or None.
    frames : callable
        Returns the recording; raises `SemiMultiPoseError` when there is none.
    place : callable
        Returns the file of the recording, or None.
    """

    progressed = Signal(int, int)
    """Frames that are written, and all; (0, 0) at the end."""
    said = Signal(str)
    """What has been done, in words."""
    failed = Signal(str, str)
    """What went wrong, in words, and details for a report."""

    def __init__(
        self,
        poses: Callable[[], Poses | None],
        frames: Callable[[], Any],
        place: Callable[[], Path | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(_TEXT, parent)
        self._poses, self._frames, self._place = poses, frames, place
        self.setToolTip("Write a video of the recording with the poses drawn into it")
        self.runner = EventRunner(
            "writing a labelled video", "The labelled video is given up.", self
        )
        self.runner.received.connect(self._on_events)
        self.runner.ended.connect(lambda: self.setText(_TEXT))
        self.clicked.connect(lambda: self.runner.stop() if self.runner.running else self.write())

    def write(self, path: Path | None = None) -> None:
        """Write the video; asks for its name when none is given."""
        poses = self._poses()
        if poses is None or self.runner.running:
            return
        try:
            frames = self._frames()
        except SemiMultiPoseError as error:
            self.failed.emit(str(error), "")
            return
        if path is None:
            place = self._place()
            proposal = None if place is None else beside(place, "-poses.mp4")
            path = ask_file(self, "Write a labelled video", proposal, "Video (*.mp4)", ".mp4")
            if path is None:
                return
        target = path
        self.runner.start(lambda stop: rendering_events(poses, frames, target, stop))
        self.setText("Stop video")
        self.progressed.emit(0, 0)

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case Rendering():
                    self.progressed.emit(event.done, event.total)
                case Rendered():
                    done = event.path is not None
                    self.said.emit(f"Video: {event.path}" if done else "The video was given up.")
                case Failed():
                    self.failed.emit(event.message, event.details)
