"""Folding of batch normalisation: fewer layers, the same outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_semimultipose.config import Config
from napari_semimultipose.models.directpose import DirectPose
from napari_semimultipose.models.fuse import fuse_norms


@pytest.mark.parametrize(
    ("backbone", "norm", "left"),
    [
        ("regnet_x_400mf", "bn", 0),
        ("resnet18", "bn", 0),
        ("mobilenet_v3_large", "bn", 0),
        ("efficientnet_b0", "frozen_bn", 0),
    ],
)
def test_outputs_stay_and_norms_go(backbone: str, norm: str, left: int) -> None:
    torch.manual_seed(0)
    config = Config().model.model_copy(update={"backbone": backbone, "norm": norm})
    network = DirectPose(config, ("a", "b", "c"))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics as after training
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.bias, 0, 0.1)
    network.eval()
    images = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        before = network(images)
        fuse_norms(network)
        after = network(images)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == left
    torch.testing.assert_close(after.heat, before.heat, atol=1e-4, rtol=1e-4)
    for a, b in zip(after.levels, before.levels, strict=True):
        for name in ("cls", "quality", "offsets", "guesses"):
            torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=1e-3, rtol=1e-3)


def test_a_norm_whose_convolution_is_used_twice_stays() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return y + self.norm(y)

    traced = torch.fx.symbolic_trace(Shared()).eval()
    nn.init.constant_(traced.norm.bias, 1.0)
    x = torch.rand(1, 3, 2, 2)
    before = traced(x)
    fuse_norms(traced)
    torch.testing.assert_close(traced(x), before)
    assert isinstance(traced.norm, nn.BatchNorm2d)
