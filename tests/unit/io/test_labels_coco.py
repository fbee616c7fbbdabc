import json
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pose_strategies import assert_same, poses

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Video, Visibility

SKELETON = Skeleton(("nose", "tail"), ((0, 1),))
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def coco(path, **changes):
    content = {
        "images": [{"id": 5, "file_name": "a/1.jpg"}, {"id": 3, "file_name": "b/1.jpg"}],
        "categories": [
            {"id": 1, "name": "bee", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
        ],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1]},
        ],
    }
    content.update(changes)
    path.write_text(json.dumps(content))
    return path


@quick
@given(poses())
def test_round_trip_keeps_everything(tmp_path, original):
    path = tmp_path / "labels.json"
    lost = write_poses(original, path)
    assert all("were given the names of images" in line for line in lost)
    assert bool(lost) == (not original.videos[0].images)
    back = read_poses(path)
    assert_same(original, back)


def test_images_are_told_by_name_in_the_order_of_the_file(tmp_path):
    labels = read_poses(coco(tmp_path / "a.json"), frames_root=tmp_path / "images")
    assert labels.videos == (Video(str(tmp_path / "images"), ("a/1.jpg", "b/1.jpg")),)
    assert [labels.image_name(i) for i in range(2)] == ["a/1.jpg", "b/1.jpg"]
    assert labels.present.tolist() == [[False], [True]]


def test_flags_are_visible_occluded_absent(tmp_path):
    labels = read_poses(coco(tmp_path / "a.json"))
    assert labels.visible[1, 0].tolist() == [Visibility.VISIBLE, Visibility.OCCLUDED]
    assert labels.xy[1, 0].tolist() == [[1, 2], [3, 4]]


def test_a_file_with_two_flags_means_visible_by_1(tmp_path):
    note = {"id": 1, "image_id": 3, "category_id": 1, "keypoints": [1, 2, 1, 3, 4, 0]}
    labels = read_poses(coco(tmp_path / "a.json", annotations=[note]))
    assert labels.visible[1, 0].tolist() == [Visibility.VISIBLE, Visibility.ABSENT]
    assert np.isnan(labels.xy[1, 0, 1]).all()


def test_files_of_ours_know_that_all_keypoints_are_occluded(tmp_path):
    hidden = Poses(SKELETON, np.ones((1, 1, 2, 2)), [0], visible=np.ones((1, 1, 2)))
    write_poses(hidden, tmp_path / "a.json")
    assert (read_poses(tmp_path / "a.json").visible == Visibility.OCCLUDED).all()


def test_categories_are_joined_or_one_is_chosen(tmp_path, caplog):
    path = coco(
        tmp_path / "a.json",
        categories=[
            {"id": 1, "name": "bee", "keypoints": ["nose", "tail"]},
            {"id": 7, "name": "fly", "keypoints": ["nose", "wing"]},
            {"id": 8, "name": "ant", "keypoints": ["leg"]},
        ],
        annotations=[
            {"id": 1, "image_id": 3, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]},
            {"id": 2, "image_id": 3, "category_id": 7, "keypoints": [5, 6, 2, 7, 8, 2]},
        ],
    )
    with caplog.at_level(logging.WARNING):
        both = read_poses(path)
    assert "bee (1), fly (1)" in caplog.text
    assert both.skeleton.keypoints == ("nose", "tail", "wing")
    assert (both.visible[1] > 0).tolist() == [[True, True, False], [True, False, True]]
    fly = read_poses(path, category="fly")
    assert fly.skeleton.keypoints == ("nose", "wing")
    assert fly.n_instances == 1
    with pytest.raises(LabelsError, match="it has ant, bee, fly"):
        read_poses(path, category="cow")


def test_images_listed_twice_are_one_image(tmp_path):
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}]
    notes = [
        {"id": i, "image_id": i, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]} for i in (1, 2)
    ]
    labels = read_poses(coco(tmp_path / "a.json", images=images, annotations=notes))
    assert len(labels) == labels.n_instances == 1


