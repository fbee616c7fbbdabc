"""Clips: consecutive frames, one change for all of them, undone exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_semimultipose.config import AugmentConfig
from napari_semimultipose.data.clips import ClipMaker, Footage, footage_of
from napari_semimultipose.data.frames import ScaledFrames
from napari_semimultipose.data.views import affine_about, apply
from napari_semimultipose.io.video import open_frames

N, HEIGHT, WIDTH = 30, 48, 64


def footage(excluded: tuple[int, ...] = ()) -> Footage:
    stack = (
        np.zeros((N, HEIGHT, WIDTH, 1), np.uint8)
        + np.arange(N, dtype=np.uint8)[:, None, None, None] * 8
    )
    found = footage_of(open_frames(stack), (0,), excluded)
    assert found is not None
    return found


def draw_view(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    middle = ((size[1] - 1) / 2, (size[0] - 1) / 2)
    return affine_about(
        middle,
        rng.uniform(12, 20, 2),
        angle_deg=rng.uniform(-180, 180),
        zoom=float(rng.uniform(0.5, 0.9)),
    )


def maker(*recordings: Footage, **augment: float) -> ClipMaker:
    colors = AugmentConfig(**augment)  # type: ignore[arg-type]
    return ClipMaker(recordings, ScaledFrames(1.0, 100), draw_view, 32, colors, seed=0)


def test_frames_of_a_clip_follow_each_other_and_are_never_excluded() -> None:
    clips = maker(footage(excluded=(10, 11)))
    firsts = set()
    for iteration in range(200):
        numbers = [r.index for r in clips.refs(iteration, 4)]
        assert numbers == list(range(numbers[0], numbers[0] + 4))
        assert not {10, 11} & set(numbers)
        firsts.add(numbers[0])
    assert firsts == set(range(0, 7)) | set(range(12, 27))


def test_a_clip_depends_on_its_number_alone() -> None:
    first, second = maker(footage()), maker(footage())
    for iteration in (3, 3, 8):
        a, b = first(iteration, 4), second(iteration, 4)
        assert a is not None
        assert b is not None
        assert torch.equal(a.images, b.images)


@pytest.mark.parametrize("iteration", range(5))
def test_the_change_of_geometry_is_undone_exactly(iteration: int) -> None:
    clips = maker(footage())
    view = draw_view((HEIGHT, WIDTH), np.random.default_rng([0, 6, iteration]))
    clip = clips(iteration, 3)
    assert clip is not None
    xy = np.random.default_rng(1).uniform(0, 60, (3, 7, 2))
    seen = torch.from_numpy(apply(view, xy)).float()
    np.testing.assert_allclose(clip.undo(seen).numpy(), xy, atol=1e-3)


def test_all_frames_change_alike() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (1, HEIGHT, WIDTH, 3)).astype(np.uint8)
    still = footage_of(open_frames(np.repeat(picture, N, 0)), (0,))
    assert still is not None
    clips = maker(still, blur=0.5)
    first = clips(0, 4)
    assert first is not None
    assert all(torch.equal(first.images[0], image) for image in first.images)
    second = clips(1, 4)
    assert second is not None
    assert not torch.equal(first.images, second.images)


def test_lists_of_images_are_no_footage(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from PIL import Image

    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    assert footage_of(open_frames(sorted(tmp_path.glob("*.png"))), (0,)) is None


def test_short_recordings_give_no_clip() -> None:
    clips = maker(footage())
    assert clips.refs(0, N + 1) == []
    assert clips(0, N + 1) is None


def test_what_is_seen_in_a_clip_is_found_in_the_frame() -> None:
    """Augment, find the spot in the picture, undo: the place in the frame (frames are not square)."""
    row, column = np.indices((HEIGHT, WIDTH))
    places = np.array([[25.3, 20.6], [34.8, 26.1], [31.0, 22.4]])
    stack = np.zeros((3, HEIGHT, WIDTH, 1), np.uint8)
    for picture, (x, y) in zip(stack, places, strict=True):
        picture[..., 0] = 250 * np.exp(-((column - x) ** 2 + (row - y) ** 2) / 8)
    still = footage_of(open_frames(stack), (0,))
    assert still is not None
    clips = maker(still, brightness=0, contrast=0, noise=0, blur=0)
    for iteration in range(4):
        clip = clips(iteration, 3)
        assert clip is not None
        weight = clip.images.mean(1).clamp(min=0)
        grid = torch.stack(torch.meshgrid(*[torch.arange(32.0)] * 2, indexing="xy"), -1)
        seen = (weight[..., None] * grid).sum((1, 2)) / weight.sum((1, 2))[:, None]
        inside = ((seen > 6) & (seen < 25)).all(1)
        found = clip.undo(seen)[inside]
        assert inside.any()
        np.testing.assert_allclose(found, places[inside], atol=0.3)
