"""Who is who over time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.config import EvaluateConfig, TrackConfig
from napari_semimultipose.evaluation.tracks import track_scores
from napari_semimultipose.poses import Poses, Video
from napari_semimultipose.tracking.identity import IdentityTracker, relabel, track

from .walks import (
    SKELETON,
    names_of,
    random_walk,
    same_identities,
    shuffled,
    walk,
    with_instances,
    without,
)

FRAMES = np.arange(60.0)


def line(x: float, y: float, vx: float, vy: float, frames: int = 60) -> np.ndarray:
    return np.array([x, y]) + np.arange(frames)[:, None] * np.array([vx, vy])


def crossing() -> Poses:
    """Two animals that pass each other head on, 12 px apart."""
    return walk(np.stack([line(0, 0, 5, 0), line(300, 12, -5, 0)], 1))


def standing(*places: tuple[float, float], frames: int = 60, keypoints: int = 4) -> Poses:
    return walk(np.tile(np.array(places, float), (frames, 1, 1)), keypoints=keypoints)


# ---------------------------------------------------------------------------- following


def test_animals_that_pass_each_other_keep_their_tracks() -> None:
    truth = shuffled(crossing(), 0)
    assert same_identities(track(truth), truth)


@pytest.mark.parametrize("animals", [0, 2])
def test_animals_that_pass_each_other_unseen_are_known_by_their_motion(animals: int) -> None:
    truth = crossing()
    truth = shuffled(without(without(truth, slice(27, 33), 0), slice(27, 33), 1), 0)
    assert same_identities(track(truth, TrackConfig(animals=animals)), truth)


# Of thousands of such random walks a few have two joins that are equally good up to rounding.
@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(0, 10**6))
def test_order_of_slots_and_rows_and_the_origin_do_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random_walk(seed)
    missing = truth.xy.copy()
    missing[random.random(missing.shape[:3]) < 0.2] = np.nan
    truth = replace(truth, xy=missing)
    found = track(truth)
    # The names come from place and time, so that they are the same for any order of the slots.
    other = track(shuffled(truth, seed + 1))
    for t in range(3):
        mine = {(int(f), int(n)) for f, n in zip(*np.nonzero(found.track == t), strict=True)}
        xy = np.sort(found.xy[found.track == t].ravel())
        np.testing.assert_array_equal(xy, np.sort(other.xy[other.track == t].ravel()))
        assert mine
    rows = random.permutation(len(truth))
    np.testing.assert_array_equal(track(truth.select(rows)).track, found.track[rows])
    moved = track(replace(truth, xy=truth.xy + random.uniform(-1000, 1000, 2)))
    np.testing.assert_array_equal(moved.track, found.track)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_random_walks_are_followed_with_missing_keypoints(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random_walk(seed, speed_px=2.0)
    xy = truth.xy.copy()
    gone = random.random(xy.shape[:3]) < 0.3
    gone[..., 0] = False  # poses without a common keypoint cannot be compared
    xy[gone] = np.nan
    truth = shuffled(replace(truth, xy=xy), seed)
    assert same_identities(track(truth), truth)


def test_every_tenth_frame_of_a_recording() -> None:
    truth = walk(np.stack([line(0, 0, 7, 0), line(400, 60, -7, 0)], 1), step=10)
    assert same_identities(track(shuffled(truth, 0)), shuffled(truth, 0))
    with_gap = truth.select(np.r_[0:20, 24:60])
    assert same_identities(track(with_gap), with_gap)


def test_animals_that_are_fast_for_their_size() -> None:
    # 40 px a frame with a body of 50 px: nothing is certain until the speed is known.
    truth = walk(np.stack([line(0, 0, 40, 0), line(0, 400, 40, 5)], 1))
    assert same_identities(track(shuffled(truth, 3)), shuffled(truth, 3))


@pytest.mark.parametrize("animals", [0, 3])
def test_animals_of_one_keypoint(animals: int) -> None:
    truth = walk(
        np.stack([line(0, 0, 3, 1), line(90, 0, 2, -1), line(400, 90, -4, 0)], 1), keypoints=1
    )
    truth = shuffled(without(truth, slice(20, 23), 1), 0)
    assert same_identities(track(truth, TrackConfig(animals=animals)), truth)


def test_one_animal_of_one_keypoint() -> None:
    truth = walk(line(0, 0, 30, 1)[:, None], keypoints=1)
    assert set(track(truth).track.ravel().tolist()) == {0}


# --------------------------------------------------------------------------------- gaps


def test_gaps_are_closed_up_to_the_limit() -> None:
    truth = without(standing((0, 0), (300, 0)), slice(20, 35), 0)  # 15 frames
    assert same_identities(track(truth, TrackConfig(max_gap_frames=15)), truth)
    shorter = track(truth, TrackConfig(max_gap_frames=14))
    assert names_of(shorter, truth) == {0: {0, 2}, 1: {1}}


def test_no_gap_is_closed_when_none_is_allowed() -> None:
    truth = without(standing((0, 0)), slice(20, 21), 0)
    assert names_of(track(truth, TrackConfig(max_gap_frames=0)), truth) == {0: {0, 1}}


def test_a_fixed_number_of_animals_closes_gaps_of_any_length() -> None:
    truth = without(standing((0, 0), (300, 0), frames=120), slice(20, 90), 0)
    assert len(np.unique(track(truth).track)) == 4  # -1 in the gap, and three tracks
    assert same_identities(track(truth, TrackConfig(animals=2)), truth)


def test_an_animal_that_goes_on_elsewhere_is_another_one_unless_the_number_is_fixed() -> None:
    paths = np.tile(np.array([[0.0, 0.0]]), (60, 1, 1))
    paths[30:] += 500.0
    truth = walk(paths)
    assert names_of(track(truth), truth) == {0: {0, 1}}
    assert names_of(track(truth, TrackConfig(animals=1)), truth) == {0: {0}}


def test_a_leap_off_and_back_stays_with_its_animal() -> None:
    paths = np.tile(np.array([[0.0, 0.0], [300.0, 0.0]]), (60, 1, 1))
    paths[30:32, 0] += 20.0
    truth = walk(paths)
    assert same_identities(track(truth), truth)


def test_joining_looks_at_all_pieces_at_once() -> None:
    # Both are lost at once; the one on the left walks to where the other one was. Taking the
    # nearest beginning for the first end would leave nothing sensible for the second.
    left, right = line(0, 0, 5, 0), line(100, 0, 5, 0)
    truth = walk(np.stack([left, right], 1))
    truth = shuffled(without(without(truth, slice(25, 45), 0), slice(25, 45), 1), 0)
    assert same_identities(track(truth), truth)


# ------------------------------------------------------------------- surplus detections


def test_scattered_false_alarms_get_no_track() -> None:
    random = np.random.default_rng(0)
    alarms = [(row, *random.uniform(-300, 900, 2), 0.9) for row in random.integers(0, 60, 12)]
    detections = with_instances(crossing(), alarms)
    found = track(detections)
    assert len(np.unique(found.track)) == 3
    assert same_identities(found, detections)


def test_doubles_get_no_track() -> None:
    detections = with_instances(
        standing((0, 0), (200, 0)), [(row, 3.0, 2.0, 0.5) for row in range(10, 50)]
    )
    found = track(detections)
    assert same_identities(found, detections)


def test_a_fixed_number_leaves_the_lesser_animal_without_a_track() -> None:
    truth = standing((0, 0), (200, 0), (400, 0))
    truth = without(truth, slice(40, 60), 1)
    found = track(truth, TrackConfig(animals=2))
    assert names_of(found, truth) == {0: {0}, 1: {-1}, 2: {1}}


def test_more_animals_asked_for_than_there_are() -> None:
    truth = standing((0, 0), (200, 0))
    assert same_identities(track(truth, TrackConfig(animals=5)), truth)


def test_weak_detections_continue_a_track_but_begin_none() -> None:
    truth = standing((0, 0), (300, 0))
    score = np.ones((60, 2))
    score[20:40, 0] = 0.1  # the first animal is hard to see for a while
    detections = with_instances(
        replace(truth, instance_score=score), [(row, 900.0, 0.0, 0.1) for row in range(20, 40)]
    )
    assert same_identities(track(detections), detections)
    all_count = track(detections, TrackConfig(weak_score=0.0))
    assert names_of(all_count, detections)[-1] == {2}


def test_short_tracks_are_dropped() -> None:
    truth = without(standing((0, 0), (300, 0)), slice(4, 60), 1)
    assert names_of(track(truth, TrackConfig(min_length_frames=4)), truth) == {0: {0}, 1: {1}}
    assert names_of(track(truth, TrackConfig(min_length_frames=5)), truth) == {0: {0}, 1: {-1}}


def test_single_frames() -> None:
    truth = standing((0, 0), (300, 0), frames=1)
    assert (track(truth).track == -1).all()
    assert same_identities(track(truth, TrackConfig(min_length_frames=1)), truth)


# --------------------------------------------------------------------- names and videos


def test_tracks_are_numbered_by_first_appearance_then_from_left_to_right() -> None:
    truth = without(standing((500, 0), (0, 0), (250, 0)), slice(0, 10), 1)
    found = track(truth)
    assert names_of(found, truth) == {0: {1}, 1: {2}, 2: {0}}
    assert found.track_names == ()


def test_tracks_do_not_cross_videos() -> None:
    one = standing((0, 0), frames=20)
    videos = (Video("a.mp4"), Video("b.mp4"))
    two = Poses(
        SKELETON,
        np.concatenate([one.xy, one.xy]),
        np.tile(one.frame, 2),
        video=np.repeat([0, 1], 20),
        videos=videos,
    )
    for animals in (0, 1):
        found = track(two, TrackConfig(animals=animals))
        assert found.track.ravel().tolist() == [0] * 20 + [1] * 20
        assert found.videos == videos


def test_former_tracks_are_forgotten() -> None:
    truth = crossing()
    wrong = replace(truth, track=np.full((60, 2), 7), track_names=("a",) * 8)
    found = track(wrong)
    assert found.track_names == ()
    np.testing.assert_array_equal(found.track, track(truth).track)
    np.testing.assert_array_equal(found.xy, truth.xy)


@pytest.mark.parametrize("animals", [0, 2])
def test_nothing_to_track(animals: int) -> None:
    config = TrackConfig(animals=animals)
    assert len(track(Poses.empty(SKELETON), config)) == 0
    blank = Poses(SKELETON, np.full((5, 3, 4, 2), np.nan), np.arange(5))
    assert (track(blank, config).track == -1).all()
    some = without(standing((0, 0)), slice(0, 50), 0)
    assert same_identities(track(some, config), some)


# ----------------------------------------------------------------------------- streaming


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([0, 3]))
def test_a_stream_gives_the_same_tracks_however_it_is_cut(seed: int, animals: int) -> None:
    random = np.random.default_rng(seed)
    xy = random_walk(seed, frames=50, speed_px=8.0).xy
    xy[random.random(xy.shape[:2]) < 0.2] = np.nan
    truth = Poses(SKELETON, xy, np.arange(50))
    config = TrackConfig(animals=animals)
    tracker = IdentityTracker(config)
    cuts = [0, *sorted(random.choice(np.arange(1, 50), 4, replace=False).tolist()), 50]
    parts = [tracker.update(truth.select(np.arange(a, b))) for a, b in pairwise(cuts)]
    tracks = np.concatenate([part.track for part in parts])
    joined = relabel(replace(truth, track=tracks), tracker.finish())
    np.testing.assert_array_equal(joined.track, track(truth, config).track)


def test_a_stream_must_go_forward() -> None:
    tracker = IdentityTracker()
    truth = standing((0, 0))
    tracker.update(truth.select(np.arange(10)))
    with pytest.raises(ValueError, match="comes after frame 9"):
        tracker.update(truth.select([9]))


def test_what_is_kept_does_not_grow_with_the_frames() -> None:
    truth = without(standing((0, 0), (300, 0), frames=600), np.arange(0, 600, 7), 0)
    tracker = IdentityTracker()
    kept = []
    for start in range(0, 600, 100):
        tracker.update(truth.select(np.arange(start, start + 100)))
        kept.append(sum(len(part) for part in tracker._ended) + len(tracker._alive or ()))
    assert kept == [2] * 6


# ----------------------------------------------------------------------- real recordings


@pytest.mark.parametrize(
    ("file", "frames", "distance_px"),
    [
        ("fly-quad-tracks/animals.slp", range(0, 400), 0),
        ("fly-pair-short/two_flies.slp", range(0, 128), 0),
        ("fly-pair-demo/demo-flies13-preds.slp", range(1000, 1350), 0),
        ("fly-pair-courtship/clip.slp", range(950, 1500), 0),
        ("fly-pair-long/predictions.slp", range(150, 850), 0),
        ("fly-pair-centered/centered_pair_predictions.clean.slp", range(0, 400), 0),
        ("zebrafish-ten/ten_zfish.slp", range(0, 32), 20),
    ],
)
@pytest.mark.parametrize("fixed", [False, True])
def test_identities_of_real_recordings(
    shared_data: Path, file: str, frames: range, distance_px: float, fixed: bool
) -> None:
    from napari_semimultipose.io.labels import read_poses

    poses = read_poses(shared_data / file)
    poses = shuffled(poses.select(np.isin(poses.frame, frames)), 0)
    animals = len(np.unique(poses.track[poses.track >= 0]))
    found = track(poses, TrackConfig(animals=animals if fixed else 0))
    scores = track_scores(found, poses, EvaluateConfig(track_distance_px=distance_px))
    assert scores["switches"] == 0
    assert scores["predicted_tracks"] == animals
    assert scores["idf1"] == pytest.approx(1.0, abs=0.002)
