"""Multi-view PCA between synchronous cameras: what a point in space cannot look like costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_semimultipose.losses.camera_views import (
    CameraViews,
    fit_camera_views,
    why_no_camera_views,
)

K = 5


def cameras(count: int) -> np.ndarray:
    """Affine cameras [V, 2, 4] of a scale of about 1 px per unit."""
    rng = np.random.default_rng(7)
    return np.concatenate([rng.normal(0, 1, (count, 2, 3)), rng.uniform(80, 200, (count, 2, 1))], 2)


def scene(
    seed: int, moments: int, views: int, animals: int = 1, noise: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Poses [M, K, 2] in px, and moment, animal and camera [M] of each."""
    rng = np.random.default_rng(seed)
    space = rng.normal(0, 15, (moments, animals, K, 3)) + rng.uniform(
        -60, 60, (moments, animals, 1, 3)
    )
    ones = np.concatenate([space, np.ones((*space.shape[:3], 1))], -1)
    xy = np.einsum("vij,makj->mavki", cameras(views), ones)
    xy += rng.normal(0, noise, xy.shape) if noise else 0.0
    moment, animal, camera = np.indices((moments, animals, views)).reshape(3, -1)
    return xy.reshape(-1, K, 2), moment, animal, camera


def fitted(views: int, noise: float = 0.3, *, single: bool = True, animals: int = 1) -> CameraViews:
    poses, *about = scene(0, 40, views, animals, noise)
    return fit_camera_views(poses, *about, views, single=single)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(a) for a in arrays]


@pytest.mark.parametrize("views", [2, 3, 4])
def test_affine_cameras_are_described_exactly_by_three_components(views: int) -> None:
    poses, moment, animal, camera = scene(1, 30, views)
    model = fit_camera_views(poses, moment, animal, camera, views, single=True)
    assert model.subspace.basis.shape == (2 * views, 3)
    # The plane of the fit is that of the cameras: an orthonormal basis spans their columns.
    matrix = cameras(views)[:, :, :3].reshape(2 * views, 3)
    rest = matrix - model.subspace.basis @ (model.subspace.basis.T @ matrix)
    assert np.abs(rest).max() < 1e-9
    new, moment, _, camera = scene(2, 50, views)
    error, known = model.errors(
        torch.from_numpy(new).float(), torch.ones(new.shape[:2]), *tensors(moment, camera)
    )
    assert known.all()
    assert error.max() < 1e-4 * 300  # a ridge of 1e-4 draws to the mean, which is up to 300 px away
    assert model.epsilon.max() < 0.03


def test_missing_labels_do_not_turn_the_subspace() -> None:
    poses, moment, animal, camera = scene(1, 60, 3)
    poses[np.random.default_rng(0).random(poses.shape[:2]) < 0.2] = np.nan
    model = fit_camera_views(poses, moment, animal, camera, 3, single=True)
    matrix = cameras(3)[:, :, :3].reshape(6, 3)
    cosines = np.linalg.svd(model.subspace.basis.T @ np.linalg.qr(matrix)[0], compute_uv=False)
    assert np.rad2deg(np.arccos(cosines.min().clip(-1, 1))) < 5


def corrupted(views: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, torch.Tensor]:
    """Clean poses, moments, cameras, the instance that is displaced, and by how much one of its keypoints is.

    With two cameras a displacement along the image of the other camera's rays costs nothing: the direction is
    the one that no point in space explains.
    """
    xy, moment, _, camera = scene(5, 6, views)
    one = int(np.flatnonzero((moment == 3) & (camera == 1))[0])
    matrix = cameras(views)[:, :, :3].reshape(2 * views, 3)
    normal = np.linalg.svd(matrix)[0][:, 3][2:4]
    push = torch.from_numpy(30 * normal / np.linalg.norm(normal)).float()
    return (*tensors(xy.astype(np.float32), moment, camera), one, push)  # type: ignore[return-value]


@pytest.mark.parametrize("views", [2, 3])
def test_the_gradient_pulls_a_corrupted_view_back(views: int) -> None:
    model = fitted(views)
    clean, moment, camera, one, push = corrupted(views)
    moved = clean.clone()
    moved[one, 2] += push
    moved.requires_grad_()
    weight = torch.ones(moved.shape[:2])
    assert model.loss(clean, weight, moment, camera)[0] < 0.05
    loss, active = model.loss(moved, weight, moment, camera)
    (gradient,) = torch.autograd.grad(loss, moved)
    assert (gradient[one, 2] * push).sum() > 0  # a step down is a step back
    assert 0 < active < 0.1
    touched = {tuple(place) for place in torch.nonzero(gradient.abs().sum(-1) > 1e-7).tolist()}
    others = {(int(i), 2) for i in torch.nonzero(moment == moment[one])}
    assert (one, 2) in touched
    assert touched <= others  # neither other moments nor other keypoints


