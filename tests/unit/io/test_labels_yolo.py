import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pose_strategies import assert_same, poses

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

SKELETON = Skeleton(("nose", "left", "right"), ((0, 1),), ((1, 2),), "bee")
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAMES = ("images/1.png", "day/images/1.png", "images/day/2.png")


def dataset(folder, lines, **config):
    for place in ("images", "labels"):
        (folder / place).mkdir(exist_ok=True)
    for name, text in lines.items():
        Image.new("L", (40, 20)).save(folder / "images" / f"{name}.png")
        if text is not None:
            (folder / "labels" / f"{name}.txt").write_text(text)
    config = {"train": "images", "names": ["bee"], "kpt_shape": [2, 3], **config}
    (folder / "data.yaml").write_text(yaml.safe_dump(config))
    return folder


@quick
@given(data=st.data())
def test_labels_round_trip(tmp_path, data):
    original = data.draw(
        poses(videos=(Video("", NAMES, (240, 320)),), tracks=False, scores=False, sources=(0,))
    )
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    (tmp_path / "set").mkdir()
    (lost,) = write_poses(original, tmp_path / "set", format="yolo-pose")
    assert "pictures themselves" in lost
    assert_same(original, read_poses(tmp_path / "set"))


@quick
@given(data=st.data())
def test_predictions_round_trip(tmp_path, data):
    original = data.draw(
        poses(videos=(Video("", NAMES, (240, 320)),), occluded=False, sources=(1,))
    )
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    lost = write_poses(original, tmp_path / "set", format="yolo-pose")
    tracked = bool((original.track >= 0).any())
    zero = bool((original.score[original.visible > 0] == 0).any())
    assert len(lost) == 1 + tracked + zero
    back = read_poses(tmp_path / "set")
    if not zero:
        original = replace(original, track_names=())
        assert_same(original, back)


def test_a_real_looking_dataset(tmp_path):
    """Shares of a picture of 40 x 20 px."""
    line = "0 .5 .5 .2 .2 .25 .5 2 .75 1 1\n"
    folder = dataset(tmp_path, {"a": line + line, "b": "", "c": None}, val="images")
    labels = read_poses(folder / "data.yaml")
    assert labels.videos == (Video(str(folder), ("images/a.png", "images/b.png", "images/c.png")),)
    assert labels.frame.tolist() == [0, 1]
    assert labels.xy[0, 0].tolist() == [[10, 10], [30, 20]]
    assert labels.visible[0, 0].tolist() == [Visibility.VISIBLE, Visibility.OCCLUDED]
    assert labels.skeleton.keypoints == ("point_0", "point_1")


def test_predictions_have_confidences_and_tracks(tmp_path):
    """The lines that Ultralytics writes with save_txt, save_conf and tracking."""
    line = "0 .5 .5 .2 .2 .25 .5 .9 .75 1 .4 .8"
    labels = read_poses(dataset(tmp_path, {"a": f"{line}\n{line} 7\n"}))
    assert labels.score[0].tolist() == [[0.9, 0.4]] * 2
    assert labels.instance_score[0].tolist() == [0.8, 0.8]
    assert labels.track[0].tolist() == [-1, 7]
    assert (labels.source == Source.PREDICTED).all()


def test_keypoints_may_have_two_numbers(tmp_path):
    labels = read_poses(dataset(tmp_path, {"a": "0 .5 .5 .2 .2 .25 .5 0 0\n"}, kpt_shape=[2, 2]))
    assert labels.visible[0, 0].tolist() == [Visibility.VISIBLE, Visibility.ABSENT]


def test_a_split_may_be_a_list_of_pictures(tmp_path):
    folder = dataset(
        tmp_path, {"a": "", "b": ""}, train="train.txt", node_names=["x", "y"], flip_idx=[1, 0]
    )
    (folder / "train.txt").write_text("./images/b.png\n")
    labels = read_poses(folder)
    assert labels.videos[0].images == ("images/b.png",)
    assert labels.skeleton == Skeleton(("x", "y"), (), ((0, 1),), "bee")


def test_names_are_put_below_a_folder_images(tmp_path):
    videos = (Video("clip.mp4", (), (20, 40)), Video("", ("day/a.png",), (20, 40)))
    original = Poses(SKELETON, np.ones((2, 1, 3, 2)), [5, 0], video=[0, 1], videos=videos)
    lost = write_poses(original, tmp_path / "set", format="yolo-pose")
    assert "2 names were changed" in lost[1]
    back = read_poses(tmp_path / "set")
    assert back.videos[0].images == ("images/clip/00000005.png", "images/day/a.png")
    assert (tmp_path / "set/labels/day/a.txt").is_file()


