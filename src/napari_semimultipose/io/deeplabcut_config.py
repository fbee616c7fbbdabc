"""The ``config.yaml`` of DeepLabCut projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_KEYS = {"video_sets", "bodyparts", "scorer", "Task", "skeleton", "individuals"}


def load_config(path: Path) -> dict[str, Any] | None:
    """Content of a YAML file, if it is the configuration of a project, or None."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    fits = isinstance(content, dict) and len(_KEYS & content.keys()) > 1
    return content if fits else None


def config_in(folder: Path) -> dict[str, Any] | None:
    """Content of the ``config.yaml`` of a folder, or of the only YAML file that is such a file."""
    if (folder / "config.yaml").is_file():
        return load_config(folder / "config.yaml")
    found = [c for p in sorted(folder.glob("*.yaml")) if (c := load_config(p)) is not None]
    return found[0] if len(found) == 1 else None


def config_above(path: Path) -> dict[str, Any] | None:
    """Content of the ``config.yaml`` of the project that a table lies in."""
    folder = path.absolute().parent
    if folder.parent.name != "labeled-data":
        return None
    return config_in(folder.parent.parent)
