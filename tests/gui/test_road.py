"""The whole road in one window, on real honeybees: label, train, predict, with clicks and buttons."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Points, Tracks, Vectors
from qtpy.QtCore import Qt

from napari_semimultipose import api
from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.layer_data import image_layer
from napari_semimultipose.layers.points import poses_from_layer
from napari_semimultipose.poses import Poses, Video
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.predict import PredictWidget
from napari_semimultipose.widgets.train import TrainWidget

from .conftest import process_events

CONTROL = Qt.KeyboardModifier.ControlModifier
CLICKED = 3  # images labelled with the mouse; the other labels come from a file
MINUTES = 3


@pytest.fixture
def bees(shared_data: Path, tmp_path: Path) -> tuple[Path, Poses, dict]:
    """Copies of the images, their labels and the split."""
    source = shared_data / "honeybee"
    truth = read_poses(source / "annotations_labeled.json")
    split = json.loads((source / "splits.json").read_text())
    names = [truth.image_name(r) for r in range(len(truth))]
    lists = {
        "labelled": [n for n in names if n in set(split["fractions"]["25"][0])],
        "test": [n for n in names if n in set(split["dev_test"])],
        "unlabelled": split["unlabeled_leakfree"][:40],
    }
    folder = tmp_path / "bees"
    for images in lists.values():
        for name in images:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / name)
    return folder, truth, lists


def with_images(truth: Poses, folder: Path, names: list[str]) -> Poses:
    """The poses of some images, as frames of one list in this order."""
    rows = {truth.image_name(r): r for r in range(len(truth))}
    known = [i for i, name in enumerate(names) if name in rows]
    some = truth.select([rows[names[i]] for i in known])
    video = Video(str(folder), tuple(names), (720, 1280))
    return replace(some, frame=np.array(known), video=np.zeros(len(known), int), videos=(video,))


@pytest.mark.slow
@pytest.mark.apart
@pytest.mark.timeout(1200)
def test_bees_labelled_in_part_by_clicks_are_learned_and_found(
    bees, viewer, hand, open_widget, qtbot, tmp_path
) -> None:
    folder, truth, lists = bees
    names = lists["labelled"] + lists["unlabelled"]
    all_labels = with_images(truth, folder, names)
    first, rest = all_labels.select(range(CLICKED)), all_labels.select(range(CLICKED, 28))
    write_poses(rest, tmp_path / "labels.slp")

    # Label the first images with the mouse; the others are labelled already.
    annotate = open_widget(AnnotateWidget)
    annotate.open_labels(tmp_path / "labels.slp")
    viewer.window.resize(1900, 1100)
    process_events()
    points = annotate.document.points
    assert annotate.document.image.data.shape[0] == len(names)
    for row in range(CLICKED):
        viewer.dims.set_point(0, row)
        viewer.reset_view()
        process_events()
        for animal in first.xy[row][first.present[row]]:
            for x, y in animal:
                if np.isnan(x):
                    hand.key(Qt.Key.Key_Q)
                else:
                    # Control: a new point even where another one is near.
                    hand.click(x, y, points, modifier=CONTROL)
    labels = poses_from_layer(points)
    clicked = labels.select(np.isin(labels.frame, range(CLICKED)))
    assert clicked.n_instances == first.n_instances
    np.testing.assert_allclose(
        np.sort(clicked.xy[clicked.visible > 0], axis=0),
        np.sort(first.xy[first.visible > 0], axis=0),
        atol=1.0,  # a screen pixel
    )

    # Train on the layers.
    train = open_widget(TrainWidget)
    train.settings.length.set_value(MINUTES)
    train.settings.device.set_value("cpu")
    train.settings.out.set_path(tmp_path / "model")
    train.start_button.click()
    qtbot.waitUntil(lambda: not train.runner.running, timeout=(MINUTES + 2) * 60_000)
    assert train.message.text() == ""
    assert "Finished" in train.status.text()

    # Predict another day, which is opened as a second layer.
    with api.open_frames([folder / name for name in lists["test"]]) as frames:
        data, attributes, _ = image_layer(frames, "other day")
        other_day = viewer.add_image(data, **attributes)
        train.use_button.click()
        predict = open_widget(PredictWidget)
        predict.set_model(tmp_path / "model")
        predict.recording.image.set_layer(other_day)
        predict.settings.out.set_path(tmp_path / "poses.slp")
        before = list(viewer.layers)
        predict.start_button.click()
        qtbot.waitUntil(lambda: not predict.runner.running, timeout=120_000)
        assert "Finished" in predict.status.text()
    made = {type(layer) for layer in viewer.layers if layer not in before}
    assert made >= {Points, Tracks, Vectors}
    found = predict.poses()
    true = with_images(truth, folder, lists["test"])
    found = replace(found, videos=true.videos)
    scores = api.evaluate(found, true, config=EvaluateConfig(sigma=0.1))
    assert scores["recall"] > 0.4
    assert scores["ap50"] > 0.3
