"""Copies of pictures show the same animals elsewhere, and the way back finds them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.config import Config
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.inference.copies import View, predict_copies, views_of
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses

from .spots import predictor, spots

VIEWS = [View(), View(mirrored=True), View(angle_deg=180.0), View(angle_deg=20.0)]
VIEWS += [View(mirrored=True, angle_deg=-15.0)]


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_copy_shows_comes_back_to_its_place(view: View) -> None:
    place = np.array([80.0, 60.0])
    picture = spots([tuple(place)])
    copy = view.picture(picture)
    assert copy.shape == picture.shape
    y, x = np.unravel_index(copy[..., 0].argmax(), copy.shape[:2])
    back = view.back(np.array([x, y], float), picture.shape[:2])
    assert np.abs(back - place).max() < 1.5
    if not view.angle_deg % 180:
        np.testing.assert_array_equal(view.picture(copy), picture)
        np.testing.assert_allclose(back, place)


def test_a_turn_is_clockwise() -> None:
    right = np.zeros((41, 41, 1), np.uint8)
    right[20, 38] = 255
    turned = View(angle_deg=90.0).picture(right)
    assert np.unravel_index(turned.argmax(), turned.shape)[:2] == (38, 20)


@pytest.mark.parametrize("view", VIEWS)
def test_animals_of_copies_are_those_of_the_frames(view: View) -> None:
    places = [[(60.0, 40.0), (150.0, 110.0)], [(90.0, 75.0)]]
    frames = open_frames(np.stack([spots(p) for p in places]))
    poses = Poses.concatenate(list(predict_copies(predictor(), frames, view, [0, 1])))
    assert poses.frame.tolist() == [0, 1]
    for row, wanted in enumerate(places):
        best = np.argsort(-poses.instance_score[row])[: len(wanted)]  # it sees flanks as well
        found = poses.xy[row][best, 0]
        found = found[np.argsort(found[:, 0])]
        np.testing.assert_allclose(found, wanted, atol=3)


def test_a_model_is_asked_only_what_it_was_trained_for() -> None:
    config = Config()
    assert views_of(config) == (View(mirrored=True), View(angle_deg=180.0))
    fixed = config.with_settings({"augment.flip": 0, "augment.rotate_deg": 20})
    assert views_of(fixed) == (View(angle_deg=20.0), View(angle_deg=-20.0))
    with pytest.raises(ConfigError, match="neither mirrored nor turned"):
        views_of(fixed.with_settings({"augment.rotate_deg": 0}))
    single = config.with_settings({"model.kind": "heatmap"})
    assert views_of(single) == (View(angle_deg=15.0), View(angle_deg=-15.0))
    free = single.with_settings({"heatmap.posture": "free"})
    assert views_of(free) == (View(angle_deg=180.0),)
