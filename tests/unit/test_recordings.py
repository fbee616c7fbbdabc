"""Which frames training and prediction get to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_semimultipose.errors import FramesError, LabelsError
from napari_semimultipose.io.labels import write_poses
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.recordings import open_for_prediction, open_for_training, resolve_entries

SKELETON = Skeleton(("a", "b"))


def save(path: Path, level: int, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, level, np.uint8)).save(path)
    return path


def labels_on(names: tuple[str, ...], rows: list[int]) -> Poses:
    return Poses(SKELETON, np.ones((len(rows), 1, 2, 2)), rows, videos=(Video("", names),))


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def bees(tmp_path: Path) -> Path:
    """Five labelled images with the grey levels 0..4 and three others with 10..12."""
    for i in range(5):
        save(tmp_path / f"labeled/{i}.png", i)
    for i in range(10, 13):
        save(tmp_path / f"unlabeled/{i}.png", i)
    return tmp_path


NAMES = tuple(f"labeled/{i}.png" for i in range(5))


def levels(recordings: list) -> list[int]:
    """Grey levels of all frames of some recordings."""
    return [int(frames[i][0, 0, 0]) for frames in recordings for i in range(len(frames))]


def test_images_of_a_list_do_not_follow_each_other(bees: Path, opened: ExitStack) -> None:
    images = [bees / name for name in NAMES]
    (bees / "list.txt").write_text("\n".join(NAMES))
    for source, sequence in ((images, False), (bees / "list.txt", False), (bees / "labeled", True)):
        assert open_for_prediction(source, opened)[0].sequence == sequence


def test_lists_choose_labels_and_hide_frames(bees: Path, opened: ExitStack) -> None:
    labels = labels_on(NAMES, [0, 1, 2, 3, 4])
    found = open_for_training(
        labels,
        opened,
        frames=bees,
        labeled_list=["0.png", "labeled/2.png"],
        exclude_list=["labeled/4.png"],
    )
    assert found.labeled_rows == [0, 2]
    assert found.exclude == {(0, 4)}
    assert levels([found.frames[0]]) == [0, 1, 2, 3, 4]
    assert found.unlabeled == []


def test_unlabelled_folders_never_bring_images_of_the_labels(bees: Path, opened: ExitStack) -> None:
    copy = save(bees / "unlabeled/4.png", 4)  # the excluded one, copied
    save(bees / "unlabeled/0.png", 0)  # a labelled one, copied
    found = open_for_training(
        labels_on(NAMES, [0, 1, 4]),
        opened,
        frames=bees,
        unlabeled=[bees / "unlabeled", copy.parent],
        exclude_list=["labeled/4.png"],
    )
    assert levels(found.unlabeled) == [10, 11, 12]


def test_an_image_of_the_unlabelled_ones_can_be_excluded(bees: Path, opened: ExitStack) -> None:
    found = open_for_training(
        labels_on(NAMES, [0]),
        opened,
        frames=bees,
        unlabeled=[bees / "unlabeled"],
        exclude_list=["unlabeled/11.png"],
    )
    assert levels(found.unlabeled) == [10, 12]
    with pytest.raises(LabelsError, match=r"exclude list: '13\.png' named neither"):
        open_for_training(
            labels_on(NAMES, [0]),
            opened,
            frames=bees,
            unlabeled=[bees / "unlabeled"],
            exclude_list=["13.png"],
        )


def test_an_unlabelled_list_names_images_from_its_own_or_the_frames_folder(
    bees: Path, opened: ExitStack
) -> None:
    listing = bees / "lists" / "free.txt"
    listing.parent.mkdir()
    save(listing.parent / "here.png", 20)
    listing.write_text("unlabeled/10.png\nhere.png\nlabeled/3.png\n")
    found = open_for_training(
        labels_on(NAMES, [0]), opened, frames=bees, unlabeled=[listing, bees / "unlabeled"]
    )
    assert levels(found.unlabeled) == [10, 20, 11, 12]


def test_missing_images_of_an_unlabelled_list_are_named(bees: Path) -> None:
    listing = bees / "free.txt"
    listing.write_text("unlabeled/10.png\nunlabeled/99.png\n")
    with pytest.raises(FramesError, match=r"'unlabeled/99\.png' cannot be found"):
        resolve_entries(listing)


def test_images_without_labels_may_be_missing_and_are_not_used(
    bees: Path, opened: ExitStack
) -> None:
    (bees / "labeled/1.png").unlink()
    found = open_for_training(labels_on(NAMES, [0, 2]), opened, frames=bees)
    assert found.exclude == {(0, 1)}
    assert len(found.frames[0]) == 5
    assert found.frames[0][2][0, 0, 0] == 2


def test_labels_that_may_not_be_used_need_no_image(bees: Path, opened: ExitStack) -> None:
    (bees / "labeled/1.png").unlink()
    labels = labels_on(NAMES, [0, 1])
    found = open_for_training(labels, opened, frames=bees, labeled_list=["0.png"])
    assert (0, 1) in found.exclude
    with pytest.raises(LabelsError, match="not found"):
        open_for_training(labels, opened, frames=bees)


def test_frames_in_memory_belong_to_labels_of_one_video(opened: ExitStack) -> None:
    stack = np.zeros((4, 8, 6), np.uint8)
    labels = Poses(SKELETON, np.ones((2, 1, 2, 2)), [0, 3])
    found = open_for_training(labels, opened, frames=stack, unlabeled=[stack], exclude_list=[2])
    assert found.frames[0].shape == (4, 8, 6, 1)
    assert found.exclude == {(0, 2)}
    assert len(found.unlabeled) == 1
    two = Poses(
        SKELETON, np.ones((2, 1, 2, 2)), [0, 0], video=[0, 1], videos=(Video("a"), Video("b"))
    )
    with pytest.raises(LabelsError, match="2 videos"):
        open_for_training(two, opened, frames=stack)


def test_the_video_of_the_labels_is_not_unlabelled_once_more(
    tmp_path: Path, opened: ExitStack
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 6), np.uint8))
    np.save(tmp_path / "b.npy", np.zeros((5, 8, 6), np.uint8))
    labels = Poses(SKELETON, np.ones((1, 1, 2, 2)), [0], videos=(Video(str(tmp_path / "a.npy")),))
    found = open_for_training(
        labels, opened, unlabeled=[tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "b.npy"]
    )
    assert [len(frames) for frames in found.unlabeled] == [5]


def test_prediction_on_labels_takes_their_rows_and_keeps_their_names(
    bees: Path, opened: ExitStack
) -> None:
    path = bees / "truth.json"
    write_poses(labels_on(NAMES, [1, 3]), path)
    (recording,) = open_for_prediction(path, opened)
    names = [recording.video.images[n] for n in recording.numbers]
    assert [Path(name).name for name in names] == ["1.png", "3.png"]
    assert levels([recording.frames]) == [1, 3]
    assert not recording.sequence


def test_prediction_on_a_list_keeps_names_and_takes_a_part(bees: Path, opened: ExitStack) -> None:
    listing = bees / "some.txt"
    listing.write_text("unlabeled/12.png\nlabeled/0.png\nunlabeled/10.png\n")
    (recording,) = open_for_prediction(listing, opened, slice(1, None))
    assert recording.video.images == ("unlabeled/12.png", "labeled/0.png", "unlabeled/10.png")
    assert list(recording.numbers) == [1, 2]
    assert levels([recording.frames]) == [12, 0, 10]


def test_prediction_on_a_recording_is_a_sequence(bees: Path, opened: ExitStack) -> None:
    (recording,) = open_for_prediction(bees / "unlabeled", opened)
    assert recording.sequence
    assert list(recording.indices) == [0, 1, 2]
    assert recording.video.images == ("10.png", "11.png", "12.png")


@pytest.mark.parametrize("part", [slice(3, 9), range(2, 4)])
def test_a_range_outside_the_recording_is_an_error(
    bees: Path, opened: ExitStack, part: slice | range
) -> None:
    with pytest.raises(FramesError, match="frames 0 to 2"):
        open_for_prediction(bees / "unlabeled", opened, part)


def test_labels_without_a_row_cannot_be_predicted(bees: Path, opened: ExitStack) -> None:
    write_poses(Poses.empty(SKELETON), bees / "none.slp")
    with pytest.raises(LabelsError, match="no labelled frame"):
        open_for_prediction(bees / "none.slp", opened)
