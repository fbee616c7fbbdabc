"""Predictions become labels: in place, from another table, and never twice."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.accept import accept_predictions
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Source, Visibility

SKELETON = Skeleton(("head", "body", "tail"))
XY = np.array([[[10.0, 10], [30, 10], [50, 10]], [[10, 60], [30, 60], [50, 60]]])


def predicted(frame: int = 4, skeleton: Skeleton = SKELETON, xy: np.ndarray = XY) -> Poses:
    return Poses(
        skeleton,
        xy[None],
        np.array([frame]),
        score=np.full((1, *xy.shape[:2]), 0.6),
        instance_score=np.full((1, len(xy)), 0.5),
        track=[[3, 7]],
        source=np.full((1, len(xy)), Source.PREDICTED),
    )


def empty() -> PoseStore:
    return PoseStore(Poses.empty(SKELETON))


def test_predictions_of_another_table_are_copied_as_labels() -> None:
    store = empty()
    changes: list[Change | None] = []
    store.listeners.append(changes.append)
    change = accept_predictions(store, 0, 4, predicted())
    assert changes == [change]
    poses = store.snapshot()
    np.testing.assert_array_equal(poses.xy[0], XY)
    assert (poses.source == Source.HUMAN).all()
    assert (poses.score == 1).all()
    assert (poses.track == -1).all()
    store.apply(change.reversed())
    assert store.snapshot().n_instances == 0


def test_predictions_of_the_table_itself_are_accepted_in_place() -> None:
    store = PoseStore(predicted())
    change = accept_predictions(store, 0, 4)
    poses = store.snapshot()
    assert (poses.source == Source.HUMAN).all()
    assert poses.track.tolist() == [[3, 7]]
    assert (poses.instance_score == 1).all()
    store.apply(change.reversed())
    assert (store.snapshot().source == Source.PREDICTED).all()
    assert (store.snapshot().score == 0.6).all()


def test_animals_that_are_labelled_stay_as_they_are() -> None:
    store = empty()
    accept_predictions(store, 0, 4, predicted(xy=np.stack([XY[0] + 1.5, XY[0] + [300, 0]])))
    accept_predictions(store, 0, 4, predicted())
    poses = store.snapshot()
    assert poses.n_instances == 3
    np.testing.assert_array_equal(poses.xy[0, 0], XY[0] + 1.5)
    with pytest.raises(LabelsError, match="labelled already"):
        accept_predictions(store, 0, 4, predicted())


def test_keypoints_are_paired_by_name_and_hidden_ones_stay_hidden() -> None:
    table = predicted(skeleton=Skeleton(("tail", "ear", "head")))
    table.visible[0, 0, 0] = Visibility.OCCLUDED
    store = empty()
    accept_predictions(store, 0, 4, table)
    poses = store.snapshot()
    np.testing.assert_array_equal(poses.xy[0, :, 0], XY[:, 2])
    np.testing.assert_array_equal(poses.xy[0, :, 2], XY[:, 0])
    assert poses.visible[0, 0].tolist() == [Visibility.VISIBLE, 0, Visibility.OCCLUDED]


def test_without_predictions_it_says_what_to_do() -> None:
    with pytest.raises(LabelsError, match="no predictions on this frame"):
        accept_predictions(empty(), 0, 4)
    with pytest.raises(LabelsError, match=r"other keypoints \(a, b, c\)"):
        accept_predictions(empty(), 0, 4, predicted(skeleton=Skeleton(("a", "b", "c"))))
