"""The objective of a step: pseudo keypoints, teachers, and what acts when."""

from __future__ import annotations

import math

import pytest
import torch

from napari_semimultipose.config import Config
from napari_semimultipose.data.batch import Batch
from napari_semimultipose.data.views import affine_about
from napari_semimultipose.inference.decode import Detections
from napari_semimultipose.losses.objective import Labels
from napari_semimultipose.models.directpose import LevelOutput, Output
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.training.pseudo import pseudo_labels
from napari_semimultipose.training.step import Objective, longest_limbs_px

SKELETON = Skeleton(("head", "left", "right"), edges=((0, 1),), symmetry=((1, 2),))
CPU = torch.device("cpu")


def objective(config: Config) -> Objective:
    return Objective(config, SKELETON, ((0,), (1,), (2,)), [10.0], CPU)


def output(side: int, stride: int = 8, heat_stride: int = 8, k: int = 3) -> Output:
    cells, heat = side // stride, side // heat_stride
    low = torch.full((1, 1, cells, cells), -7.0)
    return Output(
        [
            LevelOutput(
                stride,
                low,
                torch.full_like(low, 3.0),
                torch.zeros(1, k, 2, cells, cells),
                torch.zeros(1, k, 2, cells, cells),
            )
        ],
        torch.full((1, k, heat, heat), -7.0),
        heat_stride,
    )


def found(xy: torch.Tensor) -> Detections:
    n = len(xy)
    zeros = torch.zeros(n, dtype=torch.long)
    return Detections(zeros, xy, torch.full((n,), 0.5), torch.full((n,), 0.8), zeros, zeros)


def test_the_stretch_of_the_published_code_is_608_over_600() -> None:
    xy = torch.full((1, 3, 2), 300.0)
    faithful = objective(Config.from_preset("paper"))._pseudo_keypoints(found(xy), output(608))
    stretched = objective(Config.from_preset("authors_code"))._pseudo_keypoints(
        found(xy), output(608)
    )
    assert float(faithful.cells[0, 0, 0]) == pytest.approx((300 - 4) / 8)
    assert float(stretched.cells[0, 0, 0]) == pytest.approx((300 * 608 / 600 - 4) / 8)
    # Their weights are the class score, and that times centreness.
    assert (float(faithful.score[0]), float(stretched.score[0])) == pytest.approx((0.8, 0.5))


def test_longest_limbs_are_at_the_working_scale() -> None:
    xy = torch.tensor([[[[0.0, 0], [30, 40], [5, 5]], [[0, 0], [3, 4], [5, 5]]]]).numpy()
    assert longest_limbs_px(Poses(SKELETON, xy, [0]), [0], 0.5) == [25.0]


def teacher(xy: torch.Tensor, score: float, *, clear: tuple[bool, ...]) -> Output:
    """A teacher that sees one animal; its heat maps agree on the keypoints marked as clear."""
    out = output(64, heat_stride=4)
    (level,) = out.levels
    level.cls[0, 0, 4, 4] = math.log(score / (1 - score))
    level.quality[:] = 20.0
    level.offsets[0, :, :, 4, 4] = (xy - 36.0) / 8
    axis = torch.arange(16.0)
    for k, (x, y) in enumerate(((xy - 2) / 4).tolist()):
        if clear[k]:
            bump = torch.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / 2)
            out.heat[0, k] = torch.logit((0.95 * bump).clamp(1e-3))
    return out


XY = torch.tensor([[38.0, 30.0], [26.0, 34.0], [46.0, 42.0]])


def follow(said: Output, *, mirrored: bool = False, confident: float = 0.3) -> Labels:
    affine = affine_about((31.5, 31.5), (31.5, 31.5), angle_deg=20, mirrored=mirrored)
    (labels,) = pseudo_labels(
        said,
        torch.from_numpy(affine).float()[None],
        64,
        Config().loss,
        confident,
        torch.from_numpy(SKELETON.mirror_index),
    )
    return labels


def test_a_teachers_animal_is_carried_into_the_view_of_the_pupil() -> None:
    labels = follow(teacher(XY, 0.9, clear=(True, True, True)))
    affine = torch.from_numpy(affine_about((31.5, 31.5), (31.5, 31.5), angle_deg=20)).float()
    torch.testing.assert_close(
        labels.keypoints[0], XY @ affine[:, :2].T + affine[:, 2], atol=0.3, rtol=0
    )
    assert labels.visible.all()


