"""Planted mistakes in labels are listed, what is right is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.labeling.label_check import LEAST_DOUBT, check_labels
from napari_semimultipose.labeling.problems import Kind
from napari_semimultipose.labeling.shapes import UsualShape
from napari_semimultipose.poses import Poses, Skeleton, Source, Video
from napari_semimultipose.sides import swapped

SKELETON = Skeleton(
    ("tail", "thorax", "head", "antL", "antR"),
    edges=((0, 1), (1, 2), (2, 3), (2, 4)),
    symmetry=((3, 4),),
    name="bee",
)
SHAPE = np.array([[-30.0, 0], [0, 0], [14, 0], [24, -8], [24, 8]])


def bees(frames: int = 40, animals: int = 3, seed: int = 0, mirrored: bool = False) -> Poses:
    """Animals of one shape, in all directions, none on top of another."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (frames, animals))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    turn = turn.reshape(frames, animals, 2, 2)
    shape = SHAPE * [1, -1] if mirrored else SHAPE
    xy = np.einsum("fnij,kj->fnki", turn, shape) + rng.normal(0, 1, (frames, animals, 5, 2))
    xy += np.arange(animals)[:, None, None] * 120 + rng.uniform(0, 40, (frames, 1, 1, 2))
    return Poses(SKELETON, xy, np.arange(frames))


def with_swapped(poses: Poses, places: list[tuple[int, int]]) -> Poses:
    xy = poses.xy.copy()
    for row, slot in places:
        xy[row, slot] = xy[row, slot][[0, 1, 2, 4, 3]]
    return replace(poses, xy=xy)


def places(found: list, kind: Kind) -> set[tuple[int, int]]:
    return {(p.row, p.slots[0]) for p in found if p.kind is kind}


PLANTED = [(2, 0), (7, 1), (7, 2), (20, 0), (33, 2)]


def test_right_labels_are_not_listed() -> None:
    assert check_labels(bees()) == []


@pytest.mark.parametrize("mirrored", [False, True])
def test_swapped_sides_are_found_whichever_way_the_picture_is_mirrored(mirrored: bool) -> None:
    found = check_labels(with_swapped(bees(mirrored=mirrored), PLANTED))
    assert places(found, Kind.SIDES) == set(PLANTED)
    assert all(p.pairs == ((3, 4),) for p in found)
    assert "antL - antR swapped" in found[0].text


def test_sides_need_no_pairs_in_the_skeleton_when_the_names_tell_them() -> None:
    poses = with_swapped(bees(), PLANTED)
    poses = replace(poses, skeleton=replace(SKELETON, symmetry=()))
    assert places(check_labels(poses), Kind.SIDES) == set(PLANTED)


def test_sides_are_told_without_some_of_the_keypoints() -> None:
    poses = with_swapped(bees(), PLANTED)
    xy = poses.xy.copy()
    xy[::2, :, 0] = np.nan  # no tail
    xy[7, :, 2] = np.nan  # no head
    assert places(check_labels(replace(poses, xy=xy)), Kind.SIDES) == set(PLANTED)


def test_animals_seen_from_both_sides_equally_often_stay_undecided() -> None:
    both = bees(40)
    turned = [(row, slot) for row in range(0, 40, 2) for slot in range(3)]
    poses = with_swapped(both, turned)
    flat = swapped(poses.xy.reshape(-1, 5, 2), SKELETON)
    assert np.abs(flat - 0.5).max() < 0.1
    assert check_labels(poses) == []


def test_a_single_pair_alone_has_no_axis() -> None:
    ears = Skeleton(("earL", "earR"), symmetry=((0, 1),))
    xy = np.random.default_rng(0).uniform(0, 100, (30, 1, 2, 2))
    assert np.isnan(swapped(xy[:, 0], ears)).all()


def test_a_duplicate_is_the_animal_with_fewer_keypoints() -> None:
    poses = bees()
    xy = np.concatenate([poses.xy, np.full((40, 1, 5, 2), np.nan)], 1)
    xy[11, 3] = xy[11, 1] + 1.0
    xy[11, 1, 4] = np.nan
    found = check_labels(Poses(SKELETON, xy, poses.frame))
    assert [(p.kind, p.row, p.slots) for p in found] == [(Kind.DUPLICATE, 11, (1, 3))]


def test_a_keypoint_at_a_wrong_place_is_an_odd_shape() -> None:
    poses = bees()
    xy = poses.xy.copy()
    xy[5, 2, 0] += [90.0, 60.0]
    found = check_labels(replace(poses, xy=xy))
    assert places(found, Kind.SHAPE) == {(5, 2)}
    assert "'tail'" in found[0].text


