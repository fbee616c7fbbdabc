"""Who is who on the frames of a clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_semimultipose.config import Config, VideoConfig
from napari_semimultipose.data.clips import Clip
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.losses.matched_views import fit_matched_views
from napari_semimultipose.models.directpose import LevelOutput, Output
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.training.clip_animals import associate, clip_poses
from napari_semimultipose.training.events import Done, Notice, Step
from napari_semimultipose.training.loop import train
from napari_semimultipose.training.video import ClipPoses, VideoLosses

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
    found = clip_poses(output, Clip(torch.zeros(4, 3, SIDE, SIDE), to_frame[None]), 0.05)
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
    assert any("at least three labelled keypoints" in note for note in notes)


def test_a_view_that_is_off_costs_on_its_frame_alone() -> None:
    rng = np.random.default_rng(1)

    def mirrored(frames: int) -> np.ndarray:
        """Two animals of six points in two views [frames, 2 views, 2 animals, 6, 2]."""
        body = rng.normal(0, 8, (frames, 2, 6, 3)) + rng.uniform(20, 80, (frames, 2, 1, 3))
        return np.stack([body[..., [0, 1]], body[..., [0, 2]] * [1, 0.5] + [0, 200]], 1)

    xy = mirrored(30)
    index = np.indices(xy.shape[:3]).reshape(3, -1)
    views = fit_matched_views(xy.reshape(-1, 6, 2), index[0], index[2], index[1], epsilon=1.0)
    video = VideoLosses(
        VideoConfig(),
        30.0,
        6,
        temporal=False,
        pose=None,
        views=views,
        jump=0,
        device=torch.device("cpu"),
    )
    poses = mirrored(3)
    poses[1, 1, 0, 2] += [11, 0]
    points = torch.from_numpy(poses.reshape(-1, 6, 2)).float().requires_grad_()
    frame = torch.arange(3).repeat_interleave(4)
    clip = ClipPoses(
        points,
        torch.ones(12, 6),
        torch.zeros((0, 2), dtype=torch.long),
        torch.full((12,), 30.0),
        frame,
    )
    terms, active = video.terms(clip)
    (gradient,) = torch.autograd.grad(terms["multiview"], points)
    moved = torch.nonzero(gradient.abs().sum(-1) > 1e-6).tolist()
    assert {tuple(place) for place in moved} <= {(4, 2), (6, 2)}
    assert terms["multiview"] > 0
    assert active["multiview"] == pytest.approx(2 / 72)


def test_views_of_several_animals_are_compared(tmp_path: Path) -> None:
    """Two animals, each there twice: as it is, and in a mirror below."""
    rng = np.random.default_rng(0)
    skeleton = Skeleton(("a", "b", "c"))
    n = 12
    body = rng.normal(0, 4, (n, 2, 3, 3)) + rng.uniform(10, 54, (n, 2, 1, 3))
    body[:, 1, :, 0] = (body[:, 1, :, 0] + 20) % 64
    top, below = body[..., [0, 1]] * [1, 0.5], body[..., [0, 2]] * [1, 0.5] + [0, 64]
    xy = np.clip(np.concatenate([top, below], 1), 1, [62, 94])
    stack = rng.integers(0, 40, (n, 96, 64, 1)).astype(np.uint8)
    names = ("one_top", "two_top", "one_bot", "two_bot")
    labels = Poses(skeleton, xy, np.arange(n), track=np.tile(range(4), (n, 1)), track_names=names)
    settings = [
        "model.channels=8",
        "model.backbone=mobilenet_v3_small",
        "train.minutes=0",
        "train.iterations=3",
        "train.precision='32'",
        "train.device=cpu",
        "train.method=directpose",
        "data.crop_px=96",
        "data.batch_labeled=2",
        "video.losses=[multiview]",
        "video.every=1",
        "video.start=0",
        "video.clip_frames=2",
    ]
    config = Config().with_settings(settings)
    frames = {0: open_frames(stack)}
    events = list(train(labels, tmp_path / "m", config, frames=frames))
    assert isinstance(events[-1], Done), events[-1]
    notes = [e.message for e in events if isinstance(e, Notice)]
    assert not any("left out" in note for note in notes), notes
    unnamed = replace(labels, track_names=())
    events = list(train(unnamed, tmp_path / "n", config, frames=frames))
    notes = [e.message for e in events if isinstance(e, Notice)]
    assert any("mouse1_top" in note for note in notes)


def test_animals_of_two_cameras_are_paired_within_each_alone() -> None:
    pair = torch.tensor([[[10.0, 12], [24, 12]], [[40, 50], [54, 50]]])
    poses = pair + torch.arange(4.0)[:, None, None, None] * torch.tensor([1.0, 0.0])
    to_frame = torch.tensor([[[2.0, 0, 5], [0, 2, 7]], [[1.0, 0, 0], [0, 1, 0]]])
    found = clip_poses(said(poses), Clip(torch.zeros(4, 3, SIDE, SIDE), to_frame), 0.05)
    assert found.camera is not None
    assert found.frame is not None
    assert found.camera.tolist() == [0] * 4 + [1] * 4
    assert found.frame.tolist() == [0, 0, 1, 1] * 2
    assert len(found.pairs) == 4
    assert (found.camera[found.pairs[:, 0]] == found.camera[found.pairs[:, 1]]).all()
    way = (found.xy[found.pairs[:, 1]] - found.xy[found.pairs[:, 0]]).norm(dim=-1).mean(1)
    assert way[:2].tolist() == pytest.approx([2.0, 2.0], abs=1e-3)
    assert way[2:].tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
