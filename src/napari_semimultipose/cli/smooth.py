"""``semimultipose smooth``: Kalman smoothing of predictions, of ensembles and of single models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_semimultipose.cli.options import Animals, Cameras, names_of, settings_of
from napari_semimultipose.errors import ConfigError

if TYPE_CHECKING:
    from napari_semimultipose.poses import Poses
    from napari_semimultipose.smoothing import Smoothed
    from napari_semimultipose.tracking.smoothing.poses import Points3D

_TOLD_JUMPS = 10


def smooth(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...",
            help="Files of predictions of one recording: one, or those of the members of an ensemble; "
            "Lightning Pose and DeepLabCut tables, SLEAP files, or any other known format.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write; the suffix chooses the format (.csv and .h5: with the columns of the "
            "ensemble Kalman smoother). With several cameras a folder: a file for each, and points3d.csv."
        ),
    ],
    mirrored: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Endings of the keypoints that are one body part in several views of the image, for "
            "example _top,_bot.",
        ),
    ] = None,
    cameras: Cameras = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML",
            help="Calibration of the cameras as anipose writes it; they are smoothed in the room.",
        ),
    ] = None,
    noise: Annotated[
        Literal["fitted", "published"],
        typer.Option(help="Variance of the predictions; see docs/smoothing.md."),
    ] = "fitted",
    smoothness: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Variance of the movement from one frame to the next, px^2 (smaller: smoother); fitted to "
            "each keypoint by default.",
        ),
    ] = None,
    animals: Animals = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another setting, for example --set max_gap_frames=10; see docs/smoothing.md.",
        ),
    ] = None,
) -> None:
    """Smooth the predictions IN over time.

    Missing frames are bridged, and the standard deviation of each position is written along.
    """
    from napari_semimultipose import api
    from napari_semimultipose.config import SmoothConfig, TrackConfig

    given = {"noise": noise} | ({} if smoothness is None else {"smoothness": smoothness})
    config = settings_of(SmoothConfig, settings or [], **given)
    names = names_of(cameras, "--cameras") if cameras else []
    several = bool(names) or calibration is not None
    _check_out(predictions, out, several)
    found = api.smooth(
        predictions,
        config=config,
        mirrored=names_of(mirrored, "--mirrored") if mirrored else (),
        cameras=names,
        calibration=calibration,
        tracking=None if animals is None else TrackConfig(animals=animals),
    )
    if several:
        _write_cameras(found, predictions, names, calibration, out)
    else:
        _write(found.result.poses[0], found.observed[0], out)
    _tell(found)


def _check_out(predictions: Sequence[Path], out: Path, several: bool) -> None:
    """Refuse to write over what is read."""
    if several and out.is_file():
        raise ConfigError(f"--out {out} is a file; with several cameras it must be a folder")
    if any(p.absolute() == out.absolute() for p in predictions):
        raise ConfigError(f"{out} would be replaced by its smoothed poses; choose another --out")


def _write(poses: Poses, observed: Poses, out: Path) -> None:
    """Write tables with the columns of the published smoother, other formats as usual."""
    from napari_semimultipose.cli.labels import write

    if out.suffix.lower() not in (".csv", ".h5") or out.name.lower().endswith(".analysis.h5"):
        write(poses, out)
        return
    from napari_semimultipose.io.atomic import replace_file
    from napari_semimultipose.io.deeplabcut import write_smoothed

    with replace_file(out) as fresh:
        lost = write_smoothed(poses, observed, fresh)
    for text in lost:
        typer.echo(f"{out}: not kept: {text}", err=True)


def _write_cameras(
    found: Smoothed,
    predictions: Sequence[Path],
    names: Sequence[str],
    calibration: Path | None,
    out: Path,
) -> None:
    from napari_semimultipose.smoothing import by_camera
    from napari_semimultipose.tracking.cameras import read_calibration

    if not names and calibration is not None:
        names = [camera.name for camera in read_calibration(calibration)]
    files = by_camera(predictions, names)
    out.mkdir(parents=True, exist_ok=True)
    for name, poses, observed in zip(files, found.result.poses, found.observed, strict=True):
        target = out / f"{name}.csv"
        _check_out(predictions, target, False)
        _write(poses, observed, target)
        typer.echo(str(target), err=True)
    if found.result.points is not None:
        write_points(found.result.points, out / "points3d.csv")
        typer.echo(str(out / "points3d.csv"), err=True)


def write_points(points: Points3D, path: Path) -> None:
    """Write points in the room: x, y, z and their variances, a row for each frame and animal."""
    import csv

    import numpy as np

    from napari_semimultipose.io.atomic import replace_file

    head = ["frame", "track"]
    for name in points.names:
        head += [f"{name}_{axis}" for axis in ("x", "y", "z", "x_var", "y_var", "z_var")]
    values = np.concatenate([points.xyz, points.variance], -1).reshape(len(points.frame), -1)
    with replace_file(path) as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for frame, track, row in zip(
            points.frame.tolist(), points.track.tolist(), values.tolist(), strict=True
        ):
            writer.writerow([frame, track, *("" if v != v else repr(v) for v in row)])


def _tell(found: Smoothed) -> None:
    """Say what was smoothed, how much, and where animals are suddenly elsewhere."""
    poses = found.result.poses[0]
    values = ", ".join(f"{name} {value:.3g}" for name, value in found.result.smoothness.items())
    typer.echo(
        f"{poses.n_instances} animals on {len(poses)} frames; movement a frame (px^2): {values}",
        err=True,
    )
    if found.left_out:
        typer.echo(
            f"{found.left_out} times an animal without a track was left out: give it one, or remove all tracks "
            "before smoothing",
            err=True,
        )
    if found.result.alone:
        typer.echo(
            f"{', '.join(found.result.alone)}: hardly ever seen in all views; each view was smoothed by itself",
            err=True,
        )
    jumps = found.result.jumps
    for jump in jumps[:_TOLD_JUMPS]:
        typer.echo(f"frame {jump.frame}: {jump.text(poses.track_names)}", err=True)
    if len(jumps) > _TOLD_JUMPS:
        typer.echo(f"... and {len(jumps) - _TOLD_JUMPS} more jumps", err=True)
