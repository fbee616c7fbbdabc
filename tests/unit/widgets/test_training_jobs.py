"""What the Train widget runs, with recordings of layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_semimultipose.config import Config
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.training.events import Done, Notice, Step
from napari_semimultipose.widgets.jobs import Recording, TrainingJob, training_events

from ..training.rig import session


def test_layers_of_two_cameras_are_compared(tmp_path: Path) -> None:
    """The names of the layers tell the cameras: labels and frames of each are a pair of layers."""
    labels, frames = session()
    settings = [
        "heatmap.side_px=64",
        "heatmap.batch=2",
        "model.channels=8",
        "model.backbone=mobilenet_v3_small",
        "video.losses=[multiview]",
        "video.cameras=[top, side]",
        "video.every=1",
        "video.start=0",
        "train.minutes=0",
        "train.iterations=2",
        "train.precision='32'",
        "train.device=cpu",
    ]
    pairs = [
        Recording(labels.select(np.flatnonzero(labels.video == v)), v, frames[v], name)
        for v, name in enumerate(("top", "side"))
    ]
    job = TrainingJob(tmp_path / "m", Config().with_settings(settings), recordings=pairs)
    events = list(training_events(job, lambda: False))
    assert isinstance(events[-1], Done), events[-1]
    assert not any("left out" in e.message for e in events if isinstance(e, Notice))
    assert "multiview" in [e.losses for e in events if isinstance(e, Step)][-1]


def test_layers_with_images_that_have_moved(tmp_path: Path) -> None:
    """The layers hold the frames: where the labels say that their images lie does not matter."""
    names = tuple(f"{i}.png" for i in range(4))
    xy = np.tile([[10.0, 20.0], [40.0, 30.0]], (4, 1, 1, 1))
    skeleton = Skeleton(("head", "tail"))
    labels = Poses(skeleton, xy, range(4), videos=(Video(str(tmp_path / "gone"), names),))
    frames = open_frames(np.random.default_rng(0).integers(0, 255, (4, 64, 64), np.uint8))
    settings = [
        *("heatmap.side_px=64", "heatmap.batch=2", "model.channels=8", "train.iterations=1"),
        *("model.backbone=mobilenet_v3_small", "train.minutes=0", "train.device=cpu"),
    ]
    pair = Recording(labels, 0, frames, "labels", path=tmp_path / "labels.json")
    job = TrainingJob(tmp_path / "m", Config().with_settings(settings), recordings=[pair])
    events = list(training_events(job, lambda: False))
    assert isinstance(events[-1], Done), events[-1]
