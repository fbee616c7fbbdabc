"""What the Review widget runs in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.labeling.problems import Problem, find_problems
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Source


@dataclass(frozen=True)
class Found:
    """Problems of some poses, and how many labelled animals their shapes were compared with."""

    problems: list[Problem]
    config: ReviewConfig
    n_labelled: int


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
    usual = labelled([poses, *(x if isinstance(x, Poses) else x.snapshot() for x in others)])
    problems = find_problems(poses, config, video=video, usual=usual)
    yield Found(problems, config, usual.n_instances)


def labelled(parts: Sequence[Poses]) -> Poses:
    """Return the animals that a person labelled, each on a frame of its own."""
    xy = np.concatenate([p.xy[p.present & (p.source == Source.HUMAN)] for p in parts])
    return Poses(parts[0].skeleton, xy[:, None], np.arange(len(xy)))
