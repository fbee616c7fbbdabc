"""Several models of one task as a folder of model folders, which is used like one model.

``ensemble.json`` says how many members there are to be and which of them are trained to the end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from napari_semimultipose.errors import ModelError
from napari_semimultipose.io.atomic import replace_file

DESCRIPTION = "ensemble.json"


@dataclass(frozen=True)
class EnsembleInfo:
    """Content of ``ensemble.json``.

    Attributes
    ----------
    members : int
        How many there are to be.
    finished : tuple of int
        Which are trained to the end.
    """

    members: int
    finished: tuple[int, ...] = ()


def is_ensemble(path: str | Path) -> bool:
    """Whether a folder is an ensemble."""
    return (Path(path) / DESCRIPTION).is_file()


def member_folder(path: str | Path, number: int) -> Path:
    """Model folder of a member, from 0."""
    return Path(path) / f"member-{number}"


def read_ensemble(path: str | Path) -> EnsembleInfo:
    """Read the description.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    file = Path(path) / DESCRIPTION
    try:
        text = json.loads(file.read_text(encoding="utf-8"))
        return EnsembleInfo(int(text["members"]), tuple(int(i) for i in text["finished"]))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(
            f"{file} is damaged ({error}); copy the folder again or train anew"
        ) from None


def write_ensemble(path: str | Path, info: EnsembleInfo) -> None:
    """Write the description, and make the folder if there is none."""
    Path(path).mkdir(parents=True, exist_ok=True)
    text = {"format": 1, "members": info.members, "finished": sorted(info.finished)}
    with replace_file(Path(path) / DESCRIPTION) as fresh:
        fresh.write_text(json.dumps(text, indent=1), encoding="utf-8")


def member_folders(path: str | Path) -> list[Path]:
    """Folders of the members that are trained to the end.

    Raises
    ------
    ModelError
        When there is none.
    """
    info = read_ensemble(path)
    if not info.finished:
        raise ModelError(
            f"no member of the ensemble {path} is trained to the end: go on with the same command"
        )
    return [member_folder(path, number) for number in info.finished]
