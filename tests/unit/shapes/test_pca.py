"""Pose PCA and multi-view PCA: what they ignore, what they find, and their tolerance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_semimultipose.shapes.multiview import fit_multiview_pca, why_no_multiview_pca
from napari_semimultipose.shapes.pca import PosePCA, fit_pose_pca, why_no_pose_pca
from napari_semimultipose.shapes.subspace import Subspace, fit_gaussian, fit_subspace

SHAPE = np.array([[0, 0], [12, 1], [25, 0], [38, -2], [20, 14], [20, -14], [52, 3]], float)


def bend(rng: np.random.Generator, n: int, noise: float = 0.3) -> np.ndarray:
    """Poses of an animal that bends and stretches, always the same way up [n, 7, 2], px."""
    a, b = rng.normal(0, 1, (2, n))
    poses = np.repeat(SHAPE[None], n, 0)
    poses[:, :, 1] += a[:, None] * (SHAPE[:, 0] - 20) ** 2 / 150
    poses[:, :, 0] += b[:, None] * (SHAPE[:, 0] - 20) / 12
    return poses + 100 + rng.normal(0, noise, poses.shape)


def moved(poses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put poses at other places, in other directions and sizes."""
    n = len(poses)
    angle, scale = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.7, 1.4, n)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    return np.einsum("nij,nkj->nki", turn, poses) + rng.uniform(0, 300, (n, 1, 2))


def errors(pca: PosePCA, poses: np.ndarray) -> np.ndarray:
    xy = torch.from_numpy(poses).float()
    error, size = pca.errors(xy, torch.isfinite(xy).all(-1).float())
    return (error / size[:, None]).numpy()


@pytest.mark.parametrize("body", [False, True])
def test_the_tolerance_covers_unseen_poses(body: bool) -> None:
    rng = np.random.default_rng(0)
    put = (lambda p: moved(p, rng)) if body else (lambda p: p)
    pca = fit_pose_pca(put(bend(rng, 150)), body=body)
    inside = errors(pca, put(bend(rng, 400))) <= pca.epsilon.numpy()
    assert 0.975 <= inside.mean() <= 1


def test_the_body_frame_ignores_place_direction_and_size() -> None:
    rng = np.random.default_rng(1)
    pca = fit_pose_pca(moved(bend(rng, 120), rng), body=True)
    poses = bend(rng, 20)
    poses[:, 3] += 9  # something to measure
    first, second = errors(pca, poses), errors(pca, moved(poses, rng))
    np.testing.assert_allclose(first, second, atol=2e-3)
    assert (first[:, 3] > pca.epsilon[3].item()).mean() > 0.9


