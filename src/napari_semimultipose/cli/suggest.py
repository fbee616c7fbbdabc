"""``semimultipose suggest``: which frames of a recording are worth labelling."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_semimultipose.cli.progress import Progress, duration, progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.errors import FramesError

if TYPE_CHECKING:
    from napari_semimultipose.labeling.suggest import Progress as Done
    from napari_semimultipose.labeling.suggest import Suggestion


def suggest(
    frames: Annotated[
        Path,
        typer.Argument(
            metavar="FRAMES",
            help="Video, image folder or image stack, or a text file that lists images.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Text file to write: frame numbers, or names of images; --labeled-list and the like read it."
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option(
            help="even: evenly spaced; diverse: of different looks; uncertain: where predictions are "
            "doubtful. By default uncertain with --predictions or --model, diverse without."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of frames.")] = 20,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="File of poses that a model found on FRAMES; given several times, their disagreement "
            "counts as well, and the first one is judged.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labels file: labelled frames are left out, and what looks or stands like them comes last.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Model folder: frames on which it differs from itself, when it sees them mirrored or turned, "
            "and poses unlike its labels count as doubtful. Without --predictions it makes them, on some of "
            "the frames.",
        ),
    ] = None,
    other_cameras: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Predictions of another camera of the session (may be given several times), for a model that "
            "was trained with --cameras: frames on which the cameras disagree are doubtful.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the clustering (diverse).")] = 0,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the suggestions with their reasons."),
    ] = None,
) -> None:
    """Suggest frames of FRAMES that are worth labelling.

    Ctrl-C stops reading and suggests from what was seen so far.
    """
    from napari_semimultipose import api
    from napari_semimultipose.recordings import open_recording

    for target in filter(None, (out, json_file)):
        if target.absolute() == frames.absolute():
            raise FramesError(
                f"{target} would be replaced by the suggestions; choose another --out"
            )
    with open_recording(frames) as recording:
        names = recording.names
        with progress("suggesting") as display, stop_on_signal() as stop:
            found = api.suggest(
                recording,
                by=by,
                count=count,
                predictions=predictions or (),
                labels=labels,
                model=model,
                other_cameras=other_cameras or (),
                seed=seed,
                should_stop=stop,
                on_progress=_Pace(display),
            )
    write_list(found, names, out)
    if json_file is not None:
        write_reasons(found, names, json_file)
    for suggestion in found:
        typer.echo(f"{entry_of(suggestion, names)}\t{suggestion.reason}")
    typer.echo(f"{out}: {len(found)} frames", err=True)
    stop.exit_if_asked()


def entry_of(suggestion: Suggestion, names: Sequence[str] | None) -> str:
    """Name of the image, or number of the frame."""
    return names[suggestion.frame] if names else str(suggestion.frame)


def write_list(found: Sequence[Suggestion], names: Sequence[str] | None, path: Path) -> None:
    """Write one frame a line, each below its reason as a comment; all of it or nothing."""
    from napari_semimultipose.io.atomic import replace_file

    lines = ["# frames worth labelling, the most important first"]
    for suggestion in found:
        lines += [f"# {suggestion.reason}", entry_of(suggestion, names)]
    with replace_file(path) as fresh:
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_reasons(found: Sequence[Suggestion], names: Sequence[str] | None, path: Path) -> None:
    """Write the suggestions as JSON; all of it or nothing."""
    from napari_semimultipose.io.atomic import replace_file

    content = [as_dict(suggestion, names) for suggestion in found]
    with replace_file(path) as fresh:
        fresh.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def as_dict(suggestion: Suggestion, names: Sequence[str] | None) -> dict[str, Any]:
    """Return a suggestion as it stands in JSON; numbers that are not known are null."""
    value, doubt = suggestion.value, suggestion.doubt
    return {
        "frame": suggestion.frame,
        **({"image": names[suggestion.frame]} if names else {}),
        "kind": suggestion.kind,
        "value": round(value, 4) if math.isfinite(value) else None,
        "reason": suggestion.reason,
        "doubt": None if doubt is None else round(doubt, 4),
    }


class _Pace:
    """Shows how far the search is and how long the present part of it will take."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._what = ""
        self._start = 0.0

    def __call__(self, done: Done) -> None:
        now = time.monotonic()
        if done.what != self._what:
            self._what, self._start = done.what, now
        left = (now - self._start) / max(done.done, 1) * (done.total - done.done)
        self._display.update(
            done.done / max(done.total, 1),
            f"{done.what}: {done.done}/{done.total}  {duration(left)} left",
        )
