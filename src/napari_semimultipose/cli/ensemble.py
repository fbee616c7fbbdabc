"""``semimultipose ensemble``: several models of one task, for predictions that know how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_semimultipose.cli.options import Device, Settings
from napari_semimultipose.cli.progress import progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.cli.train import follow, lightning_pose_project
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


def ensemble(
    context: typer.Context,
    labels: LabelsToLearn,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the ensemble: a model folder for each member. predict takes it."
        ),
    ],
    members: Annotated[int, typer.Option(min=2, help="Number of models.")] = 5,
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
        float | None, typer.Option(min=0, help="Length of the training of each member in minutes.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Length of the training of each member in steps.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the first member; the others count on.")
    ] = None,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Train several models from LABELS that differ by their seeds and validation frames.

    The same command goes on where it was stopped: finished members are skipped.
    """
    from napari_semimultipose import api
    from napari_semimultipose.models.checkpoint import is_model_folder, read_info
    from napari_semimultipose.models.ensemble import is_ensemble, member_folder

    free = further_frames(context, unlabeled)
    first = member_folder(out, 0)
    going_on = is_ensemble(out) and is_model_folder(first)
    chosen = length_settings(minutes, iterations)
    if device is not None:
        chosen["train.device"] = device
    if going_on:
        config = read_info(first).config
    else:
        chosen |= named_settings(model, method, losses, cameras, around, seed)
        config = api.Config.from_preset(preset or "default")
    project = lightning_pose_project(labels)
    notes: Sequence[str] = ()
    if project is not None:
        labels, frames, notes = project.labels, frames or project.frames, project.notes
        free = free or list(project.videos)
        config = config if going_on else config.with_settings(project.settings)
    config = config.with_settings(chosen).with_settings(settings or [])
    with progress("training") as display, stop_on_signal() as stop:
        for note in notes:
            display.note(note)
        if going_on:
            display.note(
                f"going on with the ensemble in {out}, with its own settings; only --minutes, --iterations and "
                "--device can be given anew"
            )
        follow(
            api.train_ensemble(
                labels,
                out,
                members=members,
                config=config,
                should_stop=stop,
                frames=frames,
                unlabeled=free,
                labeled_list=labeled_list,
                exclude_list=exclude_list,
            ),
            display,
        )
    stop.exit_if_asked()
