"""Joining the skeletons of a file that holds several kinds of animals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_semimultipose.poses import IntArray, Skeleton


def union_skeleton(skeletons: Sequence[Skeleton]) -> tuple[Skeleton, list[IntArray]]:
    """Join skeletons by the names of their keypoints.

    Keypoints of one name are one keypoint of the union, the first skeleton's come first. An
    instance of one kind then has the keypoints of its kind, and the others are absent, which no
    loss trains as background: nothing is lost by the union.

    Parameters
    ----------
    skeletons : sequence of Skeleton
        One or more.

    Returns
    -------
    skeleton : Skeleton
        The union; the name of the one skeleton, or the names joined by ``+``.
    places : list of int arrays
        For each skeleton the indices [K_i] of its keypoints in the union.
    """
    names = list(dict.fromkeys(k for s in skeletons for k in s.keypoints))
    where = {name: i for i, name in enumerate(names)}
    places = [np.array([where[k] for k in s.keypoints], np.int64) for s in skeletons]
    edges: dict[frozenset[int], tuple[int, int]] = {}
    symmetry: list[tuple[int, int]] = []
    taken: set[int] = set()
    for skeleton, place in zip(skeletons, places, strict=True):
        for a, b in skeleton.edges:
            pair = int(place[a]), int(place[b])
            edges.setdefault(frozenset(pair), pair)
        for a, b in skeleton.symmetry:
            pair = int(place[a]), int(place[b])
            if not taken & set(pair):
                symmetry.append(pair)
                taken |= set(pair)
    kinds = list(dict.fromkeys(s.name for s in skeletons))
    return (
        Skeleton(tuple(names), tuple(edges.values()), tuple(symmetry), "+".join(kinds)),
        places,
    )


def symmetry_is_guessed(skeleton: Skeleton) -> bool:
    """Whether the pairs of a skeleton are those that its names alone would give."""
    guessed = replace(skeleton, symmetry=()).with_guessed_symmetry().symmetry
    return {frozenset(p) for p in skeleton.symmetry} == {frozenset(p) for p in guessed}
