"""``semimultipose render``: a recording with its poses drawn into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_semimultipose.cli.options import parse_frame_range
from napari_semimultipose.cli.progress import progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.errors import FramesError


def render(
    poses: Annotated[
        Path, typer.Argument(metavar="POSES", help="File of poses, such as proofread tracks.")
    ],
    out: Annotated[Path, typer.Option(help="Video to write (.mp4).")],
    frames: Annotated[
        Path | None,
        typer.Option(
            "--frames",
            "--video",
            metavar="PATH",
            help="The recording. By default it is looked for where the poses say and around their file.",
        ),
    ] = None,
    frame_range: Annotated[
        str | None,
        typer.Option(
            metavar="A:B",
            help="Frames A up to B (not included) only; by default from the first to the last one with poses.",
        ),
    ] = None,
    colours: Annotated[
        Literal["track", "keypoint"], typer.Option(help="What the colours tell.")
    ] = "track",
    trail: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Draw the paths of the animals over so many frames back; 15 by default, 0 for images.",
        ),
    ] = None,
    names: Annotated[bool, typer.Option(help="Write the names of the tracks.")] = True,
) -> None:
    """Draw POSES into their recording: a labelled video.

    Ctrl-C gives up; an old file stays.
    """
    from napari_semimultipose import api

    for path in (poses, frames):
        if path is not None and path.absolute() == out.absolute():
            raise FramesError(f"{path} would be replaced by the video; choose another --out")
    section = parse_frame_range(frame_range)
    with progress("labelled video") as display, stop_on_signal() as stop:
        done = api.render(
            poses,
            frames,
            out,
            frame_range=section,
            colour_by=colours,
            trail=trail,
            names=names,
            should_stop=stop,
            on_progress=lambda n, total: display.update(n / max(total, 1), f"frame {n}/{total}"),
        )
        if done:
            display.note(f"{out}: {poses} drawn into the frames")
    stop.exit_if_asked()
