import h5py
import numpy as np
import pytest
import sleap_io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_strategies import assert_same, poses

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

SKELETON = Skeleton(("nose", "tail"), ((0, 1),), (), "bee")
few = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few
@given(poses(scores=False, sources=(0,)))
def test_labels_round_trip(tmp_path, original):
    path = tmp_path / "a.nwb"
    path.unlink(missing_ok=True)
    assert write_poses(original, path) == []
    back = read_poses(path)
    assert_same(original, back)
    assert [v.shape for v in back.videos] == [v.shape for v in original.videos]


@few
@given(poses(occluded=False, sources=(0, 1), empty_frames=False))
def test_predictions_and_labels_round_trip(tmp_path, original):
    path = tmp_path / "a.nwb"
    path.unlink(missing_ok=True)
    lost = write_poses(original, path)
    predicted = bool((original.source[original.present] == Source.PREDICTED).any())
    assert any("scores of whole animals" in line for line in lost) == predicted
    assert_same(original, read_poses(path), skip=["instance_score"], atol=1e-4)


def test_sleap_io_reads_our_predictions(tmp_path):
    xy = np.arange(24.0).reshape(3, 2, 2, 2)
    original = Poses(
        SKELETON, xy, [0, 1, 2], source=np.ones((3, 2)), track=[[0, 1]] * 3,
        score=np.full((3, 2, 2), 0.5), videos=(Video("clip.mp4"),),
    )  # fmt: skip
    write_poses(original, tmp_path / "a.nwb")
    labels = sleap_io.load_nwb(str(tmp_path / "a.nwb"))
    found = np.stack([i.numpy() for i in labels.labeled_frames[-1].instances])
    np.testing.assert_allclose(found, xy[2])
    assert labels.skeleton.node_names == ["nose", "tail"]


def test_names_that_nwb_forbids_are_changed_and_said(tmp_path):
    skeleton = Skeleton(("left/paw", "a:b"), name="bee")
    original = Poses(
        skeleton, np.ones((1, 2, 2, 2)), [0], track=[[0, 1]], source=[[0, 1]],
        track_names=("cage/anna", "berta"), videos=(Video("clip.mp4"),),
    )  # fmt: skip
    (lost,) = write_poses(original, tmp_path / "a.nwb")
    assert "cage/anna" in lost
    back = read_poses(tmp_path / "a.nwb")
    assert back.skeleton.keypoints == skeleton.keypoints
    assert set(back.track_names) == {"cage_anna", "berta"}


def test_what_is_lost_is_said(tmp_path):
    original = Poses(
        Skeleton(("nose", "tail"), (), ((0, 1),)),
        np.ones((2, 3, 2, 2)) * [[[[1]]], [[[np.nan]]]],
        [0, 1],
        visible=np.ones((2, 3, 2)),
        source=[[0, 1, 2]] * 2,
        instance_score=np.full((2, 3), 0.5),
    )
    text = "\n".join(write_poses(original, tmp_path / "a.nwb"))
    for part in (
        "4 occluded keypoints",
        "1 propagated",
        "scores of whole animals",
        "those of 1 animals",
        "left and right",
    ):
        assert part in text
    only = Poses(SKELETON, original.xy, [0, 1], source=np.ones((2, 3)))
    assert any("frames without animals: 1" in x for x in write_poses(only, tmp_path / "b.nwb"))


def test_a_file_with_other_data_is_not_replaced(tmp_path):
    path = tmp_path / "a.nwb"
    some = Poses(SKELETON, np.ones((1, 1, 2, 2)), [0], videos=(Video("clip.mp4"),))
    write_poses(some, path)
    write_poses(some, path)
    with h5py.File(path, "r+") as file:
        file["acquisition"].create_group("ElectricalSeries")
    with pytest.raises(LabelsError, match="also holds acquisition/ElectricalSeries"):
        write_poses(some, path)


def test_one_track_twice_on_a_frame_is_an_error(tmp_path):
    for source in (0, 1):
        twice = Poses(SKELETON, np.ones((1, 2, 2, 2)), [0], track=[[0, 0]], source=[[source] * 2])
        with pytest.raises(LabelsError, match="two animals on the track track_0"):
            write_poses(twice, tmp_path / "a.nwb")


def estimation(path, *, rate=None, times=None, starting_time=12.3):
    """A file as other programs write it: one animal, times in seconds."""
    with h5py.File(path, "w") as file:
        group = file.create_group("processing/behavior/PoseEstimationMouse")
        group.attrs["neurodata_type"] = "PoseEstimation"
        group["nodes"] = np.array([b"nose"])
        group["original_videos"] = np.array([b"run.avi"])
        series = group.create_group("nose")
        series.attrs["neurodata_type"] = "PoseEstimationSeries"
        n = 4 if times is None else len(times)
        series["data"] = np.arange(2.0 * n).reshape(n, 2)
        series["confidence"] = np.linspace(0.1, 0.4, n)
        if times is not None:
            series["timestamps"] = np.array(times)
        else:
            series["starting_time"] = starting_time
            series["starting_time"].attrs["rate"] = rate
    return path


