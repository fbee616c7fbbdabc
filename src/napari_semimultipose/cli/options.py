"""Options that several commands have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import yaml

from napari_semimultipose.config.base import Settings as _Settings
from napari_semimultipose.errors import ConfigError

if TYPE_CHECKING:
    from napari_semimultipose.config import EvaluateConfig

Group = TypeVar("Group", bound=_Settings)
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="GROUP.NAME=VALUE",
        help="Change one setting (may be given several times), for example --set train.lr=0.001.",
    ),
]
Device = Annotated[
    str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")
]
Animals = Annotated[
    int | None, typer.Option(min=0, help="Number of animals, if it is fixed; 0: unknown.")
]

Cameras = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Names of synchronous cameras, each part of the names of its files.",
    ),
]


def names_of(text: str, option: str) -> list[str]:
    """Read two names or more with commas between them.

    Raises
    ------
    ConfigError
        When there is one name, or an empty one.
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) < 2 or not all(names):
        raise ConfigError(f"{option} {text!r}: write two names or more with commas between them")
    return names


def parse_frame_range(text: str | None) -> slice | None:
    """Read ``A:B`` or ``A:B:STEP``, each part optional; B is not included.

    Raises
    ------
    ConfigError
        When the text has another form or holds no frame.
    """
    if text is None:
        return None
    wrong = ConfigError(
        f"--frame-range {text!r}: write FIRST:END or FIRST:END:STEP, for example 0:1000; END is not included"
    )
    parts = text.split(":")
    if not 2 <= len(parts) <= 3:
        raise wrong
    try:
        start, stop, step = [int(part) if part.strip() else None for part in [*parts, ""][:3]]
    except ValueError:
        raise wrong from None
    if (
        (step is not None and step < 1)
        or (start or 0) < 0
        or (stop is not None and stop <= (start or 0))
    ):
        raise wrong
    return slice(start, stop, step)


def evaluate_config(settings: Iterable[str], **known: Any) -> EvaluateConfig:
    """Return the definition of the scores from ``name=value`` items and from known values.

    Raises
    ------
    ConfigError
        When a name or a value is wrong.
    """
    from napari_semimultipose.config import EvaluateConfig

    return settings_of(EvaluateConfig, settings, **known)


def settings_of(group: type[Group], settings: Iterable[str], **known: Any) -> Group:
    """Return a group of settings from ``name=value`` items and from known values.

    Raises
    ------
    ConfigError
        When a name or a value is wrong.
    """
    from pydantic import ValidationError

    values: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or name.strip() not in group.model_fields:
            names = ", ".join(group.model_fields)
            raise ConfigError(f"setting {text!r} must have the form name=value with one of {names}")
        values[name.strip()] = yaml.safe_load(value)
    try:
        return group.model_validate({**values, **known})
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("wrong settings: " + "; ".join(wrong)) from None
