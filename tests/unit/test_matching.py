"""Pose similarity and assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_semimultipose.matching import (
    assign,
    common_oks,
    greedy_match,
    oks,
    oks_nms,
    pose_area,
)

coordinate = st.floats(-1000, 1000, allow_nan=False).map(lambda v: round(v, 3))


def poses(count: int, keypoints: int, missing: bool = True) -> st.SearchStrategy[np.ndarray]:
    value = coordinate | st.just(float("nan")) if missing else coordinate
    return hnp.arrays(float, (count, keypoints, 2), elements=value)


# ------------------------------------------------------------------------------------ OKS


@pytest.mark.parametrize(
    ("form", "expected"), [("sleap2020", np.exp(-0.2)), ("coco", np.exp(-0.05))]
)
def test_oks_of_a_point_ten_pixels_away(form: str, expected: float) -> None:
    value = oks([[[10.0, 0.0]]], [[[0.0, 0.0]]], [10_000.0], np.sqrt(0.025), form)
    assert value.shape == (1, 1)
    assert value[0, 0] == pytest.approx(expected, abs=1e-12)
    assert value[0, 0] == pytest.approx({"sleap2020": 0.8187, "coco": 0.9512}[form], abs=5e-5)


@pytest.mark.parametrize(
    ("form", "sigma", "distances"),
    [
        ("sleap2020", 1.0, (1.177, 0.759, 0.320)),
        ("coco", 1.0, (2.355, 1.517, 0.641)),
        ("sleap2020", np.sqrt(0.025), (0.186, 0.120, 0.051)),
        ("coco", np.sqrt(0.025), (0.372, 0.240, 0.101)),
        ("sleap2020", 0.025, (0.029, 0.019, 0.008)),
        ("coco", 0.025, (0.059, 0.038, 0.016)),
    ],
)
def test_distance_at_which_oks_passes_a_threshold(
    form: str, sigma: float, distances: tuple[float, ...]
) -> None:
    # In units of the square root of the area, rounded to three digits in the table.
    for threshold, d in zip((0.5, 0.75, 0.95), distances, strict=True):
        far, near = oks([[[d + 6e-4, 0.0]], [[d - 6e-4, 0.0]]], [[[0.0, 0.0]]], 1.0, sigma, form)
        assert far[0] < threshold < near[0]


def test_only_keypoints_of_the_reference_count() -> None:
    nan = np.nan
    reference = [[[0.0, 0.0], [10.0, 0.0], [nan, nan]]]
    exact_and_more = [[0.0, 0.0], [10.0, 0.0], [500.0, 500.0]]
    one_lacking = [[0.0, 0.0], [nan, nan], [500.0, 500.0]]
    assert oks([exact_and_more, one_lacking], reference, 100.0)[:, 0] == pytest.approx([1.0, 0.5])


def test_oks_of_a_reference_without_keypoints_is_zero() -> None:
    nothing = np.full((1, 2, 2), np.nan)
    assert oks(np.zeros((1, 2, 2)), nothing, pose_area(nothing))[0, 0] == 0.0
    assert oks(nothing, np.zeros((1, 2, 2)), 100.0)[0, 0] == 0.0


def test_exact_pose_without_extent_is_perfect() -> None:
    assert oks([[[3.0, 4.0]]], [[[3.0, 4.0]]], 0.0)[0, 0] == 1.0


def test_sigma_of_each_keypoint() -> None:
    value = oks([[[1.0, 0.0], [1.0, 0.0]]], np.zeros((1, 2, 2)), 1.0, [0.5, 1.0])
    assert value[0, 0] == pytest.approx((np.exp(-1 / 2) + np.exp(-1 / 8)) / 2)


def test_leading_axes_are_matched() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(4, 3, 5, 2)), random.normal(size=(4, 2, 5, 2))
    area = random.uniform(1, 4, (4, 2))
    together = oks(a, b, area, 0.2)
    assert together.shape == (4, 3, 2)
    for i in range(4):
        np.testing.assert_allclose(together[i], oks(a[i], b[i], area[i], 0.2))


@pytest.mark.parametrize("count", [(0, 3), (3, 0), (0, 0)])
def test_empty_sets(count: tuple[int, int]) -> None:
    a, b = np.zeros((count[0], 4, 2)), np.zeros((count[1], 4, 2))
    assert oks(a, b, np.ones(count[1])).shape == count
    assert common_oks(a, b, np.ones(count[0]), np.ones(count[1])).shape == count


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="same keypoints"):
        oks(np.zeros((1, 3, 2)), np.zeros((1, 4, 2)), 1.0)
    with pytest.raises(ValueError, match="unknown OKS form"):
        oks(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), 1.0, 0.1, "other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sigma must be positive"):
        oks(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), 1.0, 0.0)


@settings(deadline=None)
@given(poses(3, 4), poses(2, 4), coordinate)
def test_moving_everything_changes_no_similarity(
    a: np.ndarray, b: np.ndarray, shift: float
) -> None:
    area = np.nan_to_num(pose_area(b, 10.0), nan=1.0)
    np.testing.assert_allclose(
        oks(a, b, area), oks(a + shift, b + shift, area), rtol=1e-6, atol=1e-9
    )


@settings(deadline=None)
@given(poses(3, 4), poses(2, 4))
def test_common_oks_is_symmetric_and_bounded(a: np.ndarray, b: np.ndarray) -> None:
    area_a, area_b = (np.nan_to_num(pose_area(v, 10.0), nan=1.0) for v in (a, b))
    forth, back = common_oks(a, b, area_a, area_b), common_oks(b, a, area_b, area_a)
    np.testing.assert_allclose(forth, back.T)
    assert ((forth >= 0) & (forth <= 1)).all()


@settings(deadline=None)
@given(poses(3, 4, missing=False), poses(2, 4, missing=False))
def test_without_absent_keypoints_both_similarities_agree(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(oks(a, b, 900.0, 0.1), common_oks(a, b, 900.0, 900.0, 0.1))


def test_common_oks_ignores_what_one_pose_lacks() -> None:
    nan = np.nan
    a = [[[0.0, 0.0], [nan, nan], [5.0, 5.0]]]
    b = [[[0.0, 0.0], [9.0, 9.0], [nan, nan]]]
    assert common_oks(a, b, 100.0, 100.0)[0, 0] == 1.0
    assert common_oks(a, [[[nan, nan], [9.0, 9.0], [nan, nan]]], 100.0, 100.0)[0, 0] == 0.0


# ----------------------------------------------------------------------------------- area


def test_area_is_the_box_of_present_keypoints_with_its_margin() -> None:
    nan = np.nan
    xy = [[[0.0, 0.0], [30.0, 10.0], [nan, nan]], [[5.0, 5.0], [nan, nan], [nan, nan]]]
    np.testing.assert_allclose(pose_area(xy), [300.0, 0.0])
    np.testing.assert_allclose(pose_area(xy, 10.0), [50.0 * 30.0, 400.0])
    assert np.isnan(pose_area(np.full((1, 3, 2), nan), 10.0)).all()


# ------------------------------------------------------------------------------------ NMS


def test_nms_keeps_the_best_of_each_cluster() -> None:
    animal = np.array([[0.0, 0.0], [40.0, 0.0], [20.0, 15.0]])
    xy = np.stack([animal, animal + 1, animal + 300, animal + 301, animal + 600])
    kept = oks_nms(xy, [0.5, 0.9, 0.8, 0.7, 0.1], 0.5)
    assert kept.tolist() == [1, 2, 4]


def test_nms_is_not_transitive() -> None:
    # b resembles a and c, a and c do not resemble one another: only b goes.
    animal = np.array([[0.0, 0.0], [40.0, 0.0], [20.0, 40.0]])
    step = np.array([10.0, 0.0])
    kept = oks_nms(np.stack([animal, animal + step, animal + 2 * step]), [0.9, 0.8, 0.7], 0.5)
    assert kept.tolist() == [0, 2]


def test_nms_ties_empty_poses_and_no_poses() -> None:
    animal = np.array([[0.0, 0.0], [40.0, 0.0], [20.0, 15.0]])
    xy = np.stack([np.full_like(animal, np.nan), animal, animal])
    assert oks_nms(xy, [1.0, 0.5, 0.5]).tolist() == [1]
    assert oks_nms(np.zeros((0, 3, 2)), []).tolist() == []
    with pytest.raises(ValueError, match="N scores"):
        oks_nms(xy, [1.0])


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 10_000))
def test_nms_leaves_no_alike_pair_and_removes_nothing_else(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    xy = random.uniform(0, 60, (n, 1, 2)) + random.uniform(-20, 20, (n, 3, 2))
    score = random.permutation(n) / max(n, 1)
    kept = oks_nms(xy, score, 0.5)
    area = pose_area(xy, 10.0)
    alike = common_oks(xy, xy, area, area, 0.1)
    for i, j in itertools.combinations(kept.tolist(), 2):
        assert alike[i, j] <= 0.5
    for i in set(range(n)) - set(kept.tolist()):
        assert any(alike[i, j] > 0.5 and score[j] > score[i] for j in kept)


# ----------------------------------------------------------------------------- assignment


def _best_sum(gain: np.ndarray) -> float:
    """Largest total of a one-to-one pairing, by trying all of them."""
    if gain.shape[0] > gain.shape[1]:
        gain = gain.T
    rows = range(gain.shape[0])
    return max(
        (
            sum(gain[i, j] for i, j in zip(rows, columns, strict=True))
            for columns in itertools.permutations(range(gain.shape[1]), gain.shape[0])
        ),
        default=0.0,
    )


similarities = hnp.arrays(
    float,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4),
    elements=st.floats(0, 1).map(lambda v: round(v, 2)),
)


@settings(deadline=None)
@given(similarities, st.sampled_from([0.0, 0.3]))
def test_assignment_has_the_largest_total(gain: np.ndarray, floor: float) -> None:
    rows, columns = assign(gain, floor)
    assert len(set(rows.tolist())) == len(rows) == len(set(columns.tolist())) == len(columns)
    assert (gain[rows, columns] > floor).all()
    allowed = np.where(gain > floor, gain, 0.0)
    assert gain[rows, columns].sum() == pytest.approx(_best_sum(allowed))


@settings(deadline=None)
@given(similarities)
def test_greedy_pairs_fall_and_leave_nothing_free(gain: np.ndarray) -> None:
    rows, columns = greedy_match(gain, 0.2)
    value = gain[rows, columns]
    assert (np.diff(value) <= 0).all()
    rest = np.delete(np.delete(gain, rows, 0), columns, 1)
    assert (rest <= 0.2).all()


def test_assignment_looks_beyond_the_single_best_pair() -> None:
    gain = np.array([[0.9, 0.8], [0.8, 0.1]])
    assert list(zip(*assign(gain), strict=True)) == [(0, 1), (1, 0)]
    assert list(zip(*greedy_match(gain), strict=True)) == [(0, 0), (1, 1)]


def test_nan_is_never_paired() -> None:
    gain = np.array([[np.nan, 0.2], [np.nan, 0.5]])
    assert list(zip(*assign(gain), strict=True)) == [(1, 1)]
    assert list(zip(*greedy_match(gain), strict=True)) == [(1, 1)]


@pytest.mark.parametrize("method", [assign, greedy_match])
def test_pairing_needs_a_matrix(method) -> None:
    with pytest.raises(ValueError, match="two axes"):
        method(np.zeros(3))
