"""Calibrated cameras: reading a calibration, projecting points, finding them in several views.

The model is OpenCV's: a point X in the world has the place R X + T in front of a camera; its place on the
plane at distance 1 is distorted (Brown 1966) and multiplied by the camera matrix.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import FloatArray

_UNDISTORT_STEPS = 20


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes
    ----------
    name : str
    matrix : array [3, 3]
    distortion : array [8]
        k1, k2, p1, p2, k3, k4, k5, k6 in OpenCV's order; k4 to k6 stand in the denominator.
    rotation : array [3, 3]
    translation : array [3]
    """

    name: str
    matrix: FloatArray
    distortion: FloatArray
    rotation: FloatArray
    translation: FloatArray

    def project(self, points: FloatArray) -> FloatArray:
        """Pixels [..., 2] of points [..., 3]."""
        seen = points @ self.rotation.T + self.translation
        plane = seen[..., :2] / seen[..., 2:]
        return np.asarray(self._distort(plane) @ self.matrix[:2, :2].T + self.matrix[:2, 2])

    def jacobian(self, points: FloatArray) -> FloatArray:
        """Return the derivatives [..., 2, 3] of the pixels with respect to the points [..., 3].

        Central differences in camera coordinates; the chain of projection and distortion is smooth.
        """
        depth = np.abs((points @ self.rotation.T + self.translation)[..., 2])
        step = 1e-5 * np.maximum(np.nanmedian(depth) if depth.size else 1.0, 1e-9)
        columns = []
        for axis in np.eye(3):
            ahead, behind = self.project(points + step * axis), self.project(points - step * axis)
            columns.append((ahead - behind) / (2 * step))
        return np.stack(columns, -1)

    def to_plane(self, pixels: FloatArray) -> FloatArray:
        """Undistorted places [..., 2] on the plane at distance 1 of pixels [..., 2]."""
        inverse = np.linalg.inv(self.matrix)
        distorted = pixels @ inverse[:2, :2].T + inverse[:2, 2]
        plane = distorted
        for _ in range(_UNDISTORT_STEPS):
            plane = plane + (distorted - self._distort(plane))
        return np.asarray(plane)

    def _distort(self, plane: FloatArray) -> FloatArray:
        k1, k2, p1, p2, k3, k4, k5, k6 = self.distortion
        x, y = plane[..., 0], plane[..., 1]
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            -1,
        )


def read_calibration(path: Path) -> list[Camera]:
    """Read a calibration as anipose writes it (``calibration.toml``).

    Raises
    ------
    LabelsError
        When the file is missing, damaged, or of another form.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LabelsError(f"there is no calibration {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LabelsError(f"{path} cannot be read as a calibration (TOML): {error}") from None
    tables = {key: value for key, value in tree.items() if isinstance(value, dict)}
    cameras = [
        _camera(value, path)
        for key, value in tables.items()
        if key != "metadata" and "matrix" in value
    ]
    if len(cameras) < 2:
        raise LabelsError(
            f"{path} holds {len(cameras)} cameras, and two are needed: each is a table with name, "
            "matrix, distortions, rotation and translation, as anipose writes it"
        )
    return cameras


def _camera(table: dict[str, Any], path: Path) -> Camera:
    name = str(table.get("name", "?"))
    if table.get("fisheye"):
        raise LabelsError(f"{path}: camera {name} has a fisheye lens, which is not supported")
    try:
        distortion = np.zeros(8)
        given = np.array(table.get("distortions", ()), np.float64).reshape(-1)
        distortion[: len(given)] = given
        return Camera(
            name,
            np.array(table["matrix"], np.float64).reshape(3, 3),
            distortion,
            rotation_matrix(np.array(table["rotation"], np.float64).reshape(3)),
            np.array(table["translation"], np.float64).reshape(3),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LabelsError(
            f"{path}: camera {name} is incomplete or damaged ({error}): it needs a 3x3 matrix, at most 8 "
            "distortions, and 3 numbers each for rotation and translation"
        ) from None


_DEPTH_STEPS = 3
"""The depths of a point are known from the step before; at first they count as equal."""


def rotation_matrix(vector: FloatArray) -> FloatArray:
    """Rotation [3, 3] about an axis by its length in radians (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def triangulate(
    cameras: Sequence[Camera], pixels: FloatArray, weight: FloatArray | None = None
) -> FloatArray:
    """Points [..., 3] that several cameras see, by the direct linear transformation.

    Parameters
    ----------
    cameras : V cameras
    pixels : array [..., V, 2]
        NaN where a camera does not see the point.
    weight : array [..., V], optional
        Inverse standard deviations.

    Returns
    -------
    array [..., 3]
        NaN where fewer than two cameras see the point.
    """
    shape = pixels.shape[:-2]
    seen = np.asarray(np.isfinite(pixels).all(-1))
    lines, weights = [], []
    for v, camera in enumerate(cameras):
        plane = camera.to_plane(
            np.where(seen[..., v, None], pixels[..., v, :], camera.matrix[:2, 2])
        )
        w = np.where(seen[..., v], np.abs(camera.matrix[0, 0]), 0.0)
        if weight is not None:
            w = w * np.where(seen[..., v], weight[..., v], 0.0)
        full = np.column_stack([camera.rotation, camera.translation])
        lines.append(np.stack([plane[..., i, None] * full[2] - full[i] for i in range(2)], -2))
        weights.append(w)
    # Scaled columns: the fourth one is of the size of the distances.
    size = max(float(np.linalg.norm(camera.translation)) for camera in cameras) or 1.0
    scale = np.array([1.0, 1.0, 1.0, 1.0 / size])
    system, certain = np.stack(lines, -3) * scale, np.stack(weights, -1)  # [..., V, 2, 4], [..., V]
    axes = np.stack([camera.rotation[2] for camera in cameras])
    along = np.array([camera.translation[2] for camera in cameras])
    near = np.ones(seen.shape)
    for _ in range(_DEPTH_STEPS):
        # Divided by the depth, so that an error counts in pixels and not times the depth.
        rows = system * (certain / near)[..., None, None]
        gram = np.einsum("...vri,...vrj->...ij", rows, rows).reshape(-1, 4, 4)
        _, vectors = np.linalg.eigh(gram)
        solution = vectors[:, :, 0] * scale
        with np.errstate(divide="ignore", invalid="ignore"):
            points = (solution[:, :3] / solution[:, 3:]).reshape(*shape, 3)
        depth = np.abs(np.nan_to_num(points) @ axes.T + along)
        near = np.maximum(depth, 1e-3 * depth.max(-1, keepdims=True) + 1e-12)
    return np.where((seen.sum(-1) >= 2)[..., None], points, np.nan)
