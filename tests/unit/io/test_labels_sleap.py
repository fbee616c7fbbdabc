import json
import shutil

import h5py
import numpy as np
import pytest
import sleap_io
from hypothesis import HealthCheck, given, settings
from pose_strategies import assert_same, poses

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

SKELETON = Skeleton(("nose", "tail"), ((0, 1),))
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(poses())
def test_round_trip_keeps_everything(tmp_path, original):
    path = tmp_path / "labels.slp"
    assert write_poses(original, path) == []
    back = read_poses(path)
    assert_same(original, back)
    assert back.videos == original.videos


@quick
@given(poses(occluded=False, sources=(0, 1)))
def test_sleap_io_reads_what_we_write(tmp_path, original):
    path = tmp_path / "labels.slp"
    write_poses(original, path)
    labels = sleap_io.load_slp(str(path), open_videos=False)
    assert labels.skeleton.node_names == list(original.skeleton.keypoints)
    rows = {
        (int(v), int(f)): i
        for i, (v, f) in enumerate(zip(original.video, original.frame, strict=True))
    }
    assert len(labels.labeled_frames) == len(rows)
    for frame in labels:
        row = rows[labels.videos.index(frame.video), frame.frame_idx]
        assert frame.is_negative == (
            not original.present[row].any() and (original.source[original.present] == 0).any()
        )
        mine = {
            xy.round(3).tobytes() for xy in np.nan_to_num(original.xy[row][original.present[row]])
        }
        assert {np.nan_to_num(i.numpy()).round(3).tobytes() for i in frame.instances} == mine
    user = sum(len(frame.user_instances) for frame in labels)
    assert user == (original.source[original.present] == Source.HUMAN).sum()


def test_the_user_instance_replaces_its_prediction(tmp_path):
    skeleton = sleap_io.Skeleton(["nose", "tail"], edges=[("nose", "tail")])
    video = sleap_io.Video("clip.mp4", open_backend=False)
    track = sleap_io.Track("anna")

    def predicted(x, track=None):
        return sleap_io.PredictedInstance.from_numpy(
            np.full((2, 2), x), skeleton, point_scores=np.ones(2), score=0.5, track=track
        )

    def user(x, **more):
        return sleap_io.Instance.from_numpy(np.full((2, 2), x), skeleton, **more)

    corrected, other, tracked = predicted(1.0), predicted(2.0), predicted(3.0, track)
    frame = sleap_io.LabeledFrame(
        video,
        7,
        [corrected, other, tracked, user(1.5, from_predicted=corrected), user(3.5, track=track)],
    )
    sleap_io.save_slp(sleap_io.Labels([frame]), str(tmp_path / "a.slp"), verbose=False)
    back = read_poses(tmp_path / "a.slp")
    assert back.frame.tolist() == [7]
    by_x = dict(zip(back.xy[0, :, 0, 0].tolist(), back.source[0].tolist(), strict=True))
    assert by_x == {2.0: Source.PREDICTED, 1.5: Source.HUMAN, 3.5: Source.HUMAN}


def test_positions_of_keypoints_that_sleap_calls_invisible_are_not_labels(tmp_path):
    skeleton = sleap_io.Skeleton(["nose", "tail"])
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    instance = sleap_io.Instance.from_numpy(points, skeleton)
    instance.points["visible"] = [True, False]
    instance.points["complete"] = True
    frame = sleap_io.LabeledFrame(sleap_io.Video("a.mp4", open_backend=False), 0, [instance])
    sleap_io.save_slp(sleap_io.Labels([frame]), str(tmp_path / "a.slp"), verbose=False)
    back = read_poses(tmp_path / "a.slp")
    assert back.visible[0, 0].tolist() == [Visibility.VISIBLE, Visibility.ABSENT]


def test_scores_of_human_labels_are_reported_as_lost(tmp_path):
    scored = Poses(SKELETON, np.ones((1, 2, 2, 2)), [0], instance_score=[[0.5, 1.0]])
    (lost,) = write_poses(scored, tmp_path / "a.slp")
    assert "those of 1 animals were not written" in lost


def test_old_files_had_pixel_corners(tmp_path):
    path = tmp_path / "a.slp"
    write_poses(Poses(SKELETON, np.full((1, 1, 2, 2), 10.0), [0]), path)
    with h5py.File(path, "r+") as file:
        file["metadata"].attrs["format_id"] = 1.0
    assert read_poses(path).xy.tolist() == np.full((1, 1, 2, 2), 9.5).tolist()


