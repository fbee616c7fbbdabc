"""Views: the labels stay on the animal through every random change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.config import AugmentConfig
from napari_semimultipose.data.views import affine_about, apply, compose, invert, recolor, warp

NO_CHANGE = AugmentConfig(brightness=0, contrast=0, color=0, blur=0, noise=0, cutout=0)
affines = st.builds(
    lambda x, y, a, z, m: affine_about((x, y), (48.0, 48.0), angle_deg=a, zoom=z, mirrored=m),
    st.floats(20, 100),
    st.floats(20, 100),
    st.floats(-180, 180),
    st.floats(0.6, 1.6),
    st.booleans(),
)


@given(affines, affines)
@settings(max_examples=30, deadline=None)
def test_maps_compose_and_invert(first: np.ndarray, second: np.ndarray) -> None:
    xy = np.array([[0.0, 0.0], [31.0, -7.0], [100.0, 55.0]])
    np.testing.assert_allclose(apply(invert(first), apply(first, xy)), xy, atol=1e-8)
    both = compose(second, first)
    np.testing.assert_allclose(apply(both, xy), apply(second, apply(first, xy)), atol=1e-8)


@given(affines)
@settings(max_examples=20, deadline=None)
def test_a_labelled_spot_is_where_the_map_says(affine: np.ndarray) -> None:
    center = np.array([60.0, 70.0])
    grid_y, grid_x = np.mgrid[:120, :120]
    picture = np.exp(-((grid_x - center[0]) ** 2 + (grid_y - center[1]) ** 2) / (2 * 3.0**2))
    image = torch.from_numpy((255 * picture).astype(np.uint8)).expand(3, -1, -1)
    view = warp(image, affine, 97)[0].double().numpy()
    expected = apply(affine, center)
    if ((expected < 16) | (expected > 80)).any():
        return
    weight = view / view.sum()
    measured = [(weight.sum(0) * np.arange(97)).sum(), (weight.sum(1) * np.arange(97)).sum()]
    assert measured == pytest.approx(expected, abs=0.15)


def test_the_identity_returns_the_pixels_and_zeros_outside() -> None:
    image = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    view = warp(image, np.eye(2, 3), 32)
    torch.testing.assert_close(view[:, :20, :30], image.float() / 255, atol=1e-5, rtol=0)
    assert float(view[:, 21:].abs().sum()) == 0


def test_mirroring_twice_is_the_identity() -> None:
    flip = affine_about((10, 10), (10, 10), mirrored=True)
    np.testing.assert_allclose(compose(flip, flip), np.eye(2, 3), atol=1e-12)
    assert np.linalg.det(flip[:, :2]) < 0


def test_a_view_far_outside_the_image_is_empty() -> None:
    image = torch.full((3, 16, 16), 200, dtype=torch.uint8)
    view = warp(image, affine_about((500, 500), (16, 16)), 32)
    assert float(view.sum()) == 0


def test_recolouring_keeps_the_range_and_follows_the_seed() -> None:
    view = torch.rand(3, 32, 32)
    config = AugmentConfig(cutout=1.0, blur=1.0)
    first = recolor(view, config, np.random.default_rng(3))
    again = recolor(view, config, np.random.default_rng(3))
    assert torch.equal(first, again)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert not torch.allclose(first, view, atol=1e-3)


def test_no_change_changes_nothing() -> None:
    view = torch.rand(3, 16, 16)
    torch.testing.assert_close(recolor(view, NO_CHANGE, np.random.default_rng(0)), view)
