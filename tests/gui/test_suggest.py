"""The Suggest widget in a real window: search, list, keys, and predictions that become labels."""

from __future__ import annotations

import threading
import time

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_semimultipose.config import Config
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.labeling.suggest import Progress, Suggestion
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.models.checkpoint import ModelInfo, save_weights, write_info
from napari_semimultipose.models.directpose import DirectPose
from napari_semimultipose.poses import Poses, Source
from napari_semimultipose.widgets import suggest as suggest_module
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.document import LabelsDocument, document_of
from napari_semimultipose.widgets.suggest import SuggestWidget
from napari_semimultipose.widgets.suggested import suggested_frames
from napari_semimultipose.widgets.suggestion_jobs import THUMBNAIL_PX, Suggested, small
from napari_semimultipose.widgets.suggestion_list import LABELLED, REASON, TITLE

from .conftest import process_events

FRAMES = 40
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture(scope="module")
def recording():
    """Frames, and predictions with a low score, a lost animal and a jump."""
    frames, truth = make_recording(
        FRAMES, animals=2, size=(96, 128), length_px=40, seed=0, missing=0
    )
    xy, visible = truth.xy.copy(), truth.visible.copy()
    animal = np.full(truth.instance_score.shape, 0.8)
    animal[7, 0] = 0.1
    visible[18, 1] = 0
    xy[29, 0] += 25
    predicted = Poses(
        truth.skeleton,
        xy,
        truth.frame,
        score=np.full(truth.score.shape, 0.9),
        instance_score=animal,
        visible=visible,
        source=np.full(truth.source.shape, Source.PREDICTED),
        videos=truth.videos,
    )
    return frames, predicted


@pytest.fixture
def image(viewer, recording):
    return viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")


@pytest.fixture
def predictions(viewer, image, recording):
    return PredictionLayers(viewer, recording[1], name="beetles poses", image=image)


@pytest.fixture
def widget(open_widget, image, qtbot):
    widget = open_widget(SuggestWidget)
    yield widget
    for runner in (widget.runner, widget.painter):
        runner.stop()
        qtbot.waitUntil(lambda runner=runner: not runner.running, timeout=20_000)


def choose(widget, by):
    widget.way.setCurrentIndex(widget.way.findData(by))


def search(widget, qtbot, count=3):
    widget.count.setValue(count)
    widget.start_button.click()
    qtbot.waitUntil(
        lambda: not widget.runner.running and not widget.painter.running, timeout=30_000
    )
    process_events()


def frames_of(widget):
    return [s.frame for s in widget.list.suggestions.suggestions]


def row_data(widget, row, role):
    return widget.list.suggestions.index(row).data(role)


def test_doubtful_predictions_are_listed_with_reason_and_picture(
    viewer, predictions, widget, qtbot
):
    choose(widget, "uncertain")
    assert widget.predictions.isVisible()
    search(widget, qtbot)
    assert widget.message.text() == ""
    assert sorted(frames_of(widget)) == [7, 18, 29]
    row = frames_of(widget).index(7)
    assert row_data(widget, row, TITLE) == "Frame 7"
    assert row_data(widget, row, REASON).startswith(
        "An animal has the score 0.10 (usual score 0.80)"
    )
    picture = row_data(widget, row, Qt.ItemDataRole.DecorationRole).toImage()
    assert (picture.width(), picture.height()) == (112, 84)
    color = picture.pixelColor(56, 42)
    expected = small(np.asarray(viewer.layers["beetles"].data[7]))[42, 56]
    got = [color.red(), color.green(), color.blue()]
    np.testing.assert_allclose(got, expected, atol=8)  # screens may have fewer colours


def test_it_begins_with_doubt_where_there_are_predictions(predictions, widget):
    assert widget.way.currentData() == "uncertain"
    assert widget.predictions.item(0).text() == "beetles poses"


def test_without_predictions_it_begins_with_looks_and_says_what_is_missing(widget, qtbot):
    assert widget.way.currentData() == "diverse"
    assert not widget.predictions.isVisible()
    search(widget, qtbot, 4)
    assert len(frames_of(widget)) == 4
    choose(widget, "uncertain")
    widget.start_button.click()
    assert "there are no predictions on this recording" in widget.message.text()
    assert not widget.runner.running


def test_a_click_on_a_row_goes_to_the_frame(viewer, predictions, widget, qtbot):
    search(widget, qtbot)
    spot = widget.list.visualRect(widget.list.suggestions.index(1)).center()
    QTest.mouseClick(
        widget.list.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot
    )
    assert viewer.dims.current_step[0] == frames_of(widget)[1]
    QTest.keyClick(widget.list, Qt.Key.Key_Down)
    assert viewer.dims.current_step[0] == frames_of(widget)[2]
    widget.step(-1)
    assert viewer.dims.current_step[0] == frames_of(widget)[1]
    assert widget.list.currentIndex().row() == 1


