"""Two heads, one of which looks at the frames around a frame."""

from __future__ import annotations

import copy
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from napari_semimultipose.config import Config
from napari_semimultipose.losses.heatmaps import gaussian_maps, heatmap_loss
from napari_semimultipose.models.build import Network, build_network
from napari_semimultipose.models.context import (
    Recurrence,
    clip_windows,
    still_windows,
    view_windows,
)
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.models.fuse import fuse_norms
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.models.peaks import HeatmapOutput, decode, decode_surer, surer_maps

KINDS = [
    ("model.kind=heatmap",),
    ("model.kind=heatmap", "heatmap.head=deconvolution"),
    ("model.kind=heatmap", "heatmap.downsample=3"),
    ("model.kind=directpose",),
    ("model.kind=directpose", "model.levels=[8, 16]", "model.level_ranges=[32]", "model.finest=8"),
]


@lru_cache
def built(settings: tuple[str, ...], context: bool) -> Network:
    torch.manual_seed(0)
    small = ["model.channels=8", "model.heat_channels=8", "model.backbone=mobilenet_v3_small"]
    config = Config().with_settings([*small, f"model.context={context}", *settings])
    return build_network(config, ("a", "b", "c"))


def network(*settings: str, context: bool = True) -> Network:
    return copy.deepcopy(built(settings, context))


def open_gates(made: Network) -> None:
    assert made.context is not None
    for gate in made.context.gates:
        torch.nn.init.constant_(gate, 1.0)


def maps_of(output: HeatmapOutput | Output) -> list[Tensor]:
    if isinstance(output, HeatmapOutput):
        return [output.logits]
    return [output.heat, *(x for v in output.levels for x in (v.cls, v.quality, v.offsets))]


@pytest.mark.parametrize("settings", KINDS)
def test_both_heads_begin_as_the_network_without_context(settings: tuple[str, ...]) -> None:
    plain, made = network(*settings, context=False).eval(), network(*settings).eval()
    images = torch.rand(5, 3, 64, 96)
    with torch.no_grad():
        expected, output = maps_of(plain(images)), made(images, clip_windows(5))
    assert output.context is not None
    for one, first, second in zip(expected, maps_of(output), maps_of(output.context), strict=True):
        torch.testing.assert_close(first, one)
        torch.testing.assert_close(second, one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("settings", KINDS)
def test_all_five_frames_and_no_other_tell_the_second_head(settings: tuple[str, ...]) -> None:
    made = network(*settings).eval()
    open_gates(made)
    images = torch.rand(7, 3, 32, 32)
    with torch.no_grad():
        output = made(images, clip_windows(7))
        for changed in (0, 1, 3, 5):
            other = images.clone()
            other[changed] = 1 - other[changed]
            again = made(other, clip_windows(7))
            one, two = output.context.part(3, 4), again.context.part(3, 4)
            same = torch.equal(maps_of(one)[0], maps_of(two)[0])
            assert same == (abs(changed - 3) > 2)
            first = torch.equal(maps_of(output.part(3, 4))[0], maps_of(again.part(3, 4))[0])
            assert first == (changed != 3)


def test_the_order_of_the_frames_matters() -> None:
    recurrence = Recurrence(8)
    encoded = recurrence.encode(torch.randn(5, 8, 6, 6))
    forth = recurrence(encoded, torch.tensor([[0, 1, 2, 3, 4]]))
    back = recurrence(encoded, torch.tensor([[4, 3, 2, 1, 0]]))
    assert not torch.allclose(forth, back, atol=1e-3)


def test_windows_hold_neighbours_and_repeat_at_the_ends() -> None:
    assert clip_windows(1).tolist() == [[0] * 5]
    assert clip_windows(3).tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 2, 2]]
    assert still_windows(2).tolist() == [[0] * 5, [1] * 5]
    # two views, a clip of 3 images behind them, and then the views' own neighbours
    assert view_windows(2, 5).tolist() == [[5, 6, 0, 7, 8], [9, 10, 1, 11, 12]]


