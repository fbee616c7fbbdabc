"""Rounds of self-training on whole frames."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_semimultipose.config import Config
from napari_semimultipose.data.frames import FrameRef
from napari_semimultipose.data.pseudo import PseudoPoses
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.losses.objective import Labels
from napari_semimultipose.models.checkpoint import read_info
from napari_semimultipose.models.directpose import LevelOutput, Output
from napari_semimultipose.training.events import Done, Event, Notice, Step
from napari_semimultipose.training.loop import train
from napari_semimultipose.training.pseudo import Unknown, map_points, pseudo_labels, pseudo_poses
from napari_semimultipose.training.rounds import PseudoRounds, labels_whole_frames

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from typing import Any

    from conftest import Job

WHOLE = {"loss.pseudo_from": "frames", "loss.pseudo_frames": 3, "loss.pseudo_rounds": 2}


def rounds(**changes: object) -> PseudoRounds:
    return PseudoRounds(Config().with_settings({**WHOLE, "loss.beta_start": 0.4, **changes}))


def some(animals: int) -> PseudoPoses:
    xy = np.arange(animals * 4, dtype=float).reshape(animals, 2, 2)
    return PseudoPoses(xy, np.ones((animals, 2), bool), np.array([[0.0, 1, 2, 3]]))


def test_rounds_come_at_equal_distances() -> None:
    it = rounds()
    assert not it.due(0.39)
    assert it.due(0.4)
    it.take({})
    assert not it.due(0.69)
    assert it.due(0.71)
    it.take({})
    assert not it.due(1.0)
    earlier = rounds(**{"loss.beta_stop": 0.8})
    assert earlier.due(0.4)
    earlier.take({})
    assert not earlier.due(0.59)
    assert earlier.due(0.61)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss.pseudo_from": "views"},
        {"loss.teacher": False},
        {"train.method": "labeled"},
        {"data.animal_px": 0},
    ],
)
def test_without_whole_frames_there_are_none(changes: dict[str, object]) -> None:
    assert not labels_whole_frames(Config().with_settings({**WHOLE, **changes}))
    assert not rounds(**changes).due(1.0)


def test_each_round_looks_at_other_frames_as_long_as_there_are_some() -> None:
    stack = open_frames(np.zeros((7, 8, 8, 1), np.uint8))
    refs = [FrameRef(stack, i, (0, i)) for i in range(7)]
    it = rounds()
    first = it.frames(refs, 9)
    it.take({})
    second = it.frames(refs, 9)
    assert len({r.key for r in first + second}) == 6
    assert rounds().frames(refs, 9) == first
    assert len(rounds().frames(refs[:2], 9)) == 2
    assert len(rounds().frames(refs, 1)) == 1


def test_a_round_costs_a_twentieth_whatever_the_frames_are() -> None:
    it = rounds(**{"data.crop_px": 256, "data.batch_labeled": 3, "data.batch_unlabeled": 3})
    turns = 4
    frames = it.affordable(2000, 500 * 900)
    assert frames * turns * 500 * 900 == pytest.approx(0.05 * 2000 * 18 * 256**2, rel=0.02)
    upright = rounds(**{"data.crop_px": 256, "augment.rotate_deg": 20})
    assert upright.affordable(2000, 500 * 900) == pytest.approx(4 * frames, abs=4)
    assert it.affordable(10, 4000 * 4000) == 1


def saved(it: PseudoRounds) -> dict[str, Any]:
    """The state, as a file gives it back."""
    file = io.BytesIO()
    torch.save(it.state(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def named(refs: Sequence[FrameRef]) -> dict[Hashable, str]:
    return {ref.key: ref.name for ref in refs}


def test_the_state_survives_a_file_and_frames_without_animals_are_left_out() -> None:
    it = rounds()
    one, two = (open_frames(np.zeros((n, 8, 8, 1), np.uint8)) for n in (5, 6))
    refs = [FrameRef(one, 3, (0, 3)), FrameRef(two, 5, ("unlabeled", 1, 5))]
    it.take({(0, 3): some(2), ("unlabeled", 1, 5): some(1), (0, 4): some(0)}, named(refs))
    assert set(it.poses) == {(0, 3), ("unlabeled", 1, 5)}
    other = rounds()
    assert other.restore(saved(it), 0.5, refs) == 0
    assert other.done == 1
    assert set(other.poses) == set(it.poses)
    for key, poses in it.poses.items():
        for name in ("xy", "known", "doubtful"):
            np.testing.assert_array_equal(getattr(other.poses[key], name), getattr(poses, name))


def test_frames_that_other_ones_have_taken_the_place_of_are_forgotten() -> None:
    long, short = (open_frames(np.zeros((n, 8, 8, 1), np.uint8)) for n in (9, 4))
    refs = [FrameRef(long, 1, ("unlabeled", 0, 1)), FrameRef(short, 1, ("unlabeled", 1, 1))]
    it = rounds()
    it.take({ref.key: some(n + 1) for n, ref in enumerate(refs)}, named(refs))
    other = rounds()
    assert other.restore(saved(it), 0.5, refs[:1]) == 1
    assert [len(found.xy) for found in other.poses.values()] == [1]
    assert other.due(0.5)
    swapped = [FrameRef(short, 1, ("unlabeled", 0, 1)), FrameRef(long, 1, ("unlabeled", 1, 1))]
    assert other.restore(saved(it), 0.5, swapped) == 2
    assert not other.poses


def test_a_state_of_an_earlier_version_is_taken_over_without_its_frames() -> None:
    """It does not say which frames they are, so the teacher looks again."""
    refs = [FrameRef(open_frames(np.zeros((9, 8, 8, 1), np.uint8)), 3, (0, 3))]
    it = rounds()
    it.take({(0, 3): some(1)}, named(refs))
    state = saved(it)
    state["frames"] = [frame[:4] for frame in state["frames"]]
    other = rounds()
    assert other.restore(state, 0.5, refs) == 1
    assert other.due(0.5)


def test_a_training_that_has_grown_repeats_its_rounds() -> None:
    it = rounds()
    it.take({})
    it.take({})
    other = rounds()
    other.restore(saved(it), 1 / 6, [])
    assert not other.due(0.39)
    assert other.due(0.4)
    other.restore(saved(it), 0.8, [])
    assert not other.due(1.0)


def test_frames_of_earlier_rounds_stay_until_they_are_seen_again() -> None:
    it = rounds()
    it.take({(0, 1): some(2), (0, 2): some(1), (0, 3): some(3)})
    it.take({(0, 2): some(4), (0, 3): some(0), (0, 5): some(1)})
    assert {key: len(found.xy) for key, found in it.poses.items()} == {
        (0, 1): 2,
        (0, 2): 4,
        (0, 5): 1,
    }


def seen(peaks: bool) -> Output:
    """A teacher that is sure of an animal at (28, 28) and unsure of one at (92, 60)."""
    cls = torch.full((1, 1, 16, 16), -9.0)
    cls[0, 0, 3, 3], cls[0, 0, 7, 11] = 3.0, -2.0
    offsets = torch.zeros(1, 2, 2, 16, 16)
    offsets[:, 1, 0] = 1.0  # the second keypoint is 8 px to the right
    heat = torch.full((1, 2, 32, 32), -9.0)
    if peaks:
        heat[0, 0, 6, 6] = heat[0, 1, 6, 8] = 3.0  # strides of 4, centres at 2: (26, 26), (34, 26)
    level = LevelOutput(8, cls, torch.full_like(cls, 4.0), offsets, offsets)
    return Output([level], heat, 4)


def test_certain_animals_become_labels_and_the_others_places_to_leave_out() -> None:
    found = pseudo_poses(seen(True), (128, 128), Config().loss, 0.3)
    assert found.known.tolist() == [[True, True]]
    np.testing.assert_allclose(found.xy[0], [[26, 26], [34, 26]], atol=2)
    assert len(found.doubtful) == 1
    x0, y0, x1, y1 = found.doubtful[0]
    assert x0 <= 92 <= x1
    assert y0 <= 60 <= y1
    # Without agreement of both branches nothing is certain, and both places are left out.
    unsure = pseudo_poses(seen(False), (128, 128), Config().loss, 0.3)
    assert len(unsure.xy) == 0
    assert len(unsure.doubtful) == 2


def test_nothing_is_known_outside_the_frame() -> None:
    shift = torch.tensor([[1.0, 0, 10], [0, 1, 0]])
    unknown = Unknown(torch.zeros(0, 4), shift, (40, 20))
    points = torch.tensor([[5.0, 5], [15, 5], [48, 19], [52, 5], [15, 25]])
    assert unknown(points).tolist() == [True, False, False, True, True]
    assert Labels(points, points, points, unknown).ignored is unknown


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_doubtful_animals_are_left_out_where_they_are_in_the_view(side: float) -> None:
    """Boxes are in px of what the teacher saw, whatever the view shows of it: turned, enlarged, mirrored."""
    turn = torch.tensor([[0.0, -2.0 * side, 90.0], [2.0, 0.0, -10.0]])
    unknown = Unknown(torch.tensor([[10.0, 20, 14, 30]]), turn, (60, 60))
    seen = torch.tensor([[12.0, 25], [12, 31], [9, 25], [30, 30]])
    assert unknown(map_points(turn, seen)).tolist() == [True, False, False, False]


def test_the_teacher_of_views_leaves_out_the_same_places_as_that_of_frames() -> None:
    turn = torch.tensor([[0.0, -1.0, 120.0], [1.0, 0.0, 3.0]])
    said = seen(True)
    (of_view,) = pseudo_labels(said, turn[None], 128, Config().loss, 0.3, torch.tensor([0, 1]))
    found = pseudo_poses(said, (128, 128), Config().loss, 0.3)
    boxes = torch.from_numpy(found.doubtful).float()
    of_frame = Unknown(boxes, turn, (128, 128))
    points = map_points(
        turn, torch.cartesian_prod(torch.arange(0.0, 128, 3), torch.arange(0.0, 128, 3))
    )
    there = of_view.ignored(points)
    assert there.any()
    assert not there.all()
    assert torch.equal(there, of_frame(points))


def terms(events: list[Event]) -> set[str]:
    return {name for e in events if isinstance(e, Step) for name in e.losses}


SETTINGS = ["loss.pseudo_from=frames", "loss.pseudo_frames=3", "loss.tau=[0,0]"]


def test_training_learns_from_whole_frames_and_resumes(job: Job) -> None:
    # Agreement is switched off, because a network after three steps agrees with itself nowhere.
    settings = [*SETTINGS, "loss.agreement_cells=0", "loss.delta=0", "loss.beta_start=0.5"]
    whole = list(train(**job.arguments(*settings)))
    assert isinstance(whole[-1], Done), whole[-1]
    notices = [e for e in whole if isinstance(e, Notice) and "learning from" in e.message]
    assert len(notices) == 2
    assert "teacher_heat" in terms(whole)
    expected = job.weights()
    job.out = job.out.with_name("halves")
    asked = iter([False] * 4 + [True] * 9)
    list(train(**job.arguments(*settings), should_stop=lambda: next(asked)))
    second = list(train(**job.arguments(*settings), resume=True))
    assert isinstance(second[-1], Done), second[-1]
    for name, value in job.weights().items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5, msg=name)


def test_a_round_that_was_stopped_is_made_when_training_goes_on(job: Job) -> None:
    settings = [*SETTINGS, "loss.agreement_cells=0", "loss.delta=0", "loss.beta_start=0.5"]
    settings += ["loss.pseudo_rounds=1", "train.iterations=5"]
    list(train(**job.arguments(*settings)))
    expected = job.weights()
    job.out = job.out.with_name("halves")
    asked = iter([False] * 4 + [True] * 9)  # before the first three steps and the round
    first = list(train(**job.arguments(*settings), should_stop=lambda: next(asked)))
    assert isinstance(first[-1], Done)
    assert (first[-1].reason, first[-1].iteration) == ("stopped", 3)
    second = list(train(**job.arguments(*settings), resume=True))
    assert sum(isinstance(e, Notice) and "learning from" in e.message for e in second) == 1
    for name, value in job.weights().items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5, msg=name)


def test_a_resumed_training_keeps_its_scale_and_says_which_frames_are_gone(job: Job) -> None:
    settings = [*SETTINGS, "loss.agreement_cells=0", "loss.delta=0", "loss.beta_start=0.2"]
    list(train(**job.arguments(*settings, "train.iterations=5")))
    before = read_info(job.out).scale
    longer = replace(
        job.labels, xy=job.labels.xy.mean(2, keepdims=True) * -0.2 + job.labels.xy * 1.2
    )
    stack = job.frames[0][:23]
    changed = job.arguments("train.iterations=6") | {
        "labels": longer,
        "frames": {0: open_frames(stack)},
    }
    events = list(train(**changed, resume=True))
    assert isinstance(events[-1], Done), events[-1]
    assert read_info(job.out).scale == before
    assert any(isinstance(e, Notice) and "are there no longer" in e.message for e in events)
