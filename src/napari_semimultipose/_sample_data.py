"""napari's sample data: small synthetic recordings, painted in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_semimultipose._reader import pose_layers

if TYPE_CHECKING:
    from napari_semimultipose.layers.points import LayerData
    from napari_semimultipose.poses import Poses

N_FRAMES = 120
LABELLED_EVERY = 6
FIRST_LABELLED = (N_FRAMES - 1) // 2 % LABELLED_EVERY
"""The viewer opens a recording at its middle frame, which shows labels then."""


def beetles() -> list[LayerData]:
    """Three crawling beetles; every sixth frame is labelled, the rest is there to learn from."""
    return _recording("beetles", "beetle")


def mice() -> list[LayerData]:
    """Three mice seen from above; every sixth frame is labelled."""
    return _recording("mice", "mouse")


def beetles_without_labels() -> list[LayerData]:
    """Three crawling beetles, to be labelled."""
    return _recording("beetles", "beetle")[:1]


def _recording(name: str, species: str) -> list[LayerData]:
    from napari_semimultipose.io.sample import SyntheticRecording
    from napari_semimultipose.poses import Video

    recording = SyntheticRecording(N_FRAMES, animals=3, seed=7, species=species)
    truth = recording.poses(Video(name))
    labels = truth.select(truth.frame % LABELLED_EVERY == FIRST_LABELLED)
    image = (
        recording[:],
        {"name": name, "rgb": True, "contrast_limits": (0, 255), "multiscale": False},
        "image",
    )
    return [image, *pose_layers(_without_tracks(labels), f"{name} labels")]


def _without_tracks(poses: Poses) -> Poses:
    """Labels as people make them: who is who on other frames is left open."""
    return replace(poses, track=np.full_like(poses.track, -1), track_names=())
