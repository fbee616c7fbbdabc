import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.tracks import all_track_names, give_columns
from napari_semimultipose.poses import Poses, Skeleton


def poses(track, **more):
    track = np.array(track)
    return Poses(
        Skeleton(("a",)), np.ones((*track.shape, 1, 2)), np.arange(len(track)), track=track, **more
    )


def test_tracks_without_a_name_get_one():
    assert all_track_names(poses([[0, 2]], track_names=("anna", "anna", ""))) == [
        "anna",
        "anna_1",
        "track_2",
    ]
    assert all_track_names(poses([[-1, 1]])) == ["track_0", "track_1"]
    assert all_track_names(poses([[-1, -1]])) == []


def test_animals_without_a_track_get_columns_that_are_free():
    flat = poses([[1, -1, -1], [-1, 0, -1]]).instances()
    assert give_columns("x", flat, ["a", "b"]).tolist() == [1, 2, 3, 2, 0, 3]
    assert give_columns("x", flat, ["a", "b"], reuse=[0, 1]).tolist() == [1, 0, 2, 1, 0, 2]
    assert give_columns("x", flat, ["a", "b"], reuse=[1]).tolist() == [1, 2, 3, 1, 0, 2]


def test_one_track_twice_on_a_frame_is_an_error():
    flat = poses([[0, 1], [1, 1]]).instances()
    with pytest.raises(LabelsError, match="frame 1 has two animals on the track b; a table has"):
        give_columns("a table", flat, ["a", "b"])
