"""A painted session: one animal, or two, that move in space before synchronous affine cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Video

SIZES = ((64, 80), (56, 64), (72, 72))  # height and width of each camera's pictures, px
NAMES = ("top", "side", "front")
SKELETON = Skeleton(("head", "middle", "tail", "fin"), edges=((0, 1), (1, 2), (1, 3)))
BODY = np.array([[-9.0, 0, 0], [0, 2, 4], [9, 0, -3], [0, 8, 0]])
GREYS = (250, 200, 150, 110)


def cameras(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Affine cameras: matrices [V, 2, 3] and centres [V, 2], px."""
    eye = np.array(
        [[[1.0, 0, 0.2], [0, 1, 0]], [[0.8, 0.3, 0], [0, 0.2, 0.9]], [[0.1, 0.9, 0], [0.3, 0, 0.9]]]
    )
    middle = (np.array(SIZES, float)[:, ::-1] - 1) / 2
    return eye[:count], middle[:count]


def in_space(frames: int, animals: int = 1, seed: int = 0) -> np.ndarray:
    """Animals that swim around and turn a little [F, N, 4, 3]."""
    rng = np.random.default_rng(seed)
    phase = np.arange(frames)[:, None] / 5 + rng.uniform(0, 6, animals)
    middle = np.stack([12 * np.sin(phase), 9 * np.cos(1.3 * phase), 8 * np.sin(0.7 * phase)], -1)
    middle = middle + 11 * np.array([[-1.0, 1, 0], [1, -1, 1]])[:animals] * (animals > 1)
    turn = 0.5 * np.sin(0.9 * phase)
    c, s, o = np.cos(turn), np.sin(turn), np.zeros_like(turn)
    rotation = np.stack([np.stack(r, -1) for r in ([c, -s, o], [s, c, o], [o, o, o + 1])], -2)
    return np.einsum("fnij,kj->fnki", rotation, BODY) + middle[:, :, None]


def seen(space: np.ndarray, count: int) -> np.ndarray:
    """Positions in the cameras [V, F, N, 4, 2], px."""
    eye, middle = cameras(count)
    return np.einsum("vij,fnkj->vfnki", eye, space) + middle[:, None, None, None]


def film(xy: np.ndarray, size: tuple[int, int], seed: int) -> np.ndarray:
    """Paint animals [F, N, 4, 2] on noise [F, H, W, 1]."""
    stack = np.random.default_rng(seed).integers(0, 40, (len(xy), *size, 1)).astype(np.uint8)
    for picture, animals in zip(stack, xy, strict=True):
        for points in animals.round().astype(int):
            for (x, y), grey in zip(points, GREYS, strict=True):
                picture[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = grey
    return stack


def session(
    frames: int = 24, labelled: int = 16, count: int = 2, animals: int = 1
) -> tuple[Poses, dict[int, Frames]]:
    """Return the labels of the first frames of all cameras, and the recordings."""
    xy = seen(in_space(frames, animals), count)
    videos = tuple(Video(f"run_{name}.mp4", (), size) for name, size in zip(NAMES[:count], SIZES))  # noqa: B905
    parts = [
        Poses(
            SKELETON,
            one[:labelled],
            np.arange(labelled),
            track=np.tile(np.arange(animals), (labelled, 1))
            if animals > 1
            else -np.ones((labelled, 1)),
            videos=(video,),
            track_names=("one", "two") if animals > 1 else (),
        )
        for one, video in zip(xy, videos, strict=True)
    ]
    stacks = {v: open_frames(film(one, SIZES[v], v)) for v, one in enumerate(xy)}
    return Poses.concatenate(parts), stacks


def without_camera(poses: Poses, camera: int, frames: Sequence[int]) -> Poses:
    """Return labels without those of some frames of a camera."""
    gone = (poses.video == camera) & np.isin(poses.frame, frames)
    return replace(poses.select(~gone))
