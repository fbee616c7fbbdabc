"""Heat maps and labelled videos from the Predict widget, in a real window."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from napari_semimultipose.config import Config
from napari_semimultipose.inference.heatmaps import heat_maps
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.layers.style import PoseStyle
from napari_semimultipose.models.checkpoint import ModelInfo, save_weights, write_info
from napari_semimultipose.models.directpose import DirectPose
from napari_semimultipose.widgets import worker
from napari_semimultipose.widgets.predict import PredictWidget

SIZE = (90, 130)


@pytest.fixture(scope="module")
def recording():
    return make_recording(6, animals=2, size=SIZE, length_px=40, seed=0, missing=0)


@pytest.fixture
def model(tmp_path, recording):
    skeleton = recording[1].skeleton
    config = Config().with_settings({"model.channels": 16, "model.heat_channels": 16})
    torch.manual_seed(0)
    folder = tmp_path / "model"
    folder.mkdir()
    write_info(folder, ModelInfo(skeleton, config, 0.5, 40.0, {}, 10))
    network = DirectPose(config.model, skeleton.keypoints)
    torch.nn.init.normal_(network.heat_branch.body[-1].weight)  # so that frames differ visibly
    save_weights(network, folder / "model.safetensors")
    return folder


@pytest.fixture
def widget(open_widget, viewer, recording, model, qtbot):
    viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")
    widget = open_widget(PredictWidget)
    widget.set_model(model)
    yield widget
    if worker.isalive(widget):
        widget.heat.stop()
        qtbot.waitUntil(lambda: not widget.heat.heat.runner.running, timeout=20_000)


def choose(widget, index):
    widget.heat.box.setCurrentIndex(index)
    widget.heat.box.activated.emit(index)


def test_heat_maps_lie_on_the_frame(recording, model):
    predictor = Predictor.from_folder(model, Config().predict)
    found = heat_maps(predictor, open_frames(recording[0]), 0)
    k, h, w = found.values.shape
    assert k == len(recording[1].skeleton)
    assert found.step_px == pytest.approx((8, 8))  # stride 4 at half the size
    # The cells cover the frame, and none lies on the padding only.
    ends = np.array(found.origin_px) + (np.array([h, w]) - 1) * found.step_px
    assert (ends > np.array(SIZE) - 12).all()
    assert (ends < np.array(SIZE) + 8).all()
    assert 0 <= found.values.min() <= found.values.max() <= 1


def test_heat_maps_follow_the_slider(viewer, widget, qtbot):
    choose(widget, 1)
    heat = widget.heat.heat
    qtbot.waitUntil(lambda: heat.layer is not None, timeout=60_000)
    assert heat.layer.name == "beetles heat maps"
    assert viewer.dims.current_step[0] == 2
    assert list(viewer.layers).index(heat.layer) == 1
    first = np.array(heat.layer.data)
    assert widget.heat.box.count() == 2 + 7
    viewer.dims.set_current_step(0, 3)
    qtbot.waitUntil(
        lambda: heat.layer.visible and not np.array_equal(heat.layer.data, first), timeout=20_000
    )
    # One keypoint alone is nowhere above the largest of all.
    everything = np.array(heat.layer.data)
    choose(widget, 3)
    assert heat.layer.data.shape == everything.shape
    assert (heat.layer.data <= everything).all()
    assert (heat.layer.data < everything).any()
    # A frame that was seen comes back at once.
    choose(widget, 1)
    viewer.dims.set_current_step(0, 2)
    np.testing.assert_array_equal(heat.layer.data, first)
    choose(widget, 0)
    assert "beetles heat maps" not in viewer.layers
    qtbot.waitUntil(lambda: not heat.runner.running, timeout=20_000)


def test_removing_the_layer_switches_heat_maps_off(viewer, widget, qtbot):
    choose(widget, 1)
    qtbot.waitUntil(lambda: "beetles heat maps" in viewer.layers, timeout=60_000)
    viewer.layers.remove("beetles heat maps")
    assert widget.heat.box.currentIndex() == 0
    assert not widget.heat.heat.shown
    qtbot.waitUntil(lambda: not widget.heat.heat.runner.running, timeout=20_000)


def test_another_model_with_the_same_settings_switches_heat_maps_off(
    viewer, widget, model, tmp_path, qtbot
):
    choose(widget, 1)
    qtbot.waitUntil(lambda: "beetles heat maps" in viewer.layers, timeout=60_000)
    widget.set_model(model)
    assert widget.heat.heat.shown
    other = shutil.copytree(model, tmp_path / "other")
    widget.set_model(other)
    assert widget.heat.box.currentIndex() == 0
    assert not widget.heat.heat.shown
    assert "beetles heat maps" not in viewer.layers
    qtbot.waitUntil(lambda: not widget.heat.heat.runner.running, timeout=20_000)


def test_heat_maps_go_with_the_widget(viewer, widget, qtbot):
    choose(widget, 1)
    qtbot.waitUntil(lambda: "beetles heat maps" in viewer.layers, timeout=60_000)
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: "beetles heat maps" not in viewer.layers, timeout=5000)


def test_without_a_model_or_frames_it_says_so(viewer, open_widget, recording, model):
    widget = open_widget(PredictWidget)
    choose(widget, 1)
    assert "open the recording" in widget.message.text()
    viewer.add_image(recording[0], rgb=True, name="beetles")
    choose(widget, 1)
    assert "choose a model folder" in widget.message.text()
    assert widget.heat.box.currentIndex() == 0


def test_a_labelled_video_is_written(widget, recording, tmp_path, qtbot):
    assert not widget.video_button.isEnabled()
    widget._poses, widget._frames = recording[1], widget.recording.frames()
    widget._update_buttons()
    assert widget.video_button.isEnabled()
    out = tmp_path / "labelled.mp4"
    widget.video_button.write(out)
    assert widget.stop_button.isEnabled()
    qtbot.waitUntil(lambda: not widget.video_button.runner.running, timeout=60_000)
    assert f"Video: {out}" in widget.message.text()
    with open_frames(out) as frames:
        assert frames.shape[:3] == (6, *SIZE)
    assert widget.progress.format() == ""
    widget.video_button.write(tmp_path / "no such folder" / "labelled.mp4")
    qtbot.waitUntil(lambda: not widget.video_button.runner.running, timeout=60_000)
    assert "no such folder" in widget.message.text()


def test_confidence_has_colours():
    style = PoseStyle(color_by="confidence")
    colors = style.point_colors([0] * 4, [0] * 4, 1, [0.0, 0.5, 1.0, np.nan])
    assert colors[0, 0] > 0.9  # red
    assert colors[0, 2] < 0.5
    assert colors[2, 2] > 0.9  # blue
    assert (colors[3] == 1).all()
    assert len(np.unique(colors, axis=0)) == 4
