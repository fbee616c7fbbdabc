"""``semimultipose check``: which labels are likely to be wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_semimultipose.cli.options import Device, Settings
from napari_semimultipose.cli.progress import Progress, duration, progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.errors import LabelsError

if TYPE_CHECKING:
    from napari_semimultipose.crossfit import FoldProgress
    from napari_semimultipose.labeling.label_check import LabelProblem
    from napari_semimultipose.poses import Poses


def check(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Labels file of any format.")],
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Train so many models, each without one part of the labels, and have it look at that "
            "part; 0: positions alone are checked.",
        ),
    ] = 0,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Length of each training in minutes (--folds)."),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Recording of the labels, or the folder that image names start from (--folds).",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Poses that models which did not see these labels found on the labelled frames.",
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="List no more than so many labels; all by default.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the list to a file.")
    ] = None,
    save_predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write what the models saw, to use it again with --predictions."
        ),
    ] = None,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """List LABELS that are likely to be wrong, the most doubtful first.

    Swapped left and right, animals labelled twice, odd shapes; with --folds or --predictions also
    labels that models which did not see them put elsewhere. Ctrl-C ends the training, and what was
    predicted until then is used.
    """
    from napari_semimultipose import api
    from napari_semimultipose.config import Config

    if not folds:
        for name, value in (
            ("--minutes", minutes), ("--frames", frames), ("--save-predictions", save_predictions),
            ("--device", device), ("--set", settings),
        ):  # fmt: skip
            if value:
                raise typer.BadParameter(f"{name} is only used with --folds")
    for target in filter(None, (json_file, save_predictions)):
        if target.absolute() in {p.absolute() for p in (labels, predictions) if p is not None}:
            raise LabelsError(f"{target} would be replaced by the result; choose another name")
    config = Config()
    if minutes is not None:
        config = config.with_settings({"train.minutes": minutes, "train.iterations": 0})
    if device is not None:
        config = config.with_settings({"train.device": device, "predict.device": device})
    config = config.with_settings(settings or [])
    poses = api.read_poses(labels)
    with progress("checking") as display, stop_on_signal() as stop:
        found, seen = api.check(
            labels if folds else poses,
            frames=frames,
            predictions=predictions,
            folds=folds,
            config=config,
            should_stop=stop,
            on_progress=lambda event: _show(event, display),
        )
    if save_predictions is not None and seen is not None:
        api.write_poses(seen, save_predictions)
    found = found[:rows]
    if json_file is not None:
        _write(found, poses, json_file)
    for problem in found:
        typer.echo(f"{place_of(problem, poses)}\t{problem.kind.value}\t{problem.text}")
    typer.echo(f"{labels}: {len(found)} labels to look at", err=True)
    stop.exit_if_asked()


def place_of(problem: LabelProblem, poses: Poses) -> str:
    """Say where a label is: image name or frame, and the middle of the animal in px."""
    name = poses.image_name(problem.row)
    if name is None:
        video = f"{poses.videos[problem.video].name}:" if len(poses.videos) > 1 else ""
        name = f"{video}{problem.frame}"
    x, y = center_of(problem, poses)
    return f"{name} ({x:.0f}, {y:.0f})"


def center_of(problem: LabelProblem, poses: Poses) -> tuple[float, float]:
    """Middle of the animal of a problem: x, y in px."""
    from napari_semimultipose.matching import pose_centers

    x, y = pose_centers(poses.xy[problem.row, problem.slots[0]])
    return float(x), float(y)


def as_dict(problem: LabelProblem, poses: Poses) -> dict[str, Any]:
    """Return a problem as it stands in JSON."""
    names = poses.skeleton.keypoints
    image = poses.image_name(problem.row)
    return {
        "video": poses.videos[problem.video].path,
        "frame": problem.frame,
        **({"image": image} if image is not None else {}),
        "center": [round(value, 1) for value in center_of(problem, poses)],
        "kind": problem.kind.value,
        "value": round(problem.value, 4) if math.isfinite(problem.value) else None,
        "severity": round(problem.severity, 4),
        "text": problem.text,
        "pairs": [[names[a], names[b]] for a, b in problem.pairs],
        "proposal": {names[k]: [round(x, 1), round(y, 1)] for k, x, y in problem.proposal},
    }


def _write(found: list[LabelProblem], poses: Poses, path: Path) -> None:
    from napari_semimultipose.io.atomic import replace_file

    content = [as_dict(problem, poses) for problem in found]
    with replace_file(path) as fresh:
        fresh.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _show(event: FoldProgress, display: Progress) -> None:
    from napari_semimultipose.training.events import Done, Notice, Step

    which = f"model {event.fold} of {event.folds}"
    match event.event:
        case Step():
            display.update(event.share, f"{which}  {duration(event.event.remaining_s)} left for it")
        case Notice():
            display.note(f"{which}: {event.event.message}")
        case Done():
            display.note(f"{which} is trained")
