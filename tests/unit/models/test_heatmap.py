"""The heat-map tracker: exact positions between the cells, heads, and confidences."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_semimultipose.config import Config
from napari_semimultipose.losses.heatmaps import gaussian_maps
from napari_semimultipose.models.build import build_network
from napari_semimultipose.models.checkpoint import save_weights
from napari_semimultipose.models.heatmap import HeatmapOutput, HeatmapTracker, decode


def tracker(*settings: str, keypoints: tuple[str, ...] = ("a", "b", "c")) -> HeatmapTracker:
    config = Config().with_settings(
        ["model.kind=heatmap", "model.channels=8", "heatmap.side_px=64", *settings]
    )
    network = build_network(config, keypoints)
    assert isinstance(network, HeatmapTracker)
    return network


@pytest.mark.parametrize("downsample", [1, 2, 3])
@pytest.mark.parametrize("sigma", [1.25, 2.0])
def test_positions_between_the_cells_have_no_bias(downsample: int, sigma: float) -> None:
    stride = 2**downsample
    generator = torch.Generator().manual_seed(0)
    size = (36, 48)
    cells = torch.tensor([48, 36]) - 1
    margin = 10
    xy = margin + torch.rand((200, 1, 2), generator=generator) * (cells - 2 * margin)
    xy = (xy + 0.5) * stride - 0.5
    visible = torch.ones((200, 1), dtype=torch.bool)
    maps = gaussian_maps(xy, visible, size, stride, sigma)
    found = decode(HeatmapOutput(maps.clamp(min=1e-30).log(), stride), sigma)
    error = (found.xy - xy).norm(dim=-1)
    assert error.max() < 0.05
    assert (found.xy - xy).mean((0, 1)).abs().max() < 0.01
    assert found.mass.min() > 0.95


def test_two_equal_peaks_give_one_of_them_and_half_the_mass() -> None:
    xy = torch.tensor([[[40.0, 40.0]], [[160.0, 100.0]]])
    maps = gaussian_maps(xy, torch.ones((2, 1), dtype=torch.bool), (40, 60), 4, 1.25)
    both = 0.5 * (maps[:1] + maps[1:])
    found = decode(HeatmapOutput(both.clamp(min=1e-30).log(), 4), 1.25)
    assert (xy[:, 0] - found.xy[0]).norm(dim=-1).min() < 0.05
    assert found.mass.item() == pytest.approx(0.5, abs=0.02)


def test_a_uniform_map_has_no_confidence() -> None:
    found = decode(HeatmapOutput(torch.zeros(1, 1, 64, 64), 4), 1.25)
    assert found.mass.item() < 0.02


def test_the_gradient_of_a_position_moves_the_peak() -> None:
    xy = torch.tensor([[[41.3, 52.1]]])
    visible = torch.ones((1, 1), dtype=torch.bool)
    logits = gaussian_maps(xy, visible, (32, 32), 4, 1.25).clamp(min=1e-12).log()
    logits.requires_grad_()
    before = decode(HeatmapOutput(logits, 4), 1.25).xy
    (gradient,) = torch.autograd.grad(before[0, 0, 0], logits)
    after = decode(HeatmapOutput((logits + 5 * gradient).detach(), 4), 1.25).xy
    assert after[0, 0, 0] > before[0, 0, 0] + 0.1
    assert (after[0, 0, 1] - before[0, 0, 1]).abs() < 0.05


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