def test_a_mirrored_view_trades_left_and_right() -> None:
    straight = follow(teacher(XY, 0.9, clear=(True, True, False)))
    mirrored = follow(teacher(XY, 0.9, clear=(True, True, False)), mirrored=True)
    assert straight.labeled.tolist() == [[True, True, False]]
    assert mirrored.labeled.tolist() == [[True, False, True]]


def test_unsure_animals_are_no_labels_and_their_place_is_left_out() -> None:
    labels = follow(teacher(XY, 0.2, clear=(True, True, True)))
    assert len(labels.keypoints) == 0
    assert labels.ignored is not None
    inside = labels.ignored(torch.tensor([[31.5, 36.0], [31.5, 60.0]]))
    assert inside.tolist() == [True, False]


def test_what_the_teacher_did_not_see_is_left_out() -> None:
    labels = follow(teacher(XY, 0.9, clear=(True, True, True)))
    assert labels.ignored is not None
    assert labels.ignored(torch.tensor([[0.0, 0.0], [31.5, 31.5]])).tolist() == [True, False]


def test_animals_that_the_branches_disagree_on_are_no_labels() -> None:
    assert len(follow(teacher(XY, 0.9, clear=(False, False, False))).keypoints) == 0


class Says(torch.nn.Module):
    """A network that always says the same."""

    def __init__(self, said: Output) -> None:
        super().__init__()
        self.said = said

    def forward(self, images: torch.Tensor) -> Output:
        return self.said


@pytest.mark.parametrize("missing", [False, True])
def test_own_keypoints_teach_the_heat_maps_of_labelled_frames_only_where_labels_are_missing(
    missing: bool,
) -> None:
    said = teacher(XY + 6.0, 0.9, clear=(False, False, False))
    said.heat.requires_grad_()
    known = torch.tensor([[not missing, True, True]])
    batch = Batch(torch.zeros(1, 3, 64, 64), [XY[None]], [known], [known])
    config = Config().with_settings({"train.method": "labeled", "loss.alpha": 1.0})
    loss = objective(config)(Says(said), None, batch, 1.0)
    assert float(loss.terms["labeled_to_keypoints"]) == 0.0
    assert (float(loss.terms["labeled_to_heat"]) > 0.1) is missing
    (taught,) = torch.autograd.grad(
        loss.total
        - objective(config.with_settings({"loss.alpha": 0.0}))(Says(said), None, batch, 1.0).total,
        said.heat,
    )
    assert not taught[0, 1:].any()
    assert bool(taught[0, 0].any()) is missing


def twice(said: Output) -> Output:
    """The same of two views, a labelled and an unlabelled one."""
    levels = [
        LevelOutput(
            v.stride, *(torch.cat([x, x]) for x in (v.cls, v.quality, v.offsets, v.guesses))
        )
        for v in said.levels
    ]
    return Output(levels, torch.cat([said.heat, said.heat]), said.heat_stride)


def two_views(zoom: float = 1.0) -> Batch:
    known = torch.ones(1, 3, dtype=torch.bool)
    images = torch.zeros(2, 3, 64, 64)
    return Batch(images, [XY[None]], [known], [known], zoom=torch.tensor([zoom]))


def test_without_averaged_weights_the_views_have_no_teacher() -> None:
    """Then the own keypoints teach the heat maps of unlabelled views, as without ``loss.teacher``."""
    views = Config().with_settings({"loss.pseudo_from": "views"})
    assert objective(views).needs_plain
    alone = objective(views.with_settings({"train.ema": 0}))
    assert not alone.needs_plain
    network = Says(twice(teacher(XY + 6.0, 0.9, clear=(False, False, False))))
    assert "unlabeled_to_heat" in alone(network, None, two_views(), 1.0).terms
    assert "unlabeled_to_heat" not in objective(views)(network, None, two_views(), 1.0).terms


def test_limbs_are_as_long_as_their_view_shows_them() -> None:
    config = Config().with_settings({"loss.limb_hinge": 1.0})
    network = Says(twice(teacher(XY, 0.9, clear=(True, True, True))))
    longest = float((XY[0] - XY[1]).norm())
    limbs = Objective(config, SKELETON, ((0,), (1,), (2,)), [longest], CPU)
    for zoom, expected in ((1.0, 0.0), (0.5, 0.8 * 0.9)):
        found = limbs(network, None, two_views(zoom), 1.0).terms["limb_hinge"]
        assert float(found) == pytest.approx(expected, abs=0.02)
    never = Objective(config, SKELETON, ((0,), (1,), (2,)), [0.0], CPU)
    assert "limb_hinge" not in never(network, None, two_views(), 1.0).terms
