"""``semimultipose train``: learn a model from labels, and from frames without labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_semimultipose.cli.options import Device, Settings
from napari_semimultipose.cli.progress import Progress, duration, progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.cli.training_options import (
    Around,
    ExcludeList,
    LabeledList,
    LabelledFrames,
    LabelsToLearn,
    Losses,
    Method,
    Model,
    Preset,
    SynchronousCameras,
    Unlabeled,
    further_frames,
    length_settings,
    named_settings,
)
from napari_semimultipose.errors import LabelsError, TrainingError
from napari_semimultipose.training import events as e

if TYPE_CHECKING:
    from napari_semimultipose.config import Config
    from napari_semimultipose.io.lightning_pose import Project


def train(
    context: typer.Context,
    labels: LabelsToLearn,
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    frames: LabelledFrames = None,
    unlabeled: Unlabeled = None,
    labeled_list: LabeledList = None,
    exclude_list: ExcludeList = None,
    preset: Preset = None,
    model: Model = None,
    method: Method = None,
    losses: Losses = None,
    cameras: SynchronousCameras = None,
    around: Around = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Length of training in minutes of wall-clock time.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Length of training in steps, instead of minutes.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random choices.")] = None,
    device: Device = None,
    settings: Settings = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where training into this folder was stopped.")
    ] = False,
) -> None:
    """Learn a model from LABELS.

    Ctrl-C saves the state and stops; --resume goes on from there.
    """
    from napari_semimultipose import api

    free = further_frames(context, unlabeled)
    named = named_settings(model, method, losses, cameras, around, seed)
    base: Mapping[str, Any] = {}
    notes: Sequence[str] = ()
    project = lightning_pose_project(labels)
    if project is not None:
        labels, frames = project.labels, frames or project.frames
        free = free or list(project.videos)
        base, notes = project.settings, project.notes
    config = _config(out, preset, base, named, minutes, iterations, device, settings, resume)
    with progress("training") as display, stop_on_signal() as stop:
        for note in notes:
            display.note(note)
        follow(
            api.train(
                labels,
                out,
                frames=frames,
                unlabeled=free,
                labeled_list=labeled_list,
                exclude_list=exclude_list,
                config=config,
                resume=resume,
                should_stop=stop,
            ),
            display,
        )
    stop.exit_if_asked()


def lightning_pose_project(labels: Path) -> Project | None:
    """Return the Lightning Pose project that a path leads to; None for everything else.

    Raises
    ------
    ConfigError
        When its labels are not where it says, or a YAML file is no project at all.
    """
    from napari_semimultipose.io.labels import detect_format
    from napari_semimultipose.io.lightning_pose import read_project

    if labels.is_dir() or labels.suffix.lower() in (".yaml", ".yml"):
        try:
            kind = detect_format(labels)
        except LabelsError:
            kind = "" if labels.is_dir() else "lightning-pose-project"
        if kind == "lightning-pose-project":
            return read_project(labels)
    return None


def _config(
    out: Path,
    preset: str | None,
    base: Mapping[str, Any],
    named: Mapping[str, Any],
    minutes: float | None,
    iterations: int | None,
    device: str | None,
    settings: list[str] | None,
    resume: bool,
) -> Config:
    """Return the settings of a new run, or those of a resumed one with another length or device."""
    from napari_semimultipose.config import Config
    from napari_semimultipose.models.checkpoint import read_info

    length = length_settings(minutes, iterations)
    if resume and (named or preset is not None or settings is not None):
        raise typer.BadParameter(
            "--resume goes on with the settings of the run; only --minutes, --iterations and --device "
            "can be given anew"
        )
    if resume:
        config = read_info(out).config
    else:
        config = Config.from_preset(preset or "default").with_settings(base)
    chosen = {**length, **named}
    if device is not None:
        chosen["train.device"] = device
    return config.with_settings(chosen).with_settings(settings or [])


def follow(events: Iterable[e.Event], display: Progress) -> e.Done:
    """Show the events of a training and return the last one.

    Raises
    ------
    TrainingError
        When training failed.
    """
    for event in events:
        match event:
            case e.Started():
                display.note(_started(event))
            case e.Step():
                loss = event.losses.get("total", float("nan"))
                display.update(
                    event.progress,
                    f"iteration {event.iteration}  loss {loss:.3f}  {duration(event.remaining_s)} left",
                )
            case e.Validation():
                best = "  (best so far)" if event.best else ""
                display.note(
                    f"{duration(event.elapsed_s)}  iteration {event.iteration}: "
                    f"validation {scores_text(event.scores)}{best}"
                )
            case e.Notice():
                display.note(event.message)
            case e.Done():
                ended = "finished" if event.reason == "finished" else "stopped"
                display.note(
                    f"{ended} at iteration {event.iteration}; the model is in {event.folder}"
                )
                return event
            case e.Failed():
                raise TrainingError(event.message)
    raise TrainingError("training ended without a result; this is a bug, please report it")


def scores_text(scores: Mapping[str, float]) -> str:
    """Write the usual scores on one line."""
    names = {"ap": "AP {:.3f}", "ap50": "AP50 {:.3f}", "median_error_px": "median error {:.1f} px"}
    parts = [
        text.format(scores[key])
        for key, text in names.items()
        if math.isfinite(scores.get(key, math.nan))
    ]
    return ", ".join(parts) or "without scores"


def _started(event: e.Started) -> str:
    length = f"{event.minutes:g} minutes" if event.minutes else f"{event.iterations} iterations"
    again = f", from iteration {event.iteration}" if event.iteration else ""
    return (
        f"training on {event.device} for {length}{again}: {event.n_labeled} labelled frames, "
        f"{event.n_validation} for validation, {event.n_unlabeled} unlabelled"
        + (f"; scale {event.scale:.2f}" if event.scale else "; whole frames")
    )