def test_sizes_come_from_the_pictures(tmp_path):
    Image.new("L", (40, 20)).save(tmp_path / "a.png")
    video = Video(str(tmp_path), ("a.png",))
    original = Poses(SKELETON, np.full((1, 1, 3, 2), 10.0), [0], videos=(video,))
    write_poses(original, tmp_path / "set", format="yolo-pose")
    text = (tmp_path / "set/labels/a.txt").read_text()
    assert text == "0 0.25 0.5 0 0" + " 0.25 0.5 2" * 3 + "\n"
    unknown = Poses(SKELETON, np.ones((1, 1, 3, 2)), [0], videos=(Video("", ("b.png",)),))
    with pytest.raises(LabelsError, match=r"that of b\.png is not known"):
        write_poses(unknown, tmp_path / "other", format="yolo-pose")
    assert not (tmp_path / "other").exists()


def test_what_is_lost_is_said(tmp_path):
    original = Poses(
        SKELETON,
        np.ones((1, 3, 3, 2)),
        [0],
        visible=np.ones((1, 3, 3)),
        track=[[0, 1, -1]],
        track_names=("anna", "berta"),
        source=[[0, 1, 2]],
        score=np.full((1, 3, 3), 0.5),
        videos=(Video("", ("images/a.png",), (20, 40)),),
    )
    text = "\n".join(write_poses(original, tmp_path / "set", format="yolo-pose"))
    for part in (
        "no tracks of human labels: 1",
        "their names were not written",
        "1 propagated",
        "6 occluded keypoints",
        "those of 1 animals",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("lines", "config", "message"),
    [
        ({"a": "0 .5 .5 .2 .2 .25\n"}, {}, "has 6 numbers; 11 were expected"),
        ({"a": "0 .5 .5 .2 .2 .25 .5 2 .75 1 x\n"}, {}, "11 were expected"),
        ({}, {"kpt_shape": [2, 4]}, r"kpt_shape is \[2, 4\]"),
        ({}, {"node_names": ["a"]}, "1 keypoint names, but kpt_shape says 2"),
    ],
)
def test_malformed_datasets_are_clear_errors(tmp_path, lines, config, message):
    with pytest.raises(LabelsError, match=message):
        read_poses(dataset(tmp_path, lines, **config))


def test_a_missing_picture_is_a_clear_error(tmp_path):
    folder = dataset(tmp_path, {"a": "0 .5 .5 .2 .2 .25 .5 2 .75 1 2\n"}, train="list.txt")
    (folder / "list.txt").write_text("images/a.png\n")
    (folder / "images/a.png").unlink()
    with pytest.raises(LabelsError, match=r"a\.png cannot be opened"):
        read_poses(folder)


def test_the_real_dataset(shared_data):
    """Expected values are numbers of the text files times 640 x 480 px."""
    labels = read_poses(shared_data / "formats/yolo-pose")
    assert labels.videos[0].shape == (480, 640)
    assert labels.present.sum(1).tolist() == [1, 2, 1]
    np.testing.assert_allclose(labels.xy[0, 0, 0], [0.45 * 640, 0.2 * 480])
    assert labels.visible[1, 1].tolist() == [2, 2, 2, 1, 0]
    assert labels.skeleton.edges == ((0, 1), (1, 2), (2, 3), (2, 4))
    assert labels.skeleton.symmetry == ((0, 1), (2, 3))
    assert labels.image_name(2) == "val/images/image_003.jpg"


def test_pictures_that_share_a_labels_file_are_refused(tmp_path):
    video = Video("", ("a.png", "a.jpg"), (20, 40))
    original = Poses(SKELETON, np.ones((2, 1, 3, 2)), [0, 1], videos=(video,))
    with pytest.raises(
        LabelsError, match=r"images/a\.png and images/a\.jpg would have one labels file"
    ):
        write_poses(original, tmp_path / "set", format="yolo-pose")
    assert not (tmp_path / "set").exists()


def test_recordings_of_one_name_stay_apart(tmp_path):
    videos = tuple(Video(f"/data/{run}/top.mp4", (), (20, 40)) for run in ("run1", "run2"))
    original = Poses(SKELETON, np.ones((2, 1, 3, 2)), [1, 5], video=[0, 1], videos=videos)
    write_poses(original, tmp_path / "set", format="yolo-pose")
    assert read_poses(tmp_path / "set").videos[0].images == (
        "images/run1_top/00000001.png",
        "images/run2_top/00000005.png",
    )


@pytest.mark.parametrize(("place", "found"), [("../train/images", 1), ("elsewhere", 0)])
def test_paths_as_roboflow_writes_them(tmp_path, place, found):
    (tmp_path / "train/images").mkdir(parents=True)
    (tmp_path / "train/labels").mkdir()
    Image.new("L", (40, 20)).save(tmp_path / "train/images/a.png")
    (tmp_path / "train/labels/a.txt").write_text("0 0.5 0.5 1 1 0.25 0.5 2\n")
    (tmp_path / "data.yaml").write_text(f"train: {place}\nkpt_shape: [1, 3]\nnames: [bee]\n")
    if not found:
        with pytest.raises(LabelsError, match=r"no picture was found in .*train: elsewhere"):
            read_poses(tmp_path)
        return
    back = read_poses(tmp_path)
    assert back.videos[0].images == ("train/images/a.png",)
    assert back.n_instances == 1
