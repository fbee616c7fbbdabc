"""The network: shapes, levels, keypoint alignment."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import deform_conv2d

from napari_semimultipose.config import Config, ModelConfig
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.models.backbone import BACKBONES, Backbone
from napari_semimultipose.models.branches import KeypointBranch, sample_at
from napari_semimultipose.models.directpose import DirectPose, group_indices
from napari_semimultipose.models.geometry import locations

NAMES = ("nose", "earL", "earR", "tail")


def small(**changes: object) -> ModelConfig:
    return ModelConfig.model_validate({"channels": 16, "heat_channels": 16, **changes})


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_sampling_equals_a_deformable_convolution(ratio: int) -> None:
    torch.manual_seed(0)
    h, w = 4, 5
    source = torch.randn(2, 8, ratio * h, ratio * w, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 8, 1, 1, dtype=torch.float64, requires_grad=True)
    guess = (2 * torch.randn(2, 2, h, w, dtype=torch.float64)).requires_grad_()
    ours = sample_at(
        torch.nn.functional.conv2d(source, weight).unsqueeze(1), guess.unsqueeze(1), ratio
    )[:, 0]
    offset = (ratio * guess + ratio // 2).flip(1)  # deformable offsets are (y, x)
    theirs = deform_conv2d(source, offset, weight, stride=ratio)
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-6)
    seed = torch.randn_like(ours)
    mine = torch.autograd.grad(ours, (source, weight, guess), seed)
    reference = torch.autograd.grad(theirs, (source, weight, guess), seed)
    for a, b in zip(mine, reference, strict=True):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-6)


def test_locations_are_row_major_cell_positions() -> None:
    points = locations(2, 3, 8)
    assert points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_groups_by_name_keep_the_order_of_the_keypoints() -> None:
    config = small(groups=(("tail",), ("nose", "earR", "earL")), tower="grouped")
    network = DirectPose(config, NAMES)
    assert network.groups == ((3,), (0, 2, 1))
    branch = network.keypoint_branch
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.zero_()
        # Bias rows follow the groups: tail, nose, earR, earL.
        branch.bias.copy_(torch.tensor([[3.0, 3], [0, 0], [2, 2], [1, 1]]))
    output = network.eval()(torch.zeros(1, 3, 64, 64))
    assert output.levels[0].offsets[0, :, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_groups_must_name_every_keypoint_once() -> None:
    with pytest.raises(ConfigError, match="each keypoint exactly once"):
        group_indices((("nose",),), NAMES)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_delivers_its_strides(name: str) -> None:
    strides = (8, 16) if name == "resnet50" else (4, 8, 16, 32)
    body = Backbone(name, strides).eval()
    with torch.no_grad():
        features = body(torch.zeros(1, 3, 64, 96))
    assert {k: tuple(v.shape[1:]) for k, v in features.items()} == {
        str(s): (width, 64 // s, 96 // s) for s, width in zip(strides, body.widths, strict=True)
    }


def test_default_network_shapes() -> None:
    network = DirectPose(Config().model, NAMES).eval()
    with torch.no_grad():
        output = network(torch.rand(2, 3, 64, 96))
    assert output.heat.shape == (2, 4, 16, 24)
    (level,) = output.levels
    assert (level.stride, level.cls.shape) == (8, (2, 1, 8, 12))
    assert level.offsets.shape == (2, 4, 2, 8, 12)
    assert level.guesses.shape == (2, 4, 2, 8, 12)


def test_paper_network_has_the_levels_of_the_paper() -> None:
    config = Config.from_preset("paper").model.model_copy(
        update={"backbone": "resnet18", "pretrained": False}
    )
    network = DirectPose(config, NAMES).eval()
    with torch.no_grad():
        output = network(torch.rand(1, 3, 96, 128))
    assert [v.stride for v in output.levels] == [8, 16, 32]
    assert output.heat.shape == (1, 4, 12, 16)
    assert [tuple(v.cls.shape[-2:]) for v in output.levels] == [(12, 16), (6, 8), (3, 4)]


def test_paper_network_has_the_parameters_of_the_specification() -> None:
    config = Config.from_preset("paper").model.model_copy(update={"pretrained": False})
    network = DirectPose(config, ("Tail", "Head", "Thorax", "Rant", "Lant"))

    def millions(module: torch.nn.Module) -> float:
        return sum(p.numel() for p in module.parameters()) / 1e6

    assert millions(network.backbone) == pytest.approx(23.5, abs=0.05)
    assert millions(network.instance_branch) == pytest.approx(2.36, abs=0.02)
    assert millions(network.keypoint_branch) == pytest.approx(0.26, abs=0.05)
    assert millions(network.heat_branch) == pytest.approx(0.45, abs=0.01)


def test_a_finer_level_feeds_the_groups_after_the_first() -> None:
    torch.manual_seed(0)
    branch = KeypointBranch(16, ((0,), (1,)), 1, "gn", grouped=True)
    features = [torch.randn(1, 16, 8, 8, requires_grad=True) for _ in range(2)]
    features += [torch.randn(1, 16, 4, 4, requires_grad=True)]
    features = [torch.randn(1, 16, 16 >> i, 16 >> i, requires_grad=True) for i in range(3)]
    out = branch(features, (8, 16, 32))

    def sources(level: int, keypoint: int) -> list[bool]:
        offsets, guesses = out[level]
        sampled = offsets[:, keypoint] - guesses[:, keypoint]
        grads = torch.autograd.grad(sampled.sum(), features, allow_unused=True, retain_graph=True)
        return [g is not None and bool(g.abs().sum() > 0) for g in grads]

    assert sources(2, 0) == [True, False, True]  # first group: finest level, and its own guess
    assert sources(2, 1) == [False, True, True]  # others: the next finer level


def test_frozen_norms_have_no_trainable_parameters() -> None:
    body = Backbone("resnet18", (8,), frozen_norm=True)
    assert not any("bn" in name for name, _ in body.named_parameters())


def test_part_cuts_the_batch() -> None:
    network = DirectPose(small(backbone="resnet18"), NAMES).eval()
    with torch.no_grad():
        output = network(torch.rand(3, 3, 64, 64))
    part = output.part(1, 3)
    assert torch.equal(part.heat, output.heat[1:])
    assert torch.equal(part.levels[0].offsets, output.levels[0].offsets[1:])


def test_statistics_for_prediction_follow_within_a_short_training() -> None:
    torch.manual_seed(0)
    backbone = Backbone("mobilenet_v3_small", (4, 8)).train()
    images = 5 + 2 * torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        for _ in range(60):
            trained = backbone(images)
        predicted = backbone.eval()(images)
    for stride, features in trained.items():
        off = (predicted[stride] - features).abs().mean()
        assert off < 0.4 * features.std()  # 0.8 with a momentum of 0.01
