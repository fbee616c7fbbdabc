"""What labelled animals tell about mirrored pairs (`swapped` is tested with the label check)."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from napari_semimultipose.poses import Skeleton
from napari_semimultipose.sides import ENOUGH_POSES, fit_pairs

SKELETON = Skeleton(("head", "tail", "left", "right"), (), ((2, 3),))
SIZE_PX = 40.0


def animals(n: int, *, exchanged: float = 0.0, seed: int = 0) -> np.ndarray:
    """Animals [n, 4, 2] in all directions, with feelers before the head."""
    rng = np.random.default_rng(seed)
    shape = np.array([(0, 0), (-40, 0), (10, 8), (10, -8)], float)
    xy = shape + rng.normal(0, 1, (n, 4, 2))
    turned = rng.random(n) < exchanged
    xy[turned, 2:] = xy[turned, 2:][:, ::-1]
    angle = rng.uniform(0, 2 * np.pi, n)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    return xy @ turn.reshape(n, 2, 2) + rng.uniform(0, 500, (n, 1, 2))


def odds(xy: np.ndarray, prior) -> np.ndarray:
    return prior.odds(prior.sines(xy, xy[:, 2], xy[:, 3]))


def test_the_sides_of_labelled_animals_are_learned() -> None:
    (prior,) = fit_pairs(animals(60), SKELETON, SIZE_PX)
    assert prior.pair == (2, 3)
    fresh = animals(20, seed=1)
    assert (odds(fresh, prior) > 3).all()
    exchanged = fresh[:, [0, 1, 3, 2]]
    assert odds(exchanged, prior) == pytest.approx(-odds(fresh, prior))


def test_it_does_not_matter_which_way_the_picture_is_mirrored() -> None:
    mirrored = animals(60) * (-1, 1)
    (prior,) = fit_pairs(mirrored, SKELETON, SIZE_PX)
    assert (odds(mirrored, prior) > 3).all()


def test_a_few_exceptions_make_it_less_sure_and_half_of_them_unsure() -> None:
    fresh = animals(20, seed=1)
    sure, less, unsure = (
        np.median(odds(fresh, fit_pairs(animals(200, exchanged=e), SKELETON, SIZE_PX)[0]))
        for e in (0.0, 0.1, 0.5)
    )
    assert sure > less > 1.5
    assert less == pytest.approx(np.log(0.9 / 0.1), abs=0.5)
    assert abs(unsure) < 0.7


def test_apart_is_a_distance_that_hardly_any_pair_falls_below_and_reach_beyond() -> None:
    xy = animals(300)
    (prior,) = fit_pairs(xy, SKELETON, 200.0)
    distance = np.linalg.norm(xy[:, 2] - xy[:, 3], axis=1) / 200.0
    assert 0.01 <= (distance < prior.apart).mean() <= 0.03
    assert 0.01 <= (distance > prior.reach).mean() <= 0.03


def test_pairs_that_often_share_a_place_are_never_parted() -> None:
    xy = animals(50)
    xy[::10, 2] = xy[::10, 3]
    (prior,) = fit_pairs(xy, SKELETON, SIZE_PX)
    assert prior.apart < 0.01


def test_few_animals_tell_nothing() -> None:
    assert fit_pairs(animals(ENOUGH_POSES - 1), SKELETON, SIZE_PX) == ()
    xy = animals(30)
    xy[5:, 3] = np.nan
    assert fit_pairs(xy, SKELETON, SIZE_PX) == ()
    assert fit_pairs(animals(30), SKELETON, float("nan")) == ()
    assert fit_pairs(animals(30), Skeleton(SKELETON.keypoints), SIZE_PX) == ()


def test_without_an_axis_only_the_distance_is_known() -> None:
    skeleton = Skeleton(("left", "right"), (), ((0, 1),))
    (prior,) = fit_pairs(animals(30)[:, 2:], skeleton, SIZE_PX)
    assert prior.axis == ()
    assert prior.apart > 0
    xy = animals(5)[:, 2:]
    assert (prior.odds(prior.sines(xy, xy[:, 0], xy[:, 1])) == 0).all()


def test_missing_keypoints_leave_the_side_open() -> None:
    (prior,) = fit_pairs(animals(60), SKELETON, SIZE_PX)
    xy = animals(4)
    xy[:, 1] = xy[:, 0] = np.nan
    assert (odds(xy, prior) == 0).all()


def test_it_can_be_written_as_json() -> None:
    (prior,) = fit_pairs(animals(60), SKELETON, SIZE_PX)
    assert json.loads(json.dumps(asdict(prior)))["apart"] == prior.apart
