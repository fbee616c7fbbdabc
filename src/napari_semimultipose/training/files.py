"""What a training run leaves in its model folder, and reads again when it is resumed."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_semimultipose.errors import ModelError, TrainingError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.io.labels import write_poses
from napari_semimultipose.models.checkpoint import (
    BEST,
    LABELS,
    LAST_WEIGHTS,
    LOG,
    RESUME,
    SPLIT,
    WEIGHTS,
    ModelInfo,
    read_info,
    save_weights,
    write_info,
)
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.sources import Place
from napari_semimultipose.training.schedule import Progress


def read_state(folder: Path, skeleton: Skeleton) -> tuple[ModelInfo, dict[str, Any]]:
    """Read the description and the saved state of a run that is to go on.

    Parameters
    ----------
    folder : Path
    skeleton : Skeleton
        Of the labels.

    Raises
    ------
    TrainingError
        If there is no saved state, or it is of another skeleton.
    ModelError
        If there is no model, or its files are damaged.
    """
    info = read_info(folder)
    if not (folder / RESUME).is_file():
        raise TrainingError(f"{folder} holds no saved state ({RESUME}) to resume from")
    if info.skeleton.keypoints != skeleton.keypoints:
        raise TrainingError(
            f"the model in {folder} has the keypoints {', '.join(info.skeleton.keypoints)}, "
            f"the labels have {', '.join(skeleton.keypoints)}"
        )
    try:
        state = torch.load(folder / RESUME, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(f"{folder / RESUME} is damaged: {error}") from None
    return info, state


class RunFiles:
    """The files of a training run.

    Parameters
    ----------
    folder : Path
        Model folder, made by `begin`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, info: ModelInfo, used: Poses, split: Mapping[str, Any], *, new: bool) -> None:
        """Write what does not change during the run: settings, the labels it uses, their split, the head of the log.

        Parameters
        ----------
        new : bool
            Whether no step was taken yet; a log that is there goes on otherwise.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_info(self.folder, info)
        write_poses(used, self.folder / LABELS)
        with replace_file(self.folder / SPLIT) as path:
            path.write_text(json.dumps(split, indent=1), encoding="utf-8")
        if new or not (self.folder / LOG).is_file():
            with (self.folder / LOG).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(["iteration", "elapsed_s", "kind", "name", "value"])

    def log(self, progress: Progress, kind: str, values: Mapping[str, float]) -> None:
        """Append values of one kind to the log."""
        with (self.folder / LOG).open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            for name, value in values.items():
                writer.writerow(
                    [progress.iteration, f"{progress.elapsed_s:.2f}", kind, name, f"{value:.6g}"]
                )

    def save(self, network: nn.Module, info: ModelInfo, state: Mapping[str, Any]) -> None:
        """Write the newest weights and everything that a resumed run needs.

        The weights become the model, too, unless better ones were saved by `save_best`.
        """
        save_weights(network, self.folder / LAST_WEIGHTS)
        if not (self.folder / BEST).is_file():
            save_weights(network, self.folder / WEIGHTS)
        with replace_file(self.folder / RESUME) as path:
            torch.save(dict(state), path)
        write_info(self.folder, info)

    def save_best(self, network: nn.Module, info: ModelInfo) -> None:
        """Write the present weights as the model, because they validated best."""
        save_weights(network, self.folder / WEIGHTS)
        with replace_file(self.folder / BEST) as path:
            path.write_text(
                f"step {info.iteration}: {json.dumps(dict(info.scores))}\n", encoding="utf-8"
            )
        write_info(self.folder, info)


class Limits:
    """Which labels a run may use, and which frames it must not see; a resumed run keeps to them.

    Parameters
    ----------
    state : mapping, optional
        What `state` gave in the run that goes on.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._excluded: set[Place] = set()
        self._usable: set[Place] | None = None
        if state and "excluded" in state:  # missing in states of earlier versions
            self._excluded = _places(state["excluded"].tolist())
            usable = state["usable"]
            self._usable = None if usable is None else _places(usable.tolist())

    def __call__(
        self, labels: Poses, labeled_rows: Sequence[int] | None, exclude: Collection[Place]
    ) -> tuple[list[int] | None, set[Place]]:
        """Return the rows that may be used as labels (None: all), and the frames that training must not see.

        Frames excluded when the run was begun stay so, and the labels that could be used then are used
        where no others are named.
        """
        self._excluded |= _places(exclude)
        places = list(zip(labels.video.tolist(), labels.frame.tolist(), strict=True))
        if labeled_rows is not None:
            self._usable = {places[row] for row in labeled_rows}
        if self._usable is None:
            return None, self._excluded
        return [row for row, place in enumerate(places) if place in self._usable], self._excluded

    def state(self) -> dict[str, Tensor | None]:
        """Everything that a resumed run needs."""
        return {
            "excluded": _table(self._excluded),
            "usable": None if self._usable is None else _table(self._usable),
        }


def _places(pairs: Iterable[Sequence[int]]) -> set[Place]:
    return {(int(video), int(frame)) for video, frame in pairs}


def _table(places: Iterable[Place]) -> Tensor:
    """Places [n, 2] as a tensor, which is smaller and sooner read than lists."""
    return torch.tensor(sorted(places), dtype=torch.int64).reshape(-1, 2)
