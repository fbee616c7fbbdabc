"""Prediction, similarity and the learnt length scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.matching import common_oks
from napari_semimultipose.tracking.motion import (
    Animals,
    LengthScale,
    Shapes,
    coasting,
    displacement,
    paired_similarity,
    similarity,
    widening,
)


def some_poses(random: np.random.Generator, count: int) -> np.ndarray:
    xy = random.uniform(0, 100, (count, 5, 2))
    xy[random.random((count, 5)) < 0.3] = np.nan
    return xy


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_similarity_is_the_symmetric_oks(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = some_poses(random, 4), some_poses(random, 3)
    expected = common_oks(a, b, 900.0, 900.0, 0.2)
    tolerance = 8 * 900.0 * 0.2**2
    found = similarity(Shapes.of(a), Shapes.of(b), tolerance)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    pairs = paired_similarity(Shapes.of(a[:3]), Shapes.of(b), np.full(3, tolerance))
    np.testing.assert_allclose(pairs, np.diag(expected[:3]), atol=1e-12)


def test_displacement_is_the_mean_over_common_keypoints() -> None:
    nan = np.nan
    a = Shapes.of(np.array([[[0.0, 0.0], [10.0, 0.0], [nan, nan]]]))
    b = Shapes.of(np.array([[[2.0, 1.0], [14.0, 1.0], [99.0, 99.0]]]))
    dx, dy = displacement(a, b)
    assert (dx[0], dy[0]) == (3.0, 1.0)


def test_a_lost_animal_slows_down_and_its_tolerance_grows() -> None:
    steps = np.array([1.0, 2.0, 3.0, 1000.0])
    np.testing.assert_allclose(coasting(steps), [1.0, 1.9, 2.71, 10.0])
    assert widening(np.array([1.0]))[0] == 1.0
    assert (np.diff(widening(steps)) > 0).all()


def follow(points: np.ndarray) -> Animals:
    """One animal that is seen at points [F, K, 2] in frames 0, 1, ..."""
    shapes = Shapes.of(points)
    animal = Animals.born(np.array([0]), 0, 0, shapes.take(slice(0, 1)), np.ones(1))
    for frame in range(1, len(points)):
        animal.sight(
            np.array([0]), frame, shapes.take(slice(frame, frame + 1)), np.ones(1), np.ones(1)
        )
    return animal


def test_speed_is_learnt_and_predicts_in_both_directions() -> None:
    path = np.arange(30.0)[:, None, None] * np.array([4.0, -2.0]) + [[0.0, 0.0], [10.0, 5.0]]
    animal = follow(path)
    assert animal.vx[0] == pytest.approx(4.0, rel=1e-6)
    assert animal.sights[0] == 30
    assert animal.end[0] == 29
    ahead = animal.expected(np.ones(1))
    np.testing.assert_allclose(ahead.x[0], path[-1, :, 0] + 4.0, rtol=1e-6)
    before = animal.expected_before(np.ones(1))
    assert before.x[0, 0] == pytest.approx(-4.0, rel=0.15)  # the speed after a few sights


def test_an_absent_keypoint_is_carried_along() -> None:
    path = np.arange(10.0)[:, None, None] * np.array([5.0, 0.0]) + [[0.0, 0.0], [10.0, 5.0]]
    path[5:, 1] = np.nan
    animal = follow(path)
    np.testing.assert_allclose(animal.now.x[0], [45.0, 55.0])
    np.testing.assert_allclose(animal.now.y[0], [0.0, 5.0])
    never = path.copy()
    never[:, 1] = np.nan
    assert follow(never).now.seen[0].tolist() == [1.0, 0.0]


def test_animals_can_be_divided_and_joined() -> None:
    random = np.random.default_rng(0)
    shapes = Shapes.of(random.uniform(0, 9, (3, 2, 2)))
    all_three = Animals.born(np.arange(3), 1, 7, shapes, np.array([0.1, 0.2, 0.3]))
    again = Animals.concatenate([all_three.take(np.array([2])), all_three.take(slice(0, 2))])
    assert again.track.tolist() == [2, 0, 1]
    assert again.weight.tolist() == [0.3, 0.1, 0.2]
    np.testing.assert_array_equal(again.now.x, shapes.x[[2, 0, 1]])


def test_size_is_learnt_from_extents_or_neighbours() -> None:
    scale = LengthScale()
    assert scale.px2 == np.inf
    scale.see(0.0, 0, 40.0)
    assert scale.px2 == 400.0
    scale.see(300.0, 2, float("nan"))
    scale.see(600.0, 1, 1.0)
    assert scale.px2 == pytest.approx(300.0)


def test_the_usual_surprise_is_a_quantile_that_outliers_do_not_move() -> None:
    random = np.random.default_rng(0)
    distances = random.uniform(0, 10, 4000)
    distances[::25] = 1e4
    scale = LengthScale()
    scale.see(1.0, 1, float("nan"))
    for pair in distances.reshape(-1, 2):
        scale.surprised(pair)
    # 4 % outliers: the 90 % quantile of the mixture lies at .9375 of the uniform part.
    assert scale.surprise_px == pytest.approx(9.4, rel=0.15)
    assert scale.px2 == pytest.approx((3 * scale.surprise_px) ** 2)
