"""What the poses of a recording add up to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semimultipose.poses import Poses, Skeleton, Source
from napari_semimultipose.reports.courses import BINS, Courses, coverage, in_pieces, spaced

SKELETON = Skeleton(("head", "tail"), ((0, 1),))


def walk(frames: np.ndarray, speed: tuple[float, ...], **more) -> Poses:
    """Animals that walk to the right, each with its speed in px a frame."""
    x = frames[:, None] * np.array(speed)
    xy = np.zeros((len(frames), len(speed), 2, 2))
    xy[..., 0] = x[..., None] + [10, 30]
    xy[..., 1] = 20 + 50 * np.arange(len(speed))[:, None]
    track = np.tile(np.arange(len(speed)), (len(frames), 1))
    return Poses(
        SKELETON, xy, frames, track=track, source=np.full(track.shape, Source.PREDICTED), **more
    )


def test_tracks_are_measured() -> None:
    poses = walk(np.arange(20), (2.0, 3.0), track_names=("ann",))
    xy = poses.xy.copy()
    xy[5:15, 1] = np.nan  # ten frames are longer than a movement may take
    score = np.where(np.arange(20)[:, None] < 10, 0.9, 0.5) * np.ones((1, 2))
    courses = Courses.of(replace(poses, xy=xy, instance_score=score, visible=None))
    first, second = courses.tracks
    assert (first.name, first.number, first.first, first.last) == ("ann", 0, 0, 19)
    assert (first.frames, first.pieces) == (20, 1)
    assert (second.name, second.frames, second.pieces) == ("1", 10, 2)
    assert first.path_px == pytest.approx(19 * 2)
    assert second.path_px == pytest.approx(8 * 3)
    assert (first.speed_px, second.fast_px) == pytest.approx((2, 3))
    assert first.confidence == pytest.approx(0.7)
    assert courses.count.tolist() == [2] * 5 + [1] * 10 + [2] * 5


def test_speeds_of_every_third_frame_are_those_of_one() -> None:
    courses = Courses.of(walk(np.arange(0, 60, 3), (2.0,)))
    assert courses.stride == 3
    np.testing.assert_allclose(courses.speed_px, 2)
    assert courses.tracks[0].pieces == 1


def test_a_keypoint_that_comes_and_goes_is_no_movement() -> None:
    poses = walk(np.arange(10), (1.0,))
    xy = poses.xy.copy()
    xy[4, 0, 1] = np.nan
    courses = Courses.of(Poses(SKELETON, xy, poses.frame, track=poses.track))
    np.testing.assert_allclose(courses.speed_px, 1)


def test_long_recordings_are_cut_into_a_bounded_number_of_pieces() -> None:
    courses = Courses.of(walk(np.arange(5000), (0.0,)))
    assert len(courses.edges) == BINS + 1
    assert (courses.edges[0], courses.edges[-1]) == (0, 5000)
    assert len(Courses.of(walk(np.arange(7, 8), (0.0,))).edges) == 2


def test_coverage_is_a_share_of_the_rows() -> None:
    poses = walk(np.arange(2 * BINS), (0.0, 0.0))
    xy = poses.xy.copy()
    xy[::2, 1] = np.nan
    courses = Courses.of(Poses(SKELETON, xy, poses.frame, track=poses.track))
    full, half = coverage(courses, courses.tracks)
    np.testing.assert_allclose(full, 1)
    np.testing.assert_allclose(half, 0.5)


def test_quantiles_in_pieces_are_those_of_their_values() -> None:
    random = np.random.default_rng(0)
    at, value = random.integers(0, 100, 1000), random.normal(size=1000)
    value[::7] = np.nan
    at[at // 10 == 4] = 99  # an empty piece
    edges = np.linspace(0, 100, 11)
    low, middle = in_pieces(at, value, edges, (0.1, 0.5))
    for piece in range(10):
        here = value[(at // 10 == piece) & np.isfinite(value)]
        if piece == 4:
            assert np.isnan(low[piece])
        else:
            assert middle[piece] == pytest.approx(np.median(here))
            assert low[piece] == pytest.approx(np.quantile(here, 0.1))


def test_confidence_of_a_frame_is_that_of_its_least_sure_animal() -> None:
    poses = walk(
        np.arange(3), (1.0, 1.0), instance_score=np.array([[0.9, 0.4], [0.8, 0.6], [0, 0]])
    )
    xy = poses.xy.copy()
    xy[2] = np.nan
    courses = Courses.of(replace(poses, xy=xy, visible=None))
    lowest, mean = courses.row_confidence()
    np.testing.assert_allclose(lowest, [0.4, 0.6, np.nan])
    np.testing.assert_allclose(mean, [0.65, 0.7, np.nan])


def test_examples_keep_a_distance() -> None:
    frame = np.arange(100)
    assert spaced(frame, frame, 3) == [0, 9, 18]
    assert spaced(np.zeros(0, int), frame, 3) == []
    assert spaced(np.array([4, 2]), frame[:5], 1) == [4]


def test_poses_without_tracks_and_without_animals() -> None:
    poses = walk(np.arange(4), (1.0,))
    loose = Courses.of(Poses(SKELETON, poses.xy, poses.frame))
    assert loose.tracks == []
    assert len(loose.speed_px) == 0
    nothing = Courses.of(Poses(SKELETON, np.full((4, 0, 2, 2), np.nan), np.arange(4)))
    assert nothing.tracks == []
    assert nothing.count.tolist() == [0] * 4
