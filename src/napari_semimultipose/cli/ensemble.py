"""``semimultipose ensemble``: several models of one task, for predictions that know how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_semimultipose.cli.options import Device, Settings
from napari_semimultipose.cli.progress import progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.cli.train import follow, lightning_pose_project


def ensemble(
    context: typer.Context,
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="Labels file, folder of a DeepLabCut project, or folder or config.yaml of a Lightning Pose "
            "project, as for train.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the ensemble: a model folder for each member. predict takes it."
        ),
    ],
    members: Annotated[int, typer.Option(min=2, help="Number of models.")] = 5,
    frames: Annotated[
        Path | None, typer.Option(help="Video of the labels, or the folder of their images.")
    ] = None,
    unlabeled: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH...", help="More frames without labels, as for train."),
    ] = None,
    labeled_list: Annotated[
        Path | None, typer.Option(help="Text file: images or frames whose labels may be used.")
    ] = None,
    exclude_list: Annotated[
        Path | None, typer.Option(help="Text file: images or frames that training must not see.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="default, paper or authors_code; see docs/presets.md.")
    ] = None,
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
    from napari_semimultipose.models.ensemble import is_ensemble, member_folder

    # The option takes one value; further ones arrive as surplus arguments: --unlabeled *.mp4
    if context.args and not unlabeled:
        raise typer.BadParameter(f"unexpected: {' '.join(context.args)}")
    if minutes is not None and iterations is not None:
        raise typer.BadParameter("give either --minutes or --iterations")
    free: list[Any] = [*(unlabeled or ()), *context.args]
    config = api.Config.from_preset(preset or "default")
    project = lightning_pose_project(labels)
    notes: Sequence[str] = ()
    if project is not None:
        labels, frames, notes = project.labels, frames or project.frames, project.notes
        free = free or list(project.videos)
        config = config.with_settings(project.settings)
    chosen: dict[str, str | float] = {}
    if minutes is not None:
        chosen |= {"train.minutes": minutes, "train.iterations": 0}
    if iterations is not None:
        chosen |= {"train.minutes": 0, "train.iterations": iterations}
    named = {"train.seed": seed, "train.device": device}
    chosen |= {key: value for key, value in named.items() if value is not None}
    config = config.with_settings(chosen).with_settings(settings or [])
    going_on = is_ensemble(out) and member_folder(out, 0).is_dir()
    with progress("training") as display, stop_on_signal() as stop:
        for note in notes:
            display.note(note)
        if going_on:
            display.note(f"going on with the ensemble in {out}, with its own settings")
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
