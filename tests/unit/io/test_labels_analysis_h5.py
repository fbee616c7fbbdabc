import h5py
import numpy as np
import pytest
import sleap_io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_strategies import assert_same, poses

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

SKELETON = Skeleton(("nose", "tail"), ((0, 1),), ((0, 1),), "bee")
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
one_video = st.sampled_from(
    [(Video("clip.mp4", (), (48, 64)),), (Video("/d", ("x/1.png", "y/1.png", "y/2.png")),)]
)


@quick
@given(data=st.data())
def test_round_trip(tmp_path, data):
    original = data.draw(
        poses(
            videos=data.draw(one_video), occluded=False, sources=(0, 1), empty_frames=False,
            tracks=data.draw(st.booleans()),
        )
    )  # fmt: skip
    path = tmp_path / "a.analysis.h5"
    lost = write_poses(original, path)
    back = read_poses(path)
    loose = bool((original.track[original.present] < 0).any() and len(back.track_names))
    assert len(lost) == loose
    assert_same(original, back, skip=["track"] * loose)
    assert back.videos == original.videos


@quick
@given(data=st.data())
def test_sleap_io_reads_what_we_write(tmp_path, data):
    original = data.draw(
        poses(videos=(Video("clip.mp4"),), occluded=False, sources=(1,), empty_frames=False)
    )
    path = tmp_path / "a.analysis.h5"
    write_poses(original, path)
    labels = sleap_io.load_analysis_h5(str(path))
    assert labels.skeleton.node_names == list(original.skeleton.keypoints)
    assert [f.frame_idx for f in labels] == original.frame.tolist()
    for row, frame in enumerate(labels):
        mine = np.sort(original.instance_score[row][original.present[row]])
        np.testing.assert_allclose(np.sort([i.score for i in frame.instances]), mine)


def test_the_axes_may_have_any_order(tmp_path):
    track = sleap_io.Track("anna")
    skeleton = sleap_io.Skeleton(["nose", "tail"], edges=[("nose", "tail")], name="bee")
    video = sleap_io.Video("a.mp4", open_backend=False)
    frames = [
        sleap_io.LabeledFrame(
            video,
            i,
            [
                sleap_io.PredictedInstance.from_numpy(
                    np.array([[i, 10.0], [20, 30 + i]]), skeleton, point_scores=np.array([0.5, 0.7]),
                    score=0.6, track=track,
                )
            ],
        )
        for i in range(3)
    ]  # fmt: skip
    labels = sleap_io.Labels(frames, videos=[video], skeletons=[skeleton], tracks=[track])
    for preset in ("standard", "matlab"):
        path = tmp_path / f"{preset}.analysis.h5"
        sleap_io.save_analysis_h5(labels, str(path), preset=preset)
        back = read_poses(path)
        assert back.xy[2, 0].tolist() == [[2, 10], [20, 32]]
        assert back.score[1, 0].tolist() == [0.5, 0.7]
        assert back.instance_score[1, 0] == 0.6
        assert back.track_names == ("anna",)


def test_what_is_lost_is_said(tmp_path):
    original = Poses(
        SKELETON,
        np.ones((3, 3, 2, 2)) * [[[[1]]], [[[2]]], [[[np.nan]]]],
        [0, 1, 2],
        visible=np.ones((3, 3, 2)),
        source=np.array([[0, 1, 2]] * 3),
        instance_score=np.full((3, 3), 0.5),
    )
    text = "\n".join(write_poses(original, tmp_path / "a.analysis.h5"))
    for part in (
        "12 occluded keypoints",
        "1 frames",
        "6 animals without a track",
        "2 propagated animals",
        "those of 2 animals",
    ):
        assert part in text


def test_limits_are_errors(tmp_path):
    twice = Poses(SKELETON, np.ones((1, 2, 2, 2)), [0], track=[[0, 0]])
    with pytest.raises(LabelsError, match="two animals on the track track_0"):
        write_poses(twice, tmp_path / "a.analysis.h5")
    two = Poses(SKELETON, np.ones((2, 1, 2, 2)), [0, 0], video=[0, 1],
                videos=(Video("a"), Video("b")))  # fmt: skip
    with pytest.raises(LabelsError, match=r"2 \(a, b\)"):
        write_poses(two, tmp_path / "a.analysis.h5")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_a_truncated_file_is_a_clear_error(tmp_path, share):
    path = tmp_path / "a.analysis.h5"
    write_poses(Poses(SKELETON, np.ones((30, 2, 2, 2)), np.arange(30), track=[[0, 1]] * 30), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LabelsError, match=r"a\.analysis\.h5"):
        read_poses(path)


def test_a_wrong_number_of_names_is_a_clear_error(tmp_path):
    path = tmp_path / "a.analysis.h5"
    write_poses(Poses(SKELETON, np.ones((1, 1, 2, 2)), [0]), path)
    with h5py.File(path, "r+") as file:
        del file["node_names"]
        file["node_names"] = np.array([b"nose"])
    with pytest.raises(LabelsError, match="1 keypoint names, but 2 keypoints"):
        read_poses(path)


def test_the_real_file_agrees_with_its_slp(shared_data):
    folder = shared_data / "fly-pair-long"
    dense, labels = (
        read_poses(folder / "predictions.analysis.h5"),
        read_poses(folder / "predictions.slp"),
    )
    assert len(dense) == 3000
    assert dense.skeleton.keypoints == labels.skeleton.keypoints
    assert dense.track_names == labels.track_names
    for row in range(0, 3000, 100):
        for track in (0, 1):
            (a,) = dense.xy[row][dense.track[row] == track]
            (b,) = labels.xy[row][labels.track[row] == track]
            np.testing.assert_allclose(a, b)
    assert (dense.source == Source.PREDICTED).all()


@pytest.mark.parametrize("camera", ["back", "mid", "side", "top"])
def test_real_files_with_scores_agree_with_their_slp(shared_data, camera):
    folder = shared_data / "mouse-4cam" / camera
    dense = read_poses(folder / f"minimal_{camera}_proofread.analysis.h5")
    labels = read_poses(folder / f"minimal_{camera}_proofread.slp")
    assert len(dense) == 120
    order = [labels.skeleton.keypoints.index(k) for k in dense.skeleton.keypoints]
    np.testing.assert_allclose(dense.xy, labels.xy[:, :, order])
    np.testing.assert_allclose(dense.score, labels.score[:, :, order])
    np.testing.assert_allclose(dense.instance_score, labels.instance_score)


@pytest.mark.parametrize(
    ("name", "frames", "animals", "xy"),
    [
        ("simple_standard", 3, 3, [[100, 200], [150, 250]]),
        ("untracked_multi_standard", 5, 10, [[10, 20], [30, 40]]),
    ],
)
def test_small_real_files(shared_data, name, frames, animals, xy):
    dense = read_poses(shared_data / f"formats/analysis-h5/{name}.analysis.h5")
    assert (len(dense), dense.n_instances) == (frames, animals)
    assert dense.xy[0, 0].tolist() == xy
    assert dense.score[0, 0].tolist() == [0.9, 0.85]
    assert dense.instance_score[0, 0] == 0.95
