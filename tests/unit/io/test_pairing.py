"""Which frames belong together."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.pairing import keypoint_index, pair_frames
from napari_semimultipose.poses import Poses, Skeleton, Video

SKELETON = Skeleton(("a", "b"))


def table(videos: tuple[Video, ...], places: list[tuple[int, int]]) -> Poses:
    return Poses(
        SKELETON,
        np.zeros((len(places), 1, 2, 2)),
        [frame for _, frame in places],
        video=[video for video, _ in places],
        videos=videos,
    )


def pictures(folder: str, *names: str) -> Poses:
    return table((Video(folder, names),), [(0, i) for i in range(len(names))])


@pytest.mark.parametrize(
    "prediction",
    [
        pictures("bees", "labeled/b.jpg", "labeled/x.jpg", "labeled/a.jpg"),
        pictures("", "/data/bees/labeled/b.jpg", "/x.jpg", "/data/bees/labeled/a.jpg"),
        pictures("copy", "b.jpg", "x.jpg", "a.jpg"),
        pictures("C:\\copy", "new\\b.jpg", "new\\x.jpg", "new\\a.jpg"),
    ],
    ids=["same", "absolute", "other folder", "other system"],
)
def test_images_by_name_whatever_their_order(prediction: Poses) -> None:
    truth = pictures("bees", "labeled/a.jpg", "labeled/b.jpg", "labeled/c.jpg")
    assert pair_frames(prediction, truth).tolist() == [2, 0, -1]


def test_images_with_one_file_name_in_several_folders() -> None:
    truth = pictures("data", "day1/img.png", "day2/img.png")
    prediction = pictures("/home/data", "day2/img.png", "day1/img.png")
    assert pair_frames(prediction, truth).tolist() == [1, 0]
    # The second day was not predicted: the picture of the first day is not taken for it.
    assert pair_frames(prediction.select([1]), truth).tolist() == [0, -1]


def test_a_file_name_that_fits_several_images_is_an_error() -> None:
    truth = pictures("data", "day1/img.png", "day2/img.png")
    with pytest.raises(LabelsError, match="could be any of"):
        pair_frames(pictures("copy", "img.png"), truth)


def test_pictures_of_a_video_are_the_frames_that_their_names_say() -> None:
    truth = pictures("labeled-data/day", "img0010.png", "img0500.png", "img0900.png")
    prediction = table((Video("day.mp4"),), [(0, f) for f in (0, 1, 2, 10, 500)])
    assert pair_frames(prediction, truth).tolist() == [3, 4, -1]
    assert pair_frames(truth, prediction).tolist() == [-1, -1, -1, 0, 1]
    array = table((Video(),), [(0, 0), (0, 1), (0, 2)])  # of these pictures, in their order
    assert pair_frames(array, truth).tolist() == [0, 1, 2]


def test_pictures_that_are_a_recording_are_the_frames_at_their_places() -> None:
    truth = pictures("day", "img1.png", "img2.png", "img3.png")
    prediction = table((Video("day.mp4"),), [(0, 0), (0, 1), (0, 2)])
    assert pair_frames(prediction, truth).tolist() == [0, 1, 2]
    unnumbered = pictures("day", "a.png", "b.png", "c7.png")
    assert pair_frames(prediction, unnumbered).tolist() == [0, 1, 2]


def test_frames_of_one_video_by_index_whatever_its_path() -> None:
    truth = table((Video("/old/fly.mp4"),), [(0, 9), (0, 3)])
    prediction = table((Video(""),), [(0, 3), (0, 4), (0, 9)])
    assert pair_frames(prediction, truth).tolist() == [2, 0]


def test_frames_of_several_videos_by_their_path() -> None:
    truth = table((Video("day1/a.mp4"), Video("day1/b.mp4")), [(0, 0), (1, 0), (1, 1)])
    prediction = table((Video("/x/b.mp4"), Video("/x/a.mp4")), [(0, 0), (1, 0), (1, 1)])
    assert pair_frames(prediction, truth).tolist() == [1, 0, -1]
    one = table((Video("/x/b.mp4"),), [(0, 1)])
    assert pair_frames(one, truth).tolist() == [-1, -1, 0]


def test_equal_lists_of_unnamed_videos_agree_by_position() -> None:
    videos = (Video(""), Video(""))
    truth = table(videos, [(0, 0), (1, 0)])
    assert pair_frames(truth.select([1, 0]), truth).tolist() == [1, 0]


def test_named_images_against_a_video_by_index() -> None:
    truth = pictures("bees", "a.jpg", "b.jpg")
    assert pair_frames(table((Video("stack.tif"),), [(0, 1)]), truth).tolist() == [-1, 0]


def test_names_that_differ_are_not_paired_by_index() -> None:
    with pytest.raises(LabelsError, match="no frame of the predictions"):
        pair_frames(pictures("bees", "x.jpg", "y.jpg"), pictures("bees", "a.jpg", "b.jpg"))


def test_a_frame_that_occurs_twice_is_an_error() -> None:
    twice = table((Video("fly.mp4"),), [(0, 3), (0, 3)])
    once = twice.select([0])
    with pytest.raises(LabelsError, match=r"frame 3 of video fly\.mp4 occurs twice in the truth"):
        pair_frames(once, twice)
    with pytest.raises(LabelsError, match="twice in the predictions"):
        pair_frames(twice, once)


def test_no_predictions_are_no_error() -> None:
    truth = pictures("bees", "a.jpg", "b.jpg")
    assert pair_frames(Poses.empty(SKELETON), truth).tolist() == [-1, -1]


def test_keypoints_by_name() -> None:
    wide = Skeleton(("b", "c", "a"))
    poses = Poses(wide, np.zeros((1, 1, 3, 2)), [0])
    assert keypoint_index(poses, table((Video(),), [(0, 0)])).tolist() == [2, 0]
    assert keypoint_index(table((Video(),), [(0, 0)]), poses).tolist() == [1, -1, 0]
