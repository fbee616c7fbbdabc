"""Pasted animals: their pixels, their labels, and what they cover."""

from __future__ import annotations

import numpy as np
import torch

from napari_semimultipose.data.paste import LabeledView, paste

SIDE = 96


def view(gray: float, animals: list[list[tuple[float, float]]]) -> LabeledView:
    xy = np.array(animals, float).reshape(len(animals), -1 if animals else 2, 2)
    known = np.isfinite(xy).all(-1)
    inside = known & ((xy > -0.5) & (xy < SIDE - 0.5)).all(-1)
    return LabeledView(torch.full((3, SIDE, SIDE), gray), xy, known, inside)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


LEFT = [(20.0, 30.0), (20.0, 60.0)]
RIGHT = [(70.0, 30.0), (70.0, 60.0)]
NAN = (np.nan, np.nan)


def test_an_animal_arrives_with_pixels_and_labels() -> None:
    got = paste(view(0.2, [LEFT]), view(0.9, [RIGHT]), [(0, 1)], rng())
    assert got.xy.tolist() == [[list(p) for p in LEFT], [list(p) for p in RIGHT]]
    assert got.inside.all()
    image = got.image[0]
    assert torch.allclose(image[30:61, 70], torch.tensor(0.9))
    assert torch.allclose(image[:, :40], torch.tensor(0.2))
    assert 0 < float((image > 0.3).float().mean()) < 0.2


def test_covered_keypoints_lose_their_label() -> None:
    near = [(70.0, 45.0), (30.0, 45.0), (20.0, 45.0)]  # one of three under the pasted animal
    source = view(0.9, [[*RIGHT, (70.0, 45.0)]])
    got = paste(view(0.2, [near]), source, [(0, 1)], rng())
    assert got.known[0].tolist() == [False, True, True]
    assert got.inside[0].tolist() == [False, True, True]


def test_an_animal_that_is_mostly_covered_is_gone() -> None:
    under = [(70.0, 40.0), (70.0, 50.0), (20.0, 45.0)]
    source = view(0.9, [[*RIGHT, (70.0, 45.0)]])
    got = paste(view(0.2, [under]), source, [(0, 1)], rng())
    assert not got.known[0].any()
    assert got.known[1].all()


def test_what_touches_a_pasted_animal_comes_along() -> None:
    crossing = [(72.0, 45.0), (40.0, 45.0)]
    for seed in range(5):
        got = paste(view(0.2, [LEFT]), view(0.9, [RIGHT, crossing]), [(0, 1)], rng(seed))
        if len(got.xy) > 1 and got.xy[1:].tolist() != [[list(p) for p in crossing]]:
            assert len(got.xy) == 3


def test_animals_cut_by_the_border_are_left_out() -> None:
    cut = [(70.0, 30.0), (70.0, SIDE + 5.0)]
    onto = view(0.2, [LEFT])
    assert paste(onto, view(0.9, [cut]), [(0, 1)], rng()) is onto
    touching = [(69.0, 45.0), (SIDE + 9.0, 45.0)]
    both = view(0.9, [RIGHT, touching])
    assert all(paste(onto, both, [(0, 1)], rng(seed)) is onto for seed in range(5))


def test_missing_keypoints_stay_missing() -> None:
    partial = [(70.0, 30.0), (70.0, 60.0), NAN]
    got = paste(view(0.2, [[*LEFT, NAN]]), view(0.9, [partial]), [(0, 1), (1, 2)], rng())
    assert got.known[1].tolist() == [True, True, False]
    assert np.isfinite(got.xy[got.known]).all()


def test_nothing_to_paste() -> None:
    onto = view(0.2, [LEFT])
    assert paste(onto, view(0.9, []), [], rng()) is onto
    assert len(paste(view(0.2, []), view(0.9, [RIGHT]), [(0, 1)], rng()).xy) == 1
