"""Fusion losses: which way information flows, and in which coordinates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from napari_semimultipose.config import LossConfig
from napari_semimultipose.losses.fusion import (
    PseudoKeypoints,
    fusion_loss,
    limb_hinge,
    rasterise,
    two_way_loss,
)


def pseudo(cells: Tensor, score: float = 0.8, image: int = 0) -> PseudoKeypoints:
    n = len(cells)
    return PseudoKeypoints(
        torch.full((n,), image), cells, torch.full((n,), score, dtype=torch.float32)
    )


@pytest.mark.parametrize("mode", ["bilinear", "gauss"])
def test_dense_targets_send_a_gradient_to_the_keypoints(mode: str) -> None:
    cells = torch.tensor([[[4.3, 5.6]]], requires_grad=True)
    torch.manual_seed(0)
    heat = torch.randn(1, 1, 12, 12, requires_grad=True)
    config = LossConfig.model_validate({"fusion_target": mode})
    fusion_loss(heat, pseudo(cells), config).backward()
    assert cells.grad is not None
    assert float(cells.grad.abs().sum()) > 0
    assert heat.grad is not None
    assert float(heat.grad.abs().sum()) > 0


def test_onehot_target_sends_no_gradient_to_the_keypoints() -> None:
    cells = torch.tensor([[[4.3, 5.6]]], requires_grad=True)
    heat = torch.zeros(1, 1, 12, 12, requires_grad=True)
    fusion_loss(heat, pseudo(cells), LossConfig(fusion_target="onehot")).backward()
    assert cells.grad is None


def test_scores_never_get_a_gradient() -> None:
    score = torch.tensor([0.7])
    cells = torch.tensor([[[4.3, 5.6]]], requires_grad=True)
    found = PseudoKeypoints(torch.tensor([0]), cells, score)
    loss = fusion_loss(torch.zeros(1, 1, 12, 12), found, LossConfig(fusion_target="gauss"))
    loss.backward()
    assert score.grad is None
    assert not score.requires_grad


def test_gauss_pulls_the_keypoint_to_the_peak_of_the_heat_map() -> None:
    axis = torch.arange(16.0)
    bump = torch.exp(-((axis[None] - 8) ** 2 + (axis[:, None] - 8) ** 2) / 8)
    heat = (6 * bump - 4)[None, None]
    cells = torch.tensor([[[6.5, 8.0]]], requires_grad=True)
    fusion_loss(heat, pseudo(cells), LossConfig(fusion_target="gauss")).backward()
    assert cells.grad is not None
    assert float(cells.grad[0, 0, 0]) < 0  # descending moves x up, towards 8


def test_overlaps_take_the_better_score_in_any_order() -> None:
    cells = torch.tensor([[[3.0, 3.0]], [[3.2, 3.0]]])
    for order in ([0, 1], [1, 0]):
        found = PseudoKeypoints(
            torch.zeros(2, dtype=torch.long), cells[order], torch.tensor([0.9, 0.4])[order]
        )
        target, mark = rasterise(found, (1, 1, 8, 8), "onehot")
        assert float(target[0, 0, 3, 3]) == pytest.approx(0.9)
        assert int(mark.sum()) == 1


def test_gauss_has_its_formula_and_drops_points_outside() -> None:
    target, mark = rasterise(
        pseudo(torch.tensor([[[3.5, 4.0], [50.0, 4.0]]])), (1, 2, 9, 9), "gauss"
    )
    assert float(target[0, 0, 4, 3]) == pytest.approx(0.8 * math.exp(-0.25 / 2))
    assert float(target[0, 1].sum()) == 0
    assert int(mark.sum()) == 1


def test_targets_do_not_depend_on_padding() -> None:
    found = pseudo(torch.tensor([[[3.3, 4.7]]]))
    small, _ = rasterise(found, (1, 1, 9, 9), "gauss")
    large, _ = rasterise(found, (1, 1, 12, 12), "gauss")
    torch.testing.assert_close(large[..., :9, :9], small)


@pytest.mark.parametrize("target", ["onehot", "bilinear", "gauss"])
def test_no_pseudo_keypoint_costs_nothing(target: str) -> None:
    heat = torch.zeros(1, 2, 8, 8, requires_grad=True)
    config = LossConfig.model_validate({"fusion_target": target})
    loss = fusion_loss(heat, pseudo(torch.zeros(0, 2, 2)), config)
    loss.backward()
    assert float(loss) == 0


def test_two_way_gradients_go_to_one_branch_each() -> None:
    axis = torch.arange(16.0)
    bump = torch.exp(-((axis[None] - 8) ** 2 + (axis[:, None] - 8) ** 2) / 4)
    heat = (8 * bump - 4)[None, None].requires_grad_()
    cells = torch.tensor([[[7.2, 8.4]]], requires_grad=True)
    terms = two_way_loss(heat, pseudo(cells), LossConfig(), confident=0.5)
    to_heat = torch.autograd.grad(
        terms["to_heat"], (heat, cells), allow_unused=True, retain_graph=True
    )
    assert to_heat[0] is not None
    assert to_heat[1] is None
    to_keypoints = torch.autograd.grad(terms["to_keypoints"], (heat, cells), allow_unused=True)
    assert to_keypoints[0] is None
    assert to_keypoints[1] is not None
    assert float(to_keypoints[1][0, 0, 0]) < 0
    assert float(to_keypoints[1][0, 0, 1]) > 0


def test_two_way_trains_nothing_near_unsure_animals() -> None:
    heat = torch.zeros(1, 1, 16, 16, requires_grad=True)
    two_way_loss(heat, pseudo(torch.tensor([[[8.0, 8.0]]]), score=0.2), LossConfig(), 0.5)[
        "to_heat"
    ].backward()
    assert heat.grad is not None
    assert float(heat.grad[0, 0, 8, 8]) == 0
    assert float(heat.grad[0, 0, 0, 0]) > 0


def test_two_way_leaves_keypoints_without_a_clear_peak() -> None:
    cells = torch.tensor([[[8.0, 8.0]]], requires_grad=True)
    terms = two_way_loss(torch.full((1, 1, 16, 16), -4.0), pseudo(cells), LossConfig(), 0.5)
    assert float(terms["to_keypoints"]) == 0


def test_limb_hinge_measures_each_animal_in_its_own_view() -> None:
    cells = torch.tensor([[[0.0, 0.0], [15.0, 0.0]]])
    edges, score = torch.tensor([[0, 1]]), torch.ones(1)
    assert float(limb_hinge(cells, score, torch.tensor([[10.0]]), edges)) == pytest.approx(0.3)
    assert float(limb_hinge(cells, score, torch.tensor([[13.5]]), edges)) == 0


def test_limb_hinge_acts_above_the_longest_limb_only() -> None:
    cells = torch.tensor([[[0.0, 0.0], [11.0, 0.0]], [[0.0, 0.0], [15.0, 0.0]]])
    edges, longest = torch.tensor([[0, 1]]), torch.tensor([10.0])
    ones = torch.ones(2)
    assert float(limb_hinge(cells[:1], ones[:1], longest, edges)) == 0
    assert float(limb_hinge(cells[1:], ones[1:], longest, edges)) == pytest.approx(0.3, abs=1e-3)
