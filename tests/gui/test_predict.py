"""The Predict widget in a real window; the model is played by a generator, except at the end."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Points, Tracks, Vectors
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from napari_semimultipose.config import Config
from napari_semimultipose.errors import FramesError, LabelsError
from napari_semimultipose.inference import members  # noqa: F401  # before its parts are replaced
from napari_semimultipose.io.labels import FORMATS, read_poses, write_poses
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.points import poses_from_layer
from napari_semimultipose.layers.store import SkeletonChange
from napari_semimultipose.models.checkpoint import ModelInfo, write_info
from napari_semimultipose.poses import Poses, Skeleton, Source
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets import jobs, label_files, report_export, video_export, worker
from napari_semimultipose.widgets import predict as predict_module
from napari_semimultipose.widgets.jobs import Chunk, Measuring, Predicted, Ready, Saved, Tracking
from napari_semimultipose.widgets.layer_frames import frames_from_layer, place_of
from napari_semimultipose.widgets.predict import PredictWidget, open_predict
from napari_semimultipose.widgets.prediction_settings import summary_of
from napari_semimultipose.widgets.train import TrainWidget

from .conftest import process_events

sys.path.insert(0, str(Path(__file__).parent))  # for the processes too
import gui_work

FRAMES = 24


@pytest.fixture(scope="module")
def recording():
    frames, truth = make_recording(
        FRAMES, animals=2, size=(96, 96), length_px=40, seed=0, missing=0
    )
    predicted = Poses(
        truth.skeleton,
        truth.xy,
        truth.frame,
        score=np.full(truth.score.shape, 0.9),
        instance_score=np.full(truth.instance_score.shape, 0.8),
        source=np.full(truth.source.shape, Source.PREDICTED),
    )
    return frames, predicted


@pytest.fixture
def model(tmp_path, recording):
    folder = tmp_path / "bees-model"
    scores = {"ap": 0.61, "median_error_px": 1.8, "recall": float("nan")}
    config = Config().with_settings({"predict.score_threshold": 0.35, "track.animals": 2})
    write_info(folder, ModelInfo(recording[1].skeleton, config, 1.0, 40.0, scores, 1200))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


class Actor:
    """Plays the prediction: hands out the true poses in chunks of four frames."""

    def __init__(self, truth, error_at=None, hold=None, endless=False):
        self.truth, self.error_at, self.hold, self.endless = truth, error_at, hold, endless
        self.jobs = []
        self.done = 0

    def __call__(self, job, should_stop):
        self.jobs.append(job)
        n = len(self.truth)
        yield Ready("cpu", n, self.truth.skeleton, self.truth.videos[0])
        parts = []
        for start in range(0, n, 4):
            if self.endless and start:
                while not should_stop():
                    time.sleep(0.01)
            if should_stop():
                break
            if self.error_at == start:
                yield Predicted(Poses.concatenate([self.truth.select([]), *parts]), "failed")
                yield Failed("frame 12 cannot be read", "Traceback")
                return
            parts.append(self.truth.select(range(start, start + 4)))
            self.done = start + 4
            yield Chunk(parts[-1], start + 4, n, 3.0)
        if self.hold is not None:
            self.hold.wait(10)
        yield Tracking()
        poses = Poses.concatenate(parts)
        track = np.broadcast_to(np.arange(poses.xy.shape[1]), poses.track.shape)
        tracked = Poses(
            **{k: getattr(poses, k) for k in ("skeleton", "xy", "frame", "score", "source")},
            instance_score=poses.instance_score,
            track=track,
        )
        yield Predicted(tracked, "stopped" if len(poses) < n else "finished")


@pytest.fixture
def play(monkeypatch, recording):
    def cast(**how):
        actor = Actor(recording[1], **how)
        monkeypatch.setattr(predict_module, "prediction_events", actor)
        return actor

    return cast


@pytest.fixture
def image(viewer, recording):
    return viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")


@pytest.fixture
def widget(open_widget, image, model, tmp_path, qtbot):
    widget = open_widget(PredictWidget)
    widget.set_model(model)
    widget.settings.out.set_path(tmp_path / "poses.slp")
    yield widget
    if worker.isalive(widget):
        widget.runner.stop()
        qtbot.waitUntil(lambda: not widget.runner.running, timeout=20_000)


def ended(widget):
    return lambda: not widget.runner.running


def kinds(viewer):
    return [type(layer).__name__ for layer in viewer.layers]


# ------------------------------------------------------------------- the form


def test_a_model_is_summed_up_and_its_settings_are_taken(widget):
    text = widget.model.summary.text()
    assert text.startswith("7 keypoints: head, thorax")
    assert "semimultipose, preset default, 1200 steps" in text
    assert "AP 0.61, median error 1.8 px" in text
    config = widget.settings.config()
    assert config.predict.score_threshold == 0.35
    assert config.track.animals == 2
    assert config.predict.max_animals == 2


def test_a_typed_folder_is_looked_up_after_a_moment(widget, model, tmp_path, qtbot):
    widget.model.field.set_path(tmp_path / "nothing")
    qtbot.waitUntil(lambda: "there is no model folder" in widget.model.summary.text())
    (tmp_path / "empty").mkdir()
    widget.model.field.set_path(tmp_path / "empty")
    qtbot.waitUntil(lambda: "is no model folder" in widget.model.summary.text())
    widget.model.field.set_path(model)
    qtbot.waitUntil(lambda: "7 keypoints" in widget.model.summary.text())


@pytest.mark.parametrize("what", ["none", "missing", "damaged", "untrained"])
def test_a_wrong_folder_is_refused_with_a_reason(widget, play, model, tmp_path, what):
    actor = play()
    if what == "none":
        widget.model.field.set_path(None)
    elif what == "missing":
        widget.model.field.set_path(tmp_path / "nothing")
    elif what == "damaged":
        (model / "model.json").write_text("{")
    else:
        (model / "model.safetensors").unlink()
    widget.start()
    reason = {
        "none": "choose a model folder first",
        "missing": "there is no model folder",
        "damaged": "is damaged",
        "untrained": "has no weights yet",
    }
    assert reason[what] in widget.message.text()
    assert not actor.jobs
    assert widget.start_button.isEnabled()


def test_settings_come_from_the_form(widget):
    settings = widget.settings
    settings.score.set_value(0.5)
    settings.animals.set_value(3)
    settings.batch.set_value(8)
    settings.device.set_value("cpu")
    settings.advanced.form("track").editor("max_gap_frames").set_value(7)
    config = settings.config()
    assert config.predict.score_threshold == 0.5
    assert (config.track.animals, config.predict.max_animals) == (3, 3)
    assert config.predict.batch_size == 8
    assert config.predict.device == "cpu"
    assert config.track.max_gap_frames == 7


def test_the_frames_to_predict(viewer, widget, play, qtbot):
    actor = play()
    choose = widget.recording
    assert not choose._span.isVisible()
    choose.range.set_value("span")
    assert choose._span.isVisible()
    choose.first.setValue(5)
    choose.last.setValue(9)
    assert choose.span() == (5, 10)
    choose.first.setValue(12)
    assert choose.span() == (12, 13)
    choose.range.set_value("current")
    viewer.dims.set_current_step(0, 7)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert actor.jobs[0].frame_range == (7, 8)
    choose.kind.setCurrentIndex(1)
    choose.file.set_path("clip.mp4")
    widget.start()
    assert "a file has no current frame" in widget.message.text()


def test_the_current_frame_of_a_scaled_layer(viewer, widget):
    image = viewer.layers["beetles"]
    image.scale = (0.04, 1, 1)  # seconds
    image.translate = (2, 0, 0)
    viewer.dims.set_point(0, 2 + 0.04 * 9)
    widget.recording.range.set_value("current")
    assert widget.recording.span() == (9, 10)


def test_without_a_recording_it_says_so(open_widget, model):
    widget = open_widget(PredictWidget)
    widget.set_model(model)
    widget.start()
    assert "open a recording first" in widget.message.text()
    widget.recording.kind.setCurrentIndex(1)
    widget.start()
    assert "choose a recording" in widget.message.text()


# --------------------------------------------------------------------- a run


def test_results_arrive_while_it_runs_and_end_as_three_layers(viewer, widget, play, qtbot, image):
    hold = threading.Event()
    actor = play(hold=hold)
    widget.start_button.click()
    assert not widget.start_button.isEnabled()
    assert not widget.save_button.isEnabled()
    qtbot.waitUntil(lambda: actor.done == FRAMES)
    qtbot.waitUntil(lambda: "beetles poses" in viewer.layers)
    points = viewer.layers["beetles poses"]
    assert isinstance(points, Points)
    # What is known of each point comes a moment after the points themselves.
    qtbot.waitUntil(lambda: "keypoint" in points.features)
    assert points.features["keypoint"].nunique() == 7
    assert widget.runner.running
    assert "of 24 frames, 3 s left" in widget.progress.format()
    hold.set()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    qtbot.waitUntil(lambda: kinds(viewer) == ["Image", "Tracks", "Vectors", "Points"])
    qtbot.waitUntil(lambda: set(points.features.get("track", ())) == {0, 1})
    assert {"instance", "keypoint", "score", "track"} <= set(points.features.columns)
    assert "Finished: 48 animals on 24 frames" in widget.status.text()
    result = poses_from_layer(points)
    assert result.n_instances == 48
    assert (result.score[result.visible > 0] == 0.9).all()
    assert widget.save_button.isEnabled()


def test_stop_keeps_what_is_there(viewer, widget, play, qtbot):
    actor = play(endless=True)
    widget.start()
    qtbot.waitUntil(lambda: actor.done == 4)
    widget.stop_button.click()
    assert not widget.stop_button.isEnabled()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert "Stopped: 8 animals on 4 frames" in widget.status.text()
    assert widget.poses().n_instances == 8
    qtbot.waitUntil(lambda: kinds(viewer) == ["Image", "Tracks", "Vectors", "Points"])


def test_a_second_click_is_ignored(widget, play, qtbot):
    actor = play(endless=True)
    widget.start_button.click()
    widget.start_button.click()
    widget.start()
    qtbot.waitUntil(lambda: actor.done == 4)
    widget.stop()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert len(actor.jobs) == 1


def test_a_second_result_stands_beside_the_first(viewer, widget, play, qtbot, tmp_path):
    play()
    for name in ("a.slp", "b.slp"):
        widget.settings.out.set_path(tmp_path / name)
        widget.start()
        qtbot.waitUntil(ended(widget), timeout=30_000)
        qtbot.waitUntil(lambda: f"{viewer.layers[-1].name} tracks" in viewer.layers)
    names = [layer.name for layer in viewer.layers if isinstance(layer, Points)]
    assert len(names) == 2
    assert len(set(names)) == 2
    qtbot.waitUntil(
        lambda: len([x for x in viewer.layers if isinstance(x, (Tracks, Vectors))]) == 4
    )


def test_an_existing_file_is_never_overwritten(widget, play, tmp_path):
    actor = play()
    (tmp_path / "poses.slp").write_bytes(b"precious")
    widget.start()
    assert "exists: choose another name" in widget.message.text()
    assert not actor.jobs
    assert (tmp_path / "poses.slp").read_bytes() == b"precious"


def test_an_error_on_the_way_keeps_the_frames_before_it(viewer, widget, play, qtbot):
    play(error_at=12)
    before = len(notification_manager.records)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert "frame 12 cannot be read" in widget.message.text()
    assert [r.message for r in list(notification_manager.records)[before:]] == [
        "frame 12 cannot be read"
    ]
    assert "Failed: 24 animals on 12 frames" in widget.status.text()
    assert poses_from_layer(viewer.layers["beetles poses"]).n_instances == 24
    assert widget.save_button.isEnabled()


def test_a_runtime_error_in_the_worker_is_shown(widget, qtbot, monkeypatch):
    def explode(job, should_stop):
        raise RuntimeError("CUDA out of memory")
        yield

    monkeypatch.setattr(predict_module, "prediction_events", explode)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert "CUDA out of memory" in widget.message.text()
    assert widget.status.text() == "Prediction failed."
    assert widget.progress.maximum() > 0
    assert widget.start_button.isEnabled()


def test_nothing_is_left_in_the_viewer_when_not_one_frame_is_read(viewer, widget, play, qtbot):
    play(error_at=0)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert "cannot be read" in widget.message.text()
    assert kinds(viewer) == ["Image"]


# --------------------------------------------- what users do in the meantime


def test_the_image_layer_can_be_deleted(viewer, widget, play, qtbot, image):
    hold = threading.Event()
    play(hold=hold)
    widget.start()
    qtbot.waitUntil(lambda: "beetles poses" in viewer.layers)
    viewer.layers.remove(image)
    hold.set()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert widget.poses().n_instances == 48
    assert "Points" in kinds(viewer)


def test_a_result_layer_that_is_deleted_comes_back_complete(viewer, widget, play, qtbot, image):
    hold = threading.Event()
    play(hold=hold)
    widget.start()
    qtbot.waitUntil(lambda: "beetles poses" in viewer.layers)
    viewer.layers.remove("beetles poses")
    qtbot.wait(400)
    assert kinds(viewer) == ["Image"]
    viewer.layers.remove(image)
    hold.set()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    assert widget.poses().n_instances == 48
    qtbot.waitUntil(lambda: kinds(viewer) == ["Tracks", "Vectors", "Points"])


def test_a_result_that_is_deleted_afterwards_can_still_be_saved(
    viewer, widget, play, qtbot, tmp_path
):
    play()
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    viewer.layers.clear()
    assert widget.poses().n_instances == 48
    widget.save_as(tmp_path / "saved.slp")
    qtbot.waitUntil(lambda: not widget.saver.running)
    assert read_poses(tmp_path / "saved.slp").n_instances == 48


def test_saving_says_what_the_format_cannot_hold(viewer, widget, play, qtbot, tmp_path):
    play()
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    widget.save_as(tmp_path / "poses.csv")
    qtbot.waitUntil(lambda: not widget.saver.running)
    assert "Saved to" in widget.message.text()
    assert "cannot hold" in widget.message.text()
    assert (tmp_path / "poses.csv").exists()
    widget.save_as(tmp_path / "poses.xyz")
    qtbot.waitUntil(lambda: not widget.saver.running)
    assert "could not be saved" in widget.message.text()


def test_the_format_chosen_in_the_dialog_is_written(
    viewer, widget, play, qtbot, tmp_path, monkeypatch
):
    coco = label_files.filter_of(FORMATS["coco"])
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *asked: (str(tmp_path / "out"), coco)
    )
    play()
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    widget.save_button.click()
    qtbot.waitUntil(lambda: not widget.saver.running)
    assert read_poses(tmp_path / "out.json", format="coco").n_instances == 48


def test_edits_of_the_result_are_saved(viewer, widget, play, qtbot, tmp_path):
    play()
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    points = viewer.layers["beetles poses"]
    first = points.data[0].copy()
    points.selected_data = {0}
    points.remove_selected()
    widget.save_as(tmp_path / "edited.slp")
    qtbot.waitUntil(lambda: not widget.saver.running)
    saved = read_poses(tmp_path / "edited.slp")
    row = saved.rows()[round(first[0])]
    assert not np.isclose(saved.xy[row], first[[2, 1]]).all(-1).any()


def test_corrections_made_while_it_runs_are_kept(viewer, widget, play, qtbot, recording):
    hold = threading.Event()
    actor = play(hold=hold)
    widget.start()
    qtbot.waitUntil(lambda: actor.done == FRAMES)
    qtbot.waitUntil(lambda: "beetles poses" in viewer.layers)
    store = widget._result.layers.store
    qtbot.waitUntil(lambda: len(store) >= 4)
    edits.move_keypoints(store, [3], [0], [0], [[70.0, 9.0]])
    longer = Skeleton((*store.skeleton.keypoints, "more"))
    n = len(store.skeleton)
    change = SkeletonChange("add", store.skeleton, longer, (*range(n), None))
    with pytest.raises(LabelsError, match="still being predicted"):
        store.set_skeleton(change)
    hold.set()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    poses = widget.poses()
    assert poses.xy[3, 0, 0].tolist() == [70, 9]
    assert poses.track[3].tolist() == [0, 1]
    np.testing.assert_array_equal(poses.xy[3, 1], recording[1].xy[3, 1])
    store.set_skeleton(change)
    assert len(store.skeleton) == n + 1
    assert "1 animal stays as you corrected" in widget.message.text()
    assert "Save as" in widget.message.text()


def test_videos_and_reports_are_of_the_recording_that_was_predicted(
    viewer, widget, play, qtbot, image, tmp_path, monkeypatch
):
    play()
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    first = widget._frames
    viewer.add_image(np.full((FRAMES, 96, 96), 200, np.uint8), name="other")
    viewer.layers.remove(image)
    process_events()
    assert widget.recording.layer() is viewer.layers["other"]
    drawn, told = [], []
    monkeypatch.setattr(
        video_export, "rendering_events", lambda poses, frames, *_: drawn.append(frames) or []
    )
    monkeypatch.setattr(
        report_export,
        "reporting_events",
        lambda source, frames, *_, **__: told.append(frames) or [],
    )
    for button in (widget.video_button, widget.report_button):
        button.write(tmp_path / "out.mp4")
        qtbot.waitUntil(lambda b=button: not b.runner.running)
    assert drawn[0] is told[0] is first


def test_closing_the_window_stops_the_prediction(viewer, widget, play, qtbot):
    hold = threading.Event()
    actor = play(endless=True, hold=hold)
    widget.start()
    qtbot.waitUntil(lambda: actor.done == 4)
    QTimer.singleShot(0, viewer.close)
    qtbot.waitUntil(lambda: len(worker._farewells) == 1, timeout=10_000)
    hold.set()
    qtbot.waitUntil(lambda: not worker._farewells, timeout=10_000)


def test_colours_change_at_once(viewer, widget, play, qtbot):
    play()
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=30_000)
    points = viewer.layers["beetles poses"]
    by_animal = len(np.unique(points.face_color, axis=0))
    widget.settings.colors.set_value("keypoint")
    assert by_animal == 2
    assert len(np.unique(points.face_color, axis=0)) == 7


def test_one_widget_serves_all_models(viewer, widget, model, qtbot):
    assert open_predict(viewer, model) is widget
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not worker.isalive(widget))
    other = open_predict(viewer, model)
    assert other is not widget
    assert other.model.field.path() == model
    assert other.isVisible()


def test_the_widget_is_opened_as_the_menu_opens_it(viewer, model, npe2pm):
    npe2pm.register(PluginManifest.from_distribution("napari-semimultipose"))
    widget = open_predict(viewer, model)
    dock, same = viewer.window.add_plugin_dock_widget("napari-semimultipose", "Predict")
    assert same is widget
    assert dock is widget.parentWidget()


def test_the_widgets_share_one_place_in_the_window(viewer, open_widget, qtbot):
    """A small window has no room for two forms one above the other."""
    train, predict = open_widget(TrainWidget), open_widget(PredictWidget)
    main, dock = viewer.window._qt_window, predict.parentWidget()
    qtbot.waitUntil(lambda: main.tabifiedDockWidgets(dock) == [train.parentWidget()])
    assert predict.isVisible()
    assert not train.isVisible() or train.visibleRegion().isEmpty()
    for widget in (train, predict):
        assert widget.sizeHint().width() <= 420
        assert widget.minimumSizeHint().width() <= 320


def test_no_layer_is_touched_by_the_worker(
    make_napari_viewer_proxy, recording, model, stream, qtbot, tmp_path
):
    viewer = make_napari_viewer_proxy(ensure_main_thread=True)
    viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")
    widget = PredictWidget(viewer)
    qtbot.addWidget(widget)
    widget.set_model(model)
    widget.settings.out.set_path(tmp_path / "poses.slp")
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=120_000)
    assert widget.message.text().startswith("Saved to")
    assert len(stream["read"]) == FRAMES
    assert widget.poses().n_instances == 48


def test_a_long_list_of_keypoints_is_cut():
    about = {
        "keypoints": [f"k{i}" for i in range(20)],
        "method": "labeled",
        "preset": "paper",
        "iteration": 3,
        "scores": {},
        "trained": False,
    }
    text = summary_of(about)
    assert "k7 and 12 more" in text
    assert "Not validated" in text
    assert "No weights yet" in text


def test_the_frames_of_a_layer_know_their_file(viewer, tmp_path, recording):
    path = tmp_path / "arena.npy"
    np.save(path, recording[0])
    (layer,) = viewer.open(path, plugin="napari", rgb=True, contrast_limits=(0, 255))
    assert frames_from_layer(layer).path == str(path)
    assert place_of(layer) == path
    shown = viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="in memory")
    assert frames_from_layer(shown).path is None
    assert place_of(shown).name == "in memory"
    with pytest.raises(FramesError, match="'deep' cannot be used as a recording"):
        frames_from_layer(viewer.add_image(np.zeros((2, 2, 9, 9, 9)), name="deep"))


# ------------------------------------------- what the worker thread does with it


@pytest.fixture
def stream(monkeypatch, recording):
    """The network replaced by the truth; everything around it is real."""
    from napari_semimultipose.inference import predict as inference

    _, truth = recording
    how = {"error_at": None, "read": []}

    class Predictor:
        device = "cpu"
        skeleton = truth.skeleton

        @classmethod
        def from_folder(cls, folder, config):
            return cls()

    def predict_stream(
        model, stack, config=None, *, frame_range=None, follow=True, should_stop=None
    ):
        indices = list(frame_range)
        for start in range(0, len(indices), 4):
            if should_stop():
                return
            if how["error_at"] is not None and indices[start] >= how["error_at"]:
                raise RuntimeError("the decoder gave up")
            part = indices[start : start + 4]
            how["read"] += [stack[i].mean() for i in part]
            poses = truth.select(part)
            yield inference.PredictedChunk(poses, start + len(part), len(indices))

    monkeypatch.setattr(inference, "Predictor", Predictor)
    monkeypatch.setattr(inference, "predict_stream", predict_stream)
    return how


def run(job, stop_after=None):
    events = []
    for event in jobs.prediction_events(job, lambda: len(events) >= (stop_after or 1000)):
        events.append(event)
    return events


def job_for(recording, model, out, **how):
    return jobs.PredictionJob(model, recording[0], Config(), out=out, **how)


def test_a_prediction_is_tracked_and_saved(recording, model, tmp_path, stream):
    out = tmp_path / "poses.slp"
    events = run(job_for(recording, model, out))
    names = [type(event).__name__ for event in events]
    assert names == ["Ready", *["Chunk"] * 6, "Tracking", "Saved", "Measuring", "Predicted"]
    result = events[-1]
    assert result.reason == "finished"
    assert result.poses.n_instances == 48
    assert set(result.poses.track[result.poses.present]) == {0, 1}
    saved = read_poses(out)
    assert np.allclose(saved.xy, result.poses.xy, equal_nan=True)


def test_a_stopped_prediction_is_saved_as_far_as_it_got(recording, model, tmp_path, stream):
    out = tmp_path / "poses.slp"
    events = run(job_for(recording, model, out), stop_after=3)
    assert events[-1].reason == "stopped"
    assert len(events[-1].poses) == 8
    assert len(read_poses(out)) == 8


def test_a_failed_prediction_is_saved_as_far_as_it_got(recording, model, tmp_path, stream):
    stream["error_at"] = 12
    out = tmp_path / "poses.slp"
    events = run(job_for(recording, model, out))
    predicted, failed = events[-2:]
    assert predicted.reason == "failed"
    assert isinstance(failed, Failed)
    assert "the decoder gave up" in failed.message
    assert "Traceback" in failed.details
    assert len(read_poses(out)) == 12


def test_a_long_prediction_is_saved_on_the_way(recording, model, tmp_path, stream, monkeypatch):
    monkeypatch.setattr(jobs, "AUTOSAVE_S", 0.0)
    out = tmp_path / "poses.slp"
    found = []
    for event in jobs.prediction_events(job_for(recording, model, out), lambda: False):
        if isinstance(event, Chunk) and out.exists():
            found.append(len(read_poses(out)))
    assert found
    assert found == sorted(found)


def test_a_file_that_cannot_be_written_costs_nothing_but_the_file(
    recording, model, tmp_path, stream
):
    (tmp_path / "blocked").write_text("")
    events = run(job_for(recording, model, tmp_path / "blocked" / "poses.slp"))
    assert any(isinstance(e, Failed) and "could not be saved" in e.message for e in events)
    assert events[-1].reason == "finished"
    assert events[-1].poses.n_instances == 48
    assert not any(isinstance(e, Saved) for e in events)


def test_a_range_keeps_its_frame_numbers(recording, model, stream):
    events = run(job_for(recording, model, None, frame_range=(5, 10), track=False))
    assert events[-1].poses.frame.tolist() == [5, 6, 7, 8, 9]
    assert events[-1].reason == "finished"


def test_a_range_outside_the_recording_is_refused(recording, model, stream):
    with pytest.raises(FramesError, match="0 to 23"):
        run(job_for(recording, model, None, frame_range=(100, 110)))


# ------------------------------------------------------------- the real thing


@pytest.mark.apart
@pytest.mark.timeout(600)
def test_a_real_model_predicts_a_layer_in_the_window(
    viewer, widget, recording, qtbot, tmp_path, model
):
    from napari_semimultipose import api
    from napari_semimultipose.widgets.preload import import_quietly

    import_quietly("napari_semimultipose.training.loop")
    frames, predicted = recording
    labels = Poses(predicted.skeleton, predicted.xy, predicted.frame)
    config = Config().with_settings(
        {"train.minutes": 0, "train.iterations": 2, "train.device": "cpu", "data.crop_px": 64}
    )
    folder = tmp_path / "real-model"
    list(api.train(labels, folder, frames=frames, config=config))
    widget.set_model(folder)
    widget.settings.score.set_value(0.0)
    widget.settings.animals.set_value(2)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=240_000)
    assert "Finished" in widget.status.text()
    poses = read_poses(tmp_path / "poses.slp")
    assert len(poses) == FRAMES
    assert poses.present.sum(1).max() <= 2
    assert poses.n_instances == widget.poses().n_instances > 0


# ---------------------------------------------------------------------- metrics


def test_points_tell_how_plausible_they_are(
    viewer, widget, model, recording, play, qtbot, monkeypatch
):
    _, predicted = recording
    write_poses(
        Poses(predicted.skeleton, predicted.xy, predicted.frame, videos=predicted.videos),
        model / "labels.slp",
    )
    actor = play()

    def measured(job, should_stop):
        for event in actor(job, should_stop):
            if isinstance(event, Predicted):
                yield Measuring()
                yield Predicted(event.poses, event.reason, *jobs._measured(job.model, event.poses))
            else:
                yield event

    monkeypatch.setattr(predict_module, "prediction_events", measured)
    widget.settings.colors.set_value("views")
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=20_000)
    points = widget._result.layers.points
    qtbot.waitUntil(lambda: {"temporal_norm", "pca_singleview_error"} <= set(points.features))
    assert np.isfinite(points.features["pca_singleview_error"]).mean() > 0.9
    # There are no views: the colours are white, and the widget says why.
    assert (points.face_color == 1).all()
    assert "mouse1_top" in widget.message.text()
    widget.settings.colors.set_value("pose")
    assert not (points.face_color == 1).all()


@pytest.mark.apart
@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_a_process_that_is_killed_leaves_the_viewer_and_what_was_found(
    viewer, widget, recording, qtbot, monkeypatch, tmp_path
):
    monkeypatch.setattr(predict_module, "prediction_events", gui_work.dies_after_eight_frames)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=120_000)
    assert "memory" in widget.message.text()
    assert widget.start_button.isEnabled()
    found = widget.poses()
    assert len(found) == 8
    assert np.nanmax(np.abs(found.xy[:, :2] - recording[1].xy[:8])) < 1e-6
    widget.save_as(tmp_path / "rest.slp")
    qtbot.waitUntil(lambda: not widget.saver.running, timeout=30_000)
    assert (tmp_path / "rest.slp").is_file()
