"""Labelled frames that a model has not learned from."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError, ModelError
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.reports.unseen import (
    Split,
    learned_from,
    open_unseen,
    read_split,
    rows_of,
    validation_rows,
)

SKELETON = Skeleton(("nose", "tail"))


def labels(*videos: Video, frames: int = 6) -> Poses:
    video = np.repeat(np.arange(len(videos)), frames)
    frame = np.tile(np.arange(frames), len(videos))
    xy = np.random.default_rng(0).uniform(0, 20, (len(video), 1, 2, 2))
    return Poses(SKELETON, xy, frame, video=video, videos=videos)


IMAGES = Video("/data/a", tuple(f"img{i}.png" for i in range(6)))
CLIP = Video("/data/clip.mp4")


def test_a_split_is_read_back(tmp_path: Path) -> None:
    assert read_split(tmp_path) is None
    text = {"videos": ["a"], "train": [[0, "x.png"]], "validation": [[0, 3]], "unlabeled": 9}
    (tmp_path / "split.json").write_text(json.dumps(text))
    assert read_split(tmp_path) == Split(("a",), [(0, "x.png")], [(0, 3)], 9)
    (tmp_path / "split.json").write_text("{}")
    with pytest.raises(ModelError, match=r"split\.json is damaged"):
        read_split(tmp_path)


def test_names_and_numbers_lead_to_rows() -> None:
    poses = labels(IMAGES, CLIP)
    assert rows_of(poses, [(1, 5), (0, "img2.png"), (0, "elsewhere/a/img4.png"), (1, 99)]) == [
        2,
        4,
        11,
    ]


def test_frames_are_grouped_by_the_members_that_do_not_know_them() -> None:
    poses = labels(CLIP)
    splits = [
        Split(("clip.mp4",), [(0, 0)], [(0, 1), (0, 2)], 0),
        Split(("clip.mp4",), [(0, 1)], [(0, 2), (0, 3)], 0),
        None,
    ]
    assert validation_rows(poses, splits) == {(0,): [1], (0, 1): [2], (1,): [3]}
    assert validation_rows(poses, [None]) == {}


def test_what_a_model_has_learned_from_is_recognised_in_other_files() -> None:
    splits = [Split(("/old/a", "/old/clip.mp4"), [(0, "img1.png"), (1, 4)], [(0, "img2.png")], 0)]
    moved = Video("/new/a", IMAGES.images)
    truth = labels(moved, Video("D:\\videos\\clip.mp4"), Video("other.mp4"))
    seen = learned_from(truth, splits)
    assert np.flatnonzero(seen).tolist() == [1, 10]  # frame 4 of another video is another frame
    assert not learned_from(truth, [None]).any()


def test_recordings_that_are_not_open_are_left_out() -> None:
    poses = labels(CLIP, Video("/data/other.mp4"))
    frames = {1: open_frames(np.zeros((6, 20, 20), np.uint8))}
    with ExitStack() as opened:
        unseen = open_unseen(poses, {(0,): [0, 1, 7, 9]}, opened, None, frames)
        assert (len(unseen.truth), unseen.left_out) == (2, 2)
        assert unseen.truth.frame.tolist() == [1, 3]
        assert unseen.groups == {(0,): [0, 1]}
        with pytest.raises(LabelsError, match="open their recordings"):
            open_unseen(poses, {(0,): [0]}, opened, None, frames)


def test_labels_beyond_the_recording_are_refused() -> None:
    frames = np.zeros((3, 20, 20), np.uint8)
    with ExitStack() as opened, pytest.raises(LabelsError, match="are these the frames"):
        open_unseen(labels(CLIP), {(0,): [5]}, opened, None, open_frames(frames))
