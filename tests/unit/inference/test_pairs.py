"""Mirrored keypoints that have fallen together, or lie on the wrong side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_semimultipose.inference.decode import Detections
from napari_semimultipose.inference.pairs import PairParting
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.poses import Skeleton
from napari_semimultipose.sides import PairPrior, fit_pairs

SKELETON = Skeleton(("head", "tail", "left", "right"), (), ((2, 3),))
SIZE_PX = 40.0
STRIDE = 4
BODY = np.array([(0, 0), (-40, 0), (12, 14), (12, -14)], float)


@pytest.fixture(scope="module")
def part() -> PairParting:
    rng = np.random.default_rng(0)
    labelled = BODY + rng.normal(0, 1, (60, 4, 2))
    return PairParting(fit_pairs(labelled, SKELETON, SIZE_PX), SIZE_PX)


def heat_maps(*bumps: tuple[int, float, float, float]) -> Output:
    """Heat maps of 128 x 128 px with bumps (keypoint, x, y, height)."""
    axis = torch.arange(128 // STRIDE, dtype=torch.float64)
    heat = torch.full((1, 4, len(axis), len(axis)), 1e-4, dtype=torch.float64)
    for k, x, y, height in bumps:
        u, v = ((c - STRIDE // 2) / STRIDE for c in (x, y))
        bump = torch.exp(-((axis[None] - u) ** 2 + (axis[:, None] - v) ** 2) / 2)
        heat[0, k] = torch.maximum(heat[0, k], height * bump)
    return Output([], torch.logit(heat.clamp(max=0.999)).float(), STRIDE)


def detections(xy: np.ndarray) -> tuple[Detections, torch.Tensor]:
    points = torch.as_tensor(np.asarray(xy), dtype=torch.float32)
    n = len(points)
    zeros = torch.zeros(n, dtype=torch.long)
    return Detections(zeros, points, torch.ones(n), torch.ones(n), zeros, zeros), points


def placed(x: float = 62, y: float = 62) -> np.ndarray:
    return BODY + np.array((x, y))


def test_a_pair_at_one_place_is_parted_and_put_on_its_sides(part) -> None:
    true = placed()
    both = [(k, *true[at], 0.6) for k in (2, 3) for at in (2, 3)]  # the heat maps cannot tell
    for shared in (2, 3):
        xy = true.copy()
        xy[2] = xy[3] = true[shared]
        found, points = detections([xy])
        new = part(heat_maps(*both), found, points)
        assert new[0].numpy() == pytest.approx(true, abs=1.0)


def test_what_the_heat_maps_are_sure_of_beats_the_usual_sides(part) -> None:
    true = placed()
    upside_down = true[[0, 1, 3, 2]]
    sure = [(2, *upside_down[2], 0.99), (3, *upside_down[3], 0.99)]
    found, points = detections([upside_down])
    assert part(heat_maps(*sure), found, points)[0].numpy() == pytest.approx(upside_down, abs=1.0)
    # The same with heat maps that hardly know: the usual sides win.
    unsure = [(k, *true[at], 0.6 if k == at else 0.65) for k in (2, 3) for at in (2, 3)]
    assert part(heat_maps(*unsure), found, points)[0].numpy() == pytest.approx(true, abs=1.0)


def test_without_a_second_peak_a_pair_stays_together(part) -> None:
    true = placed()
    xy = true.copy()
    xy[3] = xy[2]
    found, points = detections([xy])
    one = heat_maps((2, *true[2], 0.9), (3, *true[2], 0.9), (3, *true[3], 0.2))
    assert part(one, found, points)[0].numpy() == pytest.approx(xy, abs=1.0)


def test_the_keypoints_of_a_neighbour_are_not_taken(part) -> None:
    true, neighbour = placed(52), placed(72, 68)
    xy = true.copy()
    xy[3] = xy[2]
    bumps = [(k, *neighbour[k], 0.95) for k in (2, 3)] + [(k, *true[2], 0.9) for k in (2, 3)]
    found, points = detections([xy, neighbour])
    new = part(heat_maps(*bumps), found, points)
    assert new.numpy() == pytest.approx(np.stack([xy, neighbour]), abs=1.0)
    alone, points = detections([xy])
    assert (part(heat_maps(*bumps), alone, points)[0, 2:] - points[0, 2:]).abs().max() > 5


def test_pairs_apart_and_on_their_sides_stay_where_they_are(part) -> None:
    true = placed()
    found, points = detections([true])
    seen = heat_maps(*[(k, *true[k], 0.8) for k in range(4)])
    assert torch.equal(part(seen, found, points), points)


def test_nothing_is_done_without_animals_or_priors(part) -> None:
    found, points = detections(np.zeros((0, 4, 2)))
    assert part(heat_maps(), found, points).shape == (0, 4, 2)
    found, points = detections([placed()])
    assert PairParting((), SIZE_PX)(heat_maps(), found, points) is points


def test_without_an_axis_the_heat_maps_decide() -> None:
    part = PairParting((PairPrior((2, 3), (), (), 0.15, 0.8),), SIZE_PX)
    true = placed()
    xy = true.copy()
    xy[3] = xy[2]
    found, points = detections([xy])
    bumps = [(2, *true[2], 0.5), (3, *true[2], 0.7), (2, *true[3], 0.8), (3, *true[3], 0.4)]
    new = part(heat_maps(*bumps), found, points)[0].numpy()
    assert new[3] == pytest.approx(true[2], abs=1.0)
    assert new[2] == pytest.approx(true[3], abs=1.0)


def test_places_at_the_border_of_the_picture(part) -> None:
    xy = placed(20, 3)
    xy[3] = xy[2]
    found, points = detections([xy])
    new = part(heat_maps((2, *xy[2], 0.9), (3, *xy[2], 0.9)), found, points)
    assert torch.isfinite(new).all()