def test_two_folders_with_equal_names_stay_apart(tmp_path):
    videos = (Video("day1", ("1.png",)), Video("day2", ("1.png",)))
    labels = Poses(SKELETON, np.ones((2, 1, 2, 2)), [0, 0], video=[0, 1], videos=videos)
    write_poses(labels, tmp_path / "a.json")
    back = read_poses(tmp_path / "a.json")
    assert back.videos[0].images == ("day1/1.png", "day2/1.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("{", "JSONDecodeError"),
        ("[]", "list of COCO results"),
        ("{}", "no section images, annotations, categories"),
        ('{"images": [], "annotations": [], "categories": []}', "names no keypoints"),
        ("\x89PNG", "JSONDecodeError"),
    ],
)
def test_malformed_files_are_clear_errors(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(LabelsError, match=message):
        read_poses(path)


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (
            {"image_id": 3, "category_id": 1, "keypoints": [1, 2, 2]},
            "has 3 numbers, its category 6",
        ),
        ({"image_id": 9, "category_id": 1, "keypoints": [1, 2, 2] * 2}, "image 9"),
        ({"image_id": 3, "category_id": 2, "keypoints": [1, 2, 2] * 2}, "unknown category 2"),
        ({"category_id": 1, "keypoints": [1, 2, 2] * 2}, "KeyError"),
    ],
)
def test_wrong_annotations_are_clear_errors(tmp_path, note, message):
    with pytest.raises(LabelsError, match=message):
        read_poses(coco(tmp_path / "a.json", annotations=[{"id": 1, **note}]))


def test_honeybee(shared_data):
    """Numbers of the README of the data."""
    bees = read_poses(shared_data / "honeybee/annotations_labeled.json")
    assert len(bees) == len(bees.videos[0].images) == 135
    assert bees.n_instances == 1614
    counts = bees.present.sum(1)
    assert (counts.min(), counts.max()) == (3, 29)
    assert counts.mean() == pytest.approx(11.96, abs=0.005)
    assert 100 * (bees.visible[bees.present] == 0).mean() == pytest.approx(5.5, abs=0.05)
    assert set(np.unique(bees.visible[bees.present])) == {Visibility.ABSENT, Visibility.VISIBLE}
    assert bees.skeleton.keypoints == ("Tail", "Head", "Thorax", "Rant", "Lant")
    assert bees.skeleton.edges == ((0, 2), (2, 1), (1, 3), (1, 4))
    assert bees.skeleton.symmetry == ((4, 3),)
    splits = json.loads((shared_data / "honeybee/splits.json").read_text())
    named = {bees.image_name(i) for i in range(len(bees))}
    assert set(splits["dev_train"]) | set(splits["dev_test"]) <= named


@pytest.mark.parametrize(
    ("name", "frames", "instances", "keypoints"),
    [
        ("coco-animals/ap10k/test_ap10k.json", 2, 2, 17),
        ("coco-animals/fly/test_fly.json", 2, 2, 32),
        ("coco-animals/locust/test_locust.json", 2, 2, 35),
        ("coco-animals/zebra/test_zebra.json", 2, 2, 9),
        ("formats/coco/flat_images/annotations.json", 3, 3, 17),
        ("formats/coco/flat_images/annotations_negative_frame.json", 3, 2, 17),
        ("formats/coco/nested_paths/annotations.json", 3, 3, 17),
        ("formats/coco/mixed_animals/annotations.json", 3, 6, 30),
        ("honeybee/fullres-sample/train_bee_annotations2018.subset.json", 2, 24, 5),
    ],
)
def test_other_real_files(shared_data, name, frames, instances, keypoints):
    labels = read_poses(shared_data / name)
    assert (len(labels), labels.n_instances) == (frames, instances)
    assert len(labels.skeleton) == keypoints


def test_three_flags_of_a_real_file(shared_data):
    labels = read_poses(shared_data / "formats/coco/visibility_ternary/annotations.json")
    # the file holds 18 keypoints of flag 0 and of flag 1, and 15 of flag 2
    assert np.bincount(labels.visible[labels.present].ravel()).tolist() == [18, 18, 15]
