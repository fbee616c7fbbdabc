"""``semimultipose report``: a model or a recording as a page for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_semimultipose.cli.options import Animals, Device, Settings, evaluate_config
from napari_semimultipose.cli.progress import progress
from napari_semimultipose.cli.stopping import stop_on_signal


def report(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL|POSES", help="Model folder, folder of an ensemble, or file of poses."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write (.html).")],
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            "--labels",
            metavar="FILE",
            help="True poses: of a model, labels of frames to score it on (those that it has learned from "
            "are left out; by default its validation frames); of poses, what they are compared with.",
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            "--frames",
            "--video",
            metavar="PATH",
            help="The recording, or the folder that image names start from. By default it is looked for "
            "where the labels or poses say and around their file.",
        ),
    ] = None,
    animals: Animals = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            "--score",
            metavar="NAME=VALUE",
            help="A setting of the scores, for example --score sigma=0.1; see docs/evaluation.md.",
        ),
    ] = None,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Write a report of a model or of the poses of a recording: one HTML file.

    A browser prints it to PDF.
    """
    from napari_semimultipose import api
    from napari_semimultipose.config import ReviewConfig
    from napari_semimultipose.reports.making import is_model

    config = None
    if is_model(source):
        if animals is not None:
            raise typer.BadParameter("--animals is for poses, and this is a model")
        if settings or device is not None:
            config = api.prediction_config(source).with_settings(settings or [])
            if device is not None:
                config = config.with_settings({"predict.device": device})
    else:
        for name, value in (("--device", device), ("--set", settings)):
            if value:
                raise typer.BadParameter(f"{name} is for models, and {source} is none")
    with progress("report") as display, stop_on_signal() as stop:
        done = api.report(
            source,
            out,
            truth=truth,
            frames=frames,
            config=config,
            scores=evaluate_config(score) if score else None,
            review=ReviewConfig(animals=animals) if animals is not None else None,
            should_stop=stop,
            on_progress=display.update,
        )
        if done:
            display.note(f"{out}: the report of {source}")
    stop.exit_if_asked()
