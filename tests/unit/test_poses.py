"""The table of poses: what it fills in, what it refuses, and that nothing gets lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

SKELETON = Skeleton(("head", "tail"))


@st.composite
def tables(draw: st.DrawFn) -> Poses:
    """Poses of two videos with holes, in any order of rows."""
    pairs = draw(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), unique=True, max_size=8)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    f, n = len(pairs), draw(st.integers(0, 3))
    xy = rng.uniform(0, 100, (f, n, 2, 2))
    xy[rng.random((f, n, 2)) < 0.4] = np.nan
    return Poses(
        SKELETON,
        xy,
        [frame for _, frame in pairs],
        score=rng.random((f, n, 2)),
        instance_score=rng.random((f, n)),
        track=rng.integers(-1, 4, (f, n)),
        visible=rng.integers(0, 3, (f, n, 2)),
        source=rng.integers(0, 3, (f, n)),
        video=[video for video, _ in pairs],
        videos=(Video("a.mp4"), Video("b.mp4")),
    )


def content(poses: Poses) -> set[tuple]:
    """Everything known about each animal, whatever row and slot it is in."""
    flat = poses.instances()
    return {
        (
            poses.videos[int(flat["video"][i])].path,
            *(
                flat[name][i].tobytes()
                for name in ("frame", "xy", "score", "visible", "instance_score", "track", "source")
            ),
        )
        for i in range(len(flat["frame"]))
    }


def frames_of(poses: Poses) -> set[tuple[str, int]]:
    return {
        (poses.videos[v].path, f)
        for v, f in zip(poses.video.tolist(), poses.frame.tolist(), strict=True)
    }


@given(tables())
def test_absent_keypoints_have_no_position_and_no_score(poses: Poses) -> None:
    absent = poses.visible == Visibility.ABSENT
    assert np.isnan(poses.xy[absent]).all()
    assert np.isfinite(poses.xy[~absent]).all()
    assert (poses.score[absent] == 0).all()
    assert (poses.track[~poses.present] == -1).all()


@given(tables())
def test_flat_and_back_keeps_every_animal(poses: Poses) -> None:
    flat = poses.instances()
    flat.pop("row"), flat.pop("slot")
    empty = zip(poses.video.tolist(), poses.frame.tolist(), strict=True)
    again = Poses.from_instances(SKELETON, **flat, videos=poses.videos, empty_frames=empty)
    assert content(again) == content(poses)
    assert frames_of(again) == frames_of(poses)
    assert sorted(zip(again.video, again.frame, strict=True)) == list(
        zip(again.video, again.frame, strict=True)
    )


@given(tables(), st.integers(0, 2**31))
def test_keeping_and_dropping_share_out_the_animals(poses: Poses, seed: int) -> None:
    mask = np.random.default_rng(seed).random(poses.present.shape) < 0.5
    kept, dropped = poses.keep(mask), poses.keep(~mask)
    assert content(kept) | content(dropped) == content(poses)
    assert kept.n_instances + dropped.n_instances == poses.n_instances
    assert frames_of(kept) == frames_of(dropped) == frames_of(poses)


@given(tables(), tables())
def test_joining_keeps_all_and_merges_equal_videos(one: Poses, two: Poses) -> None:
    joined = Poses.concatenate([one, two])
    assert content(joined) == content(one) | content(two)
    assert joined.videos == one.videos
    assert frames_of(joined) == frames_of(one) | frames_of(two)


def test_joined_tracks_are_those_of_one_name() -> None:
    def part(frame: int, track: list[int], names: tuple[str, ...]) -> Poses:
        xy = np.random.default_rng(frame).random((1, len(track), 2, 2))
        return Poses(SKELETON, xy, [frame], track=[track], track_names=names)

    joined = Poses.concatenate([part(0, [0, 1], ("a", "b")), part(1, [1, 0, -1], ("b", "c"))])
    said = [[joined.track_names[t] for t in row if t >= 0] for row in joined.track.tolist()]
    assert said == [["a", "b"], ["c", "b"]]
    assert (joined.track[1] == -1).sum() == 1
    twice = Poses.concatenate([part(0, [0, 1], ("x", "x")), part(1, [0, 1], ("x", "y"))])
    assert [[twice.track_names[t] for t in row] for row in twice.track.tolist()] == [
        ["x", "x"],
        ["x", "y"],
    ]
    assert twice.track[0, 0] == twice.track[1, 0] != twice.track[0, 1]
    plain = Poses.concatenate([part(0, [1, 0], ("a", "b")), part(1, [1, 0], ())])
    assert plain.track_names == ("a", "b")
    assert plain.track.tolist() == [[1, 0], [1, 0]]


@given(tables())
def test_selected_rows_are_unchanged(poses: Poses) -> None:
    back = poses.select(np.arange(len(poses))[::-1]).select(np.arange(len(poses))[::-1])
    assert content(back) == content(poses)
    assert back.frame.tolist() == poses.frame.tolist()
    assert len(poses.select(np.zeros(len(poses), bool))) == 0


def test_what_is_not_given_is_filled_in() -> None:
    xy = np.array([[[[1, 2], [np.nan, 5]], [[np.nan] * 2] * 2]])
    poses = Poses(SKELETON, xy, [3])
    assert poses.visible[0, 0].tolist() == [Visibility.VISIBLE, Visibility.ABSENT]
    assert poses.score[0, 0].tolist() == [1, 0]
    assert poses.present.tolist() == [[True, False]]
    assert poses.source[0, 0] == Source.HUMAN
    assert poses.track[0].tolist() == [-1, -1]
    assert poses.videos == (Video(),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xy": np.zeros((1, 1, 3, 2))}, "shape"),
        ({"xy": np.zeros((1, 2, 2))}, "shape"),
        ({"frame": [-1]}, "negative"),
        ({"frame": [1, 2]}, "frame must have"),
        ({"video": [1]}, "index the 1 videos"),
        ({"score": np.zeros((1, 2))}, "score must have"),
        ({"track": [[1, 2, 3]]}, "track must have"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    good: dict = {"xy": np.zeros((1, 1, 2, 2)), "frame": [0]}
    with pytest.raises(ValueError, match=message):
        Poses(SKELETON, **{**good, **changes})


def test_the_animal_size_is_the_median_longer_side() -> None:
    xy = np.zeros((3, 1, 2, 2))
    xy[:, 0, 1] = [[30, 5], [10, 40], [2, 3]]
    assert Poses(SKELETON, xy, [0, 1, 2]).animal_size_px == 30
    xy[..., 1, :] = np.nan  # one keypoint an animal has no extent
    assert np.isnan(Poses(SKELETON, xy, [0, 1, 2]).animal_size_px)


def test_boxes_of_empty_slots_are_nan() -> None:
    xy = np.full((1, 2, 2, 2), np.nan)
    xy[0, 0] = [[5, 1], [2, 8]]
    boxes = Poses(SKELETON, xy, [0]).boxes
    assert boxes[0, 0].tolist() == [2, 1, 5, 8]
    assert np.isnan(boxes[0, 1]).all()
    assert Poses(SKELETON, np.zeros((2, 0, 2, 2)), [0, 1]).boxes.shape == (2, 0, 4)


def test_images_have_names_and_frames_of_videos_have_none() -> None:
    xy = np.zeros((2, 1, 2, 2))
    listed = Poses(SKELETON, xy, [1, 0], videos=(Video("folder", ("a.png", "b.png")),))
    assert [listed.image_name(r) for r in (0, 1)] == ["b.png", "a.png"]
    assert listed.rows() == {1: 0, 0: 1}
    assert Poses(SKELETON, xy, [1, 0]).image_name(0) is None


def test_other_skeletons_cannot_be_joined() -> None:
    other = Poses(Skeleton(("a", "b")), np.zeros((1, 1, 2, 2)), [0])
    with pytest.raises(ValueError, match="different skeletons"):
        Poses.concatenate([other, Poses(SKELETON, np.zeros((1, 1, 2, 2)), [0])])
    with pytest.raises(ValueError, match="nothing"):
        Poses.concatenate([])


def test_who_is_there_is_found_once_and_cannot_be_changed() -> None:
    """It is asked for frame after frame; of a long recording it takes milliseconds each time."""
    poses = Poses(SKELETON, np.zeros((2, 3, 2, 2)), [0, 1])
    assert poses.present is poses.present
    with pytest.raises(ValueError, match="read-only"):
        poses.present[0, 0] = False
    assert not poses.keep(np.zeros((2, 3), bool)).present.any()