def test_keys_walk_through_the_suggestions_and_take_the_predictions(
    viewer, image, recording, predictions, widget, open_widget, hand, qtbot
):
    search(widget, qtbot)
    first, second, third = frames_of(widget)
    annotate = open_widget(AnnotateWidget)
    annotate.new_labels(recording[1].skeleton)
    process_events()
    points = annotate.document.points
    hand.key(Qt.Key.Key_J)
    assert viewer.dims.current_step[0] == first
    hand.key(Qt.Key.Key_P)
    labels = annotate.document.poses()
    here = recording[1].select([first])
    assert labels.frame.tolist() == [first]
    assert labels.n_instances == here.n_instances
    np.testing.assert_allclose(np.sort(labels.xy.ravel()), np.sort(here.xy[here.present].ravel()))
    assert (labels.source == Source.HUMAN).all()
    hand.key(Qt.Key.Key_P)
    assert "labelled already" in annotate.message.text()
    hand.key(Qt.Key.Key_J)
    assert viewer.dims.current_step[0] == second
    hand.key(Qt.Key.Key_J)
    assert viewer.dims.current_step[0] == third
    hand.key(Qt.Key.Key_J)
    assert "no suggestion after this one" in annotate.message.text()
    hand.key(Qt.Key.Key_J, SHIFT)
    assert viewer.dims.current_step[0] == second
    hand.key(Qt.Key.Key_J, SHIFT)  # the first one is labelled now
    assert viewer.dims.current_step[0] == second
    assert viewer.layers.selection.active is points
    widget.step(1)
    assert row_data(widget, 0, LABELLED)
    assert row_data(widget, 0, TITLE).endswith("✓ labelled")


def test_taken_points_can_be_moved(
    viewer, recording, predictions, widget, open_widget, hand, qtbot
):
    search(widget, qtbot)
    annotate = open_widget(AnnotateWidget)
    annotate.new_labels(recording[1].skeleton)
    widget.step(1)
    hand.key(Qt.Key.Key_P)
    points = annotate.document.points
    before = annotate.document.poses()
    x, y = before.xy[0, 0, 0]
    hand.drag((x, y), (x + 6, y + 4), points)
    after = annotate.document.poses()
    np.testing.assert_allclose(after.xy[0, 0, 0], (x + 6, y + 4), atol=0.5)


def test_the_button_begins_labels_where_there_are_none(viewer, predictions, widget, qtbot):
    search(widget, qtbot)
    widget.step(1)
    widget.accept_button.click()
    active = viewer.layers.selection.active
    document = document_of(active)
    assert document is not None
    assert document.poses().frame.tolist() == frames_of(widget)[:1]
    assert active.name == "labels"
    widget.next_button.click()
    widget.accept_button.click()
    assert document.poses().frame.tolist() == sorted(frames_of(widget)[:2])


def test_labelled_frames_of_any_layer_are_left_out(
    viewer, image, recording, predictions, widget, qtbot
):
    document = LabelsDocument.new(viewer, recording[1].skeleton, image)
    document.view.go_to(18)
    document.accept_predictions()
    choose(widget, "uncertain")
    search(widget, qtbot, 8)
    assert 18 not in frames_of(widget)
    assert {7, 29} <= set(frames_of(widget))
    choose(widget, "even")
    search(widget, qtbot, FRAMES)
    assert frames_of(widget) == [f for f in range(FRAMES) if f != 18]


def test_labels_of_a_recording_that_was_closed_and_opened_again_count(
    viewer, tmp_path, open_widget, recording, qtbot
):
    for i, picture in enumerate(recording[0][:12]):
        iio.imwrite(tmp_path / f"img{i:02}.png", picture)
    (image,) = viewer.open(tmp_path, plugin="napari-semimultipose")
    document = LabelsDocument.new(viewer, recording[1].skeleton, image)
    for frame in range(10):
        document.view.go_to(frame)
        document.session.click((20.0, 30.0))
    viewer.layers.remove(image)
    viewer.open(tmp_path, plugin="napari-semimultipose")
    widget = open_widget(SuggestWidget)
    choose(widget, "even")
    search(widget, qtbot, 12)
    assert frames_of(widget) == [10, 11]


def test_predictions_that_see_nothing_are_no_labels(viewer, image, recording, open_widget, qtbot):
    predicted = recording[1]
    visible = predicted.visible.copy()
    visible[22] = 0
    layers = PredictionLayers(
        viewer,
        Poses(
            **{
                **{
                    k: getattr(predicted, k)
                    for k in ("skeleton", "xy", "frame", "source", "videos")
                },
                "visible": visible,
            }
        ),
        image=image,
    )
    widget = open_widget(SuggestWidget)
    search(widget, qtbot, 4)
    assert 22 in frames_of(widget)
    row = frames_of(widget).index(22)
    assert row_data(widget, row, REASON).startswith("No animal, but 2 on the frames around")
    assert not row_data(widget, row, LABELLED)
    layers.close()


