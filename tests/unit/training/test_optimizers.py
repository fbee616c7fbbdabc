"""Muon, and which weights which optimiser gets."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from napari_semimultipose.config import Config, TrainConfig
from napari_semimultipose.models.directpose import DirectPose
from napari_semimultipose.training import optimizers
from napari_semimultipose.training.optimizers import (
    Muon,
    build_optimizers,
    orthogonalize,
    set_learning_rate,
)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "computes_in_bf16", lambda device: False)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.head = nn.Linear(2, 2)


def test_paper_optimiser_has_the_rates_of_the_paper() -> None:
    config = Config.from_preset("paper").train
    network = Tiny()
    (optimizer,) = build_optimizers(network, config)
    assert isinstance(optimizer, torch.optim.SGD)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(network.backbone.weight)] == pytest.approx(0.01)
    assert rates[id(network.head.weight)] == pytest.approx(0.1)
    assert rates[id(network.head.bias)] == pytest.approx(0.2)


@pytest.mark.parametrize("shape", [(3, 20, 50), (2, 50, 20), (4, 16, 16), (5, 1, 9)])
def test_singular_values_become_nearly_one_and_directions_stay(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    done = orthogonalize(matrices)
    values = torch.linalg.svdvals(done)
    big = torch.linalg.svdvals(matrices) > 0.05  # tiny ones need more than five steps
    assert 0.5 < values[big].min()
    assert values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    exact = u @ vh
    assert ((done * exact).sum((1, 2)) / exact.square().sum((1, 2)) > 0.6).all()


def test_zero_gradients_change_nothing() -> None:
    assert not orthogonalize(torch.zeros(1, 4, 4)).isnan().any()


def reference(weight: Tensor, grad: Tensor, blocks: int, lr: float, momentum: float) -> Tensor:
    """First step, matrix by matrix."""
    direction = (1 - momentum) * grad
    update = (1 - momentum) * grad + momentum * direction
    out = []
    for w, u in zip(weight.chunk(blocks), update.chunk(blocks), strict=True):
        matrix = u.flatten(1)
        size = 0.2 * max(matrix.shape) ** 0.5
        out.append(w - lr * size * orthogonalize(matrix[None])[0].view_as(w))
    return torch.cat(out)


@pytest.mark.parametrize("blocks", [1, 4])
def test_a_step_is_that_of_the_formula_for_each_group_of_a_convolution(blocks: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3, groups=blocks)
    before = conv.weight.detach().clone()
    conv.weight.grad = torch.randn_like(conv.weight)
    Muon([{"params": [conv.weight], "blocks": blocks}], lr=0.01).step()
    expected = reference(before, conv.weight.grad, blocks, 0.01, 0.95)
    torch.testing.assert_close(conv.weight.detach(), expected)


def test_updates_have_the_size_of_those_of_adamw() -> None:
    conv = nn.Conv2d(32, 64, 3)
    before = conv.weight.detach().clone()
    conv.weight.grad = 1e-3 * torch.randn_like(conv.weight)
    Muon([{"params": [conv.weight]}], lr=1.0).step()
    assert float((conv.weight.detach() - before).square().mean().sqrt()) == pytest.approx(
        0.2, rel=0.2
    )


def test_weights_decay_with_the_learning_rate() -> None:
    conv = nn.Conv2d(8, 8, 1)
    before = conv.weight.detach().clone()
    conv.weight.grad = torch.zeros_like(conv.weight)
    Muon([{"params": [conv.weight]}], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(conv.weight.detach(), 0.95 * before)


@pytest.mark.parametrize("backbone", ["regnet_x_400mf", "resnet18", "mobilenet_v3_large"])
def test_every_weight_has_one_optimiser_and_readouts_have_adamw(backbone: str) -> None:
    network = DirectPose(Config().model.model_copy(update={"backbone": backbone}), ("a", "b"))
    adamw, muon = build_optimizers(network, TrainConfig(), network.readouts)
    held = [
        [id(p) for group in optimizer.param_groups for p in group["params"]]
        for optimizer in (adamw, muon)
    ]
    assert sorted(held[0] + held[1]) == sorted(id(p) for p in network.parameters())
    assert {id(m.weight) for m in network.readouts} <= set(held[0])
    assert all(p.ndim == 4 for group in muon.param_groups for p in group["params"])
    assert len(held[1]) > 20
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    muon.step()
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_all_rates_are_set_together() -> None:
    network = DirectPose(Config().model, ("a", "b"))
    config = TrainConfig(lr=1e-3, muon_lr=1e-2, backbone_lr=0.5)
    both = build_optimizers(network, config, network.readouts)
    set_learning_rate(both, 0.1)
    rates = [{g["lr"] for g in optimizer.param_groups} for optimizer in both]
    assert sorted(rates[0]) == pytest.approx([5e-5, 1e-4])
    assert sorted(rates[1]) == pytest.approx([5e-4, 1e-3])


def test_the_state_can_be_saved_and_loaded() -> None:
    torch.manual_seed(0)
    one, two = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
    two.load_state_dict(one.state_dict())
    first = Muon([{"params": [one.weight]}], lr=0.1)
    grads = torch.randn(2, *one.weight.shape)
    one.weight.grad = grads[0]
    first.step()
    second = Muon([{"params": [two.weight]}], lr=0.1)
    two.weight.data.copy_(one.weight.data)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for conv, optimizer in ((one, first), (two, second)):
        conv.weight.grad = grads[1]
        optimizer.step()
    torch.testing.assert_close(one.weight, two.weight)
