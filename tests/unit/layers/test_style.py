from __future__ import annotations

import numpy as np

from napari_semimultipose.layers.style import (
    PoseStyle,
    animal_colors,
    animal_number,
    palette,
)
from napari_semimultipose.poses import Poses, Skeleton


def test_colours_of_a_skeleton_are_distinct():
    colors = palette(40)
    assert colors.shape == (40, 4)
    difference = np.abs(colors[:, None] - colors[None]).sum(-1) + np.eye(40)
    assert difference.min() > 0.05


def test_an_animal_keeps_its_colour_whoever_else_is_there():
    np.testing.assert_array_equal(animal_colors([3])[0], animal_colors([0, 9, 3])[2])


def test_an_animal_without_a_track_does_not_look_like_a_track():
    number = animal_number([-1, -1, 0, 1, 7], [0, 1, 2, 3, 4])
    assert len(set(number.tolist())) == 5
    assert len(np.unique(animal_colors(number), axis=0)) == 5


def test_points_grow_with_the_animals():
    skeleton = Skeleton(("a", "b"))
    small, large = (
        PoseStyle.fitting(Poses(skeleton, [[[[0, 0], [length, 0]]]], [0])).size_px
        for length in (80, 320)
    )
    assert large == 4 * small


def test_points_do_not_hide_an_animal_that_fills_the_image():
    poses = Poses(Skeleton(("a", "b")), [[[[0, 0], [390, 390]]]], [0])
    assert PoseStyle.fitting(poses, image_shape=(400, 400)).size_px == 8
    assert PoseStyle.fitting(poses).size_px > 30


def test_a_single_keypoint_or_no_label_still_has_a_size():
    assert PoseStyle.fitting(Poses.empty(Skeleton(("a",)))).size_px > 0
