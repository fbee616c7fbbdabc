"""``semimultipose measure``: how plausible predictions are, without any truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from napari_semimultipose.errors import ConfigError
from napari_semimultipose.metrics import TITLES, Metric

if TYPE_CHECKING:
    from napari_semimultipose.poses import Poses


def measure(
    prediction: Annotated[
        Path,
        typer.Argument(
            metavar="PRED",
            help="File of predicted poses: ours, or a table of Lightning Pose or DeepLabCut.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Model folder, whose labels say which poses are usual."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Labels file that says it instead."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Name that the CSV files begin with, NAME_temporal_norm.csv and so on; that of PRED by "
            "default.",
        ),
    ] = None,
) -> None:
    """Measure how plausible each keypoint of PRED is, and write CSV files as Lightning Pose does.

    The way since the frame before, the distance from the poses that the labels span, and the
    disagreement of the views; px.
    """
    from napari_semimultipose import api

    if (model is None) == (labels is None):
        raise ConfigError("give --model or --labels, to say which poses are usual")

    def say(text: str) -> None:
        typer.echo(text, err=True)

    poses = api.read_poses(prediction)
    for file in measured(poses, out or prediction, model=model, labels=labels, say=say):
        say(str(file))


def measured(
    poses: Poses,
    target: Path,
    *,
    model: Path | None = None,
    labels: Path | None = None,
    say: Callable[[str], Any],
) -> list[Path]:
    """Measure poses, write the tables beside a file of predictions, and say what is missing and what came out.

    Returns
    -------
    list of Path
        The files.
    """
    from napari_semimultipose import api, plausibility
    from napari_semimultipose.io.metric_tables import write_metrics

    yardstick = api.yardstick_of(model, labels)
    found = plausibility.drain(yardstick.measure(poses))
    for name, why in yardstick.missing(poses).items():
        say(f"no {name}: {why}")
    for name, metric in found.items():
        say(f"{name}: {summary(metric)} ({TITLES[name]})")
    return write_metrics(poses, found, target, yardstick.sets(poses))


def summary(metric: Metric) -> str:
    """Say in a few words how large a metric is."""
    known = metric.px[np.isfinite(metric.px)]
    if not known.size:
        return "nothing could be measured"
    beyond = float((metric.ratio > 1).sum() / known.size)
    return f"median {np.median(known):.2f} px, {100 * beyond:.1f} % beyond what is plausible"