@pytest.fixture
def model(tmp_path, recording):
    """A network that nobody has trained, which finds two animals anywhere."""
    skeleton = recording[1].skeleton
    config = Config().with_settings(
        {
            "model.kind": "directpose",
            "model.channels": 16,
            "model.heat_channels": 16,
            "predict.score_threshold": 0,
            "predict.max_animals": 2,
            "predict.device": "cpu",
        }
    )
    folder = tmp_path / "model"
    folder.mkdir()
    write_info(folder, ModelInfo(skeleton, config, 1.0, 40.0, {}, 10))
    torch.manual_seed(0)
    save_weights(DirectPose(config.model, skeleton.keypoints), folder / "model.safetensors")
    return folder


def test_a_model_that_differs_from_itself_makes_frames_doubtful(
    viewer, predictions, widget, model, qtbot
):
    choose(widget, "even")
    assert not widget.model.isVisible()
    choose(widget, "uncertain")
    assert widget.model.isVisible()
    widget.model.set_path(model)
    seen = []
    widget.runner.received.connect(
        lambda events: seen.extend(e.what for e in events if isinstance(e, Progress))
    )
    search(widget, qtbot, FRAMES)
    assert widget.message.text() == ""
    assert {"loading the model", "predicting copy 1 of 2", "predicting copy 2 of 2"} <= set(seen)
    reasons = [row_data(widget, row, REASON) for row in range(FRAMES)]
    assert any("when the picture is turned" in reason for reason in reasons)


def test_a_folder_without_a_model_is_said(viewer, image, widget, tmp_path, qtbot):
    choose(widget, "uncertain")  # without predictions, too
    widget.model.set_path(tmp_path)
    search(widget, qtbot)
    assert "is no model folder" in widget.message.text()


def test_stop_shows_what_was_found_so_far(widget, qtbot, monkeypatch):
    def endless(job, should_stop):
        while not should_stop():
            yield Progress(5, 10, "looking at frames")
            time.sleep(0.02)
        yield Suggested((Suggestion(3, "look", 0.5, "stands for half"),), True)

    monkeypatch.setattr(suggest_module, "suggestion_events", endless)
    widget.start_button.click()
    assert not widget.start_button.isEnabled()
    qtbot.waitUntil(lambda: "looking at frames: 5 of 10" in widget.progress.format())
    widget.stop_button.click()
    qtbot.waitUntil(lambda: not widget.runner.running)
    assert frames_of(widget) == [3]
    assert widget.message.text().startswith("Stopped: 1 suggestion")
    assert widget.start_button.isEnabled()


def test_closing_the_dock_stops_the_search(viewer, widget, qtbot, monkeypatch):
    ended = threading.Event()

    def endless(job, should_stop):
        yield Progress(0, 1, "x")
        while not should_stop():
            threading.Event().wait(0.01)
        ended.set()

    monkeypatch.setattr(suggest_module, "suggestion_events", endless)
    widget.start_button.click()
    widget.runner.part()
    assert ended.wait(10)


def test_every_recording_has_its_own_suggestions(viewer, image, widget, qtbot):
    choose(widget, "even")
    search(widget, qtbot, 2)
    other = viewer.add_image(np.zeros((9, 96, 128), np.uint8), contrast_limits=(0, 255))
    widget.images.set_layer(other)
    assert frames_of(widget) == []
    search(widget, qtbot, 3)
    assert frames_of(widget) == [1, 4, 7]
    widget.images.set_layer(image)
    assert frames_of(widget) == [9, 29]
    assert len(suggested_frames(other).suggestions) == 3


def test_a_failure_is_said(widget, qtbot, monkeypatch):
    def broken(job, should_stop):
        yield Progress(0, 1, "x")
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(suggest_module, "suggestion_events", broken)
    widget.start_button.click()
    qtbot.waitUntil(lambda: not widget.runner.running)
    assert "the disk is gone" in widget.message.text()
    assert widget.start_button.isEnabled()


def test_thumbnails_keep_the_proportions():
    picture = np.zeros((1024, 1280, 1), np.uint8)
    picture[:, 640:] = 200
    thumb = small(picture)
    assert thumb.shape == (84, 105, 3)
    assert thumb[:, :50].max() == 0
    assert thumb[:, 55:].min() == 200
    assert small(np.zeros((10, 20, 3), np.uint8)).shape == (10, 20, 3)
    assert small(np.zeros((2, 4000, 3), np.uint8)).shape == (1, THUMBNAIL_PX[0], 3)