@pytest.mark.parametrize(
    ("timing", "frames"),
    [
        ({"rate": 30.0}, [0, 1, 2, 3]),
        ({"times": [5.0, 5.04, 5.08, 5.2]}, [0, 1, 2, 5]),
        ({"times": [0.0, 0.9, 1.3, 4.0]}, [0, 1, 2, 3]),
    ],
)
def test_frames_are_numbered_by_their_times(tmp_path, timing, frames):
    back = read_poses(estimation(tmp_path / "a.nwb", **timing))
    assert back.frame.tolist() == frames
    assert back.videos == (Video("run.avi"),)
    assert back.track.max() == -1
    np.testing.assert_allclose(back.score[:, 0, 0], [0.1, 0.2, 0.3, 0.4])
    assert back.xy[1, 0].tolist() == [[2, 3]]


def test_a_rate_of_zero_is_a_clear_error(tmp_path):
    with pytest.raises(LabelsError, match=r"frame rate 0\.0"):
        read_poses(estimation(tmp_path / "a.nwb", rate=0.0))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_a_truncated_file_is_a_clear_error(tmp_path, share):
    path = tmp_path / "a.nwb"
    write_poses(Poses(SKELETON, np.ones((3, 1, 2, 2)), [0, 1, 2]), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LabelsError, match=r"a\.nwb"):
        read_poses(path)


def test_a_file_without_poses_is_a_clear_error(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.create_group("processing/ecephys")
    with pytest.raises(LabelsError, match="holds no poses"):
        read_poses(tmp_path / "a.nwb")


def test_the_real_file(shared_data):
    """Expected values are those of the file's datasets."""
    labels = read_poses(shared_data / "formats/nwb/minimal.annotations.nwb")
    assert labels.frame.tolist() == [0, 5]
    assert labels.n_instances == 3
    assert labels.skeleton.keypoints == ("a", "b", "c")
    assert labels.skeleton.edges == ((0, 1), (1, 2))
    assert labels.xy[1, 0].tolist() == [[15, 25], [35, 45], [55, 65]]
    assert labels.visible[0, 1].tolist() == [
        Visibility.VISIBLE,
        Visibility.VISIBLE,
        Visibility.ABSENT,
    ]
    assert labels.videos[0].name == "minimal_annot_src.mp4"
    assert (labels.source[labels.present] == Source.HUMAN).all()


def test_labels_of_a_list_of_images(tmp_path):
    video = Video(str(tmp_path), ("day/1.png", "day/2.png"), (4, 6))
    original = Poses(SKELETON, np.ones((1, 1, 2, 2)), [1], videos=(video,))
    write_poses(original, tmp_path / "a.nwb")
    assert read_poses(tmp_path / "a.nwb").videos == (video,)


@few
@given(st.sampled_from([(), (0,), (0, 3)]))
def test_frames_without_animals_are_kept(tmp_path, empty):
    path = tmp_path / "a.nwb"
    path.unlink(missing_ok=True)
    original = Poses.from_instances(
        SKELETON, [1], np.ones((1, 2, 2)), videos=(Video("a.mp4"),),
        empty_frames=[(0, f) for f in empty],
    )  # fmt: skip
    write_poses(original, path)
    assert read_poses(path).frame.tolist() == sorted({1, *empty})


def test_what_is_said_of_an_experiment_is_not_lost(tmp_path):
    original = Poses(SKELETON, np.ones((1, 1, 2, 2)), [0], videos=(Video("clip.mp4"),))
    path = tmp_path / "a.nwb"
    write_poses(original, path)
    write_poses(original, path)  # of ours nothing is lost
    with h5py.File(path, "r+") as file:
        file.require_group("general").create_dataset("experimenter", data=[b"Anna"])
    with pytest.raises(LabelsError, match="general/experimenter, which would be lost"):
        write_poses(original, path)
    with h5py.File(path) as file:
        assert list(file["general/experimenter"]) == [b"Anna"]


def test_a_stack_is_no_list_of_one_picture(tmp_path):
    original = Poses(SKELETON, np.ones((2, 1, 2, 2)), [0, 7], videos=(Video("/data/stack.tif"),))
    write_poses(original, tmp_path / "a.nwb")
    back = read_poses(tmp_path / "a.nwb")
    assert (back.videos[0].path, back.videos[0].images) == ("/data/stack.tif", ())
    assert back.frame.tolist() == [0, 7]
