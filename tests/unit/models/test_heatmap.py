"""The heat-map tracker: heads, files, and confidences."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_semimultipose.config import Config
from napari_semimultipose.models.build import build_network
from napari_semimultipose.models.checkpoint import save_weights
from napari_semimultipose.models.heatmap import HeatmapTracker


def tracker(*settings: str, keypoints: tuple[str, ...] = ("a", "b", "c")) -> HeatmapTracker:
    config = Config().with_settings(
        ["model.kind=heatmap", "model.channels=8", "heatmap.side_px=64", *settings]
    )
    network = build_network(config, keypoints)
    assert isinstance(network, HeatmapTracker)
    return network


@pytest.mark.parametrize(
    "settings",
    [
        ("heatmap.head=pyramid", "heatmap.downsample=1"),
        ("heatmap.head=pyramid", "heatmap.downsample=3"),
        ("heatmap.head=deconvolution", "heatmap.downsample=2"),
        ("model.backbone=mobilenet_v3_small",),
        ("model.backbone=swin_t", "heatmap.head=deconvolution"),
    ],
)
def test_maps_have_the_stride_that_was_asked_for(settings: tuple[str, ...]) -> None:
    network = tracker(*settings).eval()
    with torch.no_grad():
        output = network(torch.rand(2, 3, 64, 96))
    assert output.logits.shape == (2, 3, 64 // network.stride, 96 // network.stride)
    assert torch.allclose(output.probability.sum((2, 3)), torch.ones(2, 3), atol=1e-4)


def test_a_linear_head_is_linear() -> None:
    head = tracker("heatmap.head=deconvolution").head
    x = torch.randn(2, 1, 400, 2, 2)
    zero = head({"32": torch.zeros_like(x[0])})
    parts = [head({"32": one}) - zero for one in x]
    assert torch.allclose(head({"32": x.sum(0)}) - zero, parts[0] + parts[1], atol=1e-5)


@pytest.mark.parametrize("head", ["deconvolution", "pyramid"])
def test_a_network_can_be_saved_and_loaded(head: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    network = tracker(f"heatmap.head={head}")
    save_weights(network, tmp_path / "w.safetensors")
    other = tracker(f"heatmap.head={head}")
    other.load_state_dict(load_file(str(tmp_path / "w.safetensors")))
    assert [id(p) for p in network.parameters()] == list(
        dict.fromkeys(map(id, network.parameters()))
    )
    image = torch.rand(1, 3, 64, 64)
    assert torch.allclose(network.eval()(image).logits, other.eval()(image).logits)


def test_calibration_changes_confidences_and_travels_with_the_weights() -> None:
    network = tracker()
    mass = torch.tensor([0.2, 0.9])
    assert torch.allclose(network.confidence(mass), mass, atol=1e-4)
    network.calibration.copy_(torch.tensor([2.0, -1.0]))
    other = tracker()
    other.load_state_dict(network.state_dict())
    expected = torch.sigmoid(2 * torch.logit(mass) - 1)
    assert torch.allclose(other.confidence(mass), expected, atol=1e-4)
