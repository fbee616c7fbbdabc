"""Clips: consecutive frames, one change for all of them, undone exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from napari_semimultipose.config import AugmentConfig
from napari_semimultipose.data.clips import ClipMaker, Footage, clip_length, footage_of
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


def draw_views(sizes: Sequence[tuple[int, int]], rng: np.random.Generator) -> list[np.ndarray]:
    return [
        affine_about(
            ((width - 1) / 2, (height - 1) / 2),
            rng.uniform(12, 20, 2),
            angle_deg=rng.uniform(-180, 180),
            zoom=float(rng.uniform(0.5, 0.9)),
        )
        for height, width in sizes
    ]


def maker(*recordings: Footage, **augment: float) -> ClipMaker:
    colors = AugmentConfig(**augment)  # type: ignore[arg-type]
    return ClipMaker(recordings, ScaledFrames(1.0, 100), draw_views, 32, colors, seed=0)


def numbers_of(clips: ClipMaker, iteration: int, length: int) -> list[int]:
    (camera,) = clips.refs(iteration, length)
    return [ref.index for ref in camera]


def test_frames_of_a_clip_follow_each_other_and_are_never_excluded() -> None:
    clips = maker(footage(excluded=(10, 11)))
    firsts = set()
    for iteration in range(200):
        numbers = numbers_of(clips, iteration, 4)
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
    (view,) = draw_views([(HEIGHT, WIDTH)], np.random.default_rng([0, 6, iteration]))
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


# ------------------------------------------------------------ several cameras


def camera(name: str, number: int, excluded: tuple[int, ...] = ()) -> Footage:
    """Return 30 frames whose grey level says which they are, of another size for each camera."""
    shape = (N, HEIGHT + 8 * number, WIDTH - 8 * number, 1)
    level = np.arange(N, dtype=np.uint8)[:, None, None, None] * 8
    found = footage_of(
        open_frames(np.zeros(shape, np.uint8) + level), ("unlabeled", number), excluded, name
    )
    assert found is not None
    return found


def rig(**augment: float) -> ClipMaker:
    colors = AugmentConfig(**augment)  # type: ignore[arg-type]
    recordings = [camera("b", 0, (3,)), camera("lone", 1), camera("a", 2, (20,))]
    return ClipMaker(
        recordings, ScaledFrames(1.0, 100), draw_views, 32, colors, seed=0, together=[(2, 0)]
    )


def test_cameras_of_a_session_are_read_at_the_same_frames() -> None:
    clips = rig()
    starts, lone = set(), 0
    for iteration in range(300):
        refs = clips.refs(iteration, 8)
        numbers = [[ref.index for ref in one] for one in refs]
        if len(refs) == 1:
            assert numbers[0] == list(range(numbers[0][0], numbers[0][0] + 8))
            assert refs[0][0].key[1] == 1
            lone += 1
            continue
        assert [one[0].key[1] for one in refs] == [2, 0]  # in the order of the session
        assert numbers[0] == numbers[1] == list(range(numbers[0][0], numbers[0][0] + 4))
        assert not {3, 20} & set(numbers[0])
        starts.add(numbers[0][0])
    assert starts == set(range(4, 17)) | set(range(21, 27))
    assert lone > 50


def test_each_camera_is_augmented_by_itself_and_undone_by_itself() -> None:
    """Same frames, other maps and colours; positions of each camera come back to its own frame."""
    clips = rig()
    iteration = next(i for i in range(50) if len(clips.refs(i, 8)) == 2)
    clip = clips(iteration, 8)
    assert clip is not None
    assert (clip.n_cameras, clip.length, len(clip.images)) == (2, 4, 8)
    sizes = [(HEIGHT + 16, WIDTH - 16), (HEIGHT, WIDTH)]
    views = draw_views(sizes, np.random.default_rng([0, 6, iteration]))
    assert np.abs(views[0] - views[1]).max() > 0.1
    xy = np.random.default_rng(1).uniform(0, 60, (2, 4, 7, 2))
    seen = np.stack([apply(view, one) for view, one in zip(views, xy, strict=True)])
    flat = torch.from_numpy(seen.reshape(8, 7, 2)).float().requires_grad_()
    found = clip.undo(flat)
    np.testing.assert_allclose(found.detach().numpy(), xy.reshape(8, 7, 2), atol=1e-3)
    # Some instances, in any order: each knows the image that it is on.
    image = torch.tensor([6, 1, 6])
    np.testing.assert_allclose(
        clip.undo(flat[image], image).detach().numpy(), xy.reshape(8, 7, 2)[image], atol=1e-3
    )
    assert clip.camera_of(image).tolist() == [1, 0, 1]  # type: ignore[union-attr]
    (gradient,) = torch.autograd.grad(found[5].sum(), flat)
    assert (gradient[5] != 0).all()
    assert gradient[[0, 1, 2, 3, 4, 6, 7]].abs().sum() == 0


def test_many_cameras_share_a_clip_and_have_two_frames_each() -> None:
    assert [clip_length(8, n) for n in (1, 2, 3, 4, 6)] == [8, 4, 2, 2, 2]
