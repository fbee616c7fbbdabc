"""Labels that losses on video compare with: one coordinate frame, animals and views."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_semimultipose.config import VideoConfig
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.models.geometry import side_scale
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.training.subspaces import (
    fit_subspaces,
    labelled_animals,
    view_indices,
)

SKELETON = Skeleton(("a", "b", "c", "d"))


def labels(n: int = 40) -> Poses:
    rng = np.random.default_rng(0)
    shape = np.array([[0, 0], [20, 2], [40, -3], [60, 5]], float)
    bend = rng.normal(0, 6, (n, 1, 1)) * [[0, 1], [0, 0], [0, 0], [0, 1]]
    return Poses(
        SKELETON, (shape + bend + 50 + rng.normal(0, 0.4, (n, 4, 2)))[:, None], np.arange(n)
    )


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_the_resolution_of_labelled_frames_does_not_matter(factor: int) -> None:
    """Labels on larger frames than the video's give the same loss (acceptance test 5)."""
    poses = labels()
    large = Poses(SKELETON, (poses.xy + 0.5) * factor - 0.5, poses.frame)
    scale = lambda height, width: side_scale(height, width, 128)  # noqa: E731
    found = labelled_animals(
        large, range(len(large)), lambda row: (150 * factor, 200 * factor), scale
    )
    assert found.scale == pytest.approx(128 / 200 / factor, rel=0.01)
    wanted = labelled_animals(poses, range(len(poses)), lambda row: (150, 200), scale)
    np.testing.assert_allclose(found.xy, wanted.xy, atol=1e-9)
    fitted = [
        fit_subspaces(VideoConfig(), one, SKELETON, single=True, reference=one.size)
        for one in (found, wanted)
    ]
    clip = torch.from_numpy(wanted.xy).float() + torch.tensor([0.0, 3.0])
    values = []
    for one in fitted:
        assert one.pose is not None
        values.append(one.pose.loss(clip, torch.ones(clip.shape[:2]))[0].item())
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert values[0] > 0


def test_names_of_tracks_tell_animals_and_views() -> None:
    xy = np.random.default_rng(1).uniform(0, 100, (2, 4, 4, 2))
    names = ("one_top", "one_bot", "two_TOP", "stray")
    poses = Poses(SKELETON, xy, [3, 4], track=[[0, 1, 2, 3]] * 2, track_names=names)
    found = labelled_animals(poses, range(2), lambda row: None, lambda h, w: 1.0)
    assert found.frame.tolist() == [0] * 4 + [1] * 4
    animal, view = found.animal[:4], found.view[:4]
    assert animal[0] == animal[1] != animal[2]
    assert view[0] == view[2] != view[1]
    assert (animal[3], view[3]) == (-1, -1)


def test_a_view_without_labels_does_not_count() -> None:
    space = np.random.default_rng(3).uniform(0, 100, (12, 4, 3))
    xy = np.stack([space[..., :2], space[..., [0, 2]] + [0, 400]], 1)
    names = ("m_back", "m_front", "m_side")
    poses = Poses(SKELETON, xy, np.arange(12), track=[[0, 2]] * 12, track_names=names)
    found = labelled_animals(poses, range(12), lambda row: None, lambda h, w: 1.0)
    assert found.view.tolist() == [0, 1] * 12
    fitted = fit_subspaces(
        VideoConfig(), found, SKELETON, single=False, reference=100, wanted=("multiview",)
    )
    assert fitted.views is not None


def test_views_of_one_animal_need_no_tracks_whatever_the_network() -> None:
    skeleton = Skeleton(("a_top", "b_top", "c_top", "a_bot", "b_bot", "c_bot"))
    space = np.random.default_rng(2).normal(0, 20, (30, 3, 3))
    xy = np.concatenate([space[..., [0, 1]], space[..., [0, 2]] + [0, 100]], 1)[:, None]
    poses = Poses(skeleton, xy, np.arange(30))
    found = labelled_animals(poses, range(30), lambda row: None, lambda h, w: 1.0)
    for single in (True, False):
        fitted = fit_subspaces(VideoConfig(), found, skeleton, single=single, reference=found.size)
        assert fitted.views is not None
        assert "multiview" not in fitted.why


def test_unknown_names_of_views_are_refused() -> None:
    with pytest.raises(ConfigError, match="no keypoint x"):
        view_indices(SKELETON, [["a", "x"], ["c", "d"]])
    with pytest.raises(ConfigError, match="same number"):
        view_indices(SKELETON, [["a"], ["c", "d"]])
