"""The temporal loss: its value, what it leaves out, and where its gradient goes."""

from __future__ import annotations

import pytest
import torch

from napari_semimultipose.losses.temporal import temporal_loss

PAIRS = torch.tensor([[0, 1], [1, 2], [2, 3]])


def walk(speed: float = 3.0) -> torch.Tensor:
    """Two keypoints that move steadily over four frames [4, 2, 2]."""
    return torch.arange(4.0)[:, None, None] * torch.tensor([speed, 0.0]) + torch.tensor(
        [[10.0, 10], [40, 10]]
    )


def loss(
    xy: torch.Tensor,
    confidence: torch.Tensor | None = None,
    size: float = 50.0,
    pairs: torch.Tensor = PAIRS,
) -> torch.Tensor:
    confidence = torch.ones(xy.shape[:2]) if confidence is None else confidence
    epsilon = torch.tensor([5.0, 5.0])
    sizes = torch.full((len(xy),), size)
    return temporal_loss(xy, confidence, pairs, epsilon, sizes, 50.0, 0.05)[0]


def test_motion_below_the_tolerance_costs_nothing() -> None:
    assert loss(walk()) == 0


def test_one_jump_costs_what_the_formula_says() -> None:
    xy = walk(0)
    xy[2:, 0, 0] += 100
    assert loss(xy).item() == pytest.approx((100 - 5) / 6, rel=1e-4)


def test_unsure_keypoints_do_not_count() -> None:
    xy = walk(0)
    xy[2:, 0, 0] += 100
    confidence = torch.ones(4, 2)
    confidence[:, 1] = 0.01
    assert loss(xy, confidence).item() == pytest.approx((100 - 5) / 3, rel=1e-4)
    assert loss(xy, torch.zeros(4, 2)) == 0


def test_ways_are_measured_in_animals() -> None:
    xy = walk(0)
    xy[2:, 0, 0] += 100
    assert loss(xy, size=100).item() == pytest.approx((50 - 5) / 6, rel=1e-4)


def test_the_order_of_poses_does_not_matter() -> None:
    xy = walk(9) + torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 3, 1])
    where = torch.argsort(order)
    assert torch.allclose(loss(xy), loss(xy[order], pairs=where[PAIRS]))


def test_the_gradient_goes_to_the_less_sure_frame() -> None:
    xy = walk(0)
    xy[2:, 0, 0] += 100
    xy.requires_grad_()
    confidence = torch.ones(4, 2)
    confidence[2, 0] = 0.4
    (gradient,) = torch.autograd.grad(loss(xy, confidence), xy)
    assert gradient[1].abs().sum() == 0
    assert gradient[2, 0, 0] > 0


def test_standing_still_has_a_finite_gradient() -> None:
    xy = walk(0).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(xy) + xy.sum() * 0, xy)
    assert torch.isfinite(gradient).all()


def test_no_pairs_no_loss() -> None:
    assert loss(walk(), pairs=torch.zeros((0, 2), dtype=torch.long)) == 0


def test_the_size_of_an_animal_has_no_gradient() -> None:
    """No loss is lowered by animals that seem larger (acceptance test 6 of the specification)."""
    xy = walk(0)
    xy[2:, 0, 0] += 100
    size = torch.full((4,), 50.0, requires_grad=True)
    xy.requires_grad_()
    value, _ = temporal_loss(
        xy, torch.ones(4, 2), PAIRS, torch.tensor([5.0, 5.0]), size, 50.0, 0.05
    )
    (gradient,) = torch.autograd.grad(value, size, allow_unused=True)
    assert gradient is None
    assert torch.autograd.grad(value, xy)[0].abs().sum() > 0
