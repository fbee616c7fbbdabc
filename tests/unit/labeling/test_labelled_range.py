"""Poses and places are compared with what labels show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semimultipose.labeling.labelled_range import LabelledPlaces, LabelledPoses

SHAPE = np.array([[0.0, -20], [-8, 0], [8, 0], [0, 25], [0, 40]])


def labels(n: int = 120, seed: int = 0) -> np.ndarray:
    """Animals anywhere, turned at will, whose tail sways to both sides."""
    rng = np.random.default_rng(seed)
    xy = np.repeat(SHAPE[None], n, 0)
    xy[:, 4, 0] += rng.normal(0, 6, n)
    turn = rng.uniform(0, 2 * np.pi, n)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    out = np.einsum("ijn,nkj->nki", matrix, xy) + rng.uniform(0, 500, (n, 1, 2))
    return out + rng.normal(0, 0.8, out.shape)


@pytest.fixture(scope="module")
def known() -> LabelledPoses:
    found = LabelledPoses.of(labels(), 60.0)
    assert found is not None
    return found


def test_new_animals_like_the_labelled_ones_are_usual(known: LabelledPoses) -> None:
    times, _ = known.times(labels(3000, seed=1))
    assert np.quantile(times, 0.98) == pytest.approx(1, abs=0.15)
    assert (times > 1.5).mean() < 0.002


def test_the_same_shift_counts_more_where_labels_do_not_vary(known: LabelledPoses) -> None:
    tail, side = np.array([SHAPE, SHAPE])
    tail[4, 0] += 10
    side[1, 0] -= 10
    (sways, juts), keypoint = known.times(np.stack([tail, side]))
    assert sways < 1 < 1.5 < juts
    assert keypoint[1] == 1


@given(st.floats(-3, 3), st.floats(-900, 900), st.floats(-900, 900))
def test_place_and_heading_make_no_difference(angle: float, x: float, y: float) -> None:
    known = LabelledPoses.of(labels(40), 60.0)
    assert known is not None
    pose = SHAPE + np.array([[3, 1], [0, 0], [0, 2], [0, 0], [9, 0]])
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = pose @ matrix.T + [x, y]
    times, _ = known.times(np.stack([pose, moved]))
    assert times[1] == pytest.approx(times[0], rel=1e-5)


def test_missing_keypoints_are_left_out(known: LabelledPoses) -> None:
    pose = SHAPE.copy()
    pose[1, 0] -= 30
    gone = pose.copy()
    gone[1] = np.nan
    lost = SHAPE.copy()
    lost[2:] = np.nan
    (bad, good, unknown), _ = known.times(np.stack([pose, gone, lost]))
    assert bad > 1.5 > 1 > good
    assert unknown == 0
    holes = labels()
    holes[::3, 2] = np.nan
    patchy = LabelledPoses.of(holes, 60.0)
    assert patchy is not None
    clustered = labels()
    clustered[8:, 2] = np.nan  # so that a fold never sees it
    assert np.isfinite(LabelledPoses.of(clustered, 60.0).usual)  # type: ignore[union-attr]
    assert patchy.times(np.stack([pose]))[0][0] > 1.5


def test_few_labels_and_few_keypoints_say_nothing() -> None:
    assert LabelledPoses.of(labels(19), 60.0) is None
    assert LabelledPoses.of(labels()[:, :2], 60.0) is None
    never = labels()
    never[:, 3] = np.nan
    assert LabelledPoses.of(never, 60.0) is None
    assert LabelledPlaces.of(np.zeros((30, 2))) is None
    assert LabelledPlaces.of(np.random.default_rng(0).uniform(0, 9, (19, 2))) is None


def test_places_are_measured_from_the_border() -> None:
    rng = np.random.default_rng(0)
    square = np.concatenate(
        [rng.uniform(0, 100, (40, 2)), [[0, 0], [100, 0], [0, 100], [100, 100]]]
    )
    places = LabelledPlaces.of(square)
    assert places is not None
    wanted = [(50, 50), (130, 50), (50, -7), (np.nan, np.nan)]
    np.testing.assert_allclose(places.beyond_px(np.array(wanted)), [0, 30, 7, 0], atol=1e-9)
