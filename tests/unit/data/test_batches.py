"""Batches: reproducible, complete, and true to the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_semimultipose.config import AugmentConfig, DataConfig
from napari_semimultipose.data.batches import Batch, BatchMaker, BatchSize
from napari_semimultipose.data.loaders import OnDemand, Prefetcher
from napari_semimultipose.data.paste import LabeledView
from napari_semimultipose.data.pseudo import PseudoPoses, pseudo_labels_of
from napari_semimultipose.data.split import TrainingData, prepare
from napari_semimultipose.data.views import apply
from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton

SKELETON = Skeleton(("head", "left", "right"), symmetry=((1, 2),))


def colored_animals(frames: int = 12) -> tuple[np.ndarray, Poses]:
    """Animals whose keypoints are spots: head red, left green, right blue."""
    rng = np.random.default_rng(0)
    stack = np.zeros((frames, 120, 160, 3), np.uint8)
    xy = np.zeros((frames, 1, 3, 2))
    for f in range(frames):
        turn = rng.uniform(0, 2 * np.pi)
        axis = np.array([np.cos(turn), np.sin(turn)])
        side = np.array([-axis[1], axis[0]])
        middle = rng.uniform([50, 40], [110, 80])
        xy[f, 0] = [middle + 18 * axis, middle - 14 * side, middle + 14 * side]
        grid_y, grid_x = np.mgrid[:120, :160]
        for k, (x, y) in enumerate(xy[f, 0]):
            stack[f, ..., k] = 255 * np.exp(-((grid_x - x) ** 2 + (grid_y - y) ** 2) / 18)
    return stack, Poses(SKELETON, xy, np.arange(frames))


@pytest.fixture(scope="module")
def data() -> TrainingData:
    stack, poses = colored_animals()
    config = DataConfig(animal_px=0, train_short_px=(120, 120))
    made = prepare(poses, {0: open_frames(stack)}, config, labeled_rows=range(6))
    return TrainingData(made.poses, made.train, [], made.unlabeled, 1.0)


def maker(data: TrainingData, seed: int = 0, **augment: object) -> BatchMaker:
    plain = {"brightness": 0, "contrast": 0, "color": 0, "blur": 0, "noise": 0, "paste": 0}
    return BatchMaker(
        data, DataConfig(crop_px=96), AugmentConfig.model_validate(plain | augment), seed
    )


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.images, b.images) and all(
        torch.equal(x, y) for x, y in zip(a.keypoints, b.keypoints, strict=True)
    )


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_labels_lie_on_their_spots_in_every_view(data: TrainingData, flip: float) -> None:
    # Rotation and zoom included. In a mirrored picture the animal's left is where its right was.
    make = maker(data, flip=flip)
    color_of = [0, 2, 1] if flip else [0, 1, 2]
    checked = 0
    for iteration in range(8):
        batch = make(iteration, BatchSize(4, 0))
        for view, xy, visible in zip(batch.images, batch.keypoints, batch.visible, strict=True):
            for k in range(3):
                x, y = xy[0, k].round().long().tolist()
                if bool(visible[0, k]) and 3 <= x < 93 and 3 <= y < 93:
                    colors = view[:, y, x]
                    assert int(colors.argmax()) == color_of[k]
                    assert float(colors[color_of[k]]) > 0.8
                    checked += 1
    assert checked > 40


def test_pasted_animals_bring_their_labels(data: TrainingData) -> None:
    make = maker(data, paste=1.0, flip=0)
    animals = 0
    for iteration in range(8):
        batch = make(iteration, BatchSize(4, 0))
        for view, xy, visible in zip(batch.images, batch.keypoints, batch.visible, strict=True):
            animals += int(visible.any(1).sum())
            for i, k in visible.nonzero().tolist():
                x, y = xy[i, k].round().long().tolist()
                if 3 <= x < 93 and 3 <= y < 93:
                    assert float(view[k, y, x]) > 0.4
    assert animals > 8 * 4


def test_batches_depend_on_seed_and_iteration_alone(data: TrainingData) -> None:
    size = BatchSize(3, 2)
    first = maker(data)
    for i in range(4):
        first(i, size)
    assert same(first(4, size), maker(data)(4, size))
    assert not same(first(4, size), first(5, size))
    assert not same(first(4, size), maker(data, seed=1)(4, size))


def test_every_labelled_frame_comes_once_a_round(data: TrainingData) -> None:
    make = maker(data)
    drawn = [ref.index for i in range(3) for ref in make._draw(data.train, i, 2, 3)]
    assert sorted(drawn) == [ref.index for ref in data.train]


def test_plain_views_map_to_the_altered_ones(data: TrainingData) -> None:
    batch = maker(data, unlabeled_top_left=False)(1, BatchSize(1, 6), plain=True)
    assert batch.plain is not None
    checked = 0
    for plain, altered, affine in zip(
        batch.plain, batch.images[1:], batch.to_view.double().numpy(), strict=True
    ):
        red = plain[0]
        y, x = divmod(int(red.argmax()), 96)
        there = apply(affine, np.array([x, y])).round().astype(int)
        if float(red.max()) > 0.9 and (there >= 2).all() and (there < 94).all():
            assert float(altered[0, there[1], there[0]]) > 0.6
            checked += 1
    assert checked


def test_points_outside_the_view_or_the_image_are_not_visible(data: TrainingData) -> None:
    make = maker(data, scale=(3.0, 3.0))
    hidden = 0
    for i in range(5):
        batch = make(i, BatchSize(4, 0))
        for xy, labeled, visible in zip(batch.keypoints, batch.labeled, batch.visible, strict=True):
            inside = ((xy > -0.5) & (xy < 95.5)).all(-1)
            assert not (visible & ~inside).any()
            assert labeled.all()
            hidden += int((~visible).sum())
    assert hidden


@pytest.mark.parametrize("source", [Prefetcher, OnDemand])
def test_batches_do_not_depend_on_who_makes_them(data: TrainingData, source: type) -> None:
    size = BatchSize(2, 0)
    with source(maker(data), 3, size, plain=False) as batches:
        for i in (3, 4, 5):
            assert same(batches.get(), maker(data)(i, size))


@pytest.mark.parametrize("source", [Prefetcher, OnDemand])
def test_errors_are_handed_on(source: type) -> None:
    stack, poses = colored_animals()

    class Broken(Frames):
        def _read(self, i: int) -> np.ndarray:
            raise FramesError("frame 0 cannot be read")

        def close(self) -> None:
            pass

    frames = Broken(stack.shape, source=None)
    data = prepare(poses, {0: frames}, DataConfig())
    with (
        source(maker(data), 0, BatchSize(1, 0), plain=False) as batches,
        pytest.raises(FramesError, match="cannot be read"),
    ):
        batches.get()


def test_halving_ends_at_one_view() -> None:
    size: BatchSize | None = BatchSize(4, 3)
    seen = []
    while size is not None:
        seen.append((size.labeled, size.unlabeled))
        size = size.halved()
    assert seen[0] == (4, 3)
    assert seen[-1] == (1, 1)
    assert len(seen) < 6


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_pseudo_labels_lie_on_their_spots(data: TrainingData, flip: float) -> None:
    make = maker(data, flip=flip)
    _, truth = colored_animals()
    two = [ref for ref in data.unlabeled if ref.index in (7, 9)]
    make.pseudo = {
        ref.key: PseudoPoses(truth.xy[ref.index], np.ones((1, 3), bool), np.zeros((0, 4)))
        for ref in two
    }
    color_of = [0, 2, 1] if flip else [0, 1, 2]
    checked = 0
    for iteration in range(6):
        _, refs = make.refs(iteration, BatchSize(1, 3))
        assert {ref.key for ref in refs} <= set(make.pseudo)
        batch = make(iteration, BatchSize(1, 3), plain=True)
        assert batch.plain is None
        assert len(batch.pseudo) == 3
        for view, found in zip(batch.images[1:], batch.pseudo, strict=True):
            assert found.frame_size == (160, 120)
            for k in range(3):
                x, y = found.keypoints[0, k].round().long().tolist()
                if bool(found.visible[0, k]) and 3 <= x < 93 and 3 <= y < 93:
                    assert int(view[:, y, x].argmax()) == color_of[k]
                    checked += 1
    assert checked > 20


def test_labelled_animals_are_pasted_among_pseudo_ones(data: TrainingData) -> None:
    make = maker(data, paste=1.0, flip=0)
    _, truth = colored_animals()
    unsure = np.array([[True, True, False]])
    make.pseudo = {
        ref.key: PseudoPoses(truth.xy[ref.index], unsure, np.zeros((0, 4)))
        for ref in data.unlabeled
    }
    found, pasted = 0, 0
    for iteration in range(12):
        batch = make(iteration, BatchSize(1, 3))
        for view, labels in zip(batch.images[1:], batch.pseudo, strict=True):
            assert bool(labels.labeled.any(1).all())
            of_teacher = (labels.placed & ~labels.labeled).any(1)  # the third keypoint is unsure
            found += int(of_teacher.sum())
            pasted += int((~of_teacher).sum())
            assert torch.equal(labels.placed[~of_teacher], labels.labeled[~of_teacher])
            assert bool(labels.placed[of_teacher].all())
            for i, k in labels.visible.nonzero().tolist():
                x, y = labels.keypoints[i, k].round().long().tolist()
                if 3 <= x < 93 and 3 <= y < 93:
                    assert float(view[k, y, x]) > 0.4
    assert found > 12
    assert pasted > 12


def test_a_pseudo_animal_under_pasted_ones_is_left_out() -> None:
    xy = np.array([[[5.0, 5], [9, 5]], [[50.0, 5], [60, 5]], [[7.0, 5], [np.nan, np.nan]]])
    known = np.array([[False, False], [True, False], [True, False]])
    found = PseudoPoses(xy[:2], np.ones((2, 2), bool), np.array([[1.0, 2, 3, 4]]))
    view = LabeledView(torch.zeros(3, 64, 64), xy, known, known)
    labels = pseudo_labels_of(view, found, np.eye(2, 3), (64, 48))
    assert labels.keypoints.tolist() == [[[50, 5], [60, 5]], [[7, 5], [0, 0]]]
    assert labels.labeled.tolist() == labels.visible.tolist() == [[True, False], [True, False]]
    # The covered keypoint of the found animal tells where it is; that of the pasted one has no label.
    assert labels.placed.tolist() == [[True, True], [True, False]]
    assert labels.doubtful.tolist() == [[1, 2, 3, 4]]
    assert labels.frame_size == (64, 48)


def test_animals_of_a_labelled_frame_with_its_neighbours_fit_into_a_view_of_one_frame(
    data: TrainingData,
) -> None:
    near = {ref.key: (ref,) * 4 for ref in data.train}
    _, truth = colored_animals()
    make = maker(replace(data, neighbours=near), paste=1.0)
    make.pseudo = {
        ref.key: PseudoPoses(truth.xy[ref.index], np.ones((1, 3), bool), np.zeros((0, 4)))
        for ref in data.unlabeled
    }
    batch = make(0, BatchSize(1, 3))
    assert len(batch.pseudo) == 3
    assert batch.around is not None
    assert len(batch.around) == 1
