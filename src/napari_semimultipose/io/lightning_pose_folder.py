"""The folder of a Lightning Pose project: where its labels are, a table for each camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.deeplabcut import poses_from_tables, video_of_table
from napari_semimultipose.io.tables import is_table, read_table
from napari_semimultipose.poses import Poses

_LABELS = "CollectedData"
_UNSEEN = ("_new", "_test")  # endings of labels that Lightning Pose keeps for tests
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Layout:
    """Files of a project.

    Attributes
    ----------
    folder : Path
        What the names of the images start from.
    tables : mapping of str to Path
        The labels of each camera; of a project without cameras one table, named "".
    config : mapping or None
        Content of its ``config.yaml``; None without one.
    """

    folder: Path
    tables: Mapping[str, Path]
    config: Mapping[str, Any] | None = None


def find_layout(path: str | Path) -> Layout | None:
    """Find the files of a project, or return None when there is none.

    Parameters
    ----------
    path : path
        The folder; its ``config.yaml`` (``data.data_dir`` may be absolute, or relative to the file's folder
        or one above it; where it leads nowhere, the folders themselves are tried); or the
        ``project.yaml`` of the Lightning Pose app.

    Raises
    ------
    ConfigError
        If a ``config.yaml`` names labels that are not there.
    """
    place = Path(path)
    if not place.is_dir():
        content = _yaml(place) if place.suffix.lower() in _SUFFIXES else None
        if content is None:
            return None
        data = content.get("data")
        if isinstance(data, dict) and data.get("csv_file"):
            return _configured(place, content)
        if not isinstance(content.get("keypoint_names"), list) or "data" in content:
            return None
        return _by_names(place.parent, content.get("view_names"))
    for file in sorted(place.glob("*.y*ml"), key=lambda f: (f.stem != "config", f.name)):
        content = _yaml(file) or {}
        data = content.get("data")
        if isinstance(data, dict) and data.get("csv_file"):
            return _configured(file, content)
    if (place / "project.yaml").is_file():
        return find_layout(place / "project.yaml")
    inside = ("labeled-data", "videos")
    return _by_names(place, None) if any((place / name).is_dir() for name in inside) else None


def is_project(path: Path) -> bool:
    """Whether a folder or a YAML file is a Lightning Pose project."""
    try:
        return find_layout(path) is not None
    except ConfigError:
        return True  # it is one, and reading it says what is wrong


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read the labels of a project; those of each camera are a video of their own.

    Parameters
    ----------
    path : path
        See `find_layout`.
    frames_root : path, optional
        Folder that the names of the images start from; that of the labels by default.

    Raises
    ------
    LabelsError, ConfigError
        When there are no labels, or a table is damaged.
    """
    layout = find_layout(path)
    if layout is None:
        raise LabelsError(
            f"{path} is no Lightning Pose project: it has neither a config.yaml with data.csv_file, nor "
            f"a table {_LABELS}.csv beside labeled-data or videos"
        )
    root = frames_root or layout.folder
    tables = [(table := read_table(file), video_of_table(table, file, root)) for file in
              layout.tables.values()]  # fmt: skip
    return poses_from_tables(tables, None)


def _yaml(file: Path) -> dict[str, Any] | None:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None


def _configured(file: Path, content: Mapping[str, Any]) -> Layout:
    data = content["data"]
    given = data["csv_file"]
    names = [given] if isinstance(given, str) else list(given)
    views = [str(view) for view in data.get("view_names") or ()]
    if isinstance(given, str):
        views = [""]
    elif len(views) != len(names):
        views = [view_of(name) for name in map(str, names)]
    folder = _data_folder(file, str(data.get("data_dir") or "."), [str(name) for name in names])
    tables = {view: folder / str(name) for view, name in zip(views, names, strict=True)}
    return Layout(folder, tables, content)


def _data_folder(file: Path, name: str, tables: list[str]) -> Path:
    places = [Path(name)] if Path(name).is_absolute() else []
    above = [file.resolve().parent, *file.resolve().parents[1:]]
    places += [folder / name for folder in above]
    places += above[:2]
    for place in places:
        if all((place / table).is_file() for table in tables):
            return place
    raise ConfigError(
        f"{file}: {', '.join(tables)} was not found in data_dir ({name}), nor beside the file; correct "
        "data.data_dir, or give the labels file instead"
    )


def _by_names(folder: Path, views: Any) -> Layout | None:
    """Find tables by their names alone."""
    if isinstance(views, list) and views:
        named = {str(view): folder / f"{_LABELS}_{view}.csv" for view in views}
        found = {view: file for view, file in named.items() if file.is_file()}
    elif (folder / f"{_LABELS}.csv").is_file():
        found = {"": folder / f"{_LABELS}.csv"}
    else:
        files = sorted(folder.glob(f"{_LABELS}_*.csv"))
        found = {view_of(f.name): f for f in files if not f.stem.endswith(_UNSEEN)}
    found = {view: file for view, file in found.items() if is_table(file)}
    return Layout(folder, found) if found else None


def view_of(name: str) -> str:
    """Name of the camera in the name of a table of labels: ``CollectedData_top.csv`` is of top."""
    return Path(name).stem.removeprefix(f"{_LABELS}_")
