import h5py
import numpy as np
import pytest
import sleap_io
from hypothesis import HealthCheck, given, settings
from pose_strategies import assert_same, poses

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.jabs import skeleton
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

MOUSE = skeleton()
quick = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
drawn = poses(skeleton=MOUSE, videos=(Video("clip.mp4"),), occluded=False, sources=(1,), decimals=0)


@quick
@given(drawn)
def test_round_trip(tmp_path, original):
    """What is kept: whole pixels inside the image, keypoint scores, the numbers of the tracks."""
    original = Poses(
        MOUSE, np.abs(original.xy), original.frame, score=original.score, track=original.track,
        source=original.source,
    )  # fmt: skip
    path = tmp_path / "clip_pose_est_v5.h5"
    lost = write_poses(original, path)
    back = read_poses(path)
    assert len(back) == original.frame.max() + 1
    rows = [int(f) for f in original.frame]
    assert back.videos == (Video("clip.avi"),)
    loose = bool((original.track[original.present] < 0).any())
    assert any("without a track got one" in line for line in lost) == loose
    for i, row in enumerate(rows):
        number = {int(t): s for s, t in enumerate(original.track[i]) if t >= 0}
        for track, slot in number.items():
            (there,) = [
                s for s, t in enumerate(back.track[row])
                if t >= 0 and back.track_names[t] == str(track + 1)
            ]  # fmt: skip
            np.testing.assert_array_equal(back.xy[row, there], original.xy[i, slot])
    assert_same(original, back.select(rows), skip=["track", "instance_score", "video"], atol=1e-6)


def test_one_mouse_in_version_2(tmp_path):
    xy = np.arange(48.0).reshape(2, 1, 12, 2)
    score = np.full((2, 1, 12), 0.25)
    original = Poses(
        MOUSE, xy, [0, 1], score=score, source=np.ones((2, 1)), instance_score=score[..., 0]
    )
    path = tmp_path / "clip_pose_est_v2.h5"
    assert write_poses(original, path) == []
    assert_same(original, read_poses(path), skip=["video"])
    with h5py.File(path) as file:
        assert file["poseest/points"].shape == (2, 12, 2)
        assert file["poseest/points"][0, 0].tolist() == [1, 0]  # (y, x)
    two = Poses(MOUSE, np.ones((1, 2, 12, 2)), [0])
    with pytest.raises(LabelsError, match=r"holds one mouse, and a frame has 2.*_pose_est_v5"):
        write_poses(two, path)


def test_keypoints_are_matched_by_name(tmp_path):
    other = Skeleton(MOUSE.keypoints[::-1])
    xy = np.arange(24.0).reshape(1, 1, 12, 2)
    write_poses(Poses(other, xy, [0]), tmp_path / "a_pose_est_v5.h5")
    assert read_poses(tmp_path / "a_pose_est_v5.h5").xy[0, 0, 0].tolist() == [22, 23]
    with pytest.raises(LabelsError, match="mice with the keypoints NOSE"):
        write_poses(Poses(Skeleton(("a",)), xy[:, :, :1], [0]), tmp_path / "a_pose_est_v5.h5")


def test_what_is_lost_is_said(tmp_path):
    original = Poses(
        MOUSE,
        np.full((1, 2, 12, 2), -7.25),
        [3],
        visible=np.ones((1, 2, 12)),
        track=[[0, -1]],
        track_names=("anna",),
        source=[[0, 1]],
        instance_score=[[1, 0.5]],
    )
    text = "\n".join(write_poses(original, tmp_path / "a_pose_est_v5.h5"))
    for part in (
        "24 keypoints were rounded",
        "24 keypoints were moved to 0",
        "24 occluded keypoints",
        "1 human or propagated",
        "no scores of whole animals",
        "1 animals without a track",
        "the names anna",
        "3 frames without labels count as empty",
    ):
        assert part in text


def test_files_of_other_kinds_are_clear_errors(tmp_path):
    path = tmp_path / "a_pose_est_v5.h5"
    with h5py.File(path, "w") as file:
        file["poseest/points"] = np.zeros((2, 5, 2), np.uint16)
        file["poseest/confidence"] = np.zeros((2, 5), np.float32)
    with pytest.raises(LabelsError, match="JABS mice have 12 keypoints"):
        read_poses(path)


@pytest.mark.parametrize(("version", "frames"), [(2, 100), (5, 250)])
def test_real_files_as_sleap_io_reads_them(shared_data, version, frames):
    path = shared_data / f"formats/jabs/example_pose_est_v{version}.h5"
    mine, theirs = read_poses(path), sleap_io.load_jabs(str(path))
    assert len(mine) == len(theirs) == frames
    assert mine.skeleton.keypoints == tuple(theirs.skeleton.node_names)
    assert (mine.source[mine.present] == Source.PREDICTED).all()
    assert mine.n_instances == sum(len(frame.instances) for frame in theirs)
    for row in range(0, frames, 25):
        instances = theirs.labeled_frames[row].instances
        here = np.flatnonzero(mine.present[row])
        assert len(instances) == len(here)
        for instance, slot in zip(instances, here, strict=True):
            np.testing.assert_array_equal(instance.numpy(), mine.xy[row, slot])
            assert instance.score == pytest.approx(mine.instance_score[row, slot])
            if version == 5:
                assert mine.track_names[mine.track[row, slot]] == instance.track.name
