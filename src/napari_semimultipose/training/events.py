"""What training tells its caller: the command line, the widget and a cluster job alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Started:
    """Training is about to take its first step."""

    folder: Path
    device: str
    n_labeled: int
    n_unlabeled: int
    n_validation: int
    iteration: int
    iterations: int | None
    minutes: float | None
    scale: float


@dataclass(frozen=True)
class Step:
    """Some iterations are done. `losses` holds the raw (unweighted) terms and their weighted ``total``."""

    iteration: int
    elapsed_s: float
    progress: float
    remaining_s: float
    losses: Mapping[str, float]
    learning_rate: float


@dataclass(frozen=True)
class Validation:
    """The current weights were scored on the validation frames (``ap``, ``median_error_px``, ...)."""

    iteration: int
    elapsed_s: float
    scores: Mapping[str, float]
    best: bool


@dataclass(frozen=True)
class Checkpoint:
    """The state was written."""

    iteration: int
    path: Path
    kind: Literal["last", "best"]


@dataclass(frozen=True)
class Notice:
    """Something the user should know: a smaller batch after running out of memory, for example."""

    message: str


@dataclass(frozen=True)
class Done:
    """Training ended; the model folder is complete."""

    folder: Path
    iteration: int
    reason: Literal["finished", "stopped"]
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """Training ended with an error. `message` is for the user, `details` for a bug report."""

    message: str
    details: str = ""


Event = Started | Step | Validation | Checkpoint | Notice | Done | Failed
