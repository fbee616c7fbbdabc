"""The main job on built-in sample data: the steps of ``semimultipose demo``."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose import api
from napari_semimultipose.config import Config
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.io.sample import SampleFiles, SyntheticRecording, write_sample
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    from napari_semimultipose.training.events import Event

N_FRAMES = 300
"""Frames of the sample recording."""
N_UNSEEN = 100
"""Its last frames, which training never sees and which are scored."""
N_LABELLED = 60
"""Labelled frames, spread over the others."""
ANIMALS = 3
SIZE_PX = (384, 384)
"""Height and width of its frames."""

FILES = {
    "recording.mp4": "the sample recording",
    "truth.slp": "its true poses",
    "labels.slp": f"labels of {N_LABELLED} frames",
    "model": "the trained model",
    "predictions.slp": f"tracked poses of the last {N_UNSEEN} frames, which training never saw",
    "labeled.mp4": "the same, drawn into the frames",
    "scores.json": "their scores",
    "scores.png": "their scores as a figure",
}
"""What a demo leaves in its folder."""


def make_sample(folder: Path, seed: int = 0) -> SampleFiles:
    """Write the sample recording, its true poses and labels of some frames.

    The model of an earlier demo in the same folder is deleted.

    Parameters
    ----------
    folder : Path
        Is made if needed.
    seed : int
        Seed of the recording.

    Raises
    ------
    LabelsError
        When the folder holds a recording, labels or a model that no demo made.
    """
    taken = [name for name in ("recording.mp4", "labels.slp", "model") if (folder / name).exists()]
    if taken and not (folder / "truth.slp").exists():
        raise LabelsError(
            f"{folder} holds other data ({', '.join(taken)}); choose another folder (--out)"
        )
    shutil.rmtree(folder / "model", ignore_errors=True)
    recording = SyntheticRecording(N_FRAMES, animals=ANIMALS, size=SIZE_PX, seed=seed)
    return write_sample(folder, recording, labelled=N_LABELLED, unseen=N_UNSEEN)


def train(
    sample: SampleFiles, config: Config, should_stop: Callable[[], bool] | None = None
) -> Iterator[Event]:
    """Train on the labelled frames, and on the frames between them without labels.

    See `api.train` for the events.
    """
    unseen = sample.unseen
    yield from api.train(
        sample.labels,
        sample.labels.with_name("model"),
        frames=sample.frames,
        exclude_list=[f"{unseen.start}:{unseen.stop}"],
        config=config,
        should_stop=should_stop,
    )


def predict(
    sample: SampleFiles,
    *,
    device: str = "auto",
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Poses:
    """Predict and track the frames that training has not seen.

    The predictions are averaged over four turned copies of the frames (``predict.turns``): after a training
    as short as this one the network does not yet see the same in all directions.
    """
    model = sample.labels.with_name("model")
    config = api.prediction_config(model, animals=ANIMALS)
    return api.predict(
        model,
        sample.frames,
        config=config.with_settings({"predict.device": device, "predict.turns": 4}),
        frame_range=sample.unseen,
        should_stop=should_stop,
        on_progress=on_progress,
    )


def write_results(sample: SampleFiles, poses: Poses) -> dict[str, Any]:
    """Score predictions of the unseen frames and write everything that there is to look at.

    Returns
    -------
    dict
        The scores, as of `api.evaluate`.
    """
    from napari_semimultipose.evaluation.figures import draw_scores

    folder = sample.labels.parent
    truth = api.read_poses(sample.truth)
    scores = api.evaluate(poses, truth.select(np.isin(truth.frame, sample.unseen)))
    api.write_poses(poses, folder / "predictions.slp")
    with replace_file(folder / "scores.json") as fresh:
        fresh.write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    draw_scores(scores, folder / "scores.png")
    api.render(poses, sample.frames, folder / "labeled.mp4")
    return scores


def has_display() -> bool:
    """Whether a window can be opened here."""
    if sys.platform != "linux":
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def show(sample: SampleFiles, poses: Poses) -> None:
    """Open napari with the recording and the predictions, until it is closed."""
    import napari

    from napari_semimultipose.io.video import as_layer_data
    from napari_semimultipose.layers.predictions import PredictionLayers

    with api.open_frames(sample.frames) as frames:
        viewer = napari.Viewer(title="SemiMultiPose: the demo")
        picture = as_layer_data(frames)
        image = viewer.add_image(
            picture, name="recording", rgb=picture.rgb, contrast_limits=(0, 255), multiscale=False
        )
        PredictionLayers(viewer, poses, name="predictions", image=image)
        viewer.dims.set_current_step(0, sample.unseen.start)
        napari.run()
