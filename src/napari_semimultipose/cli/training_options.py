"""Options of all commands that train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_semimultipose.cli.options import names_of

LabelsToLearn = Annotated[
    Path,
    typer.Argument(
        metavar="LABELS",
        help="Labels file, folder of a DeepLabCut project, or folder or config.yaml of a Lightning Pose "
        "project, whose labels, videos and settings are used.",
    ),
]
LabelledFrames = Annotated[
    Path | None,
    typer.Option(
        help="Video of the labels, or the folder that the image names in the labels start from. "
        "By default they are looked for where the labels say and beside the labels."
    ),
]
Unlabeled = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH...",
        help="More frames without labels: videos, folders of images or videos, or text files that "
        "list images.",
    ),
]
LabeledList = Annotated[
    Path | None,
    typer.Option(
        help="Text file: the images (as named in the labels) or frame numbers whose labels may be "
        "used. All others count as unlabelled."
    ),
]
ExcludeList = Annotated[
    Path | None,
    typer.Option(help="Text file: the images or frame numbers that training must not see at all."),
]
Preset = Annotated[
    str | None,
    typer.Option(help="default, paper, authors_code or lightning_pose; see docs/presets.md."),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="directpose (any number of animals) or heatmap (one animal a frame); by default "
        "heatmap where no labelled frame has more than one animal."
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        help="How directpose learns: directpose, labeled or semimultipose (also learns from unlabelled frames)."
    ),
]
Losses = Annotated[
    str | None,
    typer.Option(
        help="Losses on frames without labels, with commas between: temporal, pca, multiview. They "
        "need videos, of the labels or --unlabeled.",
    ),
]
SynchronousCameras = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Names of synchronous cameras, each part of the names of its recordings and pictures: the "
        "loss multiview compares what they see at the same frame.",
    ),
]
Around = Annotated[
    bool | None,
    typer.Option(
        "--context/--no-context",
        help="Also look at the two frames before and after each frame. The labels must be of a video, "
        "or have these frames beside their images.",
        show_default=False,
    ),
]


def named_settings(
    model: str | None,
    method: str | None,
    losses: str | None,
    cameras: str | None,
    around: bool | None,
    seed: int | None,
) -> dict[str, Any]:
    """Return the settings behind the options that were given, by their dotted names.

    Raises
    ------
    ConfigError
        When `cameras` are not two names or more.
    """
    if method is not None and model is None:
        model = "directpose"  # the methods are its own
    named = {
        "model.kind": model,
        "model.context": around,
        "train.method": method,
        "train.seed": seed,
        "video.losses": None
        if losses is None
        else [name.strip() for name in losses.split(",") if name.strip()],
        "video.cameras": None if cameras is None else names_of(cameras, "--cameras"),
    }
    return {name: value for name, value in named.items() if value is not None}


def length_settings(minutes: float | None, iterations: int | None) -> dict[str, Any]:
    """Return the settings behind ``--minutes`` and ``--iterations``, of which one may be given.

    Raises
    ------
    typer.BadParameter
        When both are.
    """
    if minutes is not None and iterations is not None:
        raise typer.BadParameter("give either --minutes or --iterations")
    if minutes is not None:
        return {"train.minutes": minutes, "train.iterations": 0}
    if iterations is not None:
        return {"train.minutes": 0, "train.iterations": iterations}
    return {}


def further_frames(context: typer.Context, unlabeled: list[str] | None) -> list[Any]:
    """Return what was given with ``--unlabeled``.

    The option takes one value; further ones arrive as surplus arguments: ``--unlabeled *.mp4``.

    Raises
    ------
    typer.BadParameter
        When there are surplus arguments without the option.
    """
    if context.args and not unlabeled:
        raise typer.BadParameter(f"unexpected: {' '.join(context.args)}")
    return [*(unlabeled or ()), *context.args]
