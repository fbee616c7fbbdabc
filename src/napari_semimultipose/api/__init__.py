"""The verbs of the program, for scripts and notebooks, the command line and the widgets.

Everything is loaded when a verb is first used: importing this module is cheap.
"""

from __future__ import annotations

from napari_semimultipose.api.checks import (
    check,
    evaluate,
    measure,
    report,
    suggest,
    yardstick_of,
)
from napari_semimultipose.api.files import (
    open_frames,
    read_poses,
    render,
    write_poses,
)
from napari_semimultipose.api.learning import (
    train,
    train_ensemble,
)
from napari_semimultipose.api.paths import FilePath
from napari_semimultipose.api.predictions import (
    predict,
    prediction_config,
    smooth,
    track,
)
from napari_semimultipose.config import Config

__all__ = [
    "Config",
    "FilePath",
    "check",
    "evaluate",
    "measure",
    "open_frames",
    "predict",
    "prediction_config",
    "read_poses",
    "render",
    "report",
    "smooth",
    "suggest",
    "track",
    "train",
    "train_ensemble",
    "write_poses",
    "yardstick_of",
]
