"""The verbs of `api` for a terminal, a script and a cluster.

Exit status: 0 done; 1 something is wrong with a file, a setting or the machine (one line on stderr
says what); 2 the command line itself is wrong; 128 + n stopped by signal n after saving (130: Ctrl-C).
Results go to stdout, progress and remarks to stderr. Each command loads what it needs when it runs, so
that ``--help`` is quick.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from napari_semimultipose import __version__
from napari_semimultipose.cli.check import check
from napari_semimultipose.cli.ensemble import ensemble
from napari_semimultipose.cli.info import info
from napari_semimultipose.cli.labels import convert, evaluate, track
from napari_semimultipose.cli.measure import measure
from napari_semimultipose.cli.predict import predict
from napari_semimultipose.cli.render import render
from napari_semimultipose.cli.report import report
from napari_semimultipose.cli.sample import demo
from napari_semimultipose.cli.smooth import smooth
from napari_semimultipose.cli.suggest import suggest
from napari_semimultipose.cli.train import train
from napari_semimultipose.errors import SemiMultiPoseError


class _Commands(TyperGroup):
    """Turns the errors that a user can mend into one line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (SemiMultiPoseError, OSError, MemoryError) as error:
            if isinstance(error, BrokenPipeError):  # the reader of our output has gone: `| head`
                sys.stdout = None
                raise typer.Exit(1) from None
            logging.getLogger(__name__).debug("traceback", exc_info=True)
            typer.echo(f"error: {one_line(error)}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(130) from None


def one_line(error: BaseException) -> str:
    """Text of an error on one line; its kind where it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Multi-animal pose estimation that learns from labelled and unlabelled frames.",
)
for _learning in (train, ensemble):
    app.command(context_settings={"allow_extra_args": True})(_learning)
for _command in (
    predict,
    measure,
    suggest,
    check,
    track,
    smooth,
    evaluate,
    report,
    render,
    convert,
    demo,
    info,
):
    app.command()(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say more, and show where an error comes from.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    # The limit is the handler's: libraries set the levels of their own loggers.
    handler = logging.StreamHandler()
    handler.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", handlers=[handler])
    if verbose:
        logging.getLogger("napari_semimultipose").setLevel(logging.DEBUG)


def main() -> None:
    """Entry point of the console command ``semimultipose``."""
    app(prog_name="semimultipose")
