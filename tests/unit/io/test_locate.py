import os
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.frames import video_of
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.locate import find_below, resolve_videos
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Video

SKELETON = Skeleton(("nose",))


def labels_of(*videos, frames=(0,)):
    n = len(frames)
    return Poses(SKELETON, np.ones((n, 1, 1, 2)), list(frames), videos=videos)


def doubled(poses):
    """Arrays of poses with each row twice."""
    names = ("xy", "score", "instance_score", "track", "visible", "source")
    return {name: np.repeat(getattr(poses, name), 2, 0) for name in names}


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "project" / "labels.slp"
    touch(path)
    return path


@pytest.mark.parametrize(
    ("stored", "lies"),
    [
        ("clip.mp4", "clip.mp4"),
        ("sub/clip.mp4", "sub/clip.mp4"),
        ("/home/anna/data/clip.mp4", "clip.mp4"),
        ("/home/anna/data/clip.mp4", "data/clip.mp4"),
        (r"D:\anna\clip.mp4", "clip.mp4"),
        ("/home/anna/clip.mp4", "videos/clip.mp4"),
        ("/home/anna/clip.mp4", "clip.avi"),
        ("/home/anna/other.mp4", "labels.mp4"),
        ("", "labels.mp4"),
        ("", "whatever.mkv"),
    ],
)
def test_a_video_that_moved_is_found(labels, stored, lies):
    touch(labels.parent / lies)
    assert resolve_videos(labels_of(Video(stored)), labels) == {0: str(labels.parent / lies)}


def test_the_stored_path_comes_first(labels, tmp_path):
    touch(tmp_path / "away" / "clip.mp4", labels.parent / "clip.mp4")
    stored = str(tmp_path / "away" / "clip.mp4")
    assert resolve_videos(labels_of(Video(stored)), labels) == {0: stored}


def test_the_root_comes_before_the_folder_of_the_labels(labels, tmp_path):
    touch(tmp_path / "root" / "clip.mp4", labels.parent / "clip.mp4")
    found = resolve_videos(labels_of(Video("/gone/clip.mp4")), labels, tmp_path / "root")
    assert found == {0: str(tmp_path / "root" / "clip.mp4")}


def test_the_root_may_be_the_video(labels, tmp_path):
    touch(tmp_path / "any.mp4")
    root = tmp_path / "any.mp4"
    assert resolve_videos(labels_of(Video("clip.mp4")), labels, root) == {0: str(root)}
    with pytest.raises(LabelsError, match="one file"):
        resolve_videos(labels_of(Video("a.mp4"), Video("b.mp4")), labels, root)
    with pytest.raises(LabelsError, match="does not exist"):
        resolve_videos(labels_of(Video("a.mp4")), labels, tmp_path / "nowhere")


def test_the_nearest_name_wins(tmp_path):
    touch(*(tmp_path / n for n in ("clip.mp4", "clip_back.mp4", "clip_back_tracked.slp")))
    labels = tmp_path / "clip_back_tracked.slp"
    assert resolve_videos(labels_of(Video("/x/y.mp4")), labels) == {
        0: str(tmp_path / "clip_back.mp4")
    }


def test_names_of_two_videos_are_not_guessed(labels):
    touch(labels.parent / "a.mp4", labels.parent / "c.mp4")
    found = resolve_videos(labels_of(Video("/x/a.mp4"), Video("/x/b.mp4")), labels)
    assert found == {0: str(labels.parent / "a.mp4"), 1: None}


def test_what_was_searched_is_listed(labels, tmp_path):
    (tmp_path / "root").mkdir()
    missing = labels_of(Video("/x/a.mp4"))
    with pytest.raises(LabelsError) as error:
        resolve_videos(missing, labels, tmp_path / "root", required=True)
    for text in ("/x/a.mp4", str(tmp_path / "root"), str(labels.parent), "videos"):
        assert text in str(error.value)
    images = labels_of(Video("", ("a.png", "b.png", "c.png", "d.png")))
    with pytest.raises(LabelsError, match=r"4 images \(a.png, b.png, c.png, ...\)"):
        resolve_videos(images, labels, required=True)


def test_a_missing_video_without_labels_is_no_error(labels):
    touch(labels.parent / "a.mp4")
    found = resolve_videos(labels_of(Video("a.mp4"), Video("b.mp4")), labels, required=True)
    assert found[1] is None


@pytest.mark.parametrize("where", ["project", "project/images", "project/deep/down"])
def test_images_are_found_by_the_ends_of_their_names(labels, tmp_path, where):
    names = ("day1/1.png", "day2/1.png")
    paths = [tmp_path / where / name for name in names]
    touch(*paths)
    found = resolve_videos(labels_of(Video("/gone", names)), labels)
    assert [os.path.realpath(p) for p in found[0]] == [os.path.realpath(p) for p in paths]


def test_an_image_without_labels_may_be_missing(labels):
    touch(labels.parent / "1.png")
    names = ("1.png", "2.png")
    found = resolve_videos(labels_of(Video("", names)), labels, required=True)[0]
    assert len(found) == 2
    assert found[0] == str(labels.parent / "1.png")
    assert resolve_videos(labels_of(Video("", names), frames=(1,)), labels) == {0: None}