@pytest.mark.parametrize("settings", [KINDS[0], KINDS[1], KINDS[3]])
def test_pictures_that_are_looked_at_teach_the_context_alone(settings: tuple[str, ...]) -> None:
    made = network(*settings).train()
    open_gates(made)
    images, around = torch.rand(2, 3, 64, 64), torch.rand(8, 3, 64, 64)
    windows = view_windows(2, 2)
    assert made.context is not None
    features = made.features(images, around)
    # What the pictures around give, apart from the images themselves:
    told = made.context.recurrence(features.encoded[0], windows)
    assert len(features.encoded[0]) == 10
    assert len(features.maps[0]) == 2
    told.sum().backward()
    assert made.context.reductions[0][0].weight.grad.abs().sum() > 0  # type: ignore[index, union-attr]
    made.zero_grad(set_to_none=True)
    alone = made.features(images, around).encoded[0][2:]
    alone.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in made.backbone.parameters())


def test_each_keypoint_comes_from_the_surer_head() -> None:
    visible = torch.ones((1, 2), dtype=torch.bool)
    sharp = gaussian_maps(torch.tensor([[[20.0, 20], [40, 40]]]), visible, (16, 16), 4, 1.0)
    wide = gaussian_maps(torch.tensor([[[50.0, 30], [12, 50]]]), visible, (16, 16), 4, 3.0)
    first = torch.stack([sharp[:, 0], wide[:, 1]], 1).clamp(min=1e-20).log()
    second = torch.stack([wide[:, 0], sharp[:, 1]], 1).clamp(min=1e-20).log()
    output = HeatmapOutput(first, 4, HeatmapOutput(second, 4))
    found = decode_surer(output, 1.0)
    assert torch.allclose(found.xy, torch.tensor([[[20.0, 20], [40, 40]]]), atol=0.1)
    assert torch.equal(found.mass[0, 0], decode(output, 1.0).mass[0, 0])
    assert torch.allclose(surer_maps(output, 1.0), sharp, atol=1e-5)


def test_folding_of_norms_keeps_the_outputs() -> None:
    for settings in (KINDS[0], KINDS[3]):
        made = network(*settings).eval()
        open_gates(made)
        images = torch.rand(3, 3, 64, 64)
        with torch.no_grad():
            before = made(images, clip_windows(3)).context
            fuse_norms(made)
            after = made(images, clip_windows(3)).context
        for one, two in zip(maps_of(before), maps_of(after), strict=True):
            torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)


def moving_spots(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Five frames of two equal spots that move in opposite directions, and where the one that moves right is.

    Returns images [count, 5, 3, 32, 32] and positions [count, 1, 2] in the third frame.
    """
    place = 9 + 14 * torch.rand(count, 2, 2, generator=generator)
    place[:, :, 1] = torch.tensor([9.0, 23.0])  # one above the other, in either order
    place = torch.where(torch.rand(count, 1, 1, generator=generator) < 0.5, place.flip(1), place)
    way = torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
    frames = place[:, None] + torch.arange(-2.0, 3)[:, None, None] * way
    axis = torch.arange(32.0)
    spots = (
        torch.exp(-((frames[..., 0, None] - axis) ** 2) / 4)[..., None, :]
        * torch.exp(-((frames[..., 1, None] - axis) ** 2) / 4)[..., :, None]
    )
    return spots.amax(2)[:, :, None].expand(-1, -1, 3, -1, -1), place[:, :1]


def test_motion_tells_what_a_single_frame_cannot() -> None:
    made = network("model.kind=heatmap", "model.channels=16", "heatmap.side_px=32")
    assert isinstance(made, HeatmapTracker)
    optimizer = torch.optim.AdamW(made.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    visible = torch.ones((12, 3), dtype=torch.bool)
    losses = []
    for _ in range(30):
        images, xy = moving_spots(12, generator)
        target = gaussian_maps(xy.expand(-1, 3, -1), visible, (8, 8), 4, 1.25)
        around = images[:, [0, 1, 3, 4]].flatten(0, 1)
        output = made(images[:, 2], view_windows(12, 12), around)
        assert output.context is not None
        heads = [heatmap_loss(o.logits, target, visible, "kl") for o in (output, output.context)]
        optimizer.zero_grad()
        (heads[0] + heads[1]).backward()
        optimizer.step()
        losses.append([float(loss.detach()) for loss in heads])
    start, end = losses[0], torch.tensor(losses[-6:]).mean(0).tolist()
    # Without motion, one of two places can only be guessed: log 2, less as the Gaussians overlap.
    assert end[0] > 0.45
    assert end[1] < 0.3 < start[1]
