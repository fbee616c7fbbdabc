"""Sentences about what a format cannot hold, shared by the writers.

`flat` is always the dict of `Poses.instances`, possibly with fewer instances.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.poses import Source, Visibility

Flat = Mapping[str, NDArray]


def choose(flat: Flat, mask: NDArray[np.bool_]) -> Flat:
    """Instances of a mask [M]."""
    return {key: value[mask] for key, value in flat.items()}


def occluded(title: str, flat: Flat) -> list[str]:
    """Say how many keypoints lose their being occluded."""
    count = int((flat["visible"] == Visibility.OCCLUDED).sum())
    return [
        f"{title} holds no visibility: {count} occluded keypoints were written as visible"
    ] * bool(count)


def propagated(title: str, flat: Flat) -> list[str]:
    """Say how many instances lose their being propagated."""
    count = int((flat["source"] == Source.PROPAGATED).sum())
    return [f"{title} knows human and predicted animals only: {count} propagated animals were "
            "written as predicted"] * bool(count)  # fmt: skip


def human_scores(title: str, flat: Flat) -> list[str]:
    """Say how many human instances have a score other than 1."""
    scored = (flat["instance_score"] != 1) | ((flat["score"] != 1) & (flat["visible"] > 0)).any(1)
    count = int((scored & (flat["source"] == Source.HUMAN)).sum())
    return [f"{title} gives no scores to human labels: those of {count} animals were not written"
            ] * bool(count)  # fmt: skip


def animal_scores(title: str, flat: Flat) -> list[str]:
    """Say so when scores of instances are not the means of those of their keypoints."""
    here = flat["visible"] > 0
    mean = (flat["score"] * here).sum(1) / np.maximum(here.sum(1), 1)
    if np.allclose(mean, flat["instance_score"], atol=1e-6):
        return []
    return [f"{title} holds no scores of whole animals, only of keypoints"]
