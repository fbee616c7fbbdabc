"""Changing the skeleton of poses that exist already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_semimultipose.poses import Poses, Skeleton


def with_skeleton(poses: Poses, skeleton: Skeleton, origin: Sequence[int | None]) -> Poses:
    """Return the poses with another skeleton.

    Parameters
    ----------
    poses : Poses
    skeleton : Skeleton
        The new skeleton, with K keypoints.
    origin : sequence of int or None
        For each of its keypoints the index that it had before, None for a new one. Keypoints of
        the old skeleton that are not mentioned are lost, with their positions.

    Raises
    ------
    ValueError
        When `origin` does not have K entries, or mentions a keypoint twice.
    """
    k = len(skeleton)
    known = [i for i in origin if i is not None]
    if len(origin) != k or len(set(known)) != len(known):
        raise ValueError(f"origin must name {k} different keypoints, or None")
    old = np.array([0 if i is None else i for i in origin], np.int64)
    fresh = np.array([i is None for i in origin])
    visible = poses.visible[..., old].copy()
    visible[..., fresh] = 0
    return replace(
        poses,
        skeleton=skeleton,
        xy=poses.xy[:, :, old],
        visible=visible,
        score=poses.score[..., old],
    )


def labelled_counts(poses: Poses) -> list[int]:
    """How many animals have each of the K keypoints."""
    return [int(n) for n in (poses.visible > 0).sum((0, 1))]
