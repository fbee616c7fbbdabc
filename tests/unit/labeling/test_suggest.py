"""Frames worth labelling are found, spread, and never labelled already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.labeling.alignment import same_keypoints
from napari_semimultipose.labeling.spread import fill_gaps
from napari_semimultipose.labeling.suggest import (
    Progress,
    criterion,
    drain,
    suggest_even,
    suggest_frames,
)
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

SKELETON = Skeleton(("nose", "left", "right", "tail"), edges=((0, 1), (0, 2), (0, 3)))
SHAPE = np.array([[0.0, -20], [-8, 0], [8, 0], [0, 25]])


def scenes(sizes: list[int], seed: int = 0, noise: float = 2.0) -> tuple[Frames, np.ndarray]:
    """Frames of several scenes, mixed in time, and the scene of each."""
    rng = np.random.default_rng(seed)
    looks = rng.integers(0, 200, (len(sizes), 40, 60, 1))
    scene = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    pictures = looks[scene] + rng.normal(0, noise, (len(scene), 40, 60, 1))
    return open_frames(np.clip(pictures, 0, 255).astype(np.uint8)), scene


def walk(count: int = 400, animals: int = 2, seed: int = 0) -> Poses:
    """Predictions of animals that walk smoothly, with scores that vary a little."""
    rng = np.random.default_rng(seed)
    t = np.arange(count)[:, None]
    centre = 100 + 60 * np.stack([np.sin(t / 40 + np.arange(animals)), np.cos(t / 53)
                                  + 3 * np.arange(animals)], -1)  # fmt: skip
    turn = t / 70 + np.arange(animals)
    rotation = np.stack(
        [np.stack([np.cos(turn), -np.sin(turn)], -1), np.stack([np.sin(turn), np.cos(turn)], -1)],
        -2,
    )
    xy = centre[:, :, None] + np.einsum("fnij,kj->fnki", rotation, SHAPE)
    xy += rng.normal(0, 0.3, xy.shape)
    present = xy.shape[:3]
    return Poses(
        SKELETON,
        xy,
        np.arange(count),
        score=rng.uniform(0.6, 0.7, present),
        instance_score=rng.uniform(0.62, 0.68, present[:2]),
        source=np.full(present[:2], Source.PREDICTED),
    )


def changed(poses: Poses, **change: np.ndarray) -> Poses:
    return replace(poses, **change)


def labels_on(frames: list[int], video: Video | None = None) -> Poses:
    xy = np.broadcast_to(100 + SHAPE, (len(frames), 1, 4, 2))
    return Poses(SKELETON, xy, np.array(frames), videos=(video or Video(),))


def find(frames: Frames, by: str, count: int, **given: object) -> list:
    return drain(suggest_frames(frames, by, count, **given))  # type: ignore[arg-type]


def numbers(suggestions: list) -> list[int]:
    return [s.frame for s in suggestions]


def blank(count: int) -> Frames:
    return open_frames(np.zeros((count, 8, 8, 1), np.uint8))


class TestEven:
    def test_without_labels_they_stand_in_the_middle_of_equal_parts(self) -> None:
        assert numbers(suggest_even(blank(100), 5)) == [9, 29, 49, 69, 89]

    def test_labels_are_taken_into_account(self) -> None:
        found = suggest_even(blank(101), 3, labelled=[25, 50, 75])
        assert all(min(abs(s.frame - f) for f in (25, 50, 75)) >= 10 for s in found)
        assert found[0].kind == "gap"
        assert (
            found[0].reason
            == f"{found[0].value:.0f} frames to the next labelled or suggested frame"
        )

    def test_what_is_labelled_is_left_out_even_when_all_else_is_taken(self) -> None:
        assert numbers(suggest_even(blank(6), 10, labelled=[0, 3])) == [1, 2, 4, 5]
        assert suggest_even(blank(3), 2, labelled=[0, 1, 2]) == []

    @given(st.integers(1, 80), st.sets(st.integers(0, 79)), st.integers(1, 30))
    def test_places_are_free_distinct_and_as_many_as_wanted(
        self, n: int, known: set[int], count: int
    ) -> None:
        known = {k for k in known if k < n}
        places = fill_gaps(n, sorted(known), count)
        assert len(places) == min(count, n - len(known))
        assert len(set(places)) == len(places)
        assert known.isdisjoint(places)
        assert all(0 <= p < n for p in places)
        assert places == sorted(places)

    @given(st.integers(20, 300), st.integers(2, 10))
    def test_spacing_is_even(self, n: int, count: int) -> None:
        steps = np.diff(fill_gaps(n, [], count))
        assert steps.max() - steps.min() <= 1

    def test_only_pictures_that_exist(self) -> None:
        frames = blank(50)
        frames.stored = (3, 10, 40)
        assert numbers(suggest_even(frames, 5, labelled=[10])) == [3, 40]


class TestDiverse:
    @pytest.mark.parametrize("seed", range(5))
    def test_every_scene_is_visited(self, seed: int) -> None:
        frames, scene = scenes([200, 100, 50, 20, 5, 3], seed)
        found = find(frames, "diverse", 6, seed=seed)
        assert sorted(scene[numbers(found)].tolist()) == list(range(6))
        shares = {int(scene[s.frame]): s.value for s in found}
        assert shares[0] == pytest.approx(200 / 378)
        assert found[0].reason == "stands for 53 % of the frames, which look like it"

    def test_scenes_with_labels_are_left_to_them(self) -> None:
        frames, scene = scenes([80, 80, 80, 80])
        labelled = [int(np.flatnonzero(scene == s)[3]) for s in (0, 2)]
        found = find(frames, "diverse", 2, labels=[labels_on(labelled)])
        assert sorted(scene[numbers(found)].tolist()) == [1, 3]
        assert "unlike the labelled ones" in found[0].reason

    def test_equal_seeds_give_equal_suggestions(self) -> None:
        frames, _ = scenes([40] * 8, noise=20)
        one, two = (find(frames, "diverse", 5, seed=7) for _ in range(2))
        assert one == two

    def test_pictures_that_do_not_differ_are_spread_over_time(self) -> None:
        found = find(blank(100), "diverse", 5, labels=[labels_on([50])])
        assert len(set(numbers(found))) == 5
        assert 50 not in numbers(found)
        assert {s.kind for s in found[1:]} == {"gap"}

    def test_stop_keeps_what_was_seen(self) -> None:
        frames, _ = scenes([200, 200])
        asked = iter(range(10_000))
        found = drain(suggest_frames(frames, "diverse", 4, should_stop=lambda: next(asked) > 99))
        assert found
        assert max(numbers(found)) < 120

    def test_progress_is_told(self) -> None:
        frames, _ = scenes([150, 150])
        steps: list[Progress] = []
        drain(suggest_frames(frames, "diverse", 4), steps.append)
        assert [s.total for s in steps] == [300] * len(steps)
        assert [s.done for s in steps] == sorted(s.done for s in steps)


class TestUncertain:
    def test_planted_faults_are_found_with_their_reason(self) -> None:
        poses = walk()
        xy, score, animal = poses.xy.copy(), poses.score.copy(), poses.instance_score.copy()
        xy[60, 0] += 60  # a jump there and back
        score[130, 1, 3] = 0.05
        animal[200, 0] = 0.1
        xy[270:273, 1, 0] += 45  # a nose away from its animal
        visible = poses.visible.copy()
        visible[330, 1] = 0
        poses = changed(poses, xy=xy, score=score, instance_score=animal, visible=visible)
        found = find(blank(400), "uncertain", 5, predictions=[poses])
        kinds = {s.frame: s.kind for s in found}
        assert {60, 130, 200, 330} <= set(kinds)
        assert kinds[60] == "jump"
        assert kinds[130] == "keypoint score"
        assert kinds[200] == "animal score"
        assert kinds[330] == "count"
        (other,) = set(kinds) - {60, 130, 200, 330}
        assert 270 <= other <= 272
        words = {s.frame: s.reason for s in found}
        assert "'tail' has the score 0.05 (usual score 0.6" in words[130]
        assert "an animal has the score 0.10" in words[200]
        assert "1 animal, but 2 on the frames around" in words[330]
        jump = next(s for s in found if s.frame == 60)
        assert jump.value == pytest.approx(60 * np.sqrt(2), rel=0.1)
        assert all(0.4 < s.doubt <= 1 for s in found)

    def test_a_bad_stretch_does_not_take_all_suggestions(self) -> None:
        poses = walk(1000)
        animal = poses.instance_score.copy()
        animal[300:400] = 0.05  # the worst
        bad = [50, 600, 750, 900]
        animal[bad] = 0.2
        poses = changed(poses, instance_score=animal)
        found = numbers(find(blank(1000), "uncertain", 8, predictions=[poses]))
        assert set(bad) <= set(found)
        inside = sorted(f for f in found if 300 <= f < 400)
        assert len(inside) == 4
        assert np.diff(inside).min() > 10

    def test_looks_share_the_suggestions(self) -> None:
        frames, scene = scenes([380, 20], seed=1)
        poses = walk()
        animal = poses.instance_score.copy()
        rng = np.random.default_rng(0)
        doubtful = np.concatenate(
            [
                rng.choice(np.flatnonzero(scene == 0), 22, replace=False),
                np.flatnonzero(scene == 1)[::7],
            ]
        )
        animal[doubtful] = 0.3
        found = find(frames, "uncertain", 6, predictions=[changed(poses, instance_score=animal)])
        assert 1 in scene[numbers(found)]

    def test_disagreement_of_two_models(self) -> None:
        poses = walk()
        xy, visible = poses.xy.copy(), poses.visible.copy()
        xy[120, 1, 2] += [0, 50]
        visible[250, 0] = 0
        other = changed(poses, xy=xy[:, ::-1], visible=visible[:, ::-1])  # other slots
        found = find(blank(400), "uncertain", 2, predictions=[poses, other])
        assert {s.frame: s.kind for s in found} == {120: "disagreement", 250: "disagreement"}
        words = {s.frame: s.reason for s in found}
        assert words[120].startswith("the models differ by 50 px (1.")
        assert "on 'right'" in words[120]
        assert words[250].startswith("one model sees 2 animals, another 1")

    def test_disagreement_of_the_members_of_an_ensemble(self) -> None:
        poses = walk()
        spread = np.full(poses.xy.shape, 0.5)
        spread[140, 1, 0] = [9, 12]
        found = find(blank(400), "uncertain", 1, predictions=[changed(poses, spread=spread)])
        assert (found[0].frame, found[0].kind) == (140, "spread")
        assert found[0].value == pytest.approx(15)
        assert found[0].reason.startswith("'nose' is only known to 15 px (0.")

    def test_the_spread_outlives_frames_without_animals_and_another_order(self) -> None:
        poses = walk()
        spread = np.full(poses.xy.shape, 0.5)
        spread[140, 1, 0] = [9, 12]
        file = changed(poses, spread=spread).select(np.arange(400) != 222)  # one frame left out
        found = find(blank(400), "uncertain", 2, predictions=[file])
        assert {s.frame: s.kind for s in found} == {140: "spread", 222: "count"}
        order = [3, 2, 1, 0]
        turned = replace(
            file,
            skeleton=Skeleton(tuple(SKELETON.keypoints[i] for i in order)),
            **{n: getattr(file, n)[:, :, order] for n in ("xy", "score", "visible", "spread")},
        )
        np.testing.assert_array_equal(same_keypoints(file, turned).spread, file.spread)

    def test_turned_copies_of_some_frames(self) -> None:
        poses = walk()
        some = poses.select(np.arange(0, 400, 7))
        xy, visible = some.xy.copy(), some.visible.copy()
        xy[20, 0, 3] += [0, 40]
        visible[41, 1] = 0
        copy = changed(some, xy=xy, visible=visible)
        found = find(blank(400), "uncertain", 2, predictions=[poses], copies=[copy])
        assert {s.frame: s.kind for s in found} == {140: "turned", 287: "turned"}
        words = {s.frame: s.reason for s in found}
        assert words[140].startswith("'tail' moves by 40 px (1.")
        assert "when the picture is turned" in words[140]
        assert words[287] == "the model sees 2 animals, and 1 when the picture is turned"

    def test_tracks_tell_who_jumped(self) -> None:
        poses = walk()
        track = np.tile([0, 1], (400, 1))
        track[200:] = [1, 0]  # two animals trade identities
        found = find(blank(400), "uncertain", 1, predictions=[changed(poses, track=track)])
        assert found[0].kind == "jump"
        assert abs(found[0].frame - 200) <= 1

    def test_the_labels_say_which_shape_is_usual(self) -> None:
        poses = walk(200)
        xy = poses.xy.copy()
        centre = xy.mean(2, keepdims=True)
        xy[:140] = centre[:140] + 2.5 * (xy[:140] - centre[:140])  # most are wrong
        broken = changed(poses, xy=xy)
        usual = changed(poses, source=np.zeros_like(poses.source))
        labels = usual.select(range(150, 200, 2))
        found = find(blank(200), "uncertain", 3, predictions=[broken], labels=[labels])
        assert {s.kind for s in found} == {"shape"}

    def test_labelled_frames_are_left_out(self) -> None:
        poses = walk()
        animal = poses.instance_score.copy()
        animal[[70, 170, 270]] = 0.05
        poses = changed(poses, instance_score=animal)
        found = find(
            blank(400), "uncertain", 10, predictions=[poses], labels=[labels_on([70, 270, 300])]
        )
        assert {70, 270, 300}.isdisjoint(numbers(found))
        assert found[0].frame == 170

    def test_frames_marked_as_empty_are_labelled(self) -> None:
        empty = Poses(SKELETON, np.full((1, 1, 4, 2), np.nan), np.array([5]))
        labels = Poses.concatenate([labels_on([3]), empty])
        assert numbers(find(blank(7), "even", 7, labels=[labels])) == [0, 1, 2, 4, 6]

    def test_predictions_are_no_labels_even_where_they_see_nothing(self) -> None:
        empty = Poses(SKELETON, np.full((1, 1, 4, 2), np.nan), np.array([5]))
        guess = replace(labels_on([4]), source=np.full((1, 1), Source.PREDICTED))
        mixed = Poses.concatenate([labels_on([3]), guess, empty])
        assert numbers(find(blank(7), "even", 7, labels=[mixed])) == [0, 1, 2, 4, 5, 6]

    def test_equal_seeds_give_equal_suggestions(self) -> None:
        frames, _ = scenes([200, 200])
        one, two = (find(frames, "uncertain", 9, predictions=[walk()], seed=3) for _ in range(2))
        assert one == two
        assert len(one) == 9

    def test_frames_that_a_file_left_out_hold_no_animal(self) -> None:
        poses = walk()
        found = find(blank(400), "uncertain", 1, predictions=[poses.select(np.arange(400) != 222)])
        assert (found[0].frame, found[0].kind) == (222, "count")
        assert found[0].reason.startswith("no animal, but 2 on the frames around")

    @pytest.mark.parametrize("animals", [0, 1])
    def test_few_and_no_animals(self, animals: int) -> None:
        poses = walk(30, animals)
        found = find(blank(30), "uncertain", 4, predictions=[poses, poses])
        assert len(found) == 4

    def test_a_single_frame(self) -> None:
        assert numbers(find(blank(1), "uncertain", 4, predictions=[walk(1)])) == [0]


class TestWrongInput:
    def test_uncertain_needs_predictions(self) -> None:
        with pytest.raises(ConfigError, match="found in predictions"):
            find(blank(3), "uncertain", 1)

    def test_of_another_recording(self) -> None:
        frames = blank(3)
        frames.names = ("a.png", "b.png", "c.png")
        other = changed(walk(3), videos=(Video("", ("x.png", "y.png", "z.png")),))
        with pytest.raises(LabelsError, match="no frame of this recording"):
            find(frames, "uncertain", 1, predictions=[other])

    def test_of_another_animal(self) -> None:
        other = replace(walk(9), skeleton=Skeleton(("a", "b", "c", "d")))
        with pytest.raises(LabelsError, match="one skeleton"):
            find(blank(9), "uncertain", 1, predictions=[walk(9), other])

    def test_none_and_unknown(self) -> None:
        with pytest.raises(ConfigError, match="1 or more"):
            find(blank(3), "even", 0)
        with pytest.raises(ConfigError, match="'best'"):
            criterion("best")
