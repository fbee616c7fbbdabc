"""Scaling of frames and labels, and the cache."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.data.frames import (
    FrameRef,
    ScaledFrames,
    spread_evenly,
    to_tensor,
)
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.geometry import scale_points, scaled_size


def spot(x: float, y: float, side: int = 120) -> np.ndarray:
    grid_y, grid_x = np.mgrid[:side, :side]
    image = 255 * np.exp(-((grid_x - x) ** 2 + (grid_y - y) ** 2) / (2 * 8.0**2))
    return image.astype(np.uint8)[..., None]


@pytest.mark.parametrize("scale", [0.25, 0.4, 0.75, 1.0, 1.5])
def test_labels_follow_the_scaled_picture(scale: float) -> None:
    picture = spot(40.0, 71.0)
    small = to_tensor(picture, scale)[0].double().numpy()
    weight = small / small.sum()
    measured = [
        (weight.sum(0) * np.arange(small.shape[1])).sum(),
        (weight.sum(1) * np.arange(small.shape[0])).sum(),
    ]
    ratio = small.shape[1] / 120, small.shape[0] / 120
    expected = scale_points(np.array([40.0, 71.0]), *ratio)
    assert measured == pytest.approx(expected, abs=0.06)


def test_scaling_there_and_back_is_the_identity() -> None:
    xy = np.random.default_rng(0).uniform(0, 100, (5, 2))
    back = scale_points(scale_points(xy, 0.37, 0.41), 1 / 0.37, 1 / 0.41)
    np.testing.assert_allclose(back, xy, atol=1e-9)


def test_grey_frames_share_their_memory() -> None:
    image = to_tensor(spot(5, 5), 0.5)
    assert image.shape == (3, 60, 60)
    assert image.untyped_storage().nbytes() == 3600


def test_scaled_size_is_never_zero() -> None:
    assert scaled_size(3, 1000, 0.1) == (1, 100)


def test_the_cache_keeps_to_its_limit_and_returns_the_right_frame() -> None:
    stack = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 1), np.uint8)
    frames = open_frames(stack)
    cache = ScaledFrames(1.0, limit_mb=3 * 1024e-6)
    refs = [FrameRef(frames, i, i) for i in range(8)]
    for _ in range(2):
        for i in (0, 3, 7, 3, 1, 2, 4):
            assert int(cache(refs[i])[0, 0, 0]) == i
    assert cache._held <= 3 * 1024
    assert len(cache._kept) == 3


def test_spreading_keeps_both_ends() -> None:
    assert list(spread_evenly(5, 10)) == [0, 1, 2, 3, 4]
    some = list(spread_evenly(1000, 10))
    assert (some[0], some[-1], len(some)) == (0, 999, 10)
    assert some == sorted(set(some))
