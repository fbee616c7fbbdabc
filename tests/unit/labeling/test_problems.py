"""Planted problems are found where they are, and clean poses have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.labeling.problems import Kind, Problem, find_problems
from napari_semimultipose.matching import pose_centers
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

FRAMES = 300


@pytest.fixture(scope="module")
def truth() -> Poses:
    poses = SyntheticRecording(FRAMES, animals=3, seed=3, missing=0).poses(Video("clip"))
    rng = np.random.default_rng(0)
    return replace(
        poses,
        score=rng.uniform(0.5, 0.8, poses.score.shape),
        instance_score=rng.uniform(0.5, 0.8, poses.instance_score.shape),
        source=np.full(poses.source.shape, Source.PREDICTED),
    )


def kinds(problems: list[Problem]) -> list[Kind]:
    return [p.kind for p in problems]


def only(problems: list[Problem], kind: Kind) -> Problem:
    found = [p for p in problems if p.kind is kind]
    assert len(found) == 1, problems
    return found[0]


def slot_of(poses: Poses, row: int, track: int) -> int:
    return int(np.flatnonzero(poses.track[row] == track)[0])


def swapped(poses: Poses, first: int, last: int | None = None) -> Poses:
    track = poses.track.copy()
    part = track[first:] if last is None else track[first : last + 1]
    a, b = part == 0, part == 1
    part[a], part[b] = 1, 0
    return replace(poses, track=track)


def test_true_poses_have_no_problems(truth):
    assert find_problems(truth, ReviewConfig(animals=3)) == []


def test_an_empty_recording_and_an_unknown_video_have_none(truth):
    assert find_problems(Poses.empty(truth.skeleton)) == []
    assert find_problems(truth, video=1) == []


def test_a_swap_to_the_end_is_one_problem_and_no_jump(truth):
    found = find_problems(swapped(truth, 120))
    assert kinds(found) == [Kind.SWAP]
    problem = found[0]
    assert (problem.first, problem.last, problem.frame) == (120, 120, 120)
    assert problem.onward
    tracks = {int(truth.track[problem.row, s]) for s in problem.slots}
    assert tracks == {0, 1}
    assert problem.value < 0.2
    assert "exchange places" in problem.text


def test_a_swap_that_is_taken_back_is_one_problem_with_a_range(truth):
    problem = only(find_problems(swapped(truth, 120, 127)), Kind.SWAP)
    assert (problem.first, problem.last, problem.onward) == (120, 127, False)


def test_a_swap_while_an_animal_is_out_of_sight_is_found(truth):
    poses = swapped(truth, 120)
    xy = poses.xy.copy()
    for row in range(117, 120):
        xy[row, slot_of(truth, row, 0)] = np.nan
    problem = only(find_problems(replace(poses, xy=xy)), Kind.SWAP)
    assert problem.first in (120, 121)


def test_the_frames_may_stand_in_any_order(truth):
    order = np.random.default_rng(1).permutation(FRAMES)
    shuffled = swapped(truth, 120).select(order)
    problem = only(find_problems(shuffled), Kind.SWAP)
    assert problem.first == 120
    assert shuffled.frame[problem.row] == 120


def test_an_animal_that_jumps_away_and_back(truth):
    xy = truth.xy.copy()
    for row in (60, 61):
        xy[row, slot_of(truth, row, 2)] += [150, 90]
    found = find_problems(replace(truth, xy=xy))
    problem = only(found, Kind.JUMP)
    assert (problem.first, problem.last, problem.onward) == (60, 61, False)
    assert problem.keypoints == ()
    assert truth.track[problem.row, problem.slots[0]] == 2
    assert 130 < problem.value < 220


def test_an_animal_that_jumps_and_stays(truth):
    xy = truth.xy.copy()
    for row in range(200, FRAMES):
        xy[row, slot_of(truth, row, 2)] += [150, 90]
    problem = only(find_problems(replace(truth, xy=xy)), Kind.JUMP)
    assert (problem.first, problem.onward) == (200, True)


def test_one_keypoint_that_jumps_is_named(truth):
    xy = truth.xy.copy()
    xy[40, slot_of(truth, 40, 1), 0] += 60
    found = find_problems(replace(truth, xy=xy))
    problem = only(found, Kind.JUMP)
    assert problem.first == problem.last == 40
    assert truth.skeleton.keypoints[0] in problem.text
    assert problem.keypoints == (0,)
    assert only(found, Kind.SHAPE).first == 40


@pytest.mark.parametrize("kind", [Kind.MISSING, Kind.SURPLUS])
def test_a_wrong_number_of_animals(truth, kind):
    if kind is Kind.MISSING:
        xy = truth.xy.copy()
        xy[[80, 81, 84], 0] = np.nan
        poses, config = replace(truth, xy=xy), ReviewConfig(animals=3)
        text = "2 of 3 animals"
    else:
        poses, config = truth, ReviewConfig(animals=2)
        text = "3 animals instead of 2"
    problem = only(find_problems(poses, config), kind)
    assert problem.text == text
    expected = (80, 84) if kind is Kind.MISSING else (0, FRAMES - 1)
    assert (problem.first, problem.last) == expected
    assert not [p for p in find_problems(poses) if p.kind is kind]


def test_animals_are_missing_where_the_file_has_no_row(truth):
    rows = np.delete(np.arange(len(truth)), np.arange(50, 80))
    left_out = truth.select(rows)
    problem = only(find_problems(left_out, ReviewConfig(animals=3)), Kind.MISSING)
    assert (problem.first, problem.last, problem.text) == (50, 79, "0 of 3 animals")
    assert left_out.frame[problem.row] == 49
    sparse = truth.select([0, 1, 200])  # nobody looked at the frames between
    assert not [p for p in find_problems(sparse, ReviewConfig(animals=3)) if p.kind is Kind.MISSING]


def test_one_of_three_keypoints_that_leaps_is_named_alone():
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(0, 1, (200, 2)), 0)[:, None]
    for leaping in range(3):
        xy = path + np.array([[0, 0], [20, 0], [40, 0]]) + rng.normal(0, 0.5, (200, 3, 2))
        xy[90, leaping] += [45.0, 30]
        poses = Poses(
            Skeleton(("a", "b", "c")), xy[:, None], np.arange(200), track=np.zeros((200, 1), int)
        )
        assert only(find_problems(poses), Kind.JUMP).keypoints == (leaping,)


def test_low_confidence_of_an_animal_or_of_its_keypoints(truth):
    grade, score = truth.instance_score.copy(), truth.score.copy()
    grade[10:14, 0] = 0.2
    grade[12, 0] = 0.1
    score[150, 1] = 0.15
    found = find_problems(replace(truth, instance_score=grade, score=score))
    assert set(kinds(found)) == {Kind.CONFIDENCE}
    first, second = found
    assert (first.first, first.last, first.frame) == (10, 13, 12)
    assert first.text.startswith("confidence 0.10")
    assert (second.first, second.last) == (150, 150)


def test_problems_close_together_are_one_and_far_apart_two(truth):
    grade = truth.instance_score.copy()
    rows = [20, 25, 60]
    for row in rows:
        grade[row, slot_of(truth, row, 1)] = 0.1
    poses = replace(truth, instance_score=grade)
    spans = [(p.first, p.last) for p in find_problems(poses)]
    assert spans == [(20, 25), (60, 60)]
    spans = [(p.first, p.last) for p in find_problems(poses, ReviewConfig(merge_frames=3))]
    assert spans == [(20, 20), (25, 25), (60, 60)]


def test_shapes_are_compared_with_the_labelled_ones():
    rng = np.random.default_rng(0)
    xy = np.zeros((60, 1, 2, 2))
    xy[..., 1, 0] = rng.uniform(60, 64, (60, 1))
    skeleton = Skeleton(("head", "tail"), edges=((0, 1),))
    predicted = Poses(skeleton, xy, np.arange(60), track=np.zeros((60, 1), int))
    assert find_problems(predicted) == []
    labelled = replace(predicted, xy=xy / 2)
    problem = only(find_problems(predicted, usual=labelled), Kind.SHAPE)
    assert (problem.first, problem.last) == (0, 59)
    assert "head - tail" in problem.text


def test_without_identities_numbers_and_confidence_are_still_looked_at(truth):
    grade = truth.instance_score.copy()
    grade[30, 0] = 0.1
    poses = replace(truth, track=np.full(truth.track.shape, -1), instance_score=grade)
    found = find_problems(swapped(poses, 100), ReviewConfig(animals=2))
    assert set(kinds(found)) == {Kind.SURPLUS, Kind.CONFIDENCE}


def bent(rng, angle, n=1):
    """Animals of four keypoints on a line, bent by an angle in the middle, anywhere in the picture."""
    angle = np.broadcast_to(angle, n)
    xy = np.zeros((n, 4, 2))
    xy[:, 0, 0], xy[:, 1, 0] = -40, -20
    xy[:, 2] = 0
    xy[:, 3] = 20 * np.stack([np.cos(angle), np.sin(angle)], -1)
    turn = rng.uniform(0, 2 * np.pi, n)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    xy = np.einsum("ijn,nkj->nki", matrix, xy) + rng.uniform(50, 350, (n, 1, 2))
    return xy + rng.normal(0, 0.3, xy.shape)


LINE = Skeleton(("a", "b", "c", "d"), edges=((0, 1), (1, 2), (2, 3)))


def test_poses_that_were_never_labelled_are_found():
    rng = np.random.default_rng(0)
    labels = Poses(LINE, bent(rng, rng.uniform(-0.6, 0.6, 80), 80)[:, None], np.arange(80))
    xy = bent(rng, rng.uniform(-0.5, 0.5, 60), 60)
    xy[30:33] = bent(rng, 2.2, 3)  # no part is longer or shorter than usual
    xy[45] = bent(rng, 0.2)
    xy[45, 0] = np.nan  # a missing keypoint is no new pose
    predicted = Poses(LINE, xy[:, None], np.arange(60), source=np.full((60, 1), Source.PREDICTED))
    found = [p for p in find_problems(predicted, usual=labels) if p.kind is not Kind.JUMP]
    assert [(p.kind, p.first, p.last) for p in found] == [(Kind.POSE, 30, 32)]
    assert found[0].text.startswith("unlike the labelled poses (")
    assert found[0].text.endswith("most of all d")
    assert found[0].value == pytest.approx(1.5 * found[0].severity)
    few = labels.select(np.arange(10))
    assert Kind.POSE not in kinds(find_problems(predicted, usual=few))
    loose = ReviewConfig(pose=50)
    assert Kind.POSE not in kinds(find_problems(predicted, loose, usual=labels))


def test_animals_where_none_was_labelled_are_found(truth):
    places = pose_centers(truth.xy[truth.present])
    xy = truth.xy.copy()
    slot = slot_of(truth, 70, 0)
    corner = places.max(0)
    xy[70, slot] += corner + 1.5 * truth.animal_size_px - xy[70, slot].mean(0)
    found = find_problems(replace(truth, xy=xy), places=places)
    problem = only(found, Kind.PLACE)
    assert (problem.first, problem.last) == (70, 70)
    assert problem.text.endswith("px outside of where animals were labelled")
    assert problem.value > truth.animal_size_px
    assert Kind.PLACE not in kinds(find_problems(replace(truth, xy=xy), places=places[:10]))
    far = ReviewConfig(place=9)
    assert Kind.PLACE not in kinds(find_problems(replace(truth, xy=xy), far, places=places))


def test_labels_on_a_line_say_nothing_about_places(truth):
    line = np.column_stack([np.arange(30.0), np.arange(30.0)])
    assert find_problems(truth, places=line) == []
