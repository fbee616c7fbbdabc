"""What the Review widget runs in a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose.config import Config, ReviewConfig
from napari_semimultipose.crossfit import cross_fitted
from napari_semimultipose.labeling.label_check import check_labels
from napari_semimultipose.labeling.problems import Problem, find_problems
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.matching import pose_centers
from napari_semimultipose.poses import FloatArray, Poses, Source, Video
from napari_semimultipose.widgets.preload import import_quietly

if TYPE_CHECKING:
    from napari_semimultipose.io.frames import Frames


@dataclass(frozen=True)
class Found:
    """Problems of some poses, and how many labelled animals their shapes were compared with."""

    problems: list[Problem]
    config: ReviewConfig
    n_labelled: int
    by_doubt: bool = False

    @property
    def summary(self) -> str:
        """What was found, on one line."""
        n = len(self.problems)
        if self.by_doubt:
            return f"{n} of {self.n_labelled} labelled animals are worth a look, the most doubtful first"
        compared = f"; shapes compared with {self.n_labelled} labels" if self.n_labelled else ""
        return f"{n} problem{'' if n == 1 else 's'} found{compared}"


@dataclass(frozen=True)
class CheckJob:
    """A check of labels.

    Attributes
    ----------
    store : PoseStore
        A copy, which nobody changes meanwhile.
    video : int
        The video whose labels are listed.
    frames : Frames or None
        Its frames; None where no model is trained.
    folds : int
        Models to train, each without a part of the labels; 0: positions alone are checked.
    minutes : float
        For each model.
    """

    store: PoseStore
    video: int
    frames: Frames | None = None
    folds: int = 0
    minutes: float = 5.0


def checking_events(job: CheckJob, should_stop: Callable[[], bool]) -> Iterator[Any]:
    """Look for labels that are likely to be wrong.

    Yields
    ------
    FoldProgress, and in the end Found
    """
    poses = job.store.take(np.arange(len(job.store)))
    seen: Poses | None = None
    if job.folds and job.frames is not None:
        import_quietly("napari_semimultipose.training.loop")
        config = Config().with_settings({"train.minutes": job.minutes, "train.iterations": 0})
        for event in cross_fitted(
            poses, config, {job.video: job.frames}, job.folds, should_stop=should_stop
        ):
            if isinstance(event, Poses):
                seen = event
            else:
                yield event
    found = check_labels(poses, seen)
    here = poses.video == job.video
    n = int((poses.present & (poses.source != Source.PREDICTED))[here].sum())
    problems: list[Problem] = [problem for problem in found if problem.video == job.video]
    yield Found(problems, ReviewConfig(), n, by_doubt=True)


def finding_events(
    store: PoseStore, config: ReviewConfig, video: int, others: Sequence[Poses | PoseStore]
) -> Iterator[Any]:
    """Look for problems.

    Parameters
    ----------
    store : PoseStore
        A copy, which nobody changes meanwhile.
    config : ReviewConfig
    video : int
    others : sequence of Poses or PoseStore
        Further labels of the same keypoints.

    Yields
    ------
    Found
    """
    poses = store.take(np.arange(len(store)))
    parts = [poses, *(x if isinstance(x, Poses) else x.snapshot() for x in others)]
    usual = labelled(parts)
    places = labelled_places(parts, poses.videos[video])
    problems = find_problems(poses, config, video=video, usual=usual, places=places)
    yield Found(problems, config, usual.n_instances)


def labelled_places(parts: Sequence[Poses], video: Video) -> FloatArray:
    """Return the centres [M, 2] in px of the animals that a person labelled in one recording.

    A recording is the same where its file or its images are.
    """
    centers = [np.zeros((0, 2))]
    for poses in parts:
        same = [
            i
            for i, v in enumerate(poses.videos)
            if (v.path, v.images) == (video.path, video.images)
        ]
        human = poses.present & (poses.source == Source.HUMAN)
        centers.append(pose_centers(poses.xy[human & np.isin(poses.video, same)[:, None]]))
    return np.concatenate(centers)


def labelled(parts: Sequence[Poses]) -> Poses:
    """Return the animals that a person labelled, each on a frame of its own."""
    xy = np.concatenate([p.xy[p.present & (p.source == Source.HUMAN)] for p in parts])
    return Poses(parts[0].skeleton, xy[:, None], np.arange(len(xy)))
