"""Small pictures for the list of layers."""

from __future__ import annotations

import numpy as np

from napari_semimultipose.layers.thumbnails import dots, lines

RED, BLUE = (1, 0, 0, 1), (0, 0, 1, 1)


def test_dots_lie_where_they_are_in_the_recording():
    picture = dots([(0, 0), (50, 199), (99.9, 100)], [RED, BLUE, RED], (100, 200))
    assert picture.shape == (32, 32, 4)
    assert picture[0, 0].tolist() == [255, 0, 0, 255]
    assert picture[8, 31].tolist() == [0, 0, 255, 255]  # the wider side fills the picture
    assert picture[15, 16].tolist() == [255, 0, 0, 255]
    assert (picture[..., :3].any(-1)).sum() == 3
    assert (picture[..., 3] == 255).all()


def test_what_lies_outside_is_left_out():
    picture = dots([(-1, 5), (5, 64), (np.nan, 3), (5, 5)], [RED] * 4, (64, 64))
    assert (picture[..., :3].any(-1)).sum() == 1
    assert not dots(np.zeros((0, 2)), np.zeros((0, 4)), (64, 64))[..., :3].any()


def test_a_line_has_no_holes():
    picture = lines([(10, 0)], [(0, 63)], [RED], (64, 64))
    row = picture[5, :, 0]
    assert row[0] == row[31] == 255
    assert np.diff(np.flatnonzero(row)).max() <= 2
    assert not np.delete(picture[..., 0], 5, axis=0).any()
