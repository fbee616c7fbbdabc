"""Cameras: projection and back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.tracking.cameras import Camera, rotation_matrix, triangulate

MATRIX = np.array([[800, 0, 300], [0, 820, 200], [0, 0, 1.0]])


def camera(angle: float, distortion: list[float]) -> Camera:
    rotation = rotation_matrix(np.array([0.05, angle, -0.02]))
    return Camera(
        "c", MATRIX, np.array([*distortion, *[0.0] * 8])[:8], rotation, np.array([0.1, -0.2, 9])
    )


def test_rotation_about_an_axis() -> None:
    quarter = rotation_matrix(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_matrix(np.zeros(3)), np.eye(3))


def test_projection_by_hand() -> None:
    plain = Camera("c", MATRIX, np.zeros(8), np.eye(3), np.array([0, 0, 4.0]))
    np.testing.assert_allclose(plain.project(np.array([1.0, -2.0, 0.0])), [500, -210])
    # k1 alone: r^2 = 0.25^2 + 0.5^2
    curved = Camera("c", MATRIX, np.array([0.1, *[0.0] * 7]), np.eye(3), np.array([0, 0, 4.0]))
    factor = 1 + 0.1 * 0.3125
    expected = [300 + 800 * 0.25 * factor, 200 - 820 * 0.5 * factor]
    np.testing.assert_allclose(curved.project(np.array([1.0, -2.0, 0.0])), expected)
    # k4 stands in the denominator
    rational = Camera(
        "c", MATRIX, np.array([0, 0, 0, 0, 0, 0.1, 0, 0]), np.eye(3), np.array([0, 0, 4.0])
    )
    expected = [300 + 800 * 0.25 / factor, 200 - 820 * 0.5 / factor]
    np.testing.assert_allclose(rational.project(np.array([1.0, -2.0, 0.0])), expected)


def test_derivatives_are_those_of_small_steps() -> None:
    c = camera(0.4, [-0.2, 0.05, 0.002, -0.001])
    point, step = np.array([0.5, 0.3, -0.4]), np.array([1e-4, -2e-4, 3e-4])
    moved = c.project(point + step) - c.project(point)
    np.testing.assert_allclose(c.jacobian(point) @ step, moved, rtol=1e-3)


@pytest.mark.parametrize("distortion", [[0.0], [-0.15, 0.03, 0.001, -0.002, 0.01]])
def test_triangulation_undoes_projection(distortion: list[float]) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (50, 2, 3))
    cameras = [camera(a, distortion) for a in (-0.5, 0.2, 0.8)]
    pixels = np.stack([c.project(points) for c in cameras], -2)
    pixels[3, 0, 1] = np.nan
    np.testing.assert_allclose(triangulate(cameras, pixels), points, atol=1e-6)
    pixels[3, 0, 2] = np.nan
    assert np.isnan(triangulate(cameras, pixels)[3, 0]).all()


@pytest.mark.parametrize("along", [0.0, 1e-6, 0.5, -3.0])
def test_a_camera_may_be_the_origin_of_the_world(along: float) -> None:
    """As the reference of a stereo calibration is: the depth of the point counts, not the camera's place."""
    rng = np.random.default_rng(1)
    points = rng.uniform(-60, 60, (200, 3)) + np.array([0, 0, 500])
    none = np.zeros(8)
    cameras = [
        Camera("left", MATRIX, none, np.eye(3), np.array([0, 0, along])),
        Camera(
            "right", MATRIX, none, rotation_matrix(np.array([0, 0.3, 0])), np.array([-160, 0, 20.0])
        ),
    ]
    pixels = np.stack([c.project(points) for c in cameras], -2)
    np.testing.assert_allclose(triangulate(cameras, pixels), points, atol=1e-5)
    noisy = triangulate(cameras, pixels + rng.normal(0, 1, pixels.shape))
    again = np.stack([c.project(noisy) for c in cameras], -2)
    # two of the four coordinates' worth of noise is taken up by the three of the point
    assert np.linalg.norm(again - pixels, axis=-1).mean() < 1.3


def test_near_and_far_cameras_count_in_pixels() -> None:
    """A camera ten times as far away must not weigh ten times as much."""
    rng = np.random.default_rng(2)
    points = rng.uniform(-1, 1, (500, 3))
    none = np.zeros(8)
    cameras = [
        Camera("a", MATRIX, none, np.eye(3), np.array([0, 0, 5.0])),
        Camera("b", MATRIX, none, rotation_matrix(np.array([0, 1.2, 0])), np.array([0, 0, 5.0])),
        Camera("far", MATRIX, none, rotation_matrix(np.array([0, 0.6, 0])), np.array([0, 0, 50.0])),
    ]
    noise = rng.normal(0, 1, (500, 3, 2))
    pixels = np.stack([c.project(points) for c in cameras], -2) + noise
    error = np.linalg.norm(triangulate(cameras, pixels) - points, axis=-1).mean()
    near = np.linalg.norm(triangulate(cameras[:2], pixels[:, :2]) - points, axis=-1).mean()
    assert error < 1.05 * near
