"""Take the pictures of the documentation from a real window, on the built-in sample.

    semimultipose demo --headless --out DEMO
    xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshots.py DEMO [--minutes 1.5]

Writes ``annotate.png``, ``suggest.png``, ``train.png``, ``predict.png``, ``result.png``, ``review.png`` and ``report.png`` to ``docs/images``.
Without a demo only those are taken that need none; ``report.png`` also needs a browser (chromium).
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QEventLoop, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_semimultipose import api
from napari_semimultipose.demo import N_FRAMES, N_UNSEEN
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.poses import Poses, Source, Video
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.predict import PredictWidget
from napari_semimultipose.widgets.review import ReviewWidget
from napari_semimultipose.widgets.suggest import SuggestWidget
from napari_semimultipose.widgets.train import TrainWidget

IMAGES = Path(__file__).parent / "images"


def spin(seconds: float) -> None:
    """Let the window work for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.005)


def shot(viewer: napari.Viewer, name: str) -> None:
    spin(0.5)
    viewer.window._qt_window.grab().save(str(IMAGES / f"{name}.png"))


def dock(viewer: napari.Viewer, widget: QWidget, name: str) -> None:
    made = viewer.window.add_dock_widget(widget, name=name, area="right")
    spin(0.5)
    window = viewer.window._qt_window
    window.resizeDocks([made], [400], Qt.Orientation.Horizontal)
    spin(0.5)


def window() -> napari.Viewer:
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    spin(0.5)
    return viewer


def annotate() -> None:
    viewer = window()
    viewer.open_sample("napari-semimultipose", "beetles")
    dock(viewer, AnnotateWidget(viewer), "Annotate")
    viewer.dims.set_current_step(0, 6)
    viewer.reset_view()
    shot(viewer, "annotate")
    viewer.close()


def train(demo: Path, minutes: float) -> None:
    viewer = window()
    viewer.open(demo / "recording.mp4", plugin="napari-semimultipose")
    viewer.open(demo / "labels.slp", plugin="napari-semimultipose")
    widget = TrainWidget(viewer)
    dock(viewer, widget, "Train")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "beetles-model"
        widget.settings.out.set_path(str(out))
        widget.settings.length.set_value(minutes)
        widget.start()
        end = time.monotonic() + minutes * 60 * 0.9 + 20
        while widget.runner.running and time.monotonic() < end:
            spin(0.5)
        shot(viewer, "train")
        widget.stop()
        while widget.runner.running:
            spin(0.2)
        viewer.close()
        shutil.rmtree(out, ignore_errors=True)


def predict(demo: Path) -> None:
    viewer = window()
    viewer.open(demo / "recording.mp4", plugin="napari-semimultipose")
    widget = PredictWidget(viewer)
    dock(viewer, widget, "Predict")
    widget.set_model(demo / "model")
    with tempfile.TemporaryDirectory() as folder:
        widget.settings.out.set_path(str(Path(folder) / "poses.slp"))
        widget.start()
        while widget.runner.running and widget.progress.value() < 100:  # frames
            spin(0.2)
        viewer.dims.set_current_step(0, 40)
        spin(1)
        shot(viewer, "predict")
        while widget.runner.running:
            spin(0.2)
        viewer.dims.set_current_step(0, 215)
        shot(viewer, "result")
        viewer.close()


def with_mistakes() -> tuple[np.ndarray, Poses]:
    """A recording, and its true poses with a swap, a leap, a gap and doubts."""
    recording = SyntheticRecording(400, animals=3, seed=3, missing=0)
    truth = recording.poses(Video("beetles"))
    rng = np.random.default_rng(0)
    xy, track = truth.xy.copy(), truth.track.copy()
    score = 0.7 + 0.05 * rng.standard_normal(truth.instance_score.shape)
    xy[40:43, 2] += 60
    xy[220:224, 0] = np.nan
    track[150:] = np.array([1, 0, 2])[track[150:]]
    score[300:306, 1] = 0.15
    poses = replace(
        truth,
        xy=xy,
        track=track,
        instance_score=score,
        score=np.clip(0.7 + 0.05 * rng.standard_normal(truth.score.shape), 0, 1),
        source=np.full(truth.source.shape, Source.PREDICTED),
        track_names=(),
    )
    return recording[:], poses


def review() -> None:
    viewer = window()
    viewer.window._qt_window.resize(1400, 900)
    frames, poses = with_mistakes()
    image = viewer.add_image(frames, rgb=True, contrast_limits=(0, 255), name="beetles")
    PredictionLayers(viewer, poses, name="beetles poses", image=image)
    widget = ReviewWidget(viewer)
    dock(viewer, widget, "Review")
    widget.form.animals.setValue(3)
    widget.show_plot()
    widget.find()
    while widget.runner.running:
        spin(0.2)
    widget.next_problem(1)
    spin(0.5)
    viewer.reset_view()
    shot(viewer, "review")
    viewer.close()


def suggest(demo: Path) -> None:
    viewer = window()
    viewer.open(demo / "recording.mp4", plugin="napari-semimultipose")
    viewer.open(demo / "predictions.slp", plugin="napari-semimultipose")
    widget = SuggestWidget(viewer)
    dock(viewer, widget, "Suggest")
    widget.count.setValue(6)
    widget.start()
    while widget.runner.running or widget.painter.running:
        spin(0.2)
    widget.step(1)
    viewer.reset_view()
    shot(viewer, "suggest")
    viewer.close()


def report(demo: Path) -> None:
    """Take the first part of a report; a browser draws it, where there is one."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        logging.warning("report.png is not taken: there is no browser")
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        truth = api.read_poses(demo / "truth.slp")
        unseen = truth.select(truth.frame >= N_FRAMES - N_UNSEEN)
        api.report(demo / "model", page, truth=unseen, frames=demo / "recording.mp4")
        subprocess.run(
            [
                browser,
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--window-size=1060,2900", f"--screenshot={folder}/all.png", page.as_uri()),
            ],
            check=True,
            capture_output=True,
        )
        with Image.open(f"{folder}/all.png") as picture:
            picture.convert("P", palette=Image.Palette.ADAPTIVE).save(
                IMAGES / "report.png", optimize=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=1.5)
    given = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    annotate()
    review()
    if given.demo is not None:
        suggest(given.demo)
        predict(given.demo)
        report(given.demo)
        train(given.demo, given.minutes)


if __name__ == "__main__":
    main()
