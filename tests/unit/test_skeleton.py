"""Skeletons: what they refuse, and how they mirror."""

from __future__ import annotations

import pytest

from napari_semimultipose.skeleton import Skeleton, views_in_names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keypoints": ()}, "at least one keypoint"),
        ({"keypoints": ("a", "")}, "every keypoint a name"),
        ({"keypoints": ("a", "b", "a")}, "occur twice: a"),
        ({"keypoints": ("a", "b"), "edges": ((0, 2),)}, "edges: \\(0, 2\\)"),
        ({"keypoints": ("a", "b"), "edges": ((1, 1),)}, "no pair"),
        ({"keypoints": ("a", "b"), "symmetry": ((0, -1),)}, "symmetry"),
        ({"keypoints": ("a", "b", "c"), "symmetry": ((0, 1), (1, 2))}, "one symmetric pair"),
    ],
)
def test_impossible_skeletons_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Skeleton(**arguments)


def test_mirroring_twice_changes_nothing() -> None:
    index = Skeleton(("nose", "earL", "earR", "tail"), symmetry=((1, 2),)).mirror_index
    assert index.tolist() == [0, 2, 1, 3]
    assert index[index].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("wingL", "wingR"),
        ("L_ear", "R_ear"),
        ("legL4", "legR4"),
        ("Lant", "Rant"),
        ("left_paw", "right_paw"),
        ("LeftEye", "RightEye"),
        ("paw_l", "paw_r"),
    ],
)
def test_pairs_are_guessed_from_names(left: str, right: str) -> None:
    guessed = Skeleton(("middle", right, left)).with_guessed_symmetry()
    assert [set(pair) for pair in guessed.symmetry] == [{1, 2}]


def test_names_without_sides_are_no_pairs() -> None:
    assert Skeleton(("Lip", "Rib", "tail", "trail")).with_guessed_symmetry().symmetry == ()


def test_given_pairs_are_kept() -> None:
    given = Skeleton(("earL", "earR", "a", "b"), symmetry=((2, 3),))
    assert given.with_guessed_symmetry() is given


def test_views_are_told_by_names_and_limbs_are_none() -> None:
    assert views_in_names(("nose_top", "tail_top", "nose_bot", "tail_bot", "lever")) == (
        ("nose_top", "tail_top"),
        ("nose_bot", "tail_bot"),
    )
    paws = ("paw_left_front", "paw_left_back", "paw_right_front", "paw_right_back")
    assert views_in_names(paws) == ()
    assert views_in_names(("wrist_front", "elbow_front", "wrist_rear", "elbow_rear")) == ()
    assert len(views_in_names(("nose_front", "ear_front", "nose_side", "ear_side"))) == 2