def test_models_that_did_not_see_the_labels_tell_other_positions() -> None:
    poses = bees()
    xy = poses.xy.copy()
    xy[9, 1, 1] += [0.0, 9.0]  # too little for the shape, far too much for the model
    rng = np.random.default_rng(1)
    seen = replace(poses, xy=poses.xy[:, ::-1] + rng.normal(0, 1, poses.xy.shape))
    found = check_labels(replace(poses, xy=xy), seen)
    assert places(found, Kind.MODEL) == {(9, 1)}
    (proposal,) = found[0].proposal
    assert proposal[0] == 1
    np.testing.assert_allclose(proposal[1:], poses.xy[9, 1, 1], atol=5)


def test_a_model_has_a_say_in_what_is_left() -> None:
    """It takes back what only positions doubt: animals seen from below, for example."""
    poses = with_swapped(bees(), PLANTED)
    agrees = check_labels(poses, poses)
    assert places(agrees, Kind.SIDES) == set()
    contradicts = check_labels(poses, bees())
    assert places(contradicts, Kind.SIDES) == set(PLANTED)
    alone = check_labels(poses)
    assert contradicts[0].value > alone[0].value
    assert not places(contradicts, Kind.MODEL)  # exchanged sides are no other positions


def test_the_most_doubtful_labels_come_first() -> None:
    poses = with_swapped(bees(), PLANTED)
    xy = poses.xy.copy()
    xy[5, 2, 0] += [90.0, 60.0]
    severity = [p.severity for p in check_labels(replace(poses, xy=xy))]
    assert len(severity) == 6
    assert severity == sorted(severity, reverse=True)
    assert all(1 <= s <= 1 / LEAST_DOUBT for s in severity)


def test_predicted_animals_are_no_labels() -> None:
    poses = with_swapped(bees(), PLANTED)
    source = np.full(poses.source.shape, Source.PREDICTED)
    assert check_labels(replace(poses, source=source)) == []


def test_several_videos_keep_their_frames() -> None:
    poses = with_swapped(bees(), PLANTED)
    video = (np.arange(40) >= 20).astype(int)
    videos = (replace(poses.videos[0], path="a.mp4"), replace(poses.videos[0], path="b.mp4"))
    frame = np.arange(40) % 20
    found = check_labels(replace(poses, video=video, videos=videos, frame=frame))
    assert {(p.video, p.frame) for p in found} == {(0, 2), (0, 7), (1, 0), (1, 13)}


def test_few_and_no_labels_are_no_error() -> None:
    assert check_labels(Poses.empty(SKELETON)) == []
    assert check_labels(bees(1)) == []


def test_predictions_of_another_animal_are_an_error() -> None:
    other = Poses.empty(Skeleton(("a", "b")))
    with pytest.raises(LabelsError, match="other keypoints"):
        check_labels(bees(), other)


def test_deviations_do_not_depend_on_place_and_direction() -> None:
    poses = bees()
    shape = UsualShape.of(poses.xy.reshape(-1, 5, 2), 54.0)
    turned = poses.xy[0] @ np.array([[0, 1], [-1, 0]]) + 500
    np.testing.assert_allclose(shape.deviations(turned), shape.deviations(poses.xy[0]))


def test_predictions_are_paired_by_name_and_of_other_frames_refused() -> None:
    poses = bees()
    xy = poses.xy.copy()
    xy[9, 1, 1] += [0.0, 9.0]
    labels = replace(poses, xy=xy, videos=(Video("/old/videos/a.mp4"), Video("/old/videos/b.mp4")))
    moved = replace(poses, videos=(Video("/new/project/videos/a.mp4"),))
    assert places(check_labels(labels, moved), Kind.MODEL) == {(9, 1)}
    # A list of some pictures, and the predictions of all pictures of their folder.
    names = tuple(f"img{i:03}.png" for i in range(0, 120, 3))
    listed = replace(poses, xy=xy, videos=(Video("clip", names),))
    everything = tuple(f"img{i:03}.png" for i in range(120))
    seen = replace(poses, frame=poses.frame * 3, videos=(Video("clip", everything),))
    assert places(check_labels(listed, seen), Kind.MODEL) == {(9, 1)}
    other = replace(poses, videos=(Video("clip", tuple(f"x{i}.png" for i in range(40))),))
    with pytest.raises(LabelsError, match="no frame of the predictions"):
        check_labels(listed, other)
