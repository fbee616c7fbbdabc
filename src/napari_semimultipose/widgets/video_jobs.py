"""Writing a labelled video in the background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_semimultipose import api
from napari_semimultipose.poses import Poses
from napari_semimultipose.widgets.polling import polled
from napari_semimultipose.widgets.worker import ShouldStop


@dataclass(frozen=True)
class Rendering:
    """Frames that are written, and all."""

    done: int
    total: int


@dataclass(frozen=True)
class Rendered:
    """The video is complete, or (None) writing it was stopped."""

    path: Path | None


def rendering_events(
    poses: Poses, frames: Any, out: Path, should_stop: ShouldStop
) -> Iterator[Rendering | Rendered]:
    """Draw poses into a recording; yields `Rendering` now and then, and `Rendered` at the end.

    Raises
    ------
    FramesError
        When the recording cannot be read, or the video cannot be written.
    """
    done = yield from polled(
        "labelled video",
        lambda note: api.render(poses, frames, out, should_stop=should_stop, on_progress=note),
        Rendering,
    )
    yield Rendered(out if done else None)
