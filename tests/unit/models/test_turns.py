"""Predictions averaged over turned copies."""

from __future__ import annotations

import pytest
import torch

from napari_semimultipose.config import ModelConfig
from napari_semimultipose.models.directpose import DirectPose, LevelOutput, Output
from napari_semimultipose.models.geometry import locations
from napari_semimultipose.models.turns import averaged_over_turns

SIZE = (64, 96)  # height and width
SPOTS = {0: (20.0, 12.0), 1: (70.0, 40.0)}  # red and green dots, (x, y)


def picture() -> torch.Tensor:
    image = torch.zeros(1, 3, *SIZE)
    for channel, (x, y) in SPOTS.items():
        image[0, channel, int(y), int(x)] = 1
    return image


def seen(images: torch.Tensor) -> Output:
    """A "network" that points from every cell to the dots, and marks the cells nearest to them."""
    h, w = images.shape[-2:]
    where = []
    for channel in SPOTS:
        flat = images[0, channel].argmax()
        where.append(torch.stack([flat % w, flat // w]).float())
    xy = torch.stack(where)  # [K, 2]
    levels = []
    for stride in (8,):
        place = locations(h // stride, w // stride, stride, images.device).view(
            h // stride, w // stride, 2
        )
        offsets = (xy[:, :, None, None] - place.permute(2, 0, 1)[None]) / stride
        near = (offsets[0] ** 2).sum(0, keepdim=True)
        levels.append(
            LevelOutput(stride, -near[None], near[None] * 0, offsets[None], offsets[None])
        )
    place = locations(h // 4, w // 4, 4, images.device).view(h // 4, w // 4, 2)
    heat = -((xy[:, None, None] - place[None]) ** 2).sum(-1) / 32
    return Output(levels, heat[None], 4)


@pytest.mark.parametrize("turns", [2, 4])
def test_a_network_that_turns_with_its_input_says_the_same(turns):
    once = seen(picture())
    many = averaged_over_turns(seen, picture(), turns)
    torch.testing.assert_close(many.levels[0].offsets, once.levels[0].offsets, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        many.levels[0].cls.sigmoid(), once.levels[0].cls.sigmoid(), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(many.heat.sigmoid(), once.heat.sigmoid(), atol=1e-4, rtol=0)


def test_one_turn_is_the_network_itself():
    torch.manual_seed(0)
    network = DirectPose(ModelConfig(), ["a", "b", "c"]).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(averaged_over_turns(network, image, 1).heat, network(image).heat)
        four = averaged_over_turns(network, image, 4)
        assert four.heat.shape == network(image).heat.shape
        # The same picture upside down gives the same answer upside down.
        half = averaged_over_turns(network, torch.rot90(image, 2, (2, 3)).roll((1, 1), (2, 3)), 2)
        two = averaged_over_turns(network, image, 2)
    torch.testing.assert_close(
        torch.rot90(half.heat, 2, (2, 3))[..., 2:-2, 2:-2],
        two.heat[..., 2:-2, 2:-2],
        atol=1e-3,
        rtol=1e-3,
    )
