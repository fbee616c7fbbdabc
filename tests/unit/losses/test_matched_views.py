"""Animals in mirrors: which instances are one and the same, and what their views must have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_semimultipose.losses.matched_views import (
    MatchedViews,
    fit_matched_views,
    why_no_matched_views,
)

K = 6
PLACES = np.array([[150.0, 100], [150, 320], [420, 200]])


def scene(
    rng: np.random.Generator, frames: int, animals: int, views: int = 2, noise: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Animals under affine cameras that look at different parts of the picture.

    Poses [M, K, 2] in px, and frame, animal and view [M] of each.
    """
    cameras = np.random.default_rng(3).normal(0, 1, (views, 2, 3))
    body = rng.normal(0, 12, (frames, animals, K, 3)) + rng.uniform(
        -35, 35, (frames, animals, 1, 3)
    )
    seen = np.einsum("vij,fakj->favki", cameras, body) + PLACES[:views, None]
    seen += rng.normal(0, noise, seen.shape)
    index = np.indices((frames, animals, views)).reshape(3, -1)
    return seen.reshape(-1, K, 2), *index


def fitted(views: int = 2, frames: int = 40) -> MatchedViews:
    return fit_matched_views(*scene(np.random.default_rng(0), frames, 2, views))


def found(model: MatchedViews, xy: np.ndarray, frame: np.ndarray) -> set[tuple[int, ...]]:
    made = model.tuples(xy, np.isfinite(xy).all(-1), frame)
    return {tuple(row) for row in made.tolist()}


@pytest.mark.parametrize("views", [2, 3])
def test_animals_are_matched_in_any_order(views: int) -> None:
    rng = np.random.default_rng(1)
    model = fitted(views)
    xy, frame, animal, view = scene(rng, 30, 3, views)
    order = rng.permutation(len(xy))
    pairs = found(model, xy[order], frame[order])
    wrong = whole = 0
    for row in pairs:
        there = order[[i for i in row if i >= 0]]
        wrong += len(set(zip(frame[there], animal[there], strict=True))) > 1
        whole += len(there) == views
        assert sorted(view[there]) == [v for v, i in enumerate(row) if i >= 0]
    assert wrong == 0
    assert whole > 0.8 * 90


def test_an_animal_without_a_partner_stays_alone() -> None:
    model = fitted()
    xy, frame, animal, view = scene(np.random.default_rng(2), 20, 2)
    kept = ~((animal == 1) & (view == 1))
    names = animal[kept]
    for a, b in found(model, xy[kept], frame[kept]):
        assert names[a] == names[b] == 0


def test_doubtful_pairs_are_not_made() -> None:
    model = fitted()
    xy, frame, _, view = scene(np.random.default_rng(4), 1, 1)
    twin = xy[view == 1] + 0.2  # a second candidate that fits as well
    assert len(found(model, xy, frame)) == 1
    assert found(model, np.concatenate([xy, twin]), np.zeros(3, int)) == set()
    far = xy.copy()
    far[1] += 0.4 * np.random.default_rng(5).normal(0, 60, (K, 2))
    assert found(model, far, frame) == set()


def test_too_little_in_common_is_no_pair() -> None:
    model = fitted()
    xy, frame, _, _ = scene(np.random.default_rng(6), 10, 1)
    holes = xy.copy()
    holes[::2, 2:] = np.nan
    assert found(model, holes, frame) == set()


def test_the_tolerance_covers_unseen_animals() -> None:
    model = fitted(frames=60)
    xy, frame, _, _ = scene(np.random.default_rng(7), 100, 1)
    points = torch.from_numpy(xy).float()
    error, known = model.errors(points, torch.ones(points.shape[:2]), torch.from_numpy(frame))
    assert known.float().mean() > 0.95
    inside = error <= model.limits(points)[:, None]
    assert 0.97 <= inside[known].float().mean() <= 1


def test_the_loss_moves_the_unsure_view() -> None:
    model = fitted()
    xy, frame, animal, view = scene(np.random.default_rng(8), 4, 2)
    points = torch.from_numpy(xy).float()
    moved = points.clone()
    one = int(np.flatnonzero((frame == 2) & (animal == 1) & (view == 1))[0])
    other = int(np.flatnonzero((frame == 2) & (animal == 1) & (view == 0))[0])
    moved[one, 3] += torch.tensor([25.0, -25.0])
    weight = torch.ones(moved.shape[:2])
    weight[one, 3] = 0.1
    frames = torch.from_numpy(frame)
    assert model.loss(points, weight, frames)[0] < 0.05
    loss, active = model.loss(moved.requires_grad_(), weight, frames)
    assert loss > 0.1
    assert 0 < active < 0.1
    (gradient,) = torch.autograd.grad(loss, moved)
    assert gradient[one, 3].norm() > 0
    error, _ = model.errors(moved, weight, frames)
    assert error[one, 3] > 3 * error[other, 3]


def test_unsure_keypoints_have_no_gradient() -> None:
    model = fitted()
    xy, frame, _, _ = scene(np.random.default_rng(9), 3, 2)
    points = (torch.from_numpy(xy).float() + 2 * torch.randn(xy.shape)).requires_grad_()
    weight = torch.ones(points.shape[:2])
    weight[:, 4] = 0
    loss, _ = model.loss(points, weight, torch.from_numpy(frame))
    (gradient,) = torch.autograd.grad(loss, points)
    assert gradient[:, 4].abs().sum() == 0


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_match_is_no_loss(count: int) -> None:
    model = fitted()
    xy = torch.randn(count, K, 2).requires_grad_()
    loss, active = model.loss(xy, torch.ones(count, K), torch.zeros(count, dtype=torch.long))
    assert loss == 0
    assert active == 0
    loss.backward()


def test_what_is_missing_is_said() -> None:
    rng = np.random.default_rng(10)
    labels = scene(rng, 20, 2)
    assert why_no_matched_views(*labels) == ""
    xy, frame, animal, view = labels
    nothing = np.full(len(xy), -1)
    assert "mouse1_top" in why_no_matched_views(xy, frame, nothing, nothing)
    assert "there are 6" in why_no_matched_views(*(part[:2] for part in labels))
    mixed = xy - xy.mean(1, keepdims=True) + rng.uniform(0, 300, (len(xy), 1, 2))
    assert "different parts of the picture" in why_no_matched_views(mixed, frame, animal, view)
