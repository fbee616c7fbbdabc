"""Writing a report in the background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_semimultipose import api
from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.poses import Poses
from napari_semimultipose.widgets.jobs import TrainingJob, merge_recordings
from napari_semimultipose.widgets.polling import polled
from napari_semimultipose.widgets.preload import import_quietly
from napari_semimultipose.widgets.worker import ShouldStop


@dataclass(frozen=True)
class Reporting:
    """Share of a report that is done, and what is being done."""

    share: float
    text: str


@dataclass(frozen=True)
class Reported:
    """The report is complete, or (None) writing it was stopped."""

    path: Path | None


def reporting_events(
    source: Path | Poses,
    frames: Any,
    out: Path,
    review: ReviewConfig | None,
    should_stop: ShouldStop,
) -> Iterator[Reporting | Reported]:
    """Write a report; yields `Reporting` now and then, and `Reported` at the end.

    Parameters
    ----------
    source : Path or Poses
        A model folder, or poses.
    frames : path, Frames or mapping of int to Frames, optional
        As for `api.report`.
    out : Path
        The file to write.
    review : ReviewConfig, optional
        What counts as a problem of poses.

    Raises
    ------
    SemiMultiPoseError
        When something cannot be read or written.
    """
    import_quietly("napari_semimultipose.reports.making", "matplotlib.backends.backend_agg")
    done = yield from polled(
        "report",
        lambda note: api.report(
            source, out, frames=frames, review=review, should_stop=should_stop, on_progress=note
        ),
        Reporting,
    )
    yield Reported(out if done else None)


def frames_of_training(job: TrainingJob) -> Any:
    """Return where the frames of a training are, in the form that a report of its model takes."""
    if job.labels_file is not None:
        return job.frames_path or job.labels_file.parent
    _, shown = merge_recordings(job.recordings)
    return shown
