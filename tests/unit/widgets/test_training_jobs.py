"""What the Train widget runs, with recordings of layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_semimultipose.config import Config
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
