from napari_semimultipose.io.skeletons import symmetry_is_guessed, union_skeleton
from napari_semimultipose.poses import Skeleton

MOUSE = Skeleton(("nose", "earL", "earR"), ((0, 1), (0, 2)), ((1, 2),), "mouse")
FLY = Skeleton(("earR", "wing", "nose"), ((2, 0), (0, 1)), (), "fly")


def test_keypoints_are_joined_by_name():
    joined, (mouse, fly) = union_skeleton([MOUSE, FLY])
    assert joined.keypoints == ("nose", "earL", "earR", "wing")
    assert mouse.tolist() == [0, 1, 2]
    assert fly.tolist() == [2, 3, 0]
    assert joined.edges == ((0, 1), (0, 2), (2, 3))  # nose-earR of both is one edge
    assert joined.symmetry == ((1, 2),)
    assert joined.name == "mouse+fly"


def test_one_skeleton_stays_as_it_is():
    assert union_skeleton([MOUSE])[0] == union_skeleton([MOUSE, MOUSE])[0] == MOUSE


def test_pairs_that_the_names_would_not_give_are_told_apart():
    assert symmetry_is_guessed(MOUSE)
    assert symmetry_is_guessed(Skeleton(("nose", "tail")))
    assert not symmetry_is_guessed(Skeleton(("nose", "tail"), (), ((0, 1),)))
    assert not symmetry_is_guessed(Skeleton(("earL", "earR")))
