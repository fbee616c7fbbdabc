"""Which locations are positive, and what the heat maps should be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_semimultipose.config import LossConfig
from napari_semimultipose.losses.targets import assign, boxes_of, heat_target, missing_mask
from napari_semimultipose.models.geometry import locations

FAITHFUL = LossConfig(rescue_thin=False)


def box(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float32)


def positives(boxes: Tensor, config: LossConfig = FAITHFUL, side: int = 8) -> Tensor:
    grid = locations(side, side, 8)
    found = assign([grid], [8], boxes, torch.ones(len(boxes), dtype=torch.bool), config)
    return torch.cat([grid, found.instance[:, None]], 1)[found.instance >= 0]


def test_boxes_have_one_px_of_margin_and_ignore_missing_keypoints() -> None:
    xy = torch.tensor([[[10.0, 20], [30, 25], [900, 900]], [[1, 1], [2, 2], [3, 3]]])
    seen = torch.tensor([[True, True, False], [False, False, False]])
    assert boxes_of(xy, seen).tolist() == [[9, 19, 31, 26], [0, 0, 0, 0]]


def test_positives_lie_within_one_and_a_half_strides_of_the_center() -> None:
    # Centre (32, 32), locations 4, 12, 20, 28, 36, 44, ...: 12 px reach 20..44.
    found = positives(box(0, 0, 64, 64))
    assert sorted(set(found[:, 0].tolist())) == [20, 28, 36, 44]
    assert len(found) == 16


def test_positives_lie_strictly_inside_the_box() -> None:
    found = positives(box(28, 12, 36, 52))
    assert found.tolist() == []  # 28 and 36 are on its sides
    assert sorted(set(positives(box(27, 12, 37, 52))[:, 0].tolist())) == [28, 36]


def test_full_box_takes_all_locations_inside() -> None:
    config = LossConfig(rescue_thin=False, positives="full_box")
    assert len(positives(box(0, 0, 64, 64), config)) == 64


def test_a_thin_box_is_rescued_on_request() -> None:
    thin = box(31, 5, 33, 59)
    assert len(positives(thin)) == 0
    assert len(positives(thin, LossConfig(rescue_thin=True))) >= 1


def test_a_single_keypoint_is_rescued() -> None:
    point = boxes_of(torch.tensor([[[40.0, 24.0]]]), torch.tensor([[True]]))
    found = positives(point, LossConfig(rescue_thin=True))
    assert len(found) >= 1
    assert (found[:, :2] - torch.tensor([40.0, 24.0])).abs().max() <= 8


def test_the_smaller_animal_wins_where_two_overlap() -> None:
    boxes = torch.cat([box(0, 0, 64, 64), box(24, 24, 40, 40)])
    found = positives(boxes)
    inner = found[((found[:, :2] - 32).abs() < 8).all(1)]
    assert set(inner[:, 2].tolist()) == {1}
    assert {0, 1} == set(found[:, 2].tolist())


def test_levels_take_animals_by_size() -> None:
    grids = [locations(64, 64, 8), locations(32, 32, 16), locations(16, 16, 32)]
    for side, level in ((100, 0), (200, 1), (400, 2)):
        middle = 256.0
        square = box(middle - side / 2, middle - side / 2, middle + side / 2, middle + side / 2)
        found = assign(
            grids, [8, 16, 32], square, torch.tensor([True]), FAITHFUL, level_ranges=(64.0, 128.0)
        )
        counts = [int((part >= 0).sum()) for part in found.instance.split([4096, 1024, 256])]
        assert max(counts) == counts[level] > 0


def test_an_animal_beyond_the_last_level_is_background() -> None:
    grids = [locations(128, 128, 8), locations(64, 64, 16), locations(32, 32, 32)]
    huge = box(100, 100, 900, 900)
    found = assign(
        grids, [8, 16, 32], huge, torch.tensor([True]), FAITHFUL, level_ranges=(64.0, 128.0)
    )
    assert int((found.instance >= 0).sum()) == 0


def test_centerness_is_that_of_fcos() -> None:
    grid = locations(8, 8, 8)
    found = assign([grid], [8], box(0, 0, 60, 60), torch.tensor([True]), FAITHFUL)
    where = int((grid == torch.tensor([28.0, 36.0])).all(1).nonzero())
    assert float(found.centerness[where]) == pytest.approx(((28 / 32) * (24 / 36)) ** 0.5)


def test_no_animal_gives_background_everywhere() -> None:
    found = assign(
        [locations(4, 4, 8)], [8], torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool), FAITHFUL
    )
    assert (found.instance == -1).all()


def test_window_target_is_a_square_and_drops_points_outside() -> None:
    xy = torch.tensor([[[20.0, 12.0]], [[-40.0, 12.0]]])
    target = heat_target(
        xy, torch.ones(2, 1, dtype=torch.bool), (6, 6), 8, LossConfig(heat="focal")
    )
    assert target[0].sum() == 9
    assert target[0, 0:3, 1:4].sum() == 9  # the cell of (20, 12) is (2, 1)


def test_gaussian_target_knows_the_position_between_cells() -> None:
    config = LossConfig(heat="gaussian", heat_sigma=1.5)
    xy = torch.tensor([[[33.5, 30.0]]])
    target = heat_target(xy, torch.ones(1, 1, dtype=torch.bool), (16, 16), 4, config)[0]
    total = target.sum()
    axis = torch.arange(16.0)
    x = float((target.sum(0) * axis).sum() / total) * 4 + 2
    y = float((target.sum(1) * axis).sum() / total) * 4 + 2
    assert (x, y) == (pytest.approx(33.5, abs=0.05), pytest.approx(30.0, abs=0.05))


def test_missing_keypoints_are_masked_inside_their_animal_only() -> None:
    seen = torch.tensor([[True, False], [True, True]])
    boxes = torch.cat([box(0, 0, 16, 16), box(40, 40, 60, 60)])
    mask = missing_mask(seen, boxes, (8, 8), 8, margin=0.0)
    assert not mask[0].any()
    assert mask[1, :2, :2].all()
    assert int(mask[1].sum()) == 4
