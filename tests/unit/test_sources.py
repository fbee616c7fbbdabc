"""Lists of images and frames, as people write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.sources import KnownImages, find_places, read_entries, rows_named

SKELETON = Skeleton(("a", "b"))


def poses_of(videos: list[Video], places: list[tuple[int, int]]) -> Poses:
    return Poses(
        SKELETON,
        np.ones((len(places), 1, 2, 2)),
        [f for _, f in places],
        video=[v for v, _ in places],
        videos=tuple(videos),
    )


@pytest.fixture
def images() -> Poses:
    names = ("labeled/0010.jpg", "labeled/0020.jpg", "labeled/0030.jpg")
    return poses_of([Video("bees", names)], [(0, 0), (0, 2)])


@pytest.fixture
def clips() -> Poses:
    return poses_of(
        [Video("day1/a.mp4"), Video("day2/a.mp4"), Video("b.mp4")], [(0, 5), (1, 5), (2, 7)]
    )


def test_a_list_file_may_have_comments_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeff# day one\r\na.png\r\n\r\n  b c.png \n".encode())
    assert read_entries(path) == ["a.png", "b c.png"]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00\x81"])
def test_a_list_without_entries_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(LabelsError, match=r"list\.txt"):
        read_entries(path)


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no file"):
        read_entries(tmp_path / "list.txt")


@pytest.mark.parametrize(
    "entry",
    [
        "labeled/0030.jpg",
        "0030.jpg",
        "labeled\\0030.jpg",
        "/data/bees/labeled/0030.jpg",
        "2",
    ],
)
def test_images_are_found_by_name_or_by_index(images: Poses, entry: str) -> None:
    assert rows_named(images, [entry], "list") == [1]


def test_a_name_that_looks_like_a_number_is_a_name_first() -> None:
    poses = poses_of([Video("", ("7.png", "1.png"))], [(0, 0), (0, 1)])
    assert find_places(["1", "0"], poses)[0] == {"1": [(0, 1)], "0": [(0, 0)]}


@pytest.mark.parametrize("entry", ["labeled/0040.jpg", "0030.png", "3", "0020.jpg", ""])
def test_an_unknown_name_or_an_image_without_a_row_is_an_error(images: Poses, entry: str) -> None:
    with pytest.raises(LabelsError, match=r"labeled list: .* not among the labels"):
        rows_named(images, [entry], "labeled list")


def test_only_a_few_unknown_names_are_listed(images: Poses) -> None:
    with pytest.raises(LabelsError, match="'x0', 'x1', 'x2' and 7 more are not"):
        rows_named(images, [f"x{i}" for i in range(10)], "list")


def test_a_name_that_fits_two_images_is_an_error_and_a_longer_one_is_not() -> None:
    poses = poses_of([Video("p", ("one/img1.png", "two/img1.png"))], [(0, 0), (0, 1)])
    with pytest.raises(LabelsError, match="could be any of"):
        rows_named(poses, ["img1.png"], "list")
    assert rows_named(poses, ["two/img1.png"], "list") == [1]


def test_frames_of_one_video_are_numbers_and_ranges() -> None:
    poses = poses_of([Video("fly.mp4")], [(0, f) for f in range(0, 90, 9)])
    assert rows_named(poses, [0, "9"], "list") == [0, 1]
    assert rows_named(poses, ["0:90:9"], "list") == list(range(10))
    assert rows_named(poses, ["10:30"], "list") == [2, 3]
    with pytest.raises(LabelsError, match="'1' is not among the labels"):
        rows_named(poses, ["1"], "list")


def test_frames_without_labels_have_a_place() -> None:
    poses = poses_of([Video("fly.mp4")], [(0, 0)])
    assert find_places(["4:6"], poses) == ({"4:6": [(0, 4), (0, 5)]}, [])


def test_with_several_videos_a_number_needs_the_name_of_its_video(clips: Poses) -> None:
    with pytest.raises(LabelsError, match="any of 3 videos"):
        find_places(["5"], clips)
    with pytest.raises(LabelsError, match="any of 2 videos"):
        find_places(["a.mp4:5"], clips)
    found, lost = find_places(["day2/a.mp4:5", "b.mp4:7:9", "c.mp4:1"], clips)
    assert found == {"day2/a.mp4:5": [(1, 5)], "b.mp4:7:9": [(2, 7), (2, 8)]}
    assert lost == ["c.mp4:1"]


def test_a_copy_of_an_image_in_another_folder_is_recognised(images: Poses) -> None:
    known = KnownImages(images, also=["test/0050.jpg"])
    assert Path("/other/unlabeled/0030.jpg") in known
    assert Path("/other/unlabeled/0050.jpg") in known
    assert Path("/other/unlabeled/0030.png") not in known


def test_equal_file_names_in_several_folders_are_told_apart_by_folder() -> None:
    poses = poses_of([Video("p", ("one/img1.png", "two/img1.png"))], [(0, 0), (0, 1)])
    known = KnownImages(poses)
    assert Path("/copy/two/img1.png") in known
    assert Path("/copy/three/img1.png") not in known


def test_without_images_no_file_is_known(clips: Poses) -> None:
    assert Path("a.mp4") not in KnownImages(clips)


def test_folders_tell_images_of_one_name_apart() -> None:
    names = ("img1.png", "img2.png")
    poses = poses_of([Video("/data/A", names), Video("/data/B", names)], [(0, 0), (1, 0)])
    found, lost = find_places(["/data/B/img2.png", "A/img1.png"], poses)
    assert found == {"/data/B/img2.png": [(1, 1)], "A/img1.png": [(0, 0)]}
    assert not lost
    with pytest.raises(LabelsError, match=r"img2\.png could be any of: /data/A/img2\.png, /data/B"):
        find_places(["img2.png"], poses)
    below = poses_of([Video("/data", ("a.png", "sub/a.png"))], [(0, 0)])
    assert find_places(["a.png", "sub/a.png"], below)[0] == {
        "a.png": [(0, 0)],
        "sub/a.png": [(0, 1)],
    }
