"""The frames around labelled frames: where they come from, and that they change as their centre does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_semimultipose.config import Config, DataConfig
from napari_semimultipose.data.batches import BatchMaker, BatchSize
from napari_semimultipose.data.neighbours import with_neighbours
from napari_semimultipose.data.single import WholeFrameMaker
from napari_semimultipose.data.split import TrainingData, prepare
from napari_semimultipose.io.surroundings import file_beside
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Video

SKELETON = Skeleton(("head", "tail"), edges=((0, 1),))
SIZE = (48, 64)


def scene(time: float) -> np.ndarray:
    """Return a picture of something large that moves slowly, with noise."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    blob = np.exp(-((x - 32 - 20 * np.sin(time / 20)) ** 2 + (y - 24) ** 2) / 150)
    noise = np.random.default_rng(int(time)).uniform(0, 20, SIZE)
    return (200 * blob + noise).astype(np.uint8)


def labels_on(frames: list[int], images: tuple[str, ...] = (), path: str = "") -> Poses:
    xy = np.tile(np.array([[[20.0, 20], [40, 28]]]), (len(frames), 1, 1, 1))
    return Poses(SKELETON, xy, np.array(frames), videos=(Video(path, images),))


def video_data(frames: list[int], exclude: tuple[tuple[int, int], ...] = ()) -> TrainingData:
    stack = open_frames(np.stack([scene(t) for t in range(30)])[..., None])
    config = DataConfig(validation_fraction=0, animal_px=0)
    data = prepare(labels_on(frames), {0: stack}, config, exclude=exclude)
    return with_neighbours(replace(data, scale=1.0), {0: stack}, exclude)


def numbers(data: TrainingData) -> dict[int, list[int]]:
    return {
        key[1]: [r.index for r in refs]  # type: ignore[index]
        for key, refs in data.neighbours.items()
    }


def test_videos_give_the_frames_around_and_their_ends_are_repeated() -> None:
    data = video_data([0, 1, 12, 29])
    assert numbers(data) == {
        0: [0, 0, 1, 2],
        1: [0, 0, 2, 3],
        12: [10, 11, 13, 14],
        29: [27, 28, 29, 29],
    }
    assert not data.notes


def test_excluded_frames_are_never_neighbours() -> None:
    data = video_data([12], exclude=((0, 11), (0, 14)))
    assert numbers(data) == {12: [10, 12, 13, 13]}
    alone = video_data([12], exclude=((0, 10), (0, 11), (0, 13), (0, 14)))
    assert not alone.neighbours
    assert "no neighbouring frames are used" in alone.notes[-1]


def write(folder: Path, times: dict[int, float]) -> None:
    folder.mkdir(exist_ok=True)
    for number, time in times.items():
        Image.fromarray(scene(time)).save(folder / f"img{number:04d}.png")


def image_data(folder: Path, labelled: list[int]) -> TrainingData:
    names = tuple(f"img{n:04d}.png" for n in labelled)
    frames = {0: open_frames([folder / name for name in names])}
    config = DataConfig(validation_fraction=0, animal_px=0)
    data = prepare(labels_on(list(range(len(names))), names, str(folder)), frames, config)
    return with_neighbours(replace(data, scale=1.0), frames)


def names_around(data: TrainingData, index: int) -> list[str]:
    return [Path(r.frames.names[r.index]).name for r in data.neighbours[(0, index)]]  # type: ignore[index]


def test_images_beside_labelled_ones_are_found_by_number(tmp_path: Path) -> None:
    centres = [10, 50, 90, 130]
    write(tmp_path, {c + k: c + k for c in centres for k in range(-2, 3) if c + k != 51})
    data = image_data(tmp_path, centres)
    assert names_around(data, 0) == [f"img{n:04d}.png" for n in (8, 9, 11, 12)]
    # 51 is missing: the next one towards the centre is the centre itself
    assert names_around(data, 1) == [f"img{n:04d}.png" for n in (48, 49, 50, 52)]
    assert not data.notes


def test_images_of_another_size_are_no_neighbours(tmp_path: Path) -> None:
    write(tmp_path, {n: n for c in (10, 60) for n in range(c - 2, c + 3)})
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "img0012.png")
    data = image_data(tmp_path, [10, 60])
    assert names_around(data, 0)[-1] == "img0010.png"


def test_labelled_frames_without_neighbours_are_counted(tmp_path: Path) -> None:
    write(tmp_path, {n: n for n in (8, 9, 10, 11, 12, 60)})
    data = image_data(tmp_path, [10, 60])
    assert data.neighbours[(0, 1)] == (data.train[1],) * 4
    assert "1 of 2 labelled frames have no neighbouring frames" in data.notes[-1]