def test_several_skeletons_are_joined_by_name(tmp_path):
    mouse, fly = sleap_io.Skeleton(["head", "tail"]), sleap_io.Skeleton(["head", "wing"])
    video = sleap_io.Video("a.mp4", open_backend=False)
    two = [sleap_io.Instance.from_numpy(np.ones((2, 2)) * i, s) for i, s in ((1, mouse), (2, fly))]
    labels = sleap_io.Labels([sleap_io.LabeledFrame(video, 0, two)])
    sleap_io.save_slp(labels, str(tmp_path / "a.slp"), verbose=False)
    back = read_poses(tmp_path / "a.slp")
    assert back.skeleton.keypoints == ("head", "tail", "wing")
    present = {tuple((v > 0).tolist()) for v in back.visible[0]}
    assert present == {(True, True, False), (True, False, True)}


def test_embedded_images_survive_saving_over_the_package(tmp_path, shared_data):
    path = tmp_path / "bees.pkg.slp"
    shutil.copyfile(shared_data / "formats/slp/minimal_instance.pkg.slp", path)
    labels = read_poses(path)
    assert labels.videos[0].path == f"{path}::video0/video"
    before = sleap_io.load_slp(str(path)).videos[0][0]
    assert write_poses(labels, path) == []
    after = sleap_io.load_slp(str(path)).videos[0][0]
    assert after.shape == (384, 384, 1)
    np.testing.assert_array_equal(before, after)
    assert_same(labels, read_poses(path))


def test_a_package_can_be_referred_to_from_another_file(tmp_path, shared_data):
    package = shared_data / "formats/slp/minimal_instance.pkg.slp"
    labels = read_poses(package)
    write_poses(labels, tmp_path / "plain.slp")
    assert read_poses(tmp_path / "plain.slp").videos == labels.videos
    with h5py.File(tmp_path / "plain.slp") as file:
        assert "video0" not in file
    assert sleap_io.load_slp(str(tmp_path / "plain.slp")).videos[0][0].shape == (384, 384, 1)


@pytest.mark.parametrize("frames_of", [[0], [1], [0, 1]])
def test_videos_and_packages_may_be_mixed(tmp_path, shared_data, frames_of):
    package = f"{shared_data}/formats/slp/minimal_instance.pkg.slp::video0/video"
    n = len(frames_of)
    labels = Poses(SKELETON, np.ones((n, 1, 2, 2)), [3] * n, video=frames_of,
                   videos=(Video("clip.mp4"), Video(package)))  # fmt: skip
    write_poses(labels, tmp_path / "a.slp")
    back = read_poses(tmp_path / "a.slp")
    assert back.video.tolist() == frames_of
    assert back.videos == labels.videos


def test_packages_number_their_videos_by_dataset(tmp_path):
    """As SLEAP writes packages of some videos of a project."""
    path = tmp_path / "a.pkg.slp"
    write_poses(Poses(SKELETON, np.ones((1, 1, 2, 2)), [3]), path)
    videos = [
        {"backend": {"type": "HDF5Video", "filename": ".", "dataset": f"video{i}/video"}}
        for i in (4, 15)
    ]
    with h5py.File(path, "r+") as file:
        frames = file["frames"][()]
        frames["video"] = 15
        for key in ("frames", "videos_json", "provenance_json"):
            del file[key]
        file["frames"] = frames
        file["videos_json"] = [json.dumps(video).encode() for video in videos]
        meta = json.loads(file["metadata"].attrs["json"])
        file["metadata"].attrs["json"] = json.dumps({**meta, "provenance": {}})
    back = read_poses(path)
    assert back.video.tolist() == [1]
    assert back.videos[1].path == f"{path}::video15/video"


