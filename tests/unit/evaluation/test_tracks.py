"""Scores of identities on cases that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.evaluation.tracks import track_scores
from napari_semimultipose.poses import Poses, Skeleton, Video

SKELETON = Skeleton(("front", "back"))


def played(*rows: str, spacing_px: float = 500.0) -> Poses:
    """Poses of a score sheet: one string a place, one character a frame.

    The character is the track of who stands at the place: a digit, ``?`` for an animal without
    identity, a blank for nobody.
    """
    places, frames = len(rows), len(rows[0])
    xy = np.full((frames, places, 2, 2), np.nan)
    track = np.full((frames, places), -1)
    for place, row in enumerate(rows):
        assert len(row) == frames
        for frame, who in enumerate(row):
            if who != " ":
                xy[frame, place] = [[place * spacing_px, 0], [place * spacing_px + 50, 40]]
                track[frame, place] = -1 if who == "?" else int(who)
    return Poses(SKELETON, xy, np.arange(frames), track=track)


def test_perfect_tracks_under_other_names() -> None:
    result = track_scores(played("4444", "7777"), played("0000", "1111"))
    assert result["idf1"] == result["idp"] == result["idr"] == result["mota"] == 1.0
    assert result["switches"] == result["fragments"] == 0
    assert result["true_tracks"] == result["predicted_tracks"] == 2
    assert result["animals"] == 8


def test_one_exchange_of_two_animals_is_two_switches() -> None:
    result = track_scores(played("001111", "110000"), played("000000", "111111"))
    assert result["switches"] == 2
    assert result["switch_events"][0] == {
        "video": 0, "frame": 2, "animal": 0, "before": 0, "after": 1,
    }  # fmt: skip
    # The best map takes the tracks of the longer part: 8 of 12 are right.
    assert result["idf1"] == pytest.approx(8 / 12)
    assert result["mota"] == pytest.approx(1 - 2 / 12)


def test_a_track_that_breaks_counts_one_switch_and_costs_identity() -> None:
    result = track_scores(played("00011111"), played("00000000"))
    assert result["switches"] == 1
    assert result["fragments"] == 0
    assert result["idp"] == result["idr"] == pytest.approx(5 / 8)


def test_a_loss_that_is_picked_up_again_is_a_fragment_without_a_switch() -> None:
    result = track_scores(played("000  000  0"), played("00000000000"))
    assert result["switches"] == 0
    assert result["fragments"] == 2
    assert result["misses"] == 4
    assert result["mota"] == pytest.approx(7 / 11)
    assert result["idr"] == pytest.approx(7 / 11)
    assert result["idp"] == 1.0
    assert result["idf1"] == pytest.approx(14 / 18)


def test_an_animal_that_was_absent_itself_is_no_fragment() -> None:
    result = track_scores(played("000  000"), played("000  000"))
    assert result["fragments"] == result["misses"] == 0
    assert result["idf1"] == 1.0


def test_a_switch_across_a_gap_is_counted() -> None:
    result = track_scores(played("000  111"), played("00000000"))
    assert result["switches"] == 1
    assert result["fragments"] == 1


def test_detections_where_nobody_is_are_false_positives() -> None:
    result = track_scores(played("0000", "1 1 "), played("0000", "    "))
    assert result["false_positives"] == 2
    assert result["mota"] == 0.5
    assert result["idp"] == pytest.approx(4 / 6)
    assert result["idr"] == 1.0


def test_a_pair_of_the_past_is_kept_although_another_detection_is_nearer() -> None:
    truth = played("000")
    prediction = played("000", "1 1", spacing_px=2.0)  # both are near the animal
    # From the second frame on track 1 sits on the animal, and track 0 is 2 px away.
    xy = prediction.xy.copy()
    xy[1:, 0], xy[1:, 1] = prediction.xy[1:, 1] + 2, prediction.xy[1:, 0]
    result = track_scores(replace(prediction, xy=xy, visible=None), truth)
    assert result["switches"] == 0


def test_detections_without_a_track_are_left_out() -> None:
    result = track_scores(played("0??0", "?11?"), played("0000", "    "))
    assert result["false_positives"] == 2
    assert result["misses"] == 2


def test_animals_of_unknown_identity_ask_for_nothing() -> None:
    result = track_scores(played("0000", "1111"), played("0000", "????"))
    assert result["idf1"] == result["mota"] == 1.0
    assert result["animals"] == 4
    assert result["predicted_tracks"] == 1


def test_identities_of_different_videos_are_different() -> None:
    two = replace(
        played("0000"),
        frame=np.array([0, 1, 0, 1]),
        video=np.array([0, 0, 1, 1]),
        videos=(Video("a.mp4"), Video("b.mp4")),
    )
    other = replace(two, track=np.array([[5], [5], [3], [3]]))
    result = track_scores(other, two)
    assert result["switches"] == 0
    assert result["idf1"] == 1.0
    assert result["true_tracks"] == 2


def test_frames_are_taken_in_order_of_time() -> None:
    truth, prediction = played("000000"), played("001111")
    shuffled = truth.select([3, 0, 5, 1, 4, 2])
    assert track_scores(prediction, shuffled) == track_scores(prediction, truth)
    assert track_scores(prediction, truth)["switches"] == 1


def test_points_are_compared_by_distance() -> None:
    point = Skeleton(("centroid",))
    truth = Poses(point, [[[[0.0, 0.0]], [[100.0, 0.0]]]] * 3, [0, 1, 2], track=[[0, 1]] * 3)
    near = replace(truth, xy=truth.xy + np.array([0.0, 30.0]))
    assert track_scores(near, truth)["idf1"] == 0.0
    assert track_scores(near, truth, EvaluateConfig(track_distance_px=30))["idf1"] == 1.0
    assert track_scores(near, truth, EvaluateConfig(track_distance_px=29))["idf1"] == 0.0


def test_no_detections() -> None:
    result = track_scores(played("    "), played("0000"))
    assert result["idf1"] == result["idr"] == result["mota"] == 0.0
    assert result["idp"] is None


def test_a_truth_without_tracks_is_an_error() -> None:
    with pytest.raises(LabelsError, match="no tracks"):
        track_scores(played("0"), played("?"))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_names_of_tracks_and_order_of_slots_do_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    symbols = np.array([" ", "0", "1", "2"])

    def sheet() -> list[str]:
        # Each frame a permutation, so that no track is twice in a frame.
        columns = [random.permutation(symbols)[:3] for _ in range(8)]
        return ["".join(row) for row in np.array(columns).T]

    prediction, truth = played(*sheet()), played(*sheet())
    if not (truth.track >= 0).any():
        return
    before = track_scores(prediction, truth)
    name, order = random.permutation(50), random.permutation(3)
    after = track_scores(
        replace(
            prediction,
            xy=prediction.xy[:, order],
            visible=prediction.visible[:, order],
            track=np.where(prediction.track >= 0, name[prediction.track], -1)[:, order],
        ),
        truth,
    )
    for key in ("switches", "fragments", "idf1", "mota", "misses", "false_positives"):
        assert after[key] == before[key], key
    assert 0 <= before["idf1"] <= 1
