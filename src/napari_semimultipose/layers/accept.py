"""Predictions on a frame become labels that can be edited."""

from __future__ import annotations

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.matching import common_oks, pose_area
from napari_semimultipose.poses import FloatArray, Poses, Source

SAME_ANIMAL = 0.5
"""A predicted animal more like a labelled one than this (OKS) is that animal, and stays out."""

SIGMA = 0.1
MARGIN_PX = 10.0


def accept_predictions(
    store: PoseStore, video: int, frame: int, predicted: Poses | None = None
) -> Change:
    """Make the predictions on a frame labels.

    Predicted animals in the table itself become labels where they are. Otherwise those of other poses are
    copied, without their tracks, which count other animals; animals that are labelled already stay out.

    Parameters
    ----------
    store : PoseStore
        The labels.
    video, frame : int
        The frame.
    predicted : Poses, optional
        Poses whose first row is the same frame, with at least one keypoint of the labels.

    Raises
    ------
    LabelsError
        When there is nothing to take.
    """
    row = store.row(video, frame)
    slots = store.slots(row)
    if row is not None:
        own = [s for s in slots if store.array("source")[row, s] != Source.HUMAN]
        if own:
            return edits.accept_animals(store, row, own)
    if predicted is None or not predicted.n_instances:
        raise LabelsError(
            "there are no predictions on this frame: make some with Plugins > SemiMultiPose > Predict, "
            "and leave their layer visible"
        )
    xy, visible = _with_keypoints_of(store, predicted)
    fresh = (visible > 0).any(-1)
    if not fresh.any():
        raise LabelsError(
            f"the predictions have other keypoints ({', '.join(predicted.skeleton.keypoints)}) than "
            f"the labels ({', '.join(store.skeleton.keypoints)})"
        )
    if row is not None and slots:
        labelled = np.asarray(store.array("xy")[row, slots], np.float64)
        area, area_labelled = (np.nan_to_num(pose_area(p, MARGIN_PX)) for p in (xy, labelled))
        alike = common_oks(xy, labelled, area, area_labelled, sigma=SIGMA)
        fresh &= ~(alike > SAME_ANIMAL).any(1)
    if not fresh.any():
        raise LabelsError("all predicted animals of this frame are labelled already")
    return edits.add_animals(store, video, frame, xy[fresh], visible[fresh])


def _with_keypoints_of(store: PoseStore, predicted: Poses) -> tuple[FloatArray, np.ndarray]:
    """Positions [M, K, 2] and visibilities [M, K] of the first row, with the keypoints of the labels."""
    slots = np.flatnonzero(predicted.present[0])
    names = predicted.skeleton.keypoints
    xy = np.full((len(slots), len(store.skeleton), 2), np.nan)
    visible = np.zeros(xy.shape[:2], np.int8)
    for k, name in enumerate(store.skeleton.keypoints):
        if name in names:
            xy[:, k] = predicted.xy[0, slots, names.index(name)]
            visible[:, k] = predicted.visible[0, slots, names.index(name)]
    return xy, visible
