"""The synthetic recordings: what trains, tests and shows the program must be right itself."""

import numpy as np
import pytest

from napari_semimultipose.io.labels import read_poses
from napari_semimultipose.io.locate import resolve_videos
from napari_semimultipose.io.sample import SyntheticRecording, make_recording, write_sample
from napari_semimultipose.io.synthetic.species import SPECIES
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.io.video_index import frame_index
from napari_semimultipose.poses import Visibility


def test_same_arguments_give_the_same_recording_in_any_order():
    frames, truth = make_recording(6, seed=4, size=(120, 160))
    again = SyntheticRecording(6, seed=4, size=(120, 160))
    for i in (5, 0, 3):
        np.testing.assert_array_equal(again.frame(i), frames[i])
    np.testing.assert_array_equal(again.poses().xy, truth.xy)
    other, _ = make_recording(6, seed=5, size=(120, 160))
    assert (other != frames).mean() > 0.5


@pytest.mark.parametrize("species", SPECIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_types_and_skeleton(species, channels):
    frames, truth = make_recording(
        3, animals=2, size=(100, 140), species=species, channels=channels
    )
    assert frames.shape == (3, 100, 140, channels)
    assert frames.dtype == np.uint8
    assert truth.xy.shape == (3, 2, len(SPECIES[species].skeleton), 2)
    assert truth.videos[0].shape == (100, 140)
    assert 5 <= len(truth.skeleton) <= 8
    assert truth.skeleton.symmetry
    assert truth.skeleton.with_guessed_symmetry().mirror_index.shape == (len(truth.skeleton),)


def test_symmetric_pairs_are_the_ones_their_names_say():
    for species in SPECIES.values():
        bare = type(species.skeleton)(species.skeleton.keypoints)
        assert bare.with_guessed_symmetry().symmetry == species.skeleton.symmetry


def test_left_keypoints_lie_left_of_the_walking_direction():
    recording = SyntheticRecording(200, animals=3, seed=1, missing=0.0)
    xy = recording.poses().xy
    names = recording.skeleton.keypoints
    head, thorax, abdomen = (xy[:, :, names.index(k)] for k in ("head", "thorax", "abdomen"))
    for name, forward, sign in (
        ("antennaL", head - thorax, -1),
        ("antennaR", head - thorax, 1),
        ("legL", thorax - abdomen, -1),
        ("legR", thorax - abdomen, 1),
    ):
        arm = xy[:, :, names.index(name)] - thorax
        cross = forward[..., 0] * arm[..., 1] - forward[..., 1] * arm[..., 0]
        cross = cross[np.isfinite(cross)]
        assert (np.sign(cross) == sign).mean() > 0.95, name


def test_truth_marks_what_the_picture_shows():
    """At the thorax of a visible animal the picture differs from the empty ground."""
    recording = SyntheticRecording(40, animals=3, seed=2, noise=0.0, missing=0.0)
    empty = SyntheticRecording(40, animals=0, seed=2, noise=0.0)
    truth = recording.poses()
    for i in range(0, 40, 10):
        difference = np.abs(recording.frame(i).astype(int) - empty.frame(i).astype(int)).sum(-1)
        for n, k in np.argwhere(truth.visible[i] == Visibility.VISIBLE):
            x, y = np.round(truth.xy[i, n, k]).astype(int)
            around = difference[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            assert around.max() > 40, truth.skeleton.keypoints[k]
        far = difference.copy()
        for x, y in truth.xy[i].reshape(-1, 2):
            if np.isfinite(x):
                far[max(int(y) - 45, 0) : int(y) + 46, max(int(x) - 45, 0) : int(x) + 46] = 0
        assert far.max() == 0, "something was painted far from every keypoint"


def test_keypoints_outside_are_absent_and_covered_ones_keep_a_position():
    truth = SyntheticRecording(1500, animals=4, seed=0, missing=0.0).poses()
    xy, visible = truth.xy, truth.visible
    known = visible > Visibility.ABSENT
    assert np.isfinite(xy[known]).all()
    assert xy[known].min() >= -0.5
    assert xy[known].max() < 319.5
    assert 0.005 < (visible == Visibility.OCCLUDED).mean() < 0.10
    assert 0.01 < (visible == Visibility.ABSENT).mean() < 0.15


def test_an_occluded_keypoint_is_covered_in_the_picture():
    """Painting only the upper animals gives the same picture around an occluded thorax."""
    recording = SyntheticRecording(1500, animals=2, seed=6, noise=0.0, missing=0.0)
    truth = recording.poses()
    thorax = recording.skeleton.keypoints.index("thorax")
    rows = np.argwhere(truth.visible[:, :, thorax] == Visibility.OCCLUDED)
    assert len(rows) > 3
    for i, n in rows[:5]:
        full = recording.frame(int(i)).astype(int)
        recording._motion.alive[i, n] = False
        without = recording.frame(int(i)).astype(int)
        recording._motion.alive[i, n] = True
        x, y = np.round(truth.xy[i, n, thorax]).astype(int)
        assert np.abs(full[y, x] - without[y, x]).max() <= 2


def test_missing_is_the_share_left_out():
    full = SyntheticRecording(400, seed=3, missing=0.0).poses().visible > 0
    holes = SyntheticRecording(400, seed=3, missing=0.2).poses().visible > 0
    assert not (holes & ~full).any()
    assert 1 - holes.sum() / full.sum() == pytest.approx(0.2, abs=0.02)


def test_motion_is_smooth_and_tracks_are_animals():
    truth = SyntheticRecording(500, animals=4, seed=8, missing=0.0).poses()
    step = np.linalg.norm(np.diff(truth.xy, axis=0), axis=-1)
    assert np.nanmax(step[:, :, :3]) < 14
    assert np.nanmedian(step[:, :, 1]) > 0.5
    assert (truth.track[truth.present] == np.nonzero(truth.present)[1]).all()


def test_animals_stay_about_and_meet():
    truth = SyntheticRecording(3000, animals=3, seed=9, missing=0.0).poses()
    assert truth.present.mean() > 0.95
    thorax = truth.xy[:, :, truth.skeleton.keypoints.index("thorax")]
    gap = np.linalg.norm(thorax[:, 0] - thorax[:, 1], axis=-1)
    assert (gap < 40).mean() > 0.01


def test_stills_are_independent_with_varying_numbers():
    recording = SyntheticRecording(60, animals=(2, 7), motion=False, seed=1)
    truth = recording.poses()
    counts = truth.present.sum(1)
    assert counts.min() <= 3
    assert counts.max() >= 6
    assert (truth.track == -1).all()
    assert len(np.unique(truth.xy[:, 0, 0, 0].round())) > 30


def test_animals_have_the_asked_size():
    for length in (40.0, 90.0):
        truth = SyntheticRecording(30, size=(400, 400), length_px=length).poses()
        assert truth.animal_size_px == pytest.approx(1.1 * length, rel=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"species": "dragon"}, "beetle"),
        ({"animals": (2, 5)}, "motion=False"),
        ({"channels": 4}, "channels"),
        ({"missing": 1.5}, "missing"),
        ({"animals": -1}, "negative"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SyntheticRecording(5, **arguments)


def test_indexing_like_an_array():
    recording = SyntheticRecording(5, size=(64, 80), animals=1)
    assert recording[1:4].shape == (3, 64, 80, 3)
    np.testing.assert_array_equal(recording[-1], recording.frame(4))
    with pytest.raises(IndexError):
        recording[5]


def test_a_written_video_sample_reads_back(tmp_path):
    recording = SyntheticRecording(50, animals=2, size=(120, 161), seed=3, noise=0)
    files = write_sample(tmp_path / "new", recording, labelled=8, unseen=10, fps=30)
    assert files.unseen == range(40, 50)
    assert len(files.labelled) == 8
    assert max(files.labelled) < 40
    labels, truth = read_poses(files.labels), read_poses(files.truth)
    np.testing.assert_array_equal(labels.frame, files.labelled)
    assert (labels.track == -1).all()
    assert len(truth) == 50
    expected = recording.poses()
    np.testing.assert_allclose(truth.xy, expected.xy)
    np.testing.assert_array_equal(truth.visible, expected.visible)
    (source,) = resolve_videos(truth, files.truth).values()
    with open_frames(source) as frames:
        assert frames.fps == 30
        assert frames.shape[0] == 50
        for i in (0, 25, 49):
            error = frames[i][:120, :161].astype(int) - recording.frame(i)
            assert np.abs(error).mean() < 5
            assert abs(error.mean()) < 2
        assert frame_index(frames.path).threads > 1, "the file is irregular"


def test_a_written_image_sample_reads_back(tmp_path):
    recording = SyntheticRecording(12, animals=(2, 5), size=(90, 100), motion=False)
    files = write_sample(tmp_path, recording, labelled=6)
    labels = read_poses(files.labels)
    (source,) = resolve_videos(labels, files.labels).values()
    with open_frames(source) as frames:
        for row, frame in enumerate(labels.frame):
            assert labels.image_name(row) == f"image_{frame:04d}.png"
            np.testing.assert_array_equal(frames[int(frame)], recording.frame(int(frame)))
    with pytest.raises(ValueError, match="do not fit"):
        write_sample(tmp_path, recording, labelled=12, unseen=1)
