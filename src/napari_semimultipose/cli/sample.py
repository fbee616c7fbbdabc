"""``semimultipose demo``: the main job on built-in sample data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_semimultipose.cli.options import Device
from napari_semimultipose.cli.progress import progress
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.cli.tables import score_table
from napari_semimultipose.cli.train import follow
from napari_semimultipose.config import Config


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path(
        "semimultipose-demo"
    ),
    headless: Annotated[
        bool, typer.Option("--headless", help="Do not open napari, even if there is a display.")
    ] = False,
    minutes: Annotated[float, typer.Option(min=0.01, help="Length of training in minutes.")] = 2.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample data and of training.")] = 0,
    device: Device = None,
) -> None:
    """Run the main job on built-in sample data and show the result in napari.

    It makes a recording of crawling beetles with known poses, trains on a few labelled frames and on
    the others without labels, predicts and tracks frames that it has not seen, and scores them.
    """
    from napari_semimultipose import demo as steps

    typer.echo(f"making the sample recording; everything goes to {out}", err=True)
    sample = steps.make_sample(out, seed)
    config = Config().with_settings(
        {"train.minutes": minutes, "train.seed": seed, "train.device": device or "auto"}
    )
    with progress("training") as display, stop_on_signal() as stop:
        follow(steps.train(sample, config, stop), display)
    stop.exit_if_asked()
    with progress("predicting") as display, stop_on_signal() as stop:
        poses = steps.predict(
            sample,
            device=device or "auto",
            should_stop=stop,
            on_progress=lambda done, total: display.update(done / total, f"frame {done}/{total}"),
        )
    stop.exit_if_asked()
    typer.echo(score_table(steps.write_results(sample, poses)))
    typer.echo(err=True)
    for name, what in steps.FILES.items():
        typer.echo(f"{out / name}: {what}", err=True)
    if not headless and steps.has_display():
        typer.echo("opening napari with the result", err=True)
        steps.show(sample, poses)
