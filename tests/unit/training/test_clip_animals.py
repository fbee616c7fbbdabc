"""Who is who on the frames of a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_semimultipose.data.clips import Clip
from napari_semimultipose.models.directpose import LevelOutput, Output
from napari_semimultipose.training.clip_animals import associate, clip_poses
from napari_semimultipose.training.events import Done, Notice, Step
from napari_semimultipose.training.loop import train

if TYPE_CHECKING:
    from conftest import Job

SHAPE = np.array([[0, 0], [10, 0], [20, 0], [30, 0], [10, 8], [10, -8]], float)


def at(x: float, y: float, sign: int = 1) -> np.ndarray:
    """Return an animal at a place, turned round with a negative sign."""
    return sign * SHAPE + np.array([x, y])


def pairs(a: np.ndarray, b: np.ndarray, size: float = 34.0) -> set[tuple[int, int]]:
    i, j = associate(
        a,
        b,
        np.ones(a.shape[:2], bool),
        np.ones(b.shape[:2], bool),
        np.full(len(a), size),
        np.full(len(b), size),
    )
    return set(zip(i.tolist(), j.tolist(), strict=True))


def test_crossing_animals_keep_their_identity_in_any_order() -> None:
    rng = np.random.default_rng(0)
    wrong = made = 0
    for t in range(-50, 50):
        # Two animals side by side that pass each other in opposite directions.
        now = np.stack([at(4 * t, 0), at(30 - 4 * t, 40, -1)])
        after = np.stack([at(4 * t + 4, 0), at(26 - 4 * t, 40, -1)])
        order = rng.permutation(2)
        for i, j in pairs(now, after[order]):
            made += 1
            wrong += order[j] != i
    assert wrong == 0
    assert made > 190


def test_births_and_deaths_have_no_pair() -> None:
    one, two = SHAPE[None], np.stack([SHAPE + 2, SHAPE + 200])
    assert pairs(one, two) == {(0, 0)}
    assert pairs(two, one) == {(0, 0)}
    assert pairs(np.zeros((0, 6, 2)), two) == set()
    assert pairs(one, SHAPE[None] + 300) == set()


def test_doubtful_pairs_are_not_made() -> None:
    # One animal, and two equally good candidates on top of each other.
    assert pairs(SHAPE[None], np.stack([at(0, 1), at(0, -1)])) == set()


SIDE, STRIDE = 64, 8


def said(poses: torch.Tensor) -> Output:
    """Return what a network would say that sees animals [T, N, 2, 2] for sure."""
    t, n = poses.shape[:2]
    cells = SIDE // STRIDE
    cls = torch.full((t, 1, cells, cells), -7.0)
    offsets = torch.zeros((t, 2, 2, cells, cells))
    heat = torch.full((t, 2, SIDE // 4, SIDE // 4), -7.0)
    for f in range(t):
        for i in range(n):
            x, y = (poses[f, i].mean(0) / STRIDE).long().tolist()
            cls[f, 0, y, x] = 3.0
            place = torch.tensor([x, y]) * STRIDE + STRIDE // 2
            offsets[f, :, :, y, x] = (poses[f, i] - place) / STRIDE
            for k, (u, v) in enumerate((poses[f, i] / 4).long().tolist()):
                heat[f, k, max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2] = 3.0
    level = LevelOutput(STRIDE, cls, torch.full_like(cls, 3.0), offsets.requires_grad_(), offsets)
    return Output([level], heat, 4)


def test_animals_of_a_clip_are_paired_in_px_of_the_frame() -> None:
    pair = torch.tensor([[[10.0, 12], [24, 12]], [[40, 50], [54, 50]]])
    poses = pair + torch.arange(4.0)[:, None, None, None] * torch.tensor([1.0, 0.0])
    to_frame = torch.tensor([[2.0, 0, 5], [0, 2, 7]])
    output = said(poses)
    found = clip_poses(output, Clip(torch.zeros(4, 3, SIDE, SIDE), to_frame), 0.05)
    assert found.xy.shape == (8, 2, 2)
    assert len(found.pairs) == 6
    way = (found.xy[found.pairs[:, 1]] - found.xy[found.pairs[:, 0]]).norm(dim=-1)
    assert torch.allclose(way, torch.full((6, 2), 2.0), atol=1e-3)
    assert torch.allclose(found.size, torch.full((8,), 28.0), atol=1e-3)
    assert not found.size.requires_grad
    (gradient,) = torch.autograd.grad(found.xy.sum(), output.levels[0].offsets)
    assert gradient.abs().sum() > 0


def test_training_of_several_animals_takes_clips(job: Job) -> None:
    settings = ("train.method=directpose", "video.losses=[temporal, pca]", "video.start=0")
    events = list(train(**job.arguments(*settings, "video.every=1", "video.clip_frames=3")))
    assert isinstance(events[-1], Done), events[-1]
    names = {name for e in events if isinstance(e, Step) for name in e.losses}
    assert "clip_animals" in names
    notes = [e.message for e in events if isinstance(e, Notice)]
    assert any("at least three keypoints" in note for note in notes)