@pytest.mark.parametrize("body", [False, True])
def test_keypoints_without_labels_hide_no_mistake(body: bool) -> None:
    """They count neither for the directions that poses may take, nor as right or wrong."""
    rng = np.random.default_rng(11)
    poses = SHAPE + rng.normal(0, 1, (60, 7, 2))  # every direction varies
    poses = moved(poses, rng) if body else poses + 100
    never = np.full((60, 2, 2), np.nan)
    pca = fit_pose_pca(np.concatenate([never, poses], 1), body=body)
    alone = fit_pose_pca(poses, body=body)
    assert pca.free_directions == alone.free_directions > 0
    xy = torch.from_numpy(np.concatenate([np.zeros((60, 2, 2)), poses], 1)).float()
    xy[:, 4] += 100
    loss, active = pca.loss(xy, torch.ones(60, 9))
    expected, share = alone.loss(xy[:, 2:], torch.ones(60, 7))
    torch.testing.assert_close(loss, expected, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(active, share, rtol=1e-2, atol=1e-3)
    assert loss > 1
    only = torch.zeros(60, 9)
    only[:, [0, 3]] = 1  # one of them has labels
    assert torch.isfinite(pca.loss(xy, only)[0])
    given = fit_pose_pca(np.concatenate([never, poses], 1), body=body, epsilon=0.5)
    assert torch.isinf(given.epsilon).tolist() == [True] * 2 + [False] * 7


def test_a_wrong_keypoint_does_not_pull_the_others_along() -> None:
    rng = np.random.default_rng(2)
    pca = fit_pose_pca(bend(rng, 150), body=False)
    poses = bend(rng, 50)
    poses[:, 4] += [0, 25]
    error = errors(pca, poses)
    assert np.median(error[:, 4]) > 20
    assert np.median(np.delete(error, 4, 1)) < 1


def test_missing_labels_hardly_turn_the_subspace() -> None:
    rng = np.random.default_rng(3)
    rows = bend(rng, 200).reshape(200, -1)
    whole = fit_subspace(rows, 2)
    holes = rows.copy()
    holes[rng.random(holes.shape) < 0.3] = np.nan
    other = fit_subspace(holes, 2)
    cosines = np.linalg.svd(whole.basis.T @ other.basis)[1]
    assert np.degrees(np.arccos(cosines.clip(-1, 1))).max() < 5


def test_the_covariance_is_that_of_the_data() -> None:
    rng = np.random.default_rng(4)
    mix = rng.normal(size=(3, 3))
    rows = rng.normal(size=(4000, 3)) @ mix.T + [1, 2, 3]
    rows[rng.random(rows.shape) < 0.2] = np.nan
    mean, covariance = fit_gaussian(rows)
    truth = mix @ mix.T
    np.testing.assert_allclose(mean, [1, 2, 3], atol=0.05 * np.trace(truth) ** 0.5)
    np.testing.assert_allclose(covariance, truth, atol=0.05 * np.trace(truth))


def test_the_gradient_leads_to_the_subspace_and_spares_unused_keypoints() -> None:
    rng = np.random.default_rng(5)
    pca = fit_pose_pca(bend(rng, 150), body=False)
    poses = bend(rng, 4)
    poses[:, 2] += [0, 20]
    xy = torch.from_numpy(poses).float().requires_grad_()
    weight = torch.ones(4, 7)
    loss, active = pca.loss(xy, weight)
    assert 0 < active < 0.5
    (gradient,) = torch.autograd.grad(loss, xy)
    assert (gradient[:, 2, 1] > 0).all()
    assert gradient[:, 2].norm() > 3 * gradient[:, [0, 1, 3, 4, 5, 6]].norm()
    weight[:, 2] = 0
    (gradient,) = torch.autograd.grad(pca.loss(xy, weight)[0], xy)
    assert gradient[:, 2].norm() == 0


def test_no_loss_can_be_lowered_by_shrinking_the_animal() -> None:
    rng = np.random.default_rng(6)
    pca = fit_pose_pca(moved(bend(rng, 100), rng), body=True)
    xy = torch.from_numpy(moved(bend(rng, 5), rng)).float()
    error, size = pca.errors(xy.requires_grad_(), torch.ones(5, 7))
    assert not size.requires_grad
    assert error.requires_grad


def test_nothing_to_compare_is_no_loss() -> None:
    pca = PosePCA(Subspace(np.zeros(6), np.eye(6)[:, :2]), body=False, epsilon=np.ones(3))
    loss, active = pca.loss(torch.randn(2, 3, 2), torch.zeros(2, 3))
    assert loss == 0
    assert active == 0


def mirrored(rng: np.random.Generator, n: int) -> np.ndarray:
    """Five body parts in two views of an affine camera each [n, 10, 2], px."""
    space = rng.normal(0, 30, (n, 5, 3))
    cameras = rng.normal(0, 1, (2, 2, 3))
    views = np.einsum("vij,npj->nvpi", cameras, space) + 150
    return views.reshape(n, 10, 2) + rng.normal(0, 0.2, (n, 10, 2))


def test_views_of_points_in_space_agree() -> None:
    rng = np.random.default_rng(7)
    poses = mirrored(rng, 80)
    views = np.arange(10).reshape(2, 5)
    holes = poses[:60].copy()
    holes[rng.random(holes.shape[:2]) < 0.15] = np.nan
    pca = fit_multiview_pca(holes, views)
    test = torch.from_numpy(poses[60:]).float()
    error, known = pca.errors(test, torch.ones(20, 10))
    assert known.all()
    assert (error <= pca.epsilon[:, None]).float().mean() > 0.95
    wrong = test.clone()
    wrong[:, 3, 1] += 40
    sure = torch.ones(20, 10)
    sure[:, 3] = 0.1
    far, _ = pca.errors(wrong.requires_grad_(), sure)
    assert far[:, 0, 3].median() > 5 * pca.epsilon.max()
    # The unsure view is the one to move.
    (gradient,) = torch.autograd.grad(far[:, :, 3].square().sum(), wrong)
    assert gradient[:, 3].norm() > 3 * gradient[:, 8].norm()


def test_an_unseen_view_is_left_alone() -> None:
    rng = np.random.default_rng(8)
    pca = fit_multiview_pca(mirrored(rng, 60), np.arange(10).reshape(2, 5))
    weight = torch.ones(3, 10)
    weight[:, 2] = 0
    _, known = pca.errors(torch.zeros(3, 10, 2), weight)
    assert not known[:, :, 2].any()
    assert known[:, :, [0, 1, 3, 4]].all()


def test_what_is_missing_is_said() -> None:
    rng = np.random.default_rng(9)
    assert why_no_pose_pca(bend(rng, 30)) == ""
    assert "label 3 more" in why_no_pose_pca(bend(rng, 5))
    views = np.arange(10).reshape(2, 5)
    assert why_no_multiview_pca(mirrored(rng, 20), views) == ""
    assert "there are 5 on 1" in why_no_multiview_pca(mirrored(rng, 1), views)
    one = mirrored(rng, 2)[:, np.repeat(np.arange(10).reshape(2, 5), 4, 1).reshape(-1)]
    many = np.arange(40).reshape(2, 20)
    assert "there are 20 on 1" in why_no_multiview_pca(one[:1], many)
    assert why_no_multiview_pca(one, many) == ""
    one[1, many[1]] = np.nan  # the second frame shows one view
    assert "there are 20 on 1" in why_no_multiview_pca(one, many)
    assert "nose_bot" in why_no_multiview_pca(mirrored(rng, 20), np.zeros((0, 0), int))