@pytest.mark.parametrize(
    ("times", "labelled", "why"),
    [
        ({5: 5.0, 9: 9.0}, [5, 9], "there are none"),
        # every image is labelled: img0000, img0001, ... count labels
        ({n: 1.0 * n for n in range(8)}, list(range(8)), "count labelled images"),
        # numbered one after the other, but taken at any time
        ({n: 37.0 * n % 101 for n in range(24)}, list(range(2, 24, 4)), "not alike"),
    ],
)
def test_numbers_that_are_not_those_of_frames_are_told(
    tmp_path: Path, times: dict[int, float], labelled: list[int], why: str
) -> None:
    write(tmp_path, times)
    data = image_data(tmp_path, labelled)
    assert not data.neighbours
    assert why in data.notes[-1]
    assert "label frames of a video" in data.notes[-1]


def test_the_labelled_mice_in_a_mirror_have_no_neighbours(shared_data: Path) -> None:
    from napari_semimultipose.io.labels import read_poses

    root = shared_data / "mouse-mirror"
    poses = read_poses(root / "CollectedData.csv")
    frames = {0: open_frames([root / name for name in poses.videos[0].images])}
    data = with_neighbours(
        prepare(poses, frames, DataConfig(), labeled_rows=range(0, 90, 5)), frames
    )
    assert not data.neighbours


def test_numbers_keep_their_zeros(tmp_path: Path) -> None:
    for name in ("img009.png", "img010.png", "a-7.png", "a-8.png", "x3y.png", "x4y.png"):
        (tmp_path / name).touch()
    assert file_beside(tmp_path / "img009.png", 1) == tmp_path / "img010.png"
    assert file_beside(tmp_path / "img010.png", -1) == tmp_path / "img009.png"
    assert file_beside(tmp_path / "a-7.png", 1) == tmp_path / "a-8.png"
    assert file_beside(tmp_path / "x3y.png", 1) == tmp_path / "x4y.png"
    assert file_beside(tmp_path / "img009.png", -10) is None
    assert file_beside(tmp_path / "nose.png", 1) is None


@pytest.mark.parametrize("single", [True, False])
def test_all_five_pictures_change_alike(single: bool) -> None:
    # Nothing moves: after the same change of place and colours, all five are equal.
    picture = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    frames = {0: open_frames(np.repeat(picture[None], 20, 0))}
    config = Config().with_settings(
        ["heatmap.side_px=64", "data.crop_px=64", "augment.paste=1", "augment.blur=0.5"]
    )
    poses = labels_on([5, 9, 14])
    data = prepare(poses, frames, DataConfig(validation_fraction=0, animal_px=0))
    data = with_neighbours(replace(data, scale=1.0), frames)
    maker = (
        WholeFrameMaker(data, config)
        if single
        else BatchMaker(data, config.data, config.augment, 0)
    )
    for iteration in range(3):
        batch = maker(iteration, BatchSize(3, 0))
        assert batch.around is not None
        assert batch.around.shape == (3, 4, 3, 64, 64)
        for i in range(3):
            for k in range(4):
                assert torch.equal(batch.around[i, k], batch.images[i])
    assert len(maker.reads(0, BatchSize(3, 0))) == 15


def test_neighbours_show_what_moves() -> None:
    stack = np.zeros((20, *SIZE, 1), np.uint8)
    for t in range(20):
        stack[t, 20:26, 2 * t : 2 * t + 6] = 255
    frames = {0: open_frames(stack)}
    data = prepare(labels_on([10]), frames, DataConfig(validation_fraction=0, animal_px=0))
    data = with_neighbours(replace(data, scale=1.0), frames)
    config = Config().with_settings(
        ["heatmap.side_px=64", "heatmap.rotate_deg=0", "heatmap.posture=fixed", "augment.noise=0"]
    )
    batch = WholeFrameMaker(data, config)(0, BatchSize(1, 0))
    assert batch.around is not None
    five = [*batch.around[0, :2], batch.images[0], *batch.around[0, 2:]]
    axis = torch.arange(64.0)
    bright = [(p.mean(0) - p.mean(0).median()).clamp(min=0.2) - 0.2 for p in five]
    middle = [float((b.sum(0) * axis).sum() / b.sum()) for b in bright]
    steps = np.diff(middle)
    assert (steps > 1).all()
    assert steps == pytest.approx([steps.mean()] * 4, abs=0.4)
