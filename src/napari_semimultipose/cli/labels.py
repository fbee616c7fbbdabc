"""``semimultipose track``, ``evaluate`` and ``convert``: work on files of poses."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_semimultipose.cli.options import Animals, Settings, evaluate_config
from napari_semimultipose.cli.tables import score_table
from napari_semimultipose.errors import ConfigError, FramesError, SemiMultiPoseError


def track(
    poses: Annotated[Path, typer.Argument(metavar="IN", help="File of poses.")],
    out: Annotated[Path, typer.Option(help="File to write; the suffix chooses the format.")],
    animals: Animals = None,
    settings: Settings = None,
) -> None:
    """Follow the animals of IN over time: new tracks for all instances."""
    from napari_semimultipose import api

    config = api.Config().with_settings(settings or [])
    if animals is not None:
        config = config.with_settings({"track.animals": animals})
    tracked = api.track(api.read_poses(poses), config.track)
    write(tracked, out)
    tracks = len(set(tracked.track[tracked.track >= 0].tolist()))
    typer.echo(
        f"{out}: {tracks} tracks, {tracked.n_instances} animals on {len(tracked)} frames", err=True
    )


def evaluate(
    prediction: Annotated[Path, typer.Argument(metavar="PRED", help="File of predicted poses.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="File of true poses.")],
    frames_list: Annotated[
        Path | None,
        typer.Option(help="Text file: images or frame numbers of TRUTH to score; all by default."),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(help="Keypoint tolerance of the OKS (COCO form), 0.05 by default."),
    ] = None,
    swap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B",
            help="Two keypoints that may be exchanged within an animal (may be given several times).",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another setting of the scores, for example --set area=box; see docs/evaluation.md.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all scores as JSON.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a figure (.png, .pdf or .svg).")
    ] = None,
) -> None:
    """Score the poses of PRED against those of TRUTH.

    Images are matched by name, frames of videos by number.
    """
    from napari_semimultipose import api

    given: dict[str, Any] = {} if sigma is None else {"sigma": sigma}
    if swap:
        given["swap"] = [_pair(text) for text in swap]
    config = evaluate_config(settings or [], **given)
    scores = api.evaluate(prediction, truth, config=config, frames_list=frames_list)
    typer.echo(score_table(scores))
    if json_file is not None:
        write_json(scores, json_file)
    if figure is not None:
        from napari_semimultipose.evaluation.figures import draw_scores

        draw_scores(scores, figure)


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="File of poses, of any known format.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.")],
    source_format: Annotated[
        str | None, typer.Option("--from", help="Format of IN; found from the file by default.")
    ] = None,
    out_format: Annotated[
        str | None, typer.Option("--to", help="Format of OUT; chosen by the suffix by default.")
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(help="Of a COCO file with several kinds of animals: the one to read."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Predicted animals become labels, which train.")
    ] = False,
) -> None:
    """Write the poses of IN in another format; docs/formats.md lists them.

    What the new format cannot hold is said on stderr.
    """
    from napari_semimultipose import api

    poses = api.read_poses(source, format=source_format, category=category)
    write(poses.accepted() if accept else poses, out, out_format)


def write(poses: Any, path: Path, format: str | None = None) -> None:
    """Write poses and say what the format could not hold."""
    from napari_semimultipose import api

    for lost in api.write_poses(poses, path, format=format):
        typer.echo(f"{path}: not kept: {lost}", err=True)


def write_or_keep(poses: Any, path: Path) -> None:
    """Write poses that took long to make; where that fails, keep them in a folder for temporary files.

    Raises
    ------
    FramesError
        When `path` could not be written; it tells where the poses are.
    """
    try:
        write(poses, path)
    except (SemiMultiPoseError, OSError) as error:
        for place in (tempfile.gettempdir(), Path.home()):
            try:
                folder = Path(tempfile.mkdtemp(prefix="semimultipose-", dir=place))
            except OSError:
                continue
            try:
                write(poses, folder / f"{path.stem}.slp")
            except (SemiMultiPoseError, OSError):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            kept = folder / f"{path.stem}.slp"
            raise FramesError(f"{error}; the predictions are kept in {kept}") from error
        raise


def write_json(scores: dict[str, Any], path: Path) -> None:
    """Write scores as JSON, all of it or nothing."""
    from napari_semimultipose.io.atomic import replace_file

    with replace_file(path) as fresh:
        fresh.write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _pair(text: str) -> tuple[str, str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise ConfigError(
            f"--swap {text!r}: write two keypoints with a comma, for example --swap L,R"
        )
    return names[0], names[1]
