"""Joining pieces: small cases where the best answer is known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_semimultipose.config import TrackConfig
from napari_semimultipose.tracking.motion import Animals, Shapes
from napari_semimultipose.tracking.tracklets import Scale, final_tracks

BODY = np.array([[0, 0], [30, 0], [15, 8]], float)
SCALE = Scale(1, 8 * 0.2**2 * 50.0**2)


def piece(
    track: int, begin: int, end: int, first: float, last: float, *, video: int = 0, host: int = -1
) -> Animals:
    """A piece that lies still at x = `first`, and ends at x = `last`."""
    start, stop = Shapes.of(BODY[None] + [first, 0]), Shapes.of(BODY[None] + [last, 0])
    animal = Animals.born(np.array([track]), video, begin, start, np.ones(1))
    animal.now = stop
    animal.end[:], animal.sights[:] = end, end - begin + 1
    animal.weight[:], animal.host[:] = animal.sights, host
    return animal


def joined(*pieces: Animals, animals: int = 0, **settings: int) -> list[int]:
    config = TrackConfig(animals=animals, **settings)
    scales = {int(p.video[0]): SCALE for p in pieces}
    return final_tracks(Animals.concatenate(pieces), scales, config).tolist()


@pytest.mark.parametrize("animals", [0, 1])
def test_pieces_that_fit_are_joined(animals: int) -> None:
    assert joined(piece(0, 0, 50, 0, 0), piece(1, 55, 90, 2, 2), animals=animals) == [0, 0]


def test_pieces_at_the_same_time_are_not_joined() -> None:
    assert joined(piece(0, 0, 50, 0, 0), piece(1, 50, 90, 2, 2)) == [0, 1]
    assert joined(piece(0, 0, 50, 0, 0), piece(1, 50, 90, 2, 2), animals=1) == [0, -1]


def test_one_strong_join_beats_two_weak_ones() -> None:
    # 0 fits 1 well. A stray piece near 0's end and another one before 1 fit both a little.
    strays = piece(2, 51, 51, 40, 40), piece(3, 53, 53, -60, -60)
    found = joined(piece(0, 0, 50, 0, 0), piece(1, 56, 90, 5, 5), *strays)
    assert found[0] == found[1] == 0


def test_the_join_of_all_is_best_even_if_one_end_gets_its_second_choice() -> None:
    # Both ends fit beginning 2 best, but 1 can only go there.
    found = joined(
        piece(0, 0, 50, 0, 0), piece(1, 0, 50, 90, 90),
        piece(2, 52, 90, 30, 30), piece(3, 52, 90, -80, -80),
    )  # fmt: skip
    assert found == [0, 1, 1, 0]


def test_stepping_stones_of_a_long_leap_are_kept() -> None:
    flight = [piece(i, 50 + i, 50 + i, 60.0 * i, 60.0 * i) for i in range(1, 5)]
    found = joined(piece(0, 0, 50, 0, 0), *flight, piece(5, 55, 99, 300, 300))
    assert found == [0] * 6


def test_n_chains_hold_the_most_detections() -> None:
    found = joined(
        piece(0, 0, 99, 0, 0), piece(1, 0, 40, 500, 500), piece(2, 60, 99, 520, 520),
        piece(3, 30, 70, 900, 900), animals=2,
    )  # fmt: skip
    assert found == [0, 1, 1, -1]


def test_a_far_detection_is_not_worth_two_leaps() -> None:
    found = joined(
        piece(0, 0, 50, 0, 0), piece(1, 51, 51, 800, 800), piece(2, 52, 99, 0, 0), animals=1
    )
    assert found == [0, -1, 0]


def test_pieces_in_holes_go_with_their_host() -> None:
    found = joined(
        piece(0, 0, 99, 0, 0), piece(1, 50, 51, 60, 60, host=0), piece(2, 0, 1, 400, 400)
    )
    assert found == [0, 0, -1]


def test_videos_are_apart_and_numbered_on() -> None:
    found = joined(piece(0, 0, 50, 0, 0), piece(1, 55, 90, 0, 0, video=1))
    assert found == [0, 1]


def test_the_order_of_the_pieces_does_not_matter() -> None:
    parts = [piece(1, 55, 90, 2, 2), piece(2, 0, 90, 300, 300), piece(0, 0, 50, 0, 0)]
    assert joined(*parts) == joined(*parts[::-1]) == [0, 0, 1]


def test_many_pieces_with_a_fixed_number_keep_the_long_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_semimultipose.tracking.tracklets._MOST_PIECES", 3)
    strays = [piece(i, 60 + i, 60 + i, 1e4 * i, 1e4 * i) for i in range(3, 40)]
    found = joined(
        piece(0, 0, 50, 0, 0), piece(1, 0, 99, 300, 300), piece(2, 55, 99, 0, 0), *strays,
        animals=2,
    )  # fmt: skip
    assert found[:3] == [0, 1, 0]
    assert set(found[3:]) == {-1}


def test_windows_of_pieces_lose_no_animal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two animals in many pieces, one of them hidden for as long as several windows last, and strays."""
    monkeypatch.setattr("napari_semimultipose.tracking.tracklets._MOST_PIECES", 12)
    monkeypatch.setattr("napari_semimultipose.tracking.tracklets._WINDOW", 8)
    parts, true = [], []
    for k in range(30):
        parts.append(piece(len(parts), 20 * k, 20 * k + 12, 0, 0))
        true.append(0)
        if not 8 <= k < 20:
            parts.append(piece(len(parts), 20 * k + 3, 20 * k + 15, 300, 300))
            true.append(1)
        if k % 5 == 2:
            parts.append(piece(len(parts), 20 * k + 1, 20 * k + 1, 900, 30 * k))
            true.append(-1)
    assert joined(*parts, animals=2) == true
    turned = joined(*parts[::-1], animals=2)
    assert turned == true


def test_a_piece_in_a_hole_of_a_hosted_piece_goes_with_both() -> None:
    """With one animal, pieces 1 to 3 are surplus: 1 alone, 2 in a hole of 1, and 3 in a hole of 2."""
    pieces = [piece(0, 0, 300, 0, 0), piece(1, 10, 90, 900, 900)]
    pieces += [piece(2, 30, 40, 910, 910, host=1), piece(3, 34, 36, 920, 920, host=2)]
    assert joined(*pieces, animals=1) == [0, -1, -1, -1]


@pytest.mark.parametrize("animals", [0, 2])
def test_the_tracks_of_a_video_of_two_frames_are_not_too_short(animals: int) -> None:
    two = (piece(0, 0, 1, 0, 0), piece(1, 0, 1, 300, 300))
    assert joined(*two, animals=animals) == [0, 1]
    assert joined(*two, piece(2, 5, 5, 900, 900), min_length_frames=3) == [-1, -1, -1]


def test_tracking_comes_to_an_end() -> None:
    """SciPy's solver never came back from the unrounded costs of this recording, whatever signal it was sent."""
    program = """
import numpy as np
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.tracking.identity import track
r = np.random.default_rng(12)
base = r.normal(0, 15, (8, 4, 2))
middle = r.uniform(0, 500, (60, 8, 2))
xy = middle[:, :, None] + base[None] + r.normal(0, 3, (60, 8, 4, 2))
xy[r.random((60, 8)) < 0.1] = np.nan
score = np.clip(r.normal(0.8, 0.1, (60, 8)), 0.25, 1)
frame = np.sort(r.choice(180, 60, replace=False))
print(len(track(Poses(Skeleton(tuple("abcd")), xy, frame, instance_score=score))))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert ended.stdout.split() == ["60"]
