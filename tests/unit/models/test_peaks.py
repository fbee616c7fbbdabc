"""Peaks of heat maps: exact positions between the cells, and those that follow."""

from __future__ import annotations

import pytest
import torch

from napari_semimultipose.losses.heatmaps import gaussian_maps
from napari_semimultipose.models.peaks import HeatmapOutput, decode, peaks


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


@pytest.mark.parametrize("downsample", [1, 2, 3])
@pytest.mark.parametrize("sigma", [1.25, 2.0])
def test_positions_at_the_border_have_no_bias(downsample: int, sigma: float) -> None:
    """A peak that is cut off must not be drawn inwards."""
    stride = 2**downsample
    width, height = 48 * stride, 36 * stride
    at = torch.linspace(
        -0.45, 5 * stride, 80
    )  # px; from beyond the centre of the outermost cell on
    left = torch.stack([at, torch.full_like(at, height / 2)], 1)
    corner = torch.stack([at, at], 1)
    xy = torch.cat([left, torch.tensor([width, height]) - 1 - left, corner])[:, None]
    visible = torch.ones((len(xy), 1), dtype=torch.bool)
    maps = gaussian_maps(xy, visible, (36, 48), stride, sigma)
    found = decode(HeatmapOutput(maps.clamp(min=1e-30).log(), stride), sigma)
    assert (found.xy - xy).norm(dim=-1).max() < 0.05
    assert found.mass.min() > 0.95


def test_no_position_is_outside_of_the_picture() -> None:
    logits = torch.full((1, 3, 32, 32), -20.0)
    logits[0, 0, 0, :] = 5.0
    logits[0, 1, :, 31] = 5.0
    logits[0, 2, 0, 0] = 30.0
    xy = decode(HeatmapOutput(logits, 4), 1.25).xy
    assert xy.min() >= -0.5
    assert xy.max() <= 127.5


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


def test_the_first_peak_is_what_decode_finds_and_the_others_follow() -> None:
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")

    def bump(cx: float, cy: float) -> torch.Tensor:
        return torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 1.25**2))

    maps = torch.stack([0.7 * bump(8.3, 5.6) + 0.3 * bump(20.2, 15.1), bump(10.0, 10.0)])[None]
    output = HeatmapOutput((maps + 1e-9).log(), 4)
    several, one = peaks(output, 1.25, 3), decode(output, 1.25)
    torch.testing.assert_close(several.xy[:, :, 0], one.xy)
    torch.testing.assert_close(several.mass[:, :, 0], one.mass)
    second = (torch.tensor([20.2, 15.1]) + 0.5) * 4 - 0.5
    torch.testing.assert_close(several.xy[0, 0, 1], second, atol=0.05, rtol=0)
    assert several.mass[0, 0, 1] == pytest.approx(0.3, abs=0.02)
    assert several.mass[0, 1, 1] < 1e-3  # there is no second one