def test_what_else_the_old_file_held_is_said(tmp_path):
    path = tmp_path / "a.slp"
    video = sleap_io.Video("clip.mp4", open_backend=False)
    skeleton = sleap_io.Skeleton(["nose", "tail"])
    labels = sleap_io.Labels(videos=[video], skeletons=[skeleton])
    labels.suggestions = [sleap_io.SuggestionFrame(video, i) for i in (3, 5)]
    sleap_io.save_slp(labels, str(path), verbose=False)
    (lost,) = write_poses(read_poses(path), path)
    assert "held 2 suggested frames" in lost
    assert write_poses(read_poses(path), path) == []


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.98])
def test_a_truncated_file_is_a_clear_error(tmp_path, keep):
    path = tmp_path / "a.slp"
    write_poses(Poses(SKELETON, np.ones((50, 2, 2, 2)), np.arange(50)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(LabelsError, match=r"a\.slp"):
        read_poses(path)


def test_instances_without_their_points_are_a_clear_error(tmp_path):
    path = tmp_path / "a.slp"
    write_poses(Poses(SKELETON, np.ones((5, 2, 2, 2)), np.arange(5)), path)
    with h5py.File(path, "r+") as file:
        points = file["points"][:-1]
        del file["points"]
        file["points"] = points
    with pytest.raises(LabelsError, match="points of its skeleton"):
        read_poses(path)


@pytest.mark.parametrize("video", [Video(), Video("/d/a.mp4", (), (4, 6)), Video("", ("1.png",))])
def test_videos_keep_their_names(tmp_path, video):
    labels = Poses(SKELETON, np.ones((1, 1, 2, 2)), [0], videos=(video,))
    write_poses(labels, tmp_path / "a.slp")
    assert read_poses(tmp_path / "a.slp").videos == (video,)


def test_other_hdf5_is_a_clear_error(tmp_path):
    path = tmp_path / "a.slp"
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(LabelsError, match="no SLEAP labels file"):
        read_poses(path)


def test_the_old_file_survives_a_failed_write(tmp_path, monkeypatch):
    path = tmp_path / "a.slp"
    some = Poses(SKELETON, np.ones((1, 1, 2, 2)), [0])
    write_poses(some, path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", fail)
    with pytest.raises(LabelsError, match="no space left"):
        write_poses(some, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "frames", "instances", "keypoints", "missing", "tracks"),
    [
        ("fly-pair-demo/demo-flies13-preds.slp", 1350, 2700, 13, 3.5, 2),
        ("fly-pair-short/two_flies.slp", 128, 256, 13, 7.8, 2),
        ("fly-pair-short/two_flies_noisy_detections.slp", 128, 259, 13, None, 2),
        ("fly-single-short/single_fly.slp", 128, 128, 13, 0, None),
        ("fly-pair-courtship/clip.slp", 1500, 3000, 13, 1.6, 2),
        ("fly-pair-long/predictions.slp", 3000, 6000, 13, 2.0, 2),
        ("fly-pair-centered/centered_pair_predictions.slp", 1100, None, 24, 10.9, 27),
        ("fly-pair-centered/centered_pair_predictions.clean.slp", 1100, 2200, 24, 8.2, 2),
        ("fly-quad-tracks/animals.slp", 1500, 6000, 13, 7.4, 4),
        ("mice-pair-cage/proofread.slp", 97, None, 15, 36, 2),
        ("zebrafish-ten/ten_zfish.slp", 32, 320, 1, 0, 10),
        ("mouse-4cam/back/minimal_back_proofread.slp", 120, 120, 15, 21.8, None),
        ("mouse-4cam/side/minimal_side_proofread.slp", 120, 120, 15, 12.9, None),
        ("mouse-4cam/mid/minimal_mid_proofread.slp", 120, 120, 15, 0, None),
    ],
)
def test_real_files(shared_data, name, frames, instances, keypoints, missing, tracks):
    """Numbers of the README of the data."""
    labels = read_poses(shared_data / name)
    assert len(labels) == frames
    assert len(labels.skeleton) == keypoints
    if instances is not None:
        assert labels.n_instances == instances
    if missing is not None:
        share = 100 * (labels.visible[labels.present] == 0).mean()
        assert share == pytest.approx(missing, abs=0.5 if missing == 36 else 0.051)
    if tracks is not None:
        assert len(labels.track_names) == tracks


def test_human_and_predicted_instances_of_a_real_file(shared_data):
    labels = read_poses(shared_data / "fly-pair-centered/labels.v002.rel_paths.slp")
    human = (labels.source == Source.HUMAN) & labels.present
    assert human.sum() == 9
    assert human.any(1).sum() == 5
    # three of the twelve predictions were corrected by hand
    assert labels.n_instances == 9 + 12 - 3


def test_a_real_file_with_eight_videos(shared_data):
    labels = read_poses(shared_data / "formats/slp/multiview.slp")
    assert [v.name for v in labels.videos][:2] == ["min_session_topL.mp4", "min_session_top.mp4"]
    assert np.bincount(labels.video).tolist() == [3] * 8
    assert (labels.source[labels.present] == Source.HUMAN).all()
    assert labels.skeleton.symmetry


def test_the_header_says_who_wrote_it(tmp_path):
    path = tmp_path / "a.slp"
    write_poses(Poses.empty(SKELETON, [Video("a.mp4")]), path)
    with h5py.File(path) as file:
        written = json.loads(file["metadata"].attrs["json"])["provenance"]
    assert written["writer"].startswith("napari-semimultipose ")
    assert len(read_poses(path)) == 0
