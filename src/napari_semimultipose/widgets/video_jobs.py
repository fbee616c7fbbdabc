"""Writing a labelled video in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_semimultipose import api
from napari_semimultipose.poses import Poses
from napari_semimultipose.widgets.worker import ShouldStop

_REPORT_S = 0.2


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
    reached = [0, 0]
    outcome: list[bool] = []
    failure: list[BaseException] = []

    def note(done: int, total: int) -> None:
        reached[:] = [done, total]

    def work() -> None:
        try:
            outcome.append(
                api.render(poses, frames, out, should_stop=should_stop, on_progress=note)
            )
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="labelled video")
    thread.start()
    while thread.is_alive():
        thread.join(_REPORT_S)
        yield Rendering(*reached)
    if failure:
        raise failure[0]
    yield Rendered(out if outcome[0] else None)