@pytest.mark.parametrize(("views", "left"), [(2, 0.7), (3, 0.35)])
def test_free_coordinates_return_to_where_the_other_cameras_say(views: int, left: float) -> None:
    """Gradient descent on the coordinates alone; the corrupted view is the unsure one.

    The cameras agree in the end. Two meet each other, because nothing but the tolerance holds the sure one;
    two sure ones of three bring the other back.
    """
    model = fitted(views)
    clean, moment, camera, one, push = corrupted(views)
    moved = clean.clone()
    moved[one, 2] += push
    moved.requires_grad_()
    weight = torch.ones(moved.shape[:2])
    weight[one, 2] = 0.1
    optimizer = torch.optim.SGD([moved], lr=25.0)
    start = float(model.loss(moved, weight, moment, camera)[0].detach())
    for _ in range(160):
        optimizer.zero_grad()
        model.loss(moved, weight, moment, camera)[0].backward()
        optimizer.step()
    assert model.loss(moved, weight, moment, camera)[0] < 0.02 * start
    way = (moved.detach() - clean).norm(dim=-1)
    assert way[one, 2] < left * push.norm()
    assert way[moment != moment[one]].max() == 0


def test_views_that_say_nothing_do_not_count() -> None:
    model = fitted(3)
    xy, moment, _, camera = scene(6, 4, 3)
    points = torch.from_numpy(xy).float()
    bad = points.clone()
    bad[2] += 500  # the third camera of the first moment sees nonsense, and knows it
    weight = torch.ones(points.shape[:2])
    weight[2] = 0
    bad.requires_grad_()
    loss, _ = model.loss(bad, weight, *tensors(moment, camera))
    assert loss < 0.05
    (gradient,) = torch.autograd.grad(loss, bad)
    assert gradient[2].abs().sum() == 0
    _, known = model.errors(points, weight, *tensors(moment, camera))
    assert known[:2].all()  # two cameras are enough
    assert not known[2].any()
    weight[1] = 0
    _, known = model.errors(points, weight, *tensors(moment, camera))
    assert not known[:3].any()


def test_instances_of_other_recordings_and_empty_clips_are_fine() -> None:
    model = fitted(2)
    xy, moment, _, camera = scene(6, 4, 2)
    camera[:2] = -1
    points = torch.from_numpy(xy).float().requires_grad_()
    _, known = model.errors(points, torch.ones(xy.shape[:2]), *tensors(moment, camera))
    assert not known[:2].any()
    assert known[2:].all()
    none = torch.zeros((0,), dtype=torch.long)
    loss, active = model.loss(torch.zeros((0, K, 2)), torch.zeros((0, K)), none, none)
    assert loss == active == 0


def test_the_tolerance_covers_labels_that_were_not_seen() -> None:
    model = fitted(3, noise=0.5)
    xy, moment, _, camera = scene(8, 200, 3, noise=0.5)
    error, known = model.errors(
        torch.from_numpy(xy).float(), torch.ones(xy.shape[:2]), *tensors(moment, camera)
    )
    inside = error <= model.limits(torch.from_numpy(camera))[:, None]
    assert known.all()
    assert 0.97 <= inside.float().mean() <= 1


def test_several_animals_are_paired_by_what_the_cameras_have_in_common() -> None:
    model = fitted(2, single=False, animals=2)
    xy, moment, animal, camera = scene(9, 20, 2, 2, 0.3)
    order = np.random.default_rng(0).permutation(len(xy))
    xy, moment, animal, camera = xy[order], moment[order], animal[order], camera[order]
    tuples = model.tuples(xy, np.ones(xy.shape[:2], bool), moment, camera)
    assert len(tuples) > 35
    a, b = tuples.T
    np.testing.assert_array_equal(animal[a], animal[b])
    np.testing.assert_array_equal(moment[a], moment[b])
    assert (camera[a] == 0).all()
    assert (camera[b] == 1).all()
    # A stranger in one camera is paired with nobody.
    stranger = xy[:1] + np.random.default_rng(1).normal(0, 30, (1, K, 2))
    with_it = model.tuples(
        np.concatenate([xy, stranger]),
        np.ones((len(xy) + 1, K), bool),
        np.append(moment, moment[0]),
        np.append(camera, camera[0]),
    )
    assert len(xy) not in with_it


def test_what_labels_lack_is_said() -> None:
    names = ("top", "side", "front")
    poses, moment, animal, camera = scene(0, 20, 3)
    assert why_no_camera_views(poses, moment, animal, camera, names) == ""
    few = moment < 2
    said = why_no_camera_views(poses[few], moment[few], animal[few], camera[few], names)
    assert "needs 12 body parts" in said
    assert "there are 10 at 2" in said
    half = (camera < 2) | (moment < 1)
    said = why_no_camera_views(poses[half], moment[half], animal[half], camera[half], names)
    assert "Of 20 labelled moments, 19 lack a camera" in said
    two = camera < 2
    said = why_no_camera_views(poses[two], moment[two], animal[two], camera[two], names)
    assert "there are none of front" in said
    said = why_no_camera_views(poses, moment, np.full_like(animal, -1), camera, names)
    assert "tracks must tell" in said
