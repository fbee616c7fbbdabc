"""Supervised losses against formulas and torchvision."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from napari_semimultipose.config import Config, LossConfig, ModelConfig
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.losses.objective import (
    Labels,
    fusion_weights,
    supervised_terms,
    term_weights,
    weighted_sum,
)
from napari_semimultipose.losses.supervised import (
    focal_loss,
    keypoint_l1,
    keypoint_mse,
    pose_quality,
    quality_focal_loss,
)
from napari_semimultipose.models.directpose import DirectPose


def test_focal_loss_equals_torchvision_for_hard_targets() -> None:
    torch.manual_seed(0)
    logits = torch.randn(50)
    target = (torch.rand(50) > 0.5).float()
    theirs = sigmoid_focal_loss(logits, target, alpha=0.25, gamma=2)
    torch.testing.assert_close(focal_loss(logits, target), theirs)


def test_focal_loss_with_scores_has_its_golden_values() -> None:
    # SemiMultiPose's score-weighted form at v = .5, logits 2 and -2.
    value = focal_loss(torch.tensor([2.0, -2.0]), torch.tensor([0.5, 0.5]))
    assert value.tolist() == pytest.approx([0.6190, 0.2069], abs=1e-4) or value.tolist() == (
        pytest.approx([0.2069, 0.6190], abs=1e-4)
    )


def test_focal_loss_stays_finite_for_huge_logits() -> None:
    assert torch.isfinite(focal_loss(torch.tensor([-200.0, 200.0]), torch.tensor([1.0, 0.0]))).all()


def test_quality_focal_loss_is_least_at_its_target() -> None:
    p = torch.linspace(0.01, 0.99, 99)
    for goal in (0.1, 0.5, 0.8):
        loss = quality_focal_loss(torch.logit(p), torch.full_like(p, goal))
        assert float(p[loss.argmin()]) == pytest.approx(goal, abs=0.011)


def test_keypoint_losses_leave_out_missing_keypoints() -> None:
    prediction = torch.tensor([[[1.0, 3.0], [100.0, 100.0]]])
    target = torch.zeros(1, 2, 2)
    seen = torch.tensor([[True, False]])
    assert keypoint_l1(prediction, target, seen).tolist() == [2.0]
    assert keypoint_mse(prediction, target, seen).tolist() == [5.0]
    assert keypoint_l1(prediction, target, torch.zeros(1, 2, dtype=torch.bool)).tolist() == [0.0]


def test_pose_quality_is_one_for_a_perfect_pose_and_falls() -> None:
    target = torch.tensor([[[0.0, 0.0], [40.0, 20.0]]])
    seen = torch.ones(1, 2, dtype=torch.bool)
    assert float(pose_quality(target, target, seen)) == 1.0
    near, far = pose_quality(target + 2, target, seen), pose_quality(target + 20, target, seen)
    assert 1 > float(near) > float(far) > 0


def test_pose_quality_of_a_single_keypoint_tolerates_some_pixels() -> None:
    target, seen = torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool)
    assert float(pose_quality(target + 2, target, seen)) > 0.8
    assert float(pose_quality(target + 20, target, seen)) < 0.1


def labels(animals: int, keypoints: int = 3) -> Labels:
    torch.manual_seed(animals)
    xy = 8 + 48 * torch.rand(animals, keypoints, 2)
    seen = torch.ones(animals, keypoints, dtype=torch.bool)
    return Labels(xy, seen, seen)


@pytest.fixture(scope="module")
def network() -> DirectPose:
    torch.manual_seed(0)
    return DirectPose(ModelConfig(channels=16, heat_channels=16), ("a", "b", "c"))


@pytest.mark.parametrize("preset", ["default", "paper"])
@pytest.mark.parametrize("counts", [(0, 0), (2, 0), (1, 3)])
def test_terms_are_finite_and_reach_every_branch(
    network: DirectPose, preset: str, counts: tuple[int, ...]
) -> None:
    config = Config.from_preset(preset).loss
    network.zero_grad()
    output = network(torch.rand(2, 3, 64, 64))
    terms = supervised_terms(
        output, [labels(n) for n in counts], (64, 64), config, groups=network.groups
    )
    assert set(terms) == {"cls", "heat", "keypoints", "quality", "locator"}
    assert all(torch.isfinite(v) for v in terms.values())
    weighted_sum(terms, term_weights(config)).backward()
    for name in ("heat_branch", "instance_branch", "keypoint_branch"):
        grads = [p.grad for p in getattr(network, name).parameters() if p.grad is not None]
        assert grads, name
        assert all(torch.isfinite(g).all() for g in grads)
    if not any(counts):
        assert float(terms["keypoints"]) == 0


def test_a_missing_keypoint_is_not_trained_as_background(network: DirectPose) -> None:
    one = labels(1)
    lacking = Labels(one.keypoints, one.labeled.clone(), one.visible.clone())
    lacking.labeled[0, 1] = lacking.visible[0, 1] = False

    def pull(ignore: bool) -> float:
        output = network(torch.full((1, 3, 64, 64), 0.5))
        output.heat.retain_grad()
        config = LossConfig(ignore_missing=ignore)
        supervised_terms(output, [lacking], (64, 64), config, groups=network.groups)[
            "heat"
        ].backward()
        x, y = (one.keypoints[0, 1] / 4).long().tolist()
        assert output.heat.grad is not None
        return float(output.heat.grad[0, 1, y, x].abs())

    assert pull(ignore=True) == 0
    assert pull(ignore=False) > 0


def test_uncertain_keypoints_tell_where_an_animal_is(network: DirectPose) -> None:
    """The centre of a teacher's animal and what is left out around it come from all positions of it."""
    xy = torch.tensor([[[12.0, 30], [32, 32], [52, 34]]])
    known = torch.tensor([[False, False, True]])
    everything = torch.ones_like(known)

    def pulls(one: Labels) -> tuple[torch.Tensor, torch.Tensor]:
        output = network(torch.full((1, 3, 64, 64), 0.5))
        output.heat.retain_grad()
        for level in output.levels:
            level.cls.retain_grad()
        terms = supervised_terms(output, [one], (64, 64), LossConfig(), groups=network.groups)
        (terms["heat"] + terms["cls"]).backward()
        assert output.heat.grad is not None
        finest = min(output.levels, key=lambda level: level.stride)
        assert finest.cls.grad is not None
        return output.heat.grad[0], finest.cls.grad[0, 0]

    heat, cls = pulls(Labels(xy, known, known, placed=everything))
    _, as_labelled = pulls(Labels(xy, everything, everything))
    positive = cls < 0  # pulled up
    assert positive.any()
    torch.testing.assert_close(positive, as_labelled < 0)
    assert float(heat[0, 30 // 4, 12 // 4].abs()) == 0  # not known, and within the animal
    assert float(heat[2, 34 // 4, 52 // 4]) < 0
    # Without it the animal would be where its one known keypoint is.
    heat, cls = pulls(Labels(xy, known, known))
    assert not torch.equal(positive, cls < 0)
    assert float(heat[0, 30 // 4, 12 // 4].abs()) > 0


def test_ignored_places_are_not_trained(network: DirectPose) -> None:
    def everywhere(points: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(points), dtype=torch.bool)

    empty = labels(0)
    free = Labels(empty.keypoints, empty.labeled, empty.visible, everywhere)
    terms = supervised_terms(
        network(torch.rand(1, 3, 64, 64)), [free], (64, 64), LossConfig(), groups=network.groups
    )
    assert float(terms["cls"]) == float(terms["heat"]) == 0


def test_fusion_weights_follow_method_and_schedule() -> None:
    config = LossConfig(alpha=0.1, beta=0.4, alpha_start=0.2, beta_start=0.5, ramp=0.1)
    assert fusion_weights(config, "directpose", 1.0) == (0, 0)
    assert fusion_weights(config, "labeled", 1.0) == (0.1, 0)
    assert fusion_weights(config, "semimultipose", 0.1) == (0, 0)
    assert fusion_weights(config, "semimultipose", 0.25) == (pytest.approx(0.05), 0)
    assert fusion_weights(config, "semimultipose", 0.55) == (0.1, pytest.approx(0.2))
    step = config.model_copy(update={"ramp": 0})
    assert fusion_weights(step, "semimultipose", 0.5) == (0.1, 0.4)
    assert fusion_weights(step, "semimultipose", 1.0) == (0.1, 0.4)
    stops = step.model_copy(update={"beta_stop": 0.8})
    assert fusion_weights(stops, "semimultipose", 0.79) == (0.1, 0.4)
    assert fusion_weights(stops, "semimultipose", 0.8) == (0.1, 0)


def test_unlabelled_frames_that_would_never_act_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"beta_stop \(0.4\) is not after beta_start \(0.4\)"):
        Config().with_settings({"loss.beta_stop": 0.4})


def test_levels_need_borders_between_them() -> None:
    with pytest.raises(ConfigError, match="2 levels need 1 level_ranges, not 0"):
        Config().with_settings({"model.levels": [8, 16]})


def test_the_teacher_is_turned_only_if_the_network_knows_turned_pictures() -> None:
    assert Config().teacher_turns == 4
    assert Config().with_settings({"augment.rotate_deg": 90}).teacher_turns == 1
    assert Config().with_settings({"loss.beta_start": 1.0}).loss.beta_stop == 1
