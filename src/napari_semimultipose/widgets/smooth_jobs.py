"""What the Smooth widget runs in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_semimultipose import api
from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses
from napari_semimultipose.tracking.smoothing.jumps import Jump


@dataclass(frozen=True)
class SmoothingJob:
    """Everything that smoothing needs.

    Attributes
    ----------
    poses : PoseStore
        A copy of the poses of the chosen layer.
    members : sequence of PoseStore
        Copies of those of further layers: the other members of an ensemble.
    files : sequence of Path
        Further members on disk.
    mirrored : tuple of str
        Endings of the keypoints of the views of a mirror.
    """

    poses: PoseStore
    members: Sequence[PoseStore]
    files: Sequence[Path]
    mirrored: tuple[str, ...]
    config: SmoothConfig


@dataclass(frozen=True)
class SmoothedPoses:
    """The end: what was smoothed, and the result."""

    observed: Poses
    poses: Poses
    jumps: Sequence[Jump]
    left_out: int = 0


def smoothing_events(job: SmoothingJob) -> Iterator[Any]:
    """Smooth.

    Yields
    ------
    SmoothedPoses

    Raises
    ------
    SemiMultiPoseError
        When a file cannot be read, or the poses do not belong together.
    """
    given = [job.poses.snapshot(), *(store.snapshot() for store in job.members)]
    given += [api.read_poses(path) for path in job.files]
    found = api.smooth(given, config=job.config, mirrored=job.mirrored)
    yield SmoothedPoses(
        found.observed[0], found.result.poses[0], found.result.jumps, found.left_out
    )
