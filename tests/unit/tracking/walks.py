"""Animals that walk on known paths, as detections without identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_semimultipose.poses import Poses, Skeleton

BODY = np.array([[0, 0], [30, 0], [15, 8], [-20, -6]], float)
SKELETON = Skeleton(("center", "nose", "left", "tail"), ((0, 1), (0, 2), (0, 3)))


def walk(paths: np.ndarray, *, keypoints: int = 4, step: int = 1) -> Poses:
    """Poses on paths [F, N, 2] with the true tracks; NaN where the animal is absent."""
    paths = np.asarray(paths, float)
    f, n, _ = paths.shape
    xy = paths[:, :, None] + BODY[:keypoints]
    return Poses(
        Skeleton(SKELETON.keypoints[:keypoints]),
        xy,
        np.arange(f) * step,
        track=np.tile(np.arange(n), (f, 1)),
    )


def random_walk(seed: int, frames: int = 60, animals: int = 3, speed_px: float = 4.0) -> Poses:
    """Smooth random paths in an arena of 600 px."""
    random = np.random.default_rng(seed)
    velocity = random.normal(size=(frames, animals, 2))
    for i in range(1, frames):
        velocity[i] = 0.9 * velocity[i - 1] + 0.45 * velocity[i]
    start = random.permutation(9)[:animals]
    start = np.stack([start // 3, start % 3], -1) * 250.0
    return walk(start + np.cumsum(velocity * speed_px, 0))


def shuffled(poses: Poses, seed: int) -> Poses:
    """The same instances in slots without order."""
    order = np.argsort(np.random.default_rng(seed).random(poses.track.shape), axis=1)
    row = np.arange(len(poses))[:, None]
    names = ("xy", "score", "instance_score", "track", "visible", "source")
    return replace(poses, **{name: getattr(poses, name)[row, order] for name in names})


def without(poses: Poses, frames: slice | np.ndarray, animal: int) -> Poses:
    """The poses with an animal (a slot) missing on some frames."""
    xy = poses.xy.copy()
    xy[frames, animal] = np.nan
    return replace(poses, xy=xy)


def with_instances(poses: Poses, more: list[tuple[int, float, float, float]]) -> Poses:
    """The poses and further instances (row, x, y, score) without a true track."""
    k = len(poses.skeleton)
    flat = poses.instances()
    rows = np.array([row for row, *_ in more])
    place = np.array([[x, y] for _, x, y, _ in more])
    return Poses.from_instances(
        poses.skeleton,
        np.concatenate([flat["frame"], poses.frame[rows]]),
        np.concatenate([flat["xy"], place[:, None] + BODY[:k]]),
        instance_score=np.concatenate([flat["instance_score"], [score for *_, score in more]]),
        track=np.concatenate([flat["track"], np.full(len(more), -1)]),
    )


def names_of(found: Poses, truth: Poses) -> dict[int, set[int]]:
    """Found tracks of each true one, -1 for none; the slots of both must agree."""
    present = truth.present
    return {
        int(t): set(found.track[present & (truth.track == t)].tolist())
        for t in np.unique(truth.track[present])
    }


def same_identities(found: Poses, truth: Poses) -> bool:
    """Whether every true track has one found track of its own, and nothing else has that."""
    names = names_of(found, truth)
    surplus = names.pop(-1, {-1})
    tracks = [next(iter(v)) for v in names.values() if len(v) == 1]
    return len(tracks) == len(names) == len(set(tracks)) and -1 not in tracks and surplus == {-1}
