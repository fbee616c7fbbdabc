"""``semimultipose predict``: apply a model to one recording or to hundreds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_semimultipose.cli.labels import write_or_keep
from napari_semimultipose.cli.measure import measured
from napari_semimultipose.cli.options import Animals, Device, Settings, parse_frame_range
from napari_semimultipose.cli.progress import Progress, duration, progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.errors import (
    FramesError,
    PartialPredictionError,
    SemiMultiPoseError,
)
from napari_semimultipose.io.atomic import check_space
from napari_semimultipose.sources import some

if TYPE_CHECKING:
    from napari_semimultipose.poses import Poses

_LEAST_ROOM = 2**20  # bytes on the disk below which no recording is begun


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Model folder, or folder of an ensemble.")
    ],
    frames: Annotated[
        list[Path],
        typer.Argument(
            metavar="FRAMES...",
            help="Videos, image folders or image stacks; a folder of videos; a labels file (its labelled "
            "frames); or a text file that lists images.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Labels file to write (the suffix chooses the format: .slp, .json, .csv, ...), or, for "
            "several recordings, a folder; recordings whose file is there already are skipped."
        ),
    ],
    track: Annotated[bool, typer.Option(help="Follow the animals over time.")] = True,
    animals: Animals = None,
    frame_range: Annotated[
        str | None, typer.Option(metavar="A:B", help="Frames A up to B (not included) only.")
    ] = None,
    video: Annotated[
        bool, typer.Option("--video", help="Also write a labelled video (.mp4) beside each result.")
    ] = False,
    metrics: Annotated[
        bool,
        typer.Option(
            "--metrics",
            help="Also write how plausible each keypoint is, as CSV files beside each result; see the "
            "command measure.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Predict again what is in the output folder already."),
    ] = False,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Apply MODEL to FRAMES.

    Ctrl-C keeps what was predicted so far, and so does a frame that cannot be read; of several recordings
    the part of an unfinished one is in NAME.partial.slp.
    """
    from napari_semimultipose import api
    from napari_semimultipose.inference.members import load_predictor

    section = parse_frame_range(frame_range)
    config = api.prediction_config(model).with_settings(settings or [])
    if device is not None:
        config = config.with_settings({"predict.device": device})
    config = api.prediction_config(model, config, animals=animals)
    jobs = plan(frames, out)
    predictor = load_predictor(model, config.predict)
    cameras = config.video.cameras  # these are compared once all of a session are predicted
    several = not (len(jobs) == 1 and jobs[0].target == out)
    failed: list[str] = []
    with progress("predicting") as display, stop_on_signal() as stop:
        for number, job in enumerate(jobs):
            if several and job.target.exists() and not overwrite:
                display.note(f"{job.target} is there already, skipped")
                continue
            check_space(job.target, _LEAST_ROOM)  # now, not after hours of work
            label = f"{job.source.name} ({number + 1}/{len(jobs)})" if several else job.source.name
            pace = _Pace(display, label)
            broken: PartialPredictionError | None = None
            try:
                try:
                    poses = api.predict(
                        predictor,
                        job.source,
                        config=config,
                        track=track,
                        frame_range=section,
                        should_stop=stop,
                        on_progress=pace,
                    )
                except PartialPredictionError as error:
                    poses, broken = error.poses, error
                # A part would pass for the whole next time.
                whole = pace.complete or not several
                target = job.target if whole else job.partial
                if whole or len(poses):
                    write_or_keep(poses, target)
                    display.note(f"{target}: {poses.n_instances} animals on {len(poses)} frames")
                if broken is not None:
                    raise broken
                if not whole:
                    break
                if several:
                    job.partial.unlink(missing_ok=True)
                if metrics and not cameras:
                    _measure([poses], [job.target], model, display)
                pace = _Pace(display, f"{label}, labelled video")
                if video and api.render(
                    poses, job.source, job.clip, should_stop=stop, on_progress=pace
                ):
                    display.note(f"{job.clip}: the same, drawn into the frames")
            except SemiMultiPoseError as error:
                if not several:
                    raise
                failed.append(f"{job.source}: {error}")
                display.note(f"failed: {failed[-1]}")
            if stop():
                break
        if metrics and cameras and not stop():
            try:
                _measure_cameras(jobs, cameras, model, display)
            except SemiMultiPoseError as error:
                failed.append(f"metrics: {error}")
                display.note(f"failed: {failed[-1]}")
    stop.exit_if_asked()
    if failed:
        raise FramesError(f"{len(failed)} of {len(jobs)} recordings failed; the first: {failed[0]}")


