"""Peaks of heat maps that belong together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_semimultipose.errors import ModelError
from napari_semimultipose.inference.plausible import PlausibleChoice
from napari_semimultipose.models.peaks import Peaks
from napari_semimultipose.shapes.multiview import MultiviewPCA, fit_multiview_pca
from napari_semimultipose.shapes.pca import PosePCA, fit_pose_pca

VIEWS = np.array([[0, 1, 2], [3, 4, 5]])


def mouse(n: int, seed: int = 0) -> np.ndarray:
    """Poses [n, 6, 2] of three body parts seen from the side and from below: the same x, another y."""
    rng = np.random.default_rng(seed)
    x = np.array([20.0, 60.0, 100.0]) + rng.normal(0, 8, (n, 3)) + rng.uniform(0, 40, (n, 1))
    top = 30 + rng.normal(0, 5, (n, 3))
    low = 100 + rng.normal(0, 10, (n, 3))
    return np.stack([np.concatenate([x, x + 1], 1), np.concatenate([top, low], 1)], -1)


def found(poses: np.ndarray, others: dict[tuple[int, int], tuple[float, float, float]]) -> Peaks:
    """Peaks of poses, and for some (frame, keypoint) one that is elsewhere (x, y) with another mass."""
    n, k = poses.shape[:2]
    xy = torch.from_numpy(poses).float()[:, :, None].repeat(1, 1, 2, 1)
    mass = torch.zeros(n, k, 2)
    mass[..., 0] = 0.9
    for (frame, keypoint), (x, y, other) in others.items():
        there = [(other, torch.tensor([x, y])), (0.95 - other, xy[frame, keypoint, 0].clone())]
        for i, (m, at) in enumerate(sorted(there, key=lambda pair: -pair[0])):
            mass[frame, keypoint, i], xy[frame, keypoint, i] = m, at
    return Peaks(xy, mass)


def placed(peaks_: Peaks, index: torch.Tensor) -> np.ndarray:
    at = index[..., None, None].expand(-1, -1, 1, 2)
    return torch.gather(peaks_.xy, 2, at)[:, :, 0].numpy()


@pytest.fixture(scope="module")
def views() -> MultiviewPCA:
    return fit_multiview_pca(mouse(40), VIEWS)


@pytest.fixture(scope="module")
def pose() -> PosePCA:
    return fit_pose_pca(mouse(40), body=False)


def test_views_that_agree_are_chosen(views: MultiviewPCA) -> None:
    truth = mouse(3, seed=1)
    # the side view of the first part looks a little more like the third part
    given = found(truth, {(1, 0): (*truth[1, 2], 0.5)})
    chosen = PlausibleChoice(None, views, 2.0)(given)
    np.testing.assert_allclose(placed(given, chosen), truth, atol=1e-4)
    assert chosen.sum() == 1


def test_both_views_may_be_wrong_at_once(views: MultiviewPCA, pose: PosePCA) -> None:
    truth = mouse(2, seed=2)
    given = found(truth, {(0, 1): (200.0, 30.0, 0.5), (0, 4): (150.0, 10.0, 0.5)})
    chosen = PlausibleChoice(pose, views, 2.0)(given)
    np.testing.assert_allclose(placed(given, chosen), truth, atol=1e-4)


def test_poses_like_the_labelled_ones_are_chosen(pose: PosePCA) -> None:
    truth = mouse(4, seed=3)
    given = found(truth, {(2, 4): (5.0, 200.0, 0.6)})
    chosen = PlausibleChoice(pose, None, 2.0)(given)
    np.testing.assert_allclose(placed(given, chosen), truth, atol=1e-4)


def test_a_peak_without_a_rival_stays(views: MultiviewPCA) -> None:
    truth = mouse(2, seed=4)
    given = found(truth, {(0, 0): (170.0, 90.0, 0.94)})  # what is right has a hundredth of the mass
    assert PlausibleChoice(None, views, 2.0)(given).sum() == 0


def test_many_views_are_chosen_one_by_one() -> None:
    rng = np.random.default_rng(0)
    cameras = rng.normal(0, 1, (5, 2, 3))

    def seen(n: int) -> np.ndarray:
        points = rng.normal(0, 30, (n, 2, 3))
        return np.einsum("vij,npj->nvpi", cameras, points).reshape(n, 10, 2) + 100

    many = fit_multiview_pca(seen(40), np.arange(10).reshape(5, 2))
    truth = seen(3)
    given = found(truth, {(1, 4): (0.0, 0.0, 0.6)})
    chosen = PlausibleChoice(None, many, 2.0)(given)
    np.testing.assert_allclose(placed(given, chosen), truth, atol=1e-4)


def test_without_labels_there_is_no_choice() -> None:
    assert PlausibleChoice.of({}, 2.0) is None


@pytest.mark.parametrize("damaged", [{"pose": {"body": False}}, {"views": 3}])
def test_damaged_shapes_are_said(damaged: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="damaged"):
        PlausibleChoice.of(damaged, 2.0)


def test_few_keypoints_in_their_own_frame_do_not_teach(views: MultiviewPCA, pose: PosePCA) -> None:
    assert PlausibleChoice(pose, None, 2.0).can_teach
    few = mouse(20)[:, :4]
    body, picture = (fit_pose_pca(few, body=body) for body in (True, False))
    assert picture.free_directions == 8 - picture.subspace.basis.shape[1]
    assert body.free_directions == 8 - 4 - body.subspace.basis.shape[1]
    assert not PlausibleChoice(body, None, 2.0).can_teach
    assert PlausibleChoice(body, views, 2.0).can_teach


def test_shapes_survive_a_file(views: MultiviewPCA, pose: PosePCA) -> None:
    import json

    kept = json.loads(json.dumps({"pose": pose.numbers(), "views": views.numbers()}))
    again = PlausibleChoice.of(kept, 2.0)
    assert again is not None
    assert again.pose is not None
    assert again.views is not None
    xy, one = torch.from_numpy(mouse(5, seed=5)).float(), torch.ones(5, 6)
    torch.testing.assert_close(again.pose.errors(xy, one)[0], pose.errors(xy, one)[0])
    torch.testing.assert_close(again.views.errors(xy, one)[0], views.errors(xy, one)[0])
