"""Multi-animal pose estimation in napari that learns from labelled and unlabelled frames.

The verbs (`train`, `predict`, `track`, `evaluate`, ...) are loaded when they are first used: importing
this package costs nothing, because napari does it at its own start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        check,
        evaluate,
        measure,
        open_frames,
        predict,
        read_poses,
        render,
        report,
        suggest,
        track,
        train,
        write_poses,
    )
    from .config import Config
    from .poses import Poses, Skeleton

__version__ = "0.1.0"

__all__ = [
    "Config",
    "Poses",
    "Skeleton",
    "__version__",
    "check",
    "evaluate",
    "measure",
    "open_frames",
    "predict",
    "read_poses",
    "render",
    "report",
    "suggest",
    "track",
    "train",
    "write_poses",
]

_HOME = {"Config": ".config", "Poses": ".poses", "Skeleton": ".poses"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_HOME.get(name, ".api"), __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
