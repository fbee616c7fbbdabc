"""Poses of any origin find the frames of a recording."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.labeling.alignment import (
    poses_of_recording,
    same_keypoints,
    usual_step,
    with_empty_frames,
)
from napari_semimultipose.poses import Poses, Skeleton, Video

SKELETON = Skeleton(("a", "b"))


def poses(frame: list[int], videos: tuple[Video, ...] = (Video(),), video: object = None) -> Poses:
    xy = np.arange(len(frame), dtype=float)[:, None, None, None] + np.zeros((1, 1, 2, 2))
    return Poses(SKELETON, xy, np.array(frame), video=video, videos=videos)  # type: ignore[arg-type]


def recording(
    count: int = 10, path: str | None = None, names: tuple[str, ...] | None = None
) -> Frames:
    frames = open_frames(np.zeros((count, 4, 8, 1), np.uint8))
    frames.path, frames.names = path, names
    return frames


def test_images_are_known_by_name_in_any_order() -> None:
    labels = poses([0, 1, 2], (Video("", ("x/c.png", "x/a.png", "x/lost.png")),))
    found = poses_of_recording(labels, recording(3, names=("a.png", "b.png", "c.png")))
    assert found.frame.tolist() == [0, 2]
    assert found.xy[:, 0, 0, 0].tolist() == [1, 0]


def test_the_video_is_chosen_by_name() -> None:
    videos = (Video("old/one.mp4"), Video("old/two.mp4"))
    labels = poses([1, 2, 3], videos, [0, 1, 1])
    assert poses_of_recording(labels, recording(path="new/two.mp4")).frame.tolist() == [2, 3]
    assert poses_of_recording(labels, recording(path="three.mp4")).frame.tolist() == []
    assert poses_of_recording(labels, recording(path="three.mp4"), video=0).frame.tolist() == [1]


def test_a_single_video_may_have_moved() -> None:
    labels = poses([8, 2, 40], (Video("elsewhere.mp4"),))
    assert poses_of_recording(labels, recording(path="here.mp4")).frame.tolist() == [2, 8]


@pytest.mark.parametrize(
    ("video", "here", "names", "same"),
    [
        (Video("/x/monday.mp4"), "tuesday.mp4", None, False),
        (Video("/x/monday.mp4"), "/y/monday.avi", None, True),
        (Video(), "tuesday.mp4", None, True),
        (Video("/x/monday.mp4"), None, None, True),
        (Video("labeled-data/a", ("img1.png", "img8.png")), "b.mp4", None, False),
        (Video("labeled-data", ("a/img1.png", "a/img8.png")), "/v/a.mp4", None, True),
        (Video("labeled-data/a", ("img1.png", "img8.png")), "/d/b", ("img1.png", "img8.png"), False),
        (Video("labeled-data/a", ("img1.png", "img8.png")), "/d/a", ("img1.png", "img8.png"), True),
        (Video("", ("img1.png", "img8.png")), "/d/b", ("img1.png", "img8.png"), True),
    ],
)  # fmt: skip
def test_labels_belong_to_recordings_of_their_name(
    video: Video, here: str | None, names: tuple[str, ...] | None, same: bool
) -> None:
    labels = poses([0, 1], (video,))
    found = poses_of_recording(labels, recording(path=here, names=names), by_name=True)
    assert bool(len(found)) == same
    assert len(poses_of_recording(labels, recording(path=here, names=names)))


def test_pictures_of_a_video_are_the_frames_that_their_names_say() -> None:
    labels = poses([0, 1, 2], (Video("a", ("img002.png", "img007.png", "img300.png")),))
    assert poses_of_recording(labels, recording(path="a.mp4")).frame.tolist() == [2, 7]
    labels = poses([0, 1, 2], (Video("a", ("img001.png", "img002.png", "img003.png")),))
    assert poses_of_recording(labels, recording(path="a.mp4")).frame.tolist() == [0, 1, 2]


def test_frames_without_animals_are_filled_in_between_others_only() -> None:
    full = with_empty_frames(poses([3, 4, 7, 8, 9]))
    assert full.frame.tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert full.present[:, 0].tolist() == [True, True, False, False, True, True, True]
    assert with_empty_frames(poses([0, 10, 20, 40, 50])).frame.tolist() == [0, 10, 20, 30, 40, 50]
    assert with_empty_frames(poses([0, 1, 500])).frame.tolist() == [0, 1, 500]
    assert len(with_empty_frames(poses([]))) == 0


def test_the_usual_step() -> None:
    assert usual_step(poses([4]).frame) == 1
    assert usual_step(poses([0, 5, 10, 11]).frame) == 5


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_keypoints_are_paired_by_name(names: tuple[str, str]) -> None:
    other = Poses(Skeleton(names), np.array([[[[1.0, 1], [2, 2]]]]), np.array([0]))
    same = same_keypoints(poses([0]), other)
    assert same.skeleton == SKELETON
    assert same.xy[0, 0, names.index("a")].tolist() in ([1, 1], [2, 2])
    assert same.xy[0, 0, 0, 0] == other.xy[0, 0, names.index("a"), 0]


def test_recordings_of_one_name_are_told_apart_by_their_folders() -> None:
    videos = (Video("/data/run1/top.mp4"), Video("/data/run2/top.mp4"))
    labels = poses([1, 2, 2, 6], videos, [0, 0, 1, 1])
    assert poses_of_recording(labels, recording(path="run2/top.mp4")).frame.tolist() == [2, 6]
    assert poses_of_recording(labels, recording(path="/moved/run1/top.mp4")).frame.tolist() == [
        1,
        2,
    ]
    with pytest.raises(LabelsError, match=r"2 recordings called top\.mp4"):
        poses_of_recording(labels, recording(path="/other/top.mp4"))


def test_folders_of_images_of_one_name_are_told_apart() -> None:
    names = ("1.png", "2.png", "3.png")
    labels = poses([0, 0, 1], (Video("/data/A", names[:1]), Video("/data/B", names)), [0, 1, 1])
    found = poses_of_recording(labels, recording(3, "/data/A", names))
    assert found.frame.tolist() == [0]
    assert found.xy[0, 0, 0, 0] == 0
    assert poses_of_recording(labels, recording(3, "/data/B", names)).frame.tolist() == [0, 1]
    both = poses_of_recording(labels, recording(2, None, ("/x/A/1.png", "/x/B/2.png")))
    assert both.frame.tolist() == [0, 1]
