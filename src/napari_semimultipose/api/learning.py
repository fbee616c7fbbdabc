"""Training one model, or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semimultipose.api.files import read_poses
from napari_semimultipose.api.paths import FilePath
from napari_semimultipose.api.predictions import _saved_config
from napari_semimultipose.config import (
    Config,
)
from napari_semimultipose.poses import Poses
from napari_semimultipose.sources import Entries

if TYPE_CHECKING:
    from napari_semimultipose.training.events import Event


def train(
    labels: FilePath | Poses,
    out: FilePath,
    *,
    frames: Any = None,
    unlabeled: Iterable[Any] = (),
    labeled_list: Entries | None = None,
    exclude_list: Entries | None = None,
    config: Config | None = None,
    resume: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Event]:
    """Train a model and leave it in a folder.

    This is a generator: training goes on while it is iterated. All frames of the labels' recordings
    that have no label are used as frames without labels (see the setting ``train.method``).

    Parameters
    ----------
    labels : path or Poses
        Labelled animals. Predicted instances are no labels.
    out : path
        Model folder.
    frames : path, Frames or array, optional
        Frames of labels of one video, or the folder that the image names start from. By default they
        are looked for where the labels say and around the labels file.
    unlabeled : iterable of paths, Frames or arrays
        More frames without labels: videos, folders of images or videos, text files that list images. An
        image of the labels is never taken from here.
    labeled_list, exclude_list : path or sequence, optional
        Names of images, as written in the labels, or frame numbers (see `sources`): those whose labels
        may be used (all by default), and those that training must not see at all. The rest counts as
        unlabelled.
    config : Config, optional
        Settings; by default the preset ``default``, and those of the folder when resuming.
    resume : bool
        Go on with the run in `out`.
    should_stop : callable, optional
        Asked before each step; True saves the state and ends the run.

    Yields
    ------
    Event
        See `training.events`. The last one is ``Done`` or ``Failed``.

    Raises
    ------
    SemiMultiPoseError
        At the first step of the iteration, when files, lists or settings are wrong.
    """
    from napari_semimultipose.recordings import open_for_training
    from napari_semimultipose.training import loop

    poses = labels if isinstance(labels, Poses) else read_poses(labels)
    # Rows sorted by video and frame, the order in which the loop numbers them.
    poses = poses.keep(poses.present)
    if config is None:
        config = _saved_config(out) if resume else Config()
    with ExitStack() as opened:
        sources = open_for_training(
            poses,
            opened,
            labels_path=None if isinstance(labels, Poses) else labels,
            frames=frames,
            unlabeled=unlabeled,
            labeled_list=labeled_list,
            exclude_list=exclude_list,
        )
        yield from loop.train(
            poses,
            Path(out),
            config,
            frames=sources.frames,
            unlabeled=sources.unlabeled,
            labeled_rows=sources.labeled_rows,
            exclude=sources.exclude,
            resume=resume,
            should_stop=should_stop or (lambda: False),
        )


def train_ensemble(
    labels: FilePath | Poses,
    out: FilePath,
    *,
    members: int = 5,
    config: Config | None = None,
    should_stop: Callable[[], bool] | None = None,
    **sources: Any,
) -> Iterator[Event]:
    """Train several models that differ by their seeds and by the frames that validate them.

    Each member is a model folder in `out`. What is there already is kept: finished members are
    skipped, and one that was stopped is resumed.

    Parameters
    ----------
    labels, should_stop, **sources
        As for `train`.
    out : path
        Folder of the ensemble; `predict` takes it as a model.
    members : int
        Number of models.
    config : Config, optional
        Settings of all; member m has the seed ``train.seed`` + m. When going on, those of the ensemble.

    Yields
    ------
    Event
        Of all members; the progress is that of the whole. One ``Done`` or ``Failed`` at the end.
    """
    from napari_semimultipose.training.ensemble import train_members

    stop = should_stop or (lambda: False)

    def start(folder: Path, settings: Config, resume: bool) -> Iterator[Event]:
        return train(labels, folder, config=settings, resume=resume, should_stop=stop, **sources)

    yield from train_members(Path(out), members, config, start, stop)
