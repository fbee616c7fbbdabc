"""Fusing of members: medians, matching, and what is known of the spread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.inference.ensemble import combine, fuse
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

SKELETON = Skeleton(("a", "b", "c"))
BODY = np.array([[0, 0], [30, 0], [0, 30.0]])
PLACES = np.array([[100, 100], [130, 110], [400, 300.0]])


def members(
    n: int = 5, frames: int = 4, seed: int = 0, jitter: float = 1.0
) -> tuple[list[Poses], NDArray]:
    """Three animals, two of them close, in an order that changes from member to member."""
    rng = np.random.default_rng(seed)
    truth = PLACES[None, :, None] + BODY + rng.normal(0, 5, (frames, 3, 1, 2))
    out = []
    for _ in range(n):
        xy = truth + rng.normal(0, jitter, truth.shape)
        order = np.stack([rng.permutation(3) for _ in range(frames)])
        xy = np.take_along_axis(xy, order[:, :, None, None], 1)
        out.append(
            Poses(
                SKELETON,
                xy,
                np.arange(frames),
                score=rng.uniform(0.6, 0.9, (frames, 3, 3)),
                instance_score=rng.uniform(0.6, 0.9, (frames, 3)),
                source=np.full((frames, 3), Source.PREDICTED),
            )
        )
    return out, truth


def by_place(poses: Poses) -> NDArray:
    """Poses [F, N, K, 2], from left to right in each frame."""
    order = np.argsort(poses.xy[:, :, 0, 0], 1)
    return np.take_along_axis(poses.xy, order[..., None, None], 1)


def test_animals_are_matched_and_at_the_median() -> None:
    parts, truth = members()
    fused = fuse(parts)
    assert (fused.present.sum(1) == 3).all()
    expected = np.median([by_place(p) for p in parts], 0)
    np.testing.assert_allclose(by_place(fused), expected)
    assert np.abs(by_place(fused) - truth[:, np.argsort(truth[0, :, 0, 0])]).max() < 3
    assert fused.spread is not None
    assert np.isfinite(fused.spread).all()
    assert (fused.track == -1).all()


@given(st.permutations(range(5)), st.integers(0, 2**31))
def test_order_of_members_and_of_instances_does_not_matter(order: list[int], seed: int) -> None:
    parts, _ = members(seed=3)
    fused = fuse(parts)
    rng = np.random.default_rng(seed)
    mixed = []
    for i in order:
        slots = rng.permutation(3)
        part = parts[i]
        mixed.append(
            replace(
                part,
                xy=part.xy[:, slots],
                score=part.score[:, slots],
                visible=part.visible[:, slots],
                instance_score=part.instance_score[:, slots],
                track=part.track[:, slots],
                source=part.source[:, slots],
            )
        )
    np.testing.assert_allclose(by_place(fuse(mixed)), by_place(fused))


def test_an_animal_of_two_of_five_members_goes_and_one_of_three_stays_unsure() -> None:
    parts, _ = members()
    keep = parts[0].xy[:, :, 0, 0] < 300

    def without_far(poses: Poses) -> Poses:
        return poses.keep(poses.xy[:, :, 0, 0] < 300)

    assert keep.sum() == 8
    two = fuse([*map(without_far, parts[:3]), *parts[3:]])
    assert (two.present.sum(1) == 2).all()
    three = fuse([*map(without_far, parts[:2]), *parts[2:]])
    assert (three.present.sum(1) == 3).all()
    far = three.xy[:, :, 0, 0] > 300
    xy = np.stack([p.xy[:, :, :][p.xy[:, :, 0, 0] > 300] for p in parts[2:]])
    assert three.spread is not None
    np.testing.assert_allclose(three.spread[far], xy.std(0) * np.sqrt(5 / 3))
    score = np.stack([p.score[p.xy[:, :, 0, 0] > 300] for p in parts[2:]]).sum(0) / 5
    np.testing.assert_allclose(three.score[far], score)


def test_one_animal_a_frame_needs_no_matching() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 500, (4, 10, 3, 2))  # nothing alike
    parts = [
        Poses(
            SKELETON,
            m[:, None],
            np.arange(10),
            source=np.ones((10, 1), int),
            track=np.zeros((10, 1), int),
            track_names=("me",),
        )
        for m in xy
    ]
    fused = fuse(parts)
    np.testing.assert_allclose(fused.xy[:, 0], np.median(xy, 0))
    assert (fused.track == 0).all()
    assert fused.track_names == ("me",)


def test_the_farthest_of_many_members_does_not_widen_the_spread() -> None:
    xy = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [500, 0.0]])[:, None, None]
    center, deviation, _ = combine(xy, np.ones((5, 1, 1)))
    assert center[0, 0].tolist() == [2, 0]
    assert deviation[0, 0, 0] == pytest.approx(np.std([0, 1, 2, 3]))
    _, wide, _ = combine(xy, np.ones((5, 1, 1)), "variance")
    assert wide[0, 0, 0] == pytest.approx(np.std([0, 1, 2, 3, 500]))


def test_missing_keypoints() -> None:
    xy = np.array([[10, 0], [20, 0], [np.nan, 0], [np.nan, 0]])[:, None, None]
    center, deviation, score = combine(xy, np.ones((4, 1, 1)))
    assert center[0, 0, 0] == 15
    assert deviation[0, 0, 0] == pytest.approx(5 * np.sqrt(2))
    assert score[0, 0] == 0.5
    center, deviation, score = combine(xy[1:], np.ones((3, 1, 1)))
    assert np.isnan(center).all()
    assert np.isnan(deviation).all()
    assert score[0, 0] == 0


def test_members_of_different_files() -> None:
    parts, _ = members(2)
    other = replace(parts[1], skeleton=Skeleton(("a", "b", "d")))
    with pytest.raises(LabelsError, match="prediction 2 has the keypoints a, b, d"):
        fuse([parts[0], other])
    with pytest.raises(LabelsError, match="no frame in common"):
        fuse([parts[0], replace(parts[1], frame=parts[1].frame + 100)])
    with pytest.raises(LabelsError, match="no predictions"):
        fuse([])
    assert fuse(parts[:1]) is parts[0]


def test_keypoints_in_another_order() -> None:
    parts, _ = members(2, jitter=0)
    turned = replace(
        parts[1],
        skeleton=Skeleton(("c", "a", "b")),
        xy=parts[1].xy[:, :, [2, 0, 1]],
        score=parts[1].score[:, :, [2, 0, 1]],
        visible=parts[1].visible[:, :, [2, 0, 1]],
    )
    np.testing.assert_allclose(by_place(fuse([parts[0], turned])), by_place(parts[0]))


def test_the_tracks_of_the_first_member_stay() -> None:
    """Proofread identities must not be lost because another model is asked as well."""
    parts, _ = members(3)
    order = np.argsort(np.argsort(parts[0].xy[:, :, 0, 0], 1), 1)  # track: place from left to right
    named = replace(parts[0], track=order, track_names=("one", "two", "three"))
    fused = fuse([named, *parts[1:]])
    assert fused.track_names == ("one", "two", "three")
    x = np.argsort(np.argsort(fused.xy[:, :, 0, 0], 1), 1)
    np.testing.assert_array_equal(fused.track, x)
    # An animal that nobody has a track of has none; members without tracks get none from the others.
    gone = named.visible.copy()
    gone[1, 2] = 0
    fused = fuse([replace(named, visible=gone), *parts[1:]])
    assert (fused.track[1] == -1).sum() == 1
    assert (np.delete(fused.track, 1, 0) >= 0).all()
    assert (fuse([parts[1], named, parts[2]]).track == -1).all()


def test_tracks_of_others_go_on_where_the_first_member_lacks_the_animal() -> None:
    """Which member is named first must not decide which animals have tracks."""
    parts, _ = members(3, frames=6)
    order = np.argsort(np.argsort(parts[0].xy[:, :, 0, 0], 1), 1)
    left, middle, right = np.moveaxis(np.eye(3, dtype=bool)[order], -1, 0)
    tracked = [
        replace(
            part,
            track=(np.argsort(np.argsort(part.xy[:, :, 0, 0], 1), 1) + shift) % 3,
            track_names=names,
        )
        for part, shift, names in zip(
            parts,
            (0, 1, 2),
            (("one", "two", "three"), ("c", "a", "b"), ("b", "c", "a")),
            strict=True,
        )
    ]
    gone = tracked[0].visible.copy()
    gone[2:5][left[2:5]] = 0  # on some frames
    fused = fuse([replace(tracked[0], visible=gone), *tracked[1:]])
    x = np.argsort(np.argsort(fused.xy[:, :, 0, 0], 1), 1)
    np.testing.assert_array_equal(fused.track, x)
    assert fused.track_names == ("one", "two", "three")
    gone[left] = 0  # on all
    fused = fuse([replace(tracked[0], visible=gone), *tracked[1:]])
    assert fused.track_names == ("one", "two", "three", "a")
    np.testing.assert_array_equal(fused.track, np.where(x == 0, 3, x))
    assert middle.sum() == right.sum() == 6


def test_members_name_their_pictures() -> None:
    """The table of a member may lack pictures, and be sorted in another way."""
    images = tuple(f"img{i}.png" for i in range(6))
    x = 100.0 * np.arange(6)
    xy = np.broadcast_to(x[:, None, None, None], (6, 1, 3, 2)) + BODY
    whole = Poses(SKELETON, xy, np.arange(6), videos=(Video("here", images),))
    part = Poses(SKELETON, xy[1:], np.arange(5), videos=(Video("there", images[1:]),))
    back = Poses(SKELETON, xy[::-1], np.arange(6), videos=(Video("here", images[::-1]),))
    for given_ in ([whole, part], [part, whole], [whole, back], [back, part, whole]):
        fused = fuse(given_)
        assert len(fused) == 6
        for row in range(6):
            name = fused.image_name(row)
            assert name is not None
            assert fused.xy[row, 0, 0, 0] == x[int(name[3])]


def test_members_of_several_videos_name_them() -> None:
    xy = np.stack([BODY + 100, BODY + 900])[:, None]
    a, b, c = Video("/x/a.mp4"), Video("/x/b.mp4"), Video("/x/c.mp4")
    first = Poses(SKELETON, xy, [3, 3], video=[0, 1], videos=(a, b))
    other = Poses(
        SKELETON, xy, [3, 3], video=[2, 1], videos=(c, Video("/y/b.mp4"), Video("/y/a.mp4"))
    )
    fused = fuse([first, other])
    assert fused.videos == (a, b, c)
    np.testing.assert_allclose(fused.xy, xy)


def test_two_animals_that_take_turns_stay_two() -> None:
    xy = np.random.default_rng(0).uniform(0, 500, (2, 6, 1, 3, 2))
    track = np.array([0, 0, 1, 1, 0, 1])[:, None]
    parts = [Poses(SKELETON, m, np.arange(6), source=np.ones((6, 1), int), track=track) for m in xy]
    np.testing.assert_array_equal(fuse(parts).track, track)


def test_no_more_animals_than_asked_for() -> None:
    """Two members may find different animals, so that together they have more than each."""
    parts, _ = members(2)
    few = []
    for part, lacks in zip(parts, (0, 2), strict=True):
        left_out = np.argsort(np.argsort(part.xy[:, :, 0, 0], 1), 1) == lacks
        few.append(replace(part, visible=np.where(left_out[..., None], 0, part.visible)))
    assert (fuse(few).present.sum(1) == 3).all()
    fused = fuse(few, most=2)
    assert (fused.present.sum(1) == 2).all()
    # the animal that both have is the surest
    both = fuse(few).instance_score.max(1)
    np.testing.assert_allclose(fused.instance_score.max(1), both)