def test_ambiguous_images_are_an_error(labels):
    touch(labels.parent / "x" / "1.png", labels.parent / "y" / "1.png")
    with pytest.raises(LabelsError, match="could be any of"):
        resolve_videos(labels_of(Video("", ("1.png",))), labels)


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("fly-pair-demo/demo-flies13-preds.slp", "demo-flies13-preds.mp4"),
        ("fly-pair-short/two_flies_noisy_detections.slp", "two_flies.mp4"),
        ("fly-pair-long/predictions.slp", "20190128_113421.120s.mp4"),
        ("fly-pair-centered/centered_pair_predictions.slp", "centered_pair_low_quality.mp4"),
        ("mice-pair-cage/proofread.slp", "video.mp4"),
        ("zebrafish-ten/ten_zfish.slp", "ten_zfish.mp4"),
        ("mouse-4cam/back/minimal_back_proofread.slp", "minimal_back.mp4"),
        ("fly-quad-tracks/animals.slp", None),
    ],
)
def test_real_videos(shared_data, name, video):
    path = shared_data / name
    (found,) = resolve_videos(read_poses(path), path).values()
    assert found == (None if video is None else str(path.parent / video))


def test_real_images(shared_data):
    path = shared_data / "honeybee/annotations_labeled.json"
    (found,) = resolve_videos(read_poses(path), path, required=True).values()
    assert len(found) == 135
    assert all(Path(p).is_file() for p in found)


def test_an_embedded_video_is_found_beside_labels_that_refer_to_it(tmp_path, shared_data):
    package = shared_data / "formats/slp/minimal_instance.pkg.slp"
    labels = read_poses(package)
    place = f"{package}::video0/video"
    assert resolve_videos(labels, package) == {0: place}
    moved = labels_of(Video("/gone/minimal_instance.pkg.slp::video0/video"))
    assert resolve_videos(moved, package) == {0: place}


def test_several_missing_videos_are_found_by_name_below_a_folder(tmp_path: Path) -> None:
    for name in ("day1/a.mp4", "day2/b.mp4", "day2/a.mp4", "stills/img/1.png", "stills/img/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    videos = [
        Video("D:\\old\\day2\\a.mp4"),
        Video("/gone/b.mp4"),
        Video("/gone/c.mp4"),
        Video("/gone", ("img/1.png", "img/2.png")),
        Video("/gone", ("img/1.png", "img/3.png")),
    ]
    found = find_below(videos, tmp_path)
    assert sorted(found) == [0, 1, 3]
    assert found[0].path == str(tmp_path / "day2" / "a.mp4")
    assert found[1].path == str(tmp_path / "day2" / "b.mp4")
    assert found[3] == Video(str(tmp_path / "stills"), ("img/1.png", "img/2.png"))


def test_images_without_any_label_are_looked_for_where_some_of_them_are(labels, tmp_path):
    """As for the recordings of labels of which no row is wanted; elsewhere there would be no file at all."""
    names = ("1.png", "2.png")
    empty = labels_of(Video("/gone", names), frames=())
    assert resolve_videos(empty, labels) == {0: None}
    touch(labels.parent / "images" / "2.png")
    found = resolve_videos(empty, labels)[0]
    assert found[1] == str(labels.parent / "images" / "2.png")


def test_one_file_is_not_taken_for_two_recordings(labels):
    """Sessions have files of the same names: one that is gone is not to be read from another."""
    there = labels.parent / "top.mp4"
    touch(there)
    alike = labels_of(Video("/gone/run1/top.mp4"), Video("/gone/run2/top.mp4"))
    assert resolve_videos(alike, labels) == {0: None, 1: None}
    with pytest.raises(LabelsError, match=r"top\.mp4"):
        resolve_videos(alike, labels, required=True)
    known = labels_of(Video("/gone/run1/top.mp4"), Video(str(there)))
    assert resolve_videos(known, labels) == {0: None, 1: str(there)}
    twice = labels_of(Video("top.mp4"), Video("top.mp4", shape=(2, 2)))
    assert resolve_videos(twice, labels) == {0: str(there), 1: str(there)}


def test_lists_of_images_of_one_name_are_found_in_their_folders(labels):
    lists = labels_of(Video("/gone/A", ("1.png",)), Video("/gone/B", ("1.png",)))
    touch(labels.parent / "data/B/1.png")
    place = str(labels.parent / "data/B/1.png")
    assert resolve_videos(lists, labels) == {0: None, 1: [place]}
    touch(labels.parent / "data/A/1.png")
    other = str(labels.parent / "data/A/1.png")
    assert resolve_videos(lists, labels) == {0: [other], 1: [place]}


def test_one_folder_is_not_taken_for_two_lists_of_images(labels):
    """Although the lists are not the same."""
    touch(*(labels.parent / f"{i}.png" for i in range(2)))
    lists = labels_of(Video("/gone/A", ("0.png", "1.png")), Video("/gone/B", ("0.png",)))
    both = replace(lists, video=np.array([0, 1]), frame=np.zeros(2, int), **doubled(lists))
    assert resolve_videos(both, labels) == {0: None, 1: None}


def test_the_working_folder_comes_last(labels, tmp_path, monkeypatch):
    """It is not the one in which the path was written."""
    touch(tmp_path / "elsewhere/clip.mp4", labels.parent / "videos/clip.mp4")
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = resolve_videos(labels_of(Video("clip.mp4")), labels)
    assert found == {0: str(labels.parent / "videos/clip.mp4")}


def test_recordings_and_labels_named_relatively_are_stored_with_their_folders(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    imageio.imwrite(tmp_path / "in/a.png", np.zeros((8, 8), np.uint8))
    assert video_of(open_frames("in/a.png")).path == str(tmp_path / "in")
    write_poses(labels_of(Video("", ("a.png",), (8, 8))), "in/labels.json")
    monkeypatch.chdir(tmp_path / "in")
    assert read_poses("labels.json").videos[0].path == str(tmp_path / "in")
