"""Who is who on the frames of a clip."""

from __future__ import annotations

import numpy as np

from napari_semimultipose.training.clip_animals import associate

SHAPE = np.array([[0, 0], [10, 0], [20, 0], [30, 0], [10, 8], [10, -8]], float)


def at(x: float, y: float, sign: int = 1) -> np.ndarray:
    """Return an animal at a place, turned round with a negative sign."""
    return sign * SHAPE + np.array([x, y])


def pairs(a: np.ndarray, b: np.ndarray, size: float = 34.0) -> set[tuple[int, int]]:
    i, j = associate(
        a,
        b,
        np.ones(a.shape[:2], bool),
        np.ones(b.shape[:2], bool),
        np.full(len(a), size),
        np.full(len(b), size),
    )
    return set(zip(i.tolist(), j.tolist(), strict=True))


def test_crossing_animals_keep_their_identity_in_any_order() -> None:
    rng = np.random.default_rng(0)
    wrong = made = 0
    for t in range(-50, 50):
        # Two animals side by side that pass each other in opposite directions.
        now = np.stack([at(4 * t, 0), at(30 - 4 * t, 40, -1)])
        after = np.stack([at(4 * t + 4, 0), at(26 - 4 * t, 40, -1)])
        order = rng.permutation(2)
        for i, j in pairs(now, after[order]):
            made += 1
            wrong += order[j] != i
    assert wrong == 0
    assert made > 190


def test_births_and_deaths_have_no_pair() -> None:
    one, two = SHAPE[None], np.stack([SHAPE + 2, SHAPE + 200])
    assert pairs(one, two) == {(0, 0)}
    assert pairs(two, one) == {(0, 0)}
    assert pairs(np.zeros((0, 6, 2)), two) == set()
    assert pairs(one, SHAPE[None] + 300) == set()


def test_doubtful_pairs_are_not_made() -> None:
    # One animal, and two equally good candidates on top of each other.
    assert pairs(SHAPE[None], np.stack([at(0, 1), at(0, -1)])) == set()
