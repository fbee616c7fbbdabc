"""``semimultipose info``: what is installed, and whether it works."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from napari_semimultipose.errors import SemiMultiPoseError

_PACKAGES = (
    "napari",
    "npe2",
    "numpy",
    "torch",
    "torchvision",
    "sleap-io",
    "av",
    "lightning-fabric",
)
_QT = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def info(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="Model folder to describe.")
    ] = None,
) -> None:
    """Show versions, devices and the health of the plugin, or what a MODEL is."""
    if model is not None:
        from napari_semimultipose.models.checkpoint import describe_model

        for key, value in describe_model(model).items():
            typer.echo(f"{key}: {value}")
        return
    for name, text in (*versions(), *devices()):
        typer.echo(f"{name:24}{text}")
    problems = list(plugin_problems())
    typer.echo(f"{'napari plugin':24}{'; '.join(problems) or 'healthy'}")
    if problems:
        raise SemiMultiPoseError("the napari plugin is not installed correctly; install it again")


def versions() -> Iterator[tuple[str, str]]:
    """Names and versions of what the program is made of."""
    yield "napari-semimultipose", version("napari-semimultipose")
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    for name in _PACKAGES:
        yield name, _version(name) or "not installed"
    found = [f"{name} {number}" for name in _QT if (number := _version(name))]
    yield "Qt", ", ".join(found) or 'none: install one for the viewer, pip install "napari[all]"'


def devices() -> Iterator[tuple[str, str]]:
    """Names and descriptions of what can train."""
    import torch

    yield "device cpu", f"{torch.get_num_threads()} threads"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield (
            f"device cuda:{index}",
            f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB",
        )
    if torch.backends.mps.is_available():
        yield "device mps", "Apple GPU"


def plugin_problems() -> Iterator[str]:
    """Say what is wrong with the plugin's manifest, as napari would find it."""
    from npe2 import PluginManifest

    try:
        manifest = PluginManifest.from_distribution("napari-semimultipose")
    except (PackageNotFoundError, ValueError, OSError) as error:
        yield f"no valid manifest: {' '.join(str(error).split())}"
        return
    for command in manifest.contributions.commands or ():
        module = str(command.python_name).partition(":")[0]
        if importlib.util.find_spec(module) is None:
            yield f"the command {command.id} names a missing module, {module}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
