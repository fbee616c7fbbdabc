"""Features of pictures, and the bounded choice of frames that stands for a stream."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.labeling.appearance import (
    BRIGHTNESS,
    FrameCover,
    cluster,
    frame_features,
    grid_of,
    squared_distances,
)


def test_the_grid_keeps_the_proportions() -> None:
    assert grid_of(480, 640) == (24, 32)
    assert grid_of(10, 20) == (10, 20)
    assert grid_of(4000, 10) == (32, 1)


def test_the_distance_is_in_grey_levels() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 200, (64, 96, 3)).astype(np.uint8)
    grid = grid_of(64, 96)
    a = frame_features(picture, grid)
    np.testing.assert_allclose(
        np.linalg.norm(frame_features(picture + np.uint8(10), grid) - a), 10 * BRIGHTNESS, rtol=1e-4
    )
    half = picture.copy()
    half[:, :48] += 10
    half[:, 48:] -= 10
    np.testing.assert_allclose(np.linalg.norm(frame_features(half, grid) - a), 10, rtol=1e-3)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (5, 7, 3), (31, 33, 1), (300, 20, 3), (1000, 1400, 1)]
)
def test_pictures_of_any_size_fit_the_grid_of_another(shape: tuple[int, ...]) -> None:
    grid = grid_of(48, 64)
    features = frame_features(np.full(shape, 90, np.uint8), grid)
    assert features.shape == (24 * 32 + 1,)
    np.testing.assert_allclose(features[:-1], 0, atol=1e-4)
    np.testing.assert_allclose(features[-1], 90 * BRIGHTNESS, rtol=1e-5)


class TestCover:
    def stream(self, n: int, seed: int = 0) -> np.ndarray:
        """A walk with three short excursions."""
        rng = np.random.default_rng(seed)
        points = np.cumsum(rng.normal(0, 0.3, (n, 6)), 0).astype(np.float32)
        for i, start in enumerate((n // 5, n // 2, n - 9)):
            points[start : start + 3] = 500 * (i + 1)
        return points

    @pytest.mark.parametrize("size", [20, 100])
    def test_all_that_passed_is_near_to_something_kept(self, size: int) -> None:
        points = self.stream(3000)
        cover = FrameCover(size)
        for i, point in enumerate(points):
            cover.add(i, point)
        frames, features, counts = cover.result()
        assert len(frames) <= size
        assert counts.sum() == 3000
        np.testing.assert_allclose(features, points[frames], atol=1e-3)
        gap = np.sqrt(squared_distances(points, features).min(1))
        ordinary = np.ptp(points[np.abs(points).max(1) < 100], axis=0).max()
        assert gap.max() < ordinary  # the excursions are kept
        assert {500.0, 1000.0, 1500.0} <= {round(float(f[0])) for f in features}

    def test_memory_does_not_grow_with_the_stream(self) -> None:
        def most_kept(n: int) -> int:
            cover, most = FrameCover(50), 0
            for i, point in enumerate(self.stream(n)):
                cover.add(i, point)
                held = sum(v.nbytes for v in vars(cover).values() if isinstance(v, np.ndarray))
                waiting = sum(f.nbytes for _, f in cover._waiting)
                most = max(most, held + waiting)
            return most

        assert most_kept(20_000) == most_kept(1000)

    def test_what_does_not_change_is_one_frame(self) -> None:
        cover = FrameCover(10)
        for i in range(500):
            cover.add(i, np.full(4, 77, np.float32))
        frames, _, counts = cover.result()
        assert (frames.tolist(), counts.tolist()) == ([0], [500])

    def test_nothing(self) -> None:
        assert len(FrameCover(10).result()[0]) == 0


class TestCluster:
    def test_centres_are_weighted_means(self) -> None:
        points = np.array([[0, 0], [1, 0], [10, 0], [11, 0]], np.float32)
        centres, member = cluster(points, [3, 1, 1, 1], 2, np.random.default_rng(0))
        assert sorted(centres[:, 0].tolist()) == [0.25, 10.5]
        assert member[0] == member[1] != member[2] == member[3]

    def test_fixed_centres_keep_their_points(self) -> None:
        points = np.array([[0], [0.1], [5], [5.1], [9], [9.1]], np.float32)
        fixed = np.array([[5.05]], np.float32)
        centres, member = cluster(points, np.ones(6), 2, np.random.default_rng(0), fixed)
        assert member[2] == member[3] == -1
        np.testing.assert_allclose(np.sort(centres[:, 0]), [0.05, 9.05])

    def test_fewer_points_than_clusters(self) -> None:
        points = np.zeros((5, 2), np.float32)
        centres, member = cluster(points, np.ones(5), 3, np.random.default_rng(0))
        assert len(centres) == 1
        assert (member == 0).all()