def _measure(
    parts: Sequence[Poses], targets: Sequence[Path], model: Path, display: Progress
) -> None:
    """Write how plausible predictions are beside their files."""
    from napari_semimultipose.api import yardstick_of

    for file in measured(parts, targets, targets, yardstick_of(model, None), say=display.note):
        display.note(f"{file}: how plausible the keypoints are")


def _measure_cameras(
    jobs: Sequence[Job], cameras: Sequence[str], model: Path, display: Progress
) -> None:
    """Measure the predictions of each session together, those of earlier commands included."""
    from napari_semimultipose.io.camera_names import sightings
    from napari_semimultipose.io.labels import read_poses

    there = [job for job in jobs if job.target.exists()]
    found, titles = sightings([str(job.source) for job in there], cameras)
    groups: dict[int, list[Path]] = {}
    for i, (job, seen) in enumerate(zip(there, found, strict=True)):
        groups.setdefault(seen.session if seen.session >= 0 else -1 - i, []).append(job.target)
    for session, targets in groups.items():
        if len(targets) > 1:
            display.note(f"session {titles[session]}:")
        _measure([read_poses(target) for target in targets], targets, model, display)


@dataclass(frozen=True)
class Job:
    """A recording to predict and the file to write."""

    source: Path
    target: Path

    @property
    def partial(self) -> Path:
        """Where the part of an unfinished prediction goes, if there are several recordings."""
        return self.target.with_name(f"{self.target.stem}.partial{self.target.suffix}")

    @property
    def clip(self) -> Path:
        """The labelled video; never the name of a recording that lies beside it."""
        return self.target.with_name(f"{self.target.stem}.labeled.mp4")


def plan(sources: Sequence[Path], out: Path) -> list[Job]:
    """Decide which file each recording's poses go to.

    One recording goes to the file `out`; several, or the videos of a folder, to files in the folder `out`
    that are named after them.

    Raises
    ------
    FramesError
        When two recordings would go to the same file, when `out` is a file but must be a folder, or
        when predictions would replace what they are made from.
    """
    from napari_semimultipose.io.labels import FORMATS
    from napari_semimultipose.recordings import folder_content

    recordings: list[Path] = []
    for source in sources:
        is_folder = source.is_dir() and source.suffix != ".zarr"
        recordings += (is_folder and folder_content(source)[1]) or [source]
    suffixes = tuple(suffix for known in FORMATS.values() for suffix in known.suffixes)
    is_file = out.name.lower().endswith(suffixes) and not out.is_dir()
    if len(recordings) == 1 and is_file:
        return _checked([Job(recordings[0], out)])
    if is_file or out.is_file():
        raise FramesError(
            f"there are {len(recordings)} recordings, but --out {out} is one file; name a folder"
        )
    return _checked([Job(source, out / f"{source.stem}.slp") for source in recordings])


def _checked(jobs: list[Job]) -> list[Job]:
    """Refuse jobs that would write to one file, or over what they read."""
    count = Counter(job.target for job in jobs)
    twice = [str(job.source) for job in jobs if count[job.target] > 1]
    if twice:
        raise FramesError(
            f"these recordings would all be written to one file: {some(twice)}; predict them separately"
        )
    for job in jobs:
        if job.target.absolute() == job.source.absolute():
            raise FramesError(
                f"{job.target} would be replaced by its predictions; choose another --out"
            )
    return jobs


class _Pace:
    """Shows how far a prediction is and how long it will take."""

    def __init__(self, display: Progress, label: str) -> None:
        self._display = display
        self._label = label
        self._start = time.monotonic()
        self.complete = False

    def __call__(self, done: int, total: int) -> None:
        self.complete = done >= total
        left = (time.monotonic() - self._start) / max(done, 1) * (total - done)
        self._display.update(
            done / max(total, 1), f"{self._label}: frame {done}/{total}  {duration(left)} left"
        )
