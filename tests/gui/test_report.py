"""The report buttons of Train and Predict in a real window."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_semimultipose import api
from napari_semimultipose.config import Config
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.layers.points import points_layer_data
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.models.checkpoint import ModelInfo, write_info
from napari_semimultipose.poses import Poses, Source
from napari_semimultipose.reports import model as model_module
from napari_semimultipose.reports import page as page_module
from napari_semimultipose.training.events import Done
from napari_semimultipose.widgets import report_export
from napari_semimultipose.widgets import train as train_module
from napari_semimultipose.widgets.jobs import Recording, TrainingJob, merge_recordings
from napari_semimultipose.widgets.polling import polled
from napari_semimultipose.widgets.predict import PredictWidget
from napari_semimultipose.widgets.report_jobs import frames_of_training
from napari_semimultipose.widgets.review import ReviewWidget
from napari_semimultipose.widgets.train import TrainWidget


@pytest.fixture(scope="module")
def recording():
    frames, truth = make_recording(12, animals=2, size=(96, 96), length_px=40, seed=0)
    random = np.random.default_rng(0)
    predicted = Poses(
        truth.skeleton,
        truth.xy,
        truth.frame,
        track=truth.track,
        score=random.uniform(0.5, 1, truth.score.shape),
        instance_score=random.uniform(0.5, 1, truth.track.shape),
        source=np.full(truth.track.shape, Source.PREDICTED),
    )
    return frames, truth, predicted


@pytest.fixture
def opened(monkeypatch):
    """What would have been shown in a browser."""
    paths = []
    monkeypatch.setattr(report_export, "open_page", lambda path: bool(paths.append(path)) or True)
    monkeypatch.setattr(page_module, "svg_of", lambda figure: "<svg></svg>")
    return paths


@pytest.fixture
def predict(viewer, open_widget, recording):
    viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")
    widget = open_widget(PredictWidget)
    widget._frames, widget._place = widget.recording.frames(), widget.recording.place()
    return widget


def idle(button):
    return lambda: not button.runner.running


@pytest.mark.apart
def test_a_report_of_the_result_is_written_and_opened(predict, recording, opened, tmp_path, qtbot):
    button = predict.report_button
    assert not button.isEnabled()
    predict._poses = recording[2]
    predict._update_buttons()
    assert button.isEnabled()
    out = tmp_path / "report.html"
    told = []
    button.progressed.connect(lambda share, text: told.append(share))
    button.write(out)
    assert predict.stop_button.isEnabled()
    assert not predict.video_button.isEnabled()
    assert predict.progress.format().startswith("report")
    qtbot.waitUntil(idle(button), timeout=240_000)
    assert opened == [out]
    assert f"Report: {out}" in predict.message.text()
    assert predict.progress.format() == ""
    assert button.isEnabled()
    text = out.read_text()
    assert "Tracks" in text
    assert "data:image/jpeg" in text  # the frames of the layer
    assert told == sorted(told)


def test_the_name_is_proposed_and_completed(
    predict, recording, opened, tmp_path, qtbot, monkeypatch
):
    asked = []

    def ask(parent, title, proposal, kinds):
        asked.append(proposal)
        return (str(tmp_path / "mine") if len(asked) == 1 else ""), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    predict._poses = recording[2]
    predict._update_buttons()
    predict.report_button.click()
    qtbot.waitUntil(idle(predict.report_button), timeout=60_000)
    assert asked[0].endswith("beetles-report.html")
    assert opened == [tmp_path / "mine.html"]
    predict.report_button.click()  # the dialog is closed without a name
    assert not predict.report_button.runner.running


def test_errors_are_shown_and_nothing_is_opened(predict, recording, opened, tmp_path, qtbot):
    predict._poses = recording[2]
    predict._update_buttons()
    (tmp_path / "file").write_text("")
    predict.report_button.write(tmp_path / "file" / "report.html")
    qtbot.waitUntil(idle(predict.report_button), timeout=60_000)
    assert "file" in predict.message.text()
    assert opened == []
    assert predict.report_button.isEnabled()


def test_stop_gives_a_report_up(predict, recording, opened, tmp_path, qtbot, monkeypatch):
    began = threading.Event()

    def endless(source, out, *, should_stop, on_progress, **more):
        on_progress(0.5, "looking for problems")
        began.set()
        return wait_for(should_stop)

    monkeypatch.setattr(api, "report", endless)
    predict._poses = recording[2]
    predict._update_buttons()
    predict.report_button.write(tmp_path / "report.html")
    qtbot.waitUntil(began.is_set, timeout=60_000)
    qtbot.waitUntil(lambda: predict.progress.value() == 500, timeout=5000)
    assert predict.progress.format() == "report: looking for problems"
    predict.stop_button.click()
    qtbot.waitUntil(idle(predict.report_button), timeout=20_000)
    assert "The report was given up." in predict.message.text()
    assert opened == []


def test_a_missing_browser_is_said(predict, recording, opened, tmp_path, qtbot, monkeypatch):
    monkeypatch.setattr(report_export, "open_page", lambda path: False)
    monkeypatch.setattr(api, "report", lambda *given, **more: True)
    predict._poses = recording[2]
    predict.report_button.write(tmp_path / "report.html")
    qtbot.waitUntil(idle(predict.report_button), timeout=60_000)
    assert "no browser could be opened" in predict.message.text()


def test_a_page_is_opened_with_its_path(monkeypatch, tmp_path):
    urls = []
    monkeypatch.setattr(
        report_export.QDesktopServices, "openUrl", lambda url: urls.append(url) or True
    )
    assert report_export.open_page(tmp_path / "a b.html")
    assert urls[0].isLocalFile()
    assert Path(urls[0].toLocalFile()) == tmp_path / "a b.html"


def trained(job, should_stop):
    """Play a training: leave a model folder without weights."""
    labels, _ = merge_recordings(job.recordings)
    write_info(job.out, ModelInfo(labels.skeleton, Config(), 1.0, 40.0, {}, 2))
    api.write_poses(labels, job.out / "labels.slp")
    split = {"videos": [v.path for v in labels.videos], "unlabeled": 4, "scale": 1.0}
    split |= {"train": [[0, i] for i in range(6)], "validation": [[0, 6], [0, 7]]}
    (job.out / "split.json").write_text(json.dumps(split))
    yield Done(job.out, 2, "finished", {})


def test_a_trained_model_is_reported_with_the_frames_of_its_layers(
    viewer, open_widget, recording, opened, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setattr(train_module, "training_events", trained)
    monkeypatch.setattr(model_module, "predict_unseen", lambda folders, unseen, *_: unseen.truth)
    viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")
    data, attributes, _ = points_layer_data(recording[1].select(range(8)), name="labels")
    viewer.add_points(data, **attributes)
    widget = open_widget(TrainWidget)
    button = widget.report_button
    assert button.isHidden()
    widget.settings.out.set_path(tmp_path / "model")
    widget.start()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)
    assert not button.isHidden()
    assert button.isEnabled()
    out = tmp_path / "report.html"
    button.write(out)
    assert not widget.start_button.isEnabled()
    assert widget.stop_button.isEnabled()
    qtbot.waitUntil(idle(button), timeout=240_000)
    assert opened == [out], widget.message.text()
    assert f"Report: {out}" in widget.message.text()
    assert widget.start_button.isEnabled()
    text = out.read_text()
    assert "On the 2 validation frames" in text
    assert "data:image/jpeg" in text
    widget.start()  # another run: the name of the folder is taken
    assert "already holds a model" in widget.message.text()


def test_poses_that_are_reviewed_are_reported_with_its_limits(
    viewer, open_widget, recording, opened, tmp_path, qtbot, monkeypatch
):
    image = viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")
    PredictionLayers(viewer, recording[2], name="poses", image=image)
    widget = open_widget(ReviewWidget)
    qtbot.waitUntil(lambda: widget.layers is not None)
    widget.form.animals.setValue(3)
    button = widget.form.report_button
    assert button.isEnabled()
    out = tmp_path / "report.html"
    button.write(out)
    assert button.text() == "Stop"
    qtbot.waitUntil(idle(button), timeout=240_000)
    assert button.text() == "Report…"
    assert opened == [out]
    assert f"Report: {out}" in widget.form.message.text()
    text = out.read_text()
    assert "Frames with 3" in text
    assert "missing" in text  # there are two
    assert "data:image/jpeg" in text
    # A second click gives it up.
    monkeypatch.setattr(api, "report", lambda *given, should_stop, **more: wait_for(should_stop))
    button.write(out)
    button.click()
    qtbot.waitUntil(idle(button), timeout=20_000)
    assert "given up" in widget.form.message.text()


def wait_for(should_stop) -> bool:
    while not should_stop():
        threading.Event().wait(0.01)
    return False


def test_the_report_of_a_model_lies_beside_it_by_default(open_widget, viewer, tmp_path):
    widget = open_widget(TrainWidget)
    widget._on_done(Done(tmp_path / "model", 3, "stopped", {}))
    assert widget.report_button._place() == tmp_path / "model-report.html"


def test_where_the_frames_of_a_training_are(recording, tmp_path):
    frames = open_frames(recording[0])
    job = TrainingJob(
        tmp_path, Config(), recordings=[Recording(recording[1], 0, frames, "beetles")]
    )
    assert frames_of_training(job) == {0: frames}
    job = TrainingJob(tmp_path, Config(), labels_file=tmp_path / "labels.slp")
    assert frames_of_training(job) == tmp_path
    job = TrainingJob(
        tmp_path, Config(), labels_file=tmp_path / "labels.slp", frames_path=tmp_path / "clip.mp4"
    )
    assert frames_of_training(job) == tmp_path / "clip.mp4"


def test_errors_of_polled_work_are_raised_where_it_is_polled():
    def work(note):
        note(1, 2)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(polled("work", work, lambda a, b: (a, b)))
