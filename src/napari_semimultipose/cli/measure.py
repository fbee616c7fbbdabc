"""``semimultipose measure``: how plausible predictions are, without any truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from napari_semimultipose.cli.options import names_of
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.metrics import TITLES, Metric
from napari_semimultipose.sources import some

if TYPE_CHECKING:
    from napari_semimultipose.plausibility import Yardstick
    from napari_semimultipose.poses import Poses


def measure(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="PRED...",
            help="File of predicted poses: ours, or a table of Lightning Pose or DeepLabCut; several files where "
            "cameras are compared.",
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
    cameras: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Names of synchronous cameras, each part of the names of its files; those of MODEL by default.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Name that the CSV files begin with, NAME_temporal_norm.csv and so on; that of PRED by "
            "default. With several files a folder.",
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

    names = names_of(cameras, "--cameras") if cameras else ()
    yardstick = api.yardstick_of(model, labels, cameras=names)
    targets = list(predictions)
    if len(predictions) > 1 and out is not None:
        if out.is_file():
            raise ConfigError(f"--out {out} is a file; with several files it must be a folder")
        out.mkdir(parents=True, exist_ok=True)
        targets = [out / file.name for file in predictions]
        count = Counter(target.stem for target in targets)
        twice = [str(file) for file in predictions if count[file.stem] > 1]
        if twice:
            raise ConfigError(
                f"the tables of these files would have the same names in {out}: {some(twice)}; leave out --out, and "
                "they lie beside the files"
            )
    elif out is not None:
        targets = [out]
    parts = [api.read_poses(file) for file in predictions]
    for written in measured(parts, predictions, targets, yardstick, say=say):
        say(str(written))


def measured(
    parts: Sequence[Poses],
    files: Sequence[Path],
    targets: Sequence[Path],
    yardstick: Yardstick,
    *,
    say: Callable[[str], Any],
) -> list[Path]:
    """Measure poses, write the tables beside files of predictions, and say what is missing and what came out.

    Parameters
    ----------
    parts : sequence of Poses
        Predictions: of one recording, or of all cameras of some sessions.
    files, targets : sequences of path
        For each its own file, and the name that its tables begin with. Tables of poses of several videos also
        have the name of the video.
    yardstick : Yardstick
    say : callable
        Takes what the user should know.

    Returns
    -------
    list of Path
        The files.
    """
    from napari_semimultipose.agreement import join
    from napari_semimultipose.io.metric_tables import write_metrics
    from napari_semimultipose.plausibility import drain

    joined = join(parts, files, yardstick.config.video.cameras)
    found = drain(yardstick.measure(joined.poses))
    for name, why in yardstick.missing(joined.poses).items():
        say(f"no {name}: {why}")
    for name, metric in found.items():
        say(f"{name}: {summary(metric)} ({TITLES[name]})")
    written: list[Path] = []
    for i, (poses, target) in enumerate(zip(joined.parts, targets, strict=True)):
        metrics = joined.of_part(found, i)
        titles = _titles(poses, yardstick.config.video.cameras)
        for v, title in titles.items():
            rows = np.flatnonzero(poses.video == v)
            beside = target if len(titles) == 1 else target.with_stem(f"{target.stem}_{title}")
            part, own = poses.select(rows), {n: m.rows(rows) for n, m in metrics.items()}
            written += write_metrics(part, own, beside, yardstick.sets(part))
    return written


def _titles(poses: Poses, cameras: Sequence[str]) -> dict[int, str]:
    """Different names for the videos of poses: of their files, else of their cameras, else numbers."""
    from napari_semimultipose.data.sessions import frame_name
    from napari_semimultipose.io.camera_names import sightings

    videos, first = np.unique(poses.video, return_index=True)
    files = [PurePath(poses.videos[v].path).stem for v in videos]
    seen = [sightings([frame_name(poses, row)], cameras)[0][0].camera for row in first.tolist()]
    of_camera = [cameras[c] if c >= 0 else "" for c in seen]
    numbers = [f"video{v}" for v in videos]
    chosen = next(
        names
        for names in (files, of_camera, numbers)
        if all(names) and len(set(names)) == len(names)
    )
    return dict(zip(videos.tolist(), chosen, strict=True))


def summary(metric: Metric) -> str:
    """Say in a few words how large a metric is."""
    known = metric.px[np.isfinite(metric.px)]
    if not known.size:
        return "nothing could be measured"
    beyond = float((metric.ratio > 1).sum() / known.size)
    return f"median {np.median(known):.2f} px, {100 * beyond:.1f} % beyond what is plausible"
