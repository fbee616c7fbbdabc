"""The Train widget in a real window; training itself is played by a generator, except at the end."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QLineEdit
from skimage.io import imsave

from napari_semimultipose.config import Config
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import write_poses
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.io.video import as_layer_data, open_frames
from napari_semimultipose.layers.points import points_layer_data
from napari_semimultipose.poses import Poses, Skeleton, Source, Video
from napari_semimultipose.training.events import (
    Checkpoint,
    Done,
    Failed,
    Notice,
    Started,
    Step,
    Validation,
)
from napari_semimultipose.widgets import train as train_module
from napari_semimultipose.widgets import worker
from napari_semimultipose.widgets.predict import PredictWidget
from napari_semimultipose.widgets.train import TrainWidget

SCORES = {"ap": 0.71, "ap50": 0.9, "ap75": 0.8, "recall": 0.95, "median_error_px": 1.5}


class Actor:
    """Plays the training: yields events until it is told to stop or has taken its steps."""

    def __init__(self, steps=5, error=None, hold=None, pause_s=0.01):
        self.steps, self.error, self.hold, self.pause_s = steps, error, hold, pause_s
        self.jobs = []
        self.saved = threading.Event()
        self.read = []

    def __call__(self, job, should_stop):
        self.jobs.append(job)
        yield Started(job.out, "cpu", 20, 15, 3, 0, 100, None, 0.75)
        yield Notice("two labels lie outside their image")
        i = 0
        while self.steps is None or i < self.steps:
            if should_stop():
                yield from self.end(job, i, "stopped")
                return
            i += 1
            time.sleep(self.pause_s)
            if job.recordings:
                frames = job.recordings[0].frames
                self.read.append(frames[i % len(frames)].mean())
            losses = {"class": 1 / i, "total": 2 / i}
            yield Step(i, i * 0.1, i / (self.steps or 1000), 12.0, losses, 1e-3)
            yield Validation(i, i * 0.1, SCORES, True)
            if self.error is not None and i == 3:
                raise self.error
        yield from self.end(job, i, "finished")

    def end(self, job, i, reason):
        if self.hold is not None:
            self.hold.wait(10)
        job.out.mkdir(parents=True, exist_ok=True)
        (job.out / "resume.pt").write_bytes(b"state")
        (job.out / "model.json").write_text("{}")
        self.saved.set()
        yield Checkpoint(i, job.out, "last")
        yield Done(job.out, i, reason, SCORES)


@pytest.fixture
def recording():
    return make_recording(12, animals=2, size=(96, 96), length_px=40, seed=0)


@pytest.fixture
def layers(viewer, recording):
    frames, truth = recording
    image = viewer.add_image(frames, rgb=True, contrast_limits=(0, 255), name="beetles")
    data, attributes, _ = points_layer_data(truth.select(range(6)), name="labels")
    return image, viewer.add_points(data, **attributes)


@pytest.fixture
def play(monkeypatch):
    def cast(**how):
        actor = Actor(**how)
        monkeypatch.setattr(train_module, "training_events", actor)
        return actor

    return cast


@pytest.fixture
def widget(open_widget, layers, tmp_path, qtbot):
    widget = open_widget(TrainWidget)
    widget.settings.out.set_path(tmp_path / "model")
    yield widget
    if worker.isalive(widget):
        widget.runner.stop()
        qtbot.waitUntil(lambda: not widget.runner.running, timeout=20_000)


def ended(widget):
    return lambda: not widget.runner.running


# ------------------------------------------------------------------- the form


def test_the_boxes_follow_the_layer_list(viewer, open_widget, layers):
    image, points = layers
    widget = open_widget(TrainWidget)
    images, labels = widget.sources.rows.boxes()
    assert images.layer() is image
    assert labels.layer() is points
    other = viewer.add_image(np.zeros((3, 8, 8), np.uint8), contrast_limits=(0, 255), name="other")
    assert images.layer() is image
    assert images.count() == 2
    other.name = "renamed"
    assert "renamed" in [images.itemText(i) for i in range(2)]
    viewer.layers.remove(image)
    assert images.layer() is other
    viewer.layers.clear()
    assert images.layer() is None
    assert labels.layer() is None
    assert not images.isEnabled()


def test_the_menu_opens_a_widget_that_works(viewer, layers, play, qtbot, tmp_path, npe2pm):
    npe2pm.register(PluginManifest.from_distribution("napari-semimultipose"))
    actor = play(steps=2)
    _, widget = viewer.window.add_plugin_dock_widget("napari-semimultipose", "Train")
    widget.settings.out.set_path(tmp_path / "model")
    widget.start()
    qtbot.waitUntil(ended(widget))
    assert len(actor.jobs) == 1
    widget.use_button.click()
    dock, predict = viewer.window.add_plugin_dock_widget("napari-semimultipose", "Predict")
    assert predict.model.field.path() == tmp_path / "model"
    assert dock.isVisible()


def test_the_labels_are_preferred_to_other_points(viewer, open_widget, recording):
    viewer.add_points(np.zeros((2, 3)), name="clicks")
    data, attributes, _ = points_layer_data(recording[1], name="labels")
    viewer.add_points(data, **attributes)
    assert open_widget(TrainWidget).sources.rows.boxes()[1].layer().name == "labels"


def test_labels_are_preferred_to_predictions(viewer, open_widget, recording):
    truth = recording[1]
    predicted = replace(truth, source=np.full_like(truth.source, Source.PREDICTED))
    for poses, name in ((predicted, "predictions"), (truth, "labels")):
        data, attributes, _ = points_layer_data(poses, name=name)
        viewer.add_points(data, **attributes)
    assert open_widget(TrainWidget).sources.rows.boxes()[1].layer().name == "labels"


def test_the_model_folder_is_named_after_the_recording(viewer, open_widget, tmp_path, recording):
    path = tmp_path / "day 1" / "arena.npy"
    path.parent.mkdir()
    np.save(path, recording[0])
    (tmp_path / "day 1" / "arena-model").mkdir()
    viewer.open(path, plugin="napari", rgb=True, contrast_limits=(0, 255))
    widget = open_widget(TrainWidget)
    assert widget.settings.out.path() == tmp_path / "day 1" / "arena-model-2"
    widget.sources.use_file(True)
    widget.sources.labels_file.set_path(tmp_path / "bees.slp")
    assert widget.settings.out.path() == tmp_path / "bees-model"
    widget.settings.out.set_path("my-model")
    widget.sources.labels_file.set_path(tmp_path / "other.slp")
    assert widget.settings.out.path() == Path("my-model")


@pytest.mark.parametrize(
    "use",
    [
        lambda viewer: viewer.dims.set_current_step(0, 1),
        lambda viewer: setattr(getattr(viewer, "scene", viewer).camera, "zoom", 3.21),
        lambda viewer: setattr(viewer.cursor, "position", (0.0, 12.0, 34.0)),
    ],
    ids=["frame", "zoom", "mouse"],
)
def test_whoever_uses_the_viewer_goes_before_the_training(viewer, widget, monkeypatch, use):
    touched = []
    monkeypatch.setattr(worker, "make_room", lambda: touched.append(1))
    use(viewer)
    assert touched


def test_settings_come_from_the_form(widget):
    settings = widget.settings
    assert settings.config() == Config()
    settings.method.set_value("directpose")
    settings.unit.set_value("steps")
    settings.length.set_value(500)
    settings.seed.set_value(7)
    settings.context.set_value(True)
    settings.device.set_value("cpu")
    settings.advanced.form("augment").editor("flip").set_value(0.0)
    config = settings.config()
    assert (config.train.method, config.train.iterations, config.train.minutes) == (
        "directpose",
        500,
        0,
    )
    assert (config.train.seed, config.train.device, config.augment.flip) == (7, "cpu", 0)
    assert config.model.context
    settings.preset.set_value("paper")
    assert settings.config().model_dump() == {
        **Config.from_preset("paper").model_dump(),
        "train": {**Config.from_preset("paper").train.model_dump(), "seed": 7, "device": "cpu"},
    }


# ------------------------------------------------------- start, stop, resume


def test_a_run_from_start_to_end(widget, play, qtbot, tmp_path):
    actor = play(steps=8)
    assert widget.start_button.isEnabled()
    assert not widget.stop_button.isEnabled()
    widget.start_button.click()
    assert not widget.start_button.isEnabled()
    assert widget.stop_button.isEnabled()
    assert not widget.tabs.widget(0).isEnabled()
    qtbot.waitUntil(ended(widget), timeout=10_000)
    job = actor.jobs[0]
    assert job.out == tmp_path / "model"
    assert not job.resume
    assert job.recordings[0].labels.n_instances == 12
    assert "Finished after 8 steps" in widget.status.text()
    assert widget.progress.value() == widget.progress.maximum()
    assert "AP" in widget.scores.text()
    assert "0.710" in widget.scores.text()
    assert "two labels lie outside" in widget.message.text()
    assert len(widget.plot._losses["total"]) == 8
    assert len(widget.plot._scores["ap"]) == 8
    assert widget.start_button.isEnabled()
    assert widget.resume_button.isEnabled()
    assert widget.use_button.isVisible()


def test_stop_keeps_the_state_and_resume_goes_on(widget, play, qtbot):
    actor = play(steps=None)
    widget.start()
    qtbot.waitUntil(lambda: len(widget.plot._losses.get("total", [])) > 3)
    assert "20 labelled, 3 validation, 15 unlabelled" in widget.status.text()
    assert not widget.resume_button.isEnabled()
    widget.stop_button.click()
    assert not widget.stop_button.isEnabled()
    qtbot.waitUntil(ended(widget), timeout=10_000)
    assert "Stopped after" in widget.status.text()
    drawn = len(widget.plot._losses["total"])
    actor.steps = 2
    widget.resume_button.click()
    qtbot.waitUntil(ended(widget), timeout=10_000)
    assert [job.resume for job in actor.jobs] == [False, True]
    assert len(widget.plot._losses["total"]) == drawn + 2  # the curve goes on


def test_a_second_click_is_ignored(widget, play, qtbot):
    actor = play(steps=20)
    widget.start_button.click()
    widget.start_button.click()
    widget.start()
    widget.start(resume=True)
    qtbot.waitUntil(ended(widget), timeout=10_000)
    assert len(actor.jobs) == 1


def test_progress_and_time_left_are_shown(widget, play, qtbot):
    play(steps=None)
    widget.start()
    assert widget.progress.maximum() == 0  # busy, while torch is loaded
    qtbot.waitUntil(lambda: widget.progress.maximum() > 0)
    qtbot.waitUntil(lambda: "12 s left" in widget.progress.format())


# ------------------------------------------------------------------- failures


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), ValueError("bad shape")])
def test_an_error_in_the_worker_is_shown(widget, play, qtbot, error):
    play(error=error)
    before = len(notification_manager.records)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=10_000)
    assert str(error) in widget.message.text()
    assert "Traceback" in widget.message.details()
    assert widget.status.text() == "Training failed."
    assert [str(error) in r.message for r in list(notification_manager.records)[before:]] == [True]
    assert widget.start_button.isEnabled()
    assert not widget.stop_button.isEnabled()
    widget.message._copy.click()
    assert "Traceback" in QApplication.clipboard().text()


def test_a_failed_event_is_shown_and_the_next_run_forgets_it(widget, play, qtbot, monkeypatch):
    def fail(job, should_stop):
        yield Failed("there is no labelled animal to learn from")

    monkeypatch.setattr(train_module, "training_events", fail)
    widget.start()
    qtbot.waitUntil(ended(widget))
    assert "no labelled animal" in widget.message.text()
    assert widget.progress.maximum() > 0  # not busy any more
    play(steps=2)
    widget.start()
    qtbot.waitUntil(ended(widget))
    assert "no labelled animal" not in widget.message.text()


def test_without_layers_it_says_what_to_do(open_widget, tmp_path, play):
    actor = play()
    widget = open_widget(TrainWidget)
    widget.settings.out.set_path(tmp_path / "model")
    widget.start()
    assert "open a recording first" in widget.message.text()
    widget.sources.use_file(True)
    widget.start()
    assert "choose a labels file" in widget.message.text()
    assert not actor.jobs


def test_plain_points_are_refused_with_a_reason(viewer, open_widget, recording, tmp_path, play):
    actor = play()
    viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255))
    viewer.add_points(np.zeros((2, 3)), name="clicks")
    widget = open_widget(TrainWidget)
    widget.settings.out.set_path(tmp_path / "model")
    widget.start()
    assert "'clicks' is a plain Points layer" in widget.message.text()
    assert not actor.jobs


def test_an_existing_model_is_never_overwritten(widget, play, tmp_path, qtbot):
    actor = play(steps=1)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "config.yaml"):
        (folder / name).write_text("{}")
    widget.start()
    assert "already holds a model" in widget.message.text()
    assert not actor.jobs


def test_suggested_names_go_on_after_a_run(viewer, open_widget, tmp_path, recording, play, qtbot):
    path = tmp_path / "arena.npy"
    np.save(path, recording[0])
    viewer.open(path, plugin="napari", rgb=True, contrast_limits=(0, 255))
    data, attributes, _ = points_layer_data(recording[1], name="labels")
    viewer.add_points(data, **attributes)
    widget = open_widget(TrainWidget)
    actor = play(steps=1)
    for name in ("arena-model", "arena-model-2"):
        widget.start()
        qtbot.waitUntil(ended(widget))
        assert actor.jobs[-1].out == tmp_path / name
        assert widget.settings.out.path() == tmp_path / name  # resumable


def test_a_wrong_advanced_setting_is_named(widget, play, qtbot):
    actor = play()
    line = widget.settings.advanced.form("model").editor("levels").findChild(QLineEdit)
    line.setText("[5]")
    widget.start()
    assert "Head strides" in widget.message.text()
    assert not actor.jobs


# --------------------------------------------- what users do in the meantime


def test_layers_can_be_deleted_during_training(viewer, widget, play, qtbot):
    actor = play(steps=None)
    widget.start()
    qtbot.waitUntil(lambda: len(actor.read) > 2)
    viewer.layers.clear()
    n = len(actor.read)
    qtbot.waitUntil(lambda: len(actor.read) > n + 5)
    assert min(actor.read) > 0
    widget.stop()
    qtbot.waitUntil(ended(widget), timeout=10_000)
    assert "Stopped after" in widget.status.text()


def test_closing_the_window_saves_the_state(viewer, widget, play, qtbot):
    release = threading.Event()
    actor = play(steps=None, hold=release)
    widget.start()
    qtbot.waitUntil(lambda: len(actor.read) > 2)
    QTimer.singleShot(0, viewer.close)
    qtbot.waitUntil(lambda: len(worker._farewells) == 1, timeout=10_000)
    assert not actor.saved.is_set()
    release.set()
    qtbot.waitUntil(actor.saved.is_set, timeout=10_000)
    qtbot.waitUntil(lambda: not worker._farewells, timeout=10_000)


def test_closing_the_dock_saves_the_state(viewer, widget, play, qtbot):
    actor = play(steps=None)
    widget.start()
    qtbot.waitUntil(lambda: len(actor.read) > 2)
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(actor.saved.is_set, timeout=10_000)
    qtbot.waitUntil(lambda: not worker.isalive(widget))
    viewer.add_image(np.zeros((3, 8, 8), np.uint8), contrast_limits=(0, 255))  # nobody listens


def test_hiding_the_dock_lets_training_go_on(viewer, widget, play, qtbot):
    actor = play(steps=None)
    widget.start()
    qtbot.waitUntil(lambda: len(actor.read) > 2)
    widget.parentWidget().hide()
    n = len(actor.read)
    qtbot.waitUntil(lambda: len(actor.read) > n + 3)
    widget.parentWidget().show()
    assert widget.runner.running


def test_the_theme_can_change_during_training(viewer, widget, play, qtbot):
    play(steps=None)
    widget.start()
    qtbot.waitUntil(lambda: bool(widget.plot._curves))
    viewer.theme = "light"
    background = widget.plot._loss_view.backgroundBrush().color()
    assert background.lightness() > 200
    assert widget.plot._curves["total"].opts["pen"].color().lightness() < 100


def test_the_event_loop_keeps_beating_under_a_busy_worker(viewer, widget, qtbot, monkeypatch):
    def busy(job, should_stop):
        yield Started(job.out, "cpu", 20, 15, 3, 0, 100, None, 0.75)
        i = 0
        a = np.random.default_rng(0).normal(size=(300, 300))
        while not should_stop():
            i += 1
            a = np.tanh(a @ a / 300)  # lets go of the lock
            sum(k * k for k in range(20_000))  # does not
            yield Step(i, i * 0.1, 0.1, 12.0, {"total": 1.0 + 1 / i, "class": 0.5}, 1e-3)

    monkeypatch.setattr(train_module, "training_events", busy)
    beats = []
    heart = QTimer()
    heart.setInterval(10)
    heart.timeout.connect(lambda: beats.append(time.perf_counter()))

    def gaps(ms):
        beats.clear()
        heart.start()
        qtbot.wait(ms)
        heart.stop()
        return np.quantile(np.diff(beats), 0.9)

    paint = QTimer()  # what drawing alone costs on this display, which other programs may slow down
    paint.setInterval(50)
    paint.timeout.connect(lambda: widget._on_events([Step(1, 1, 0.1, len(beats), {"total": 1}, 1)]))
    widget.tabs.setCurrentIndex(1)
    for _ in range(3):
        paint.start()
        drawing = gaps(2000)
        paint.stop()
        widget.start()
        qtbot.waitUntil(lambda: bool(widget.plot._curves), timeout=20_000)
        working = gaps(3000)
        widget.stop()
        qtbot.waitUntil(ended(widget), timeout=20_000)
        if working < 0.1 + 2 * drawing:
            break
    else:
        pytest.fail(f"the event loop was blocked for {working:.2f} s again and again")


# ----------------------------------------------------------- several sources


def test_several_recordings_are_learned_together(viewer, widget, recording, play, qtbot):
    actor = play(steps=1)
    frames, truth = recording
    viewer.add_image(frames[:4], rgb=True, contrast_limits=(0, 255), name="second")
    data, attributes, _ = points_layer_data(truth.select(range(2)), name="second labels")
    viewer.add_points(data, **attributes)
    rows = widget.sources.rows
    rows.add_row()
    images, labels = rows.boxes(1)
    images.set_layer(viewer.layers["second"])
    labels.set_layer(viewer.layers["labels"])
    widget.start()
    assert "chosen twice" in widget.message.text()
    labels.set_layer(viewer.layers["second labels"])
    widget.start()
    qtbot.waitUntil(ended(widget))
    assert [len(r.frames) for r in actor.jobs[0].recordings] == [12, 4]
    rows._rows[0][2].click()
    assert rows.boxes(0)[0] is images


def test_labels_of_images_follow_the_order_of_the_layer(
    viewer, open_widget, recording, tmp_path, play, qtbot
):
    """The labels name three images; the folder holds more, in the order of their names."""
    frames, truth = recording
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(6):
        imsave(folder / f"img{i}.png", frames[i], check_contrast=False)
    video = Video(str(folder), ("img4.png", "img1.png", "img3.png"))
    shown = [4, 1, 3]
    labels = Poses(truth.skeleton, truth.xy[shown], [0, 1, 2], videos=(video,))
    viewer.add_image(frames, rgb=True, contrast_limits=(0, 255), name="something else")
    viewer.add_image(
        as_layer_data(open_frames(folder)), rgb=True, contrast_limits=(0, 255), name="i"
    )
    data, attributes, _ = points_layer_data(labels, name="labels")
    viewer.add_points(data, **attributes)
    widget = open_widget(TrainWidget)
    widget.settings.out.set_path(tmp_path / "model")
    assert widget.sources.rows.boxes()[0].layer().name == "i"  # found by the names
    actor = play(steps=1)
    widget.start()
    qtbot.waitUntil(ended(widget))
    job = actor.jobs[0].recordings[0]
    assert sorted(job.labels.frame) == [1, 3, 4]
    for row, frame in enumerate(job.labels.frame):
        assert np.allclose(job.labels.xy[row], truth.xy[frame], equal_nan=True)
        assert (job.frames[frame] == frames[frame]).all()


def test_labels_of_other_images_are_refused(viewer, open_widget, recording, tmp_path, play, qtbot):
    frames, truth = recording
    for i in range(3):
        imsave(tmp_path / f"img{i}.png", frames[i], check_contrast=False)
    labels = Poses(truth.skeleton, truth.xy[:1], [0], videos=(Video("x", ("other.png",)),))
    viewer.add_image(
        as_layer_data(open_frames(tmp_path)), rgb=True, contrast_limits=(0, 255), name="i"
    )
    data, attributes, _ = points_layer_data(labels, name="labels")
    viewer.add_points(data, **attributes)
    widget = open_widget(TrainWidget)
    widget.settings.out.set_path(tmp_path / "model")
    actor = play()
    widget.start()
    assert "'labels' belong to other images than the layer 'i'" in widget.message.text()
    assert not actor.jobs


def test_labels_and_unlabelled_recordings_from_files(widget, recording, tmp_path, play, qtbot):
    actor = play(steps=1)
    path = tmp_path / "labels.slp"
    write_poses(recording[1], path)
    widget.sources.use_file(True)
    widget.sources.labels_file.set_path(path)
    widget.sources.frames_path.set_path(tmp_path)
    for name in ("a.mp4", "b.mp4", "a.mp4"):
        widget.sources.unlabeled.add(tmp_path / name)
    widget.start()
    qtbot.waitUntil(ended(widget))
    job = actor.jobs[0]
    assert (job.labels_file, job.frames_path) == (path, tmp_path)
    assert list(job.unlabeled) == [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    widget.sources.unlabeled._list.setCurrentRow(0)
    widget.sources.unlabeled._remove.click()
    assert widget.sources.unlabeled.paths() == [tmp_path / "b.mp4"]


def test_the_model_is_handed_to_the_predict_widget(viewer, widget, play, qtbot, tmp_path):
    play(steps=1)
    widget.start()
    qtbot.waitUntil(ended(widget))
    widget.use_button.click()
    found = [x for x in QApplication.allWidgets() if isinstance(x, PredictWidget)]
    assert [x.model.field.path() for x in found] == [tmp_path / "model"]
    assert found[0].isVisible()
    widget.use_button.click()  # the same widget again
    assert len([x for x in QApplication.allWidgets() if isinstance(x, PredictWidget)]) == 1


# ------------------------------------------------------------- the real thing


@pytest.mark.apart
@pytest.mark.timeout(600)
def test_a_real_run_leaves_a_model_that_can_go_on(widget, qtbot, tmp_path):
    settings = widget.settings
    settings.unit.set_value("steps")
    settings.length.set_value(3)
    settings.device.set_value("cpu")
    settings.advanced.form("data").editor("crop_px").set_value(64)
    settings.advanced.form("train").editor("precision").set_value("32")
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=240_000)
    assert "learning from" in widget.message.text()  # and no error
    assert "error" not in widget.message.text().lower()
    assert "Finished after 3 steps" in widget.status.text()
    folder = tmp_path / "model"
    assert {"model.safetensors", "resume.pt", "config.yaml"} <= {p.name for p in folder.iterdir()}
    settings.length.set_value(5)
    widget.resume_button.click()
    qtbot.waitUntil(ended(widget), timeout=240_000)
    assert "Finished after 5 steps" in widget.status.text()


@pytest.mark.apart
@pytest.mark.timeout(600)
def test_a_real_run_without_labels_says_what_is_missing(viewer, widget, recording, qtbot):
    viewer.layers.remove("labels")
    empty = recording[1].keep(np.zeros_like(recording[1].present))
    data, attributes, _ = points_layer_data(empty, name="nothing")
    viewer.add_points(data, **attributes)
    widget.start()
    qtbot.waitUntil(ended(widget), timeout=240_000)
    assert "no labelled animal" in widget.message.text()


def test_recordings_of_different_animals_are_refused(recording):
    from napari_semimultipose.widgets.jobs import Recording, merge_recordings

    frames, truth = recording
    other = Poses(Skeleton(("nose",)), np.zeros((1, 1, 1, 2)), [0])
    stack = open_frames(frames)
    with pytest.raises(LabelsError, match=r"'b' has other keypoints than 'a'"):
        merge_recordings([Recording(truth, 0, stack, "a"), Recording(other, 0, stack, "b")])


def test_two_layers_of_one_labels_file_are_joined(recording):
    """Labels of several videos are opened as one layer a video; each knows all videos."""
    from napari_semimultipose.widgets.jobs import Recording, merge_recordings

    frames, truth = recording
    videos = (Video("a.mp4"), Video("b.mp4"), Video("c.mp4"))
    parts, stacks = [], []
    for v in (0, 1):
        poses = truth.select(range(3 * v, 3 * v + 3))
        parts.append(Poses(truth.skeleton, poses.xy, poses.frame, video=[v] * 3, videos=videos))
        stacks.append(open_frames(frames[6 * v : 6 * v + 6]))
    labels, found = merge_recordings(
        [Recording(part, v, stacks[v], "ab"[v]) for v, part in enumerate(parts)]
    )
    assert labels.videos == videos
    assert labels.video.tolist() == [0, 0, 0, 1, 1, 1]
    assert found == {0: stacks[0], 1: stacks[1]}


def test_recordings_with_the_same_reference_stay_apart(recording):
    from napari_semimultipose.widgets.jobs import Recording, merge_recordings

    frames, truth = recording
    a, b = open_frames(frames[:6]), open_frames(frames[6:])
    first, second = truth.select(range(6)), truth.select(range(3))
    labels, stacks = merge_recordings([Recording(first, 0, a, "a"), Recording(second, 0, b, "b")])
    assert len(labels) == 9
    assert len(labels.videos) == 2
    assert {len(labels.select(labels.video == v)): s for v, s in stacks.items()} == {6: a, 3: b}
