"""Training of the second head, which looks at the frames around each frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_semimultipose.config import Config
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.checkpoint import load_model, read_info
from napari_semimultipose.training.events import Done, Event, Failed, Notice, Started, Step
from napari_semimultipose.training.loop import train

from .test_heatmap_training import TINY, animal, of

if TYPE_CHECKING:
    from conftest import Job


def run(
    out: Path, *changes: str, frames: Any = None, labelled: int = 14, **more: Any
) -> list[Event]:
    poses, stack = animal()
    config = Config().with_settings([*TINY, "model.context=true", *changes])
    sources = {0: open_frames(stack)} if frames is None else frames
    return list(train(poses.select(np.arange(labelled)), out, config, frames=sources, **more))


def test_both_heads_of_one_animal_learn_and_predict(tmp_path: Path) -> None:
    events = run(tmp_path / "m")
    assert isinstance(events[-1], Done), events[-1]
    assert {name for e in of(events, Step) for name in e.losses} == {"heatmap", "context", "total"}
    network, info = load_model(tmp_path / "m")
    assert network.context is not None
    assert all(float(gate.detach().abs().sum()) > 0 for gate in network.context.gates)
    config = info.config.predict.model_copy(update={"score_threshold": 0.0, "device": "cpu"})
    _, stack = animal()
    stream = Predictor(network, info, config).stream(open_frames(stack), range(24))
    found = [a for _, part in stream for a in part]
    assert [len(a) for a in found] == [1] * 24


LOSSES = ("video.losses=[temporal]", "video.start=0", "video.jump_px=1", "train.iterations=6")


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", *LOSSES)
    assert isinstance(whole[-1], Done), whole[-1]
    names = {name for e in of(whole, Step) for name in e.losses}
    assert {"heatmap", "context", "temporal", "temporal_active"} <= names
    asked = iter([False] * 3 + [True] * 9)
    first = run(tmp_path / "halves", *LOSSES, should_stop=lambda: next(asked))
    assert first[-1].reason == "stopped"  # type: ignore[union-attr]
    second = run(tmp_path / "halves", *LOSSES, resume=True)
    assert of(second, Started)[0].iteration == 3
    expected = load_file(str(tmp_path / "whole" / "last.safetensors"))
    resumed = load_file(str(tmp_path / "halves" / "last.safetensors"))
    assert expected.keys() == resumed.keys()
    for name, value in expected.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-6, rtol=1e-5, msg=name)


def images(folder: Path, count: int) -> dict[int, Any]:
    from PIL import Image

    _, stack = animal()
    files = [folder / f"still{chr(97 + i)}.png" for i in range(count)]
    for i, file in enumerate(files):
        Image.fromarray(stack[i, ..., 0]).save(file)
    return {0: open_frames(files)}


def test_without_neighbours_training_goes_on_without_context_and_says_so(tmp_path: Path) -> None:
    events = run(tmp_path / "m", frames=images(tmp_path, 14))
    assert isinstance(events[-1], Done), events[-1]
    notes = " ".join(e.message for e in of(events, Notice))
    assert "no neighbouring frames are used" in notes
    assert not read_info(tmp_path / "m").config.model.context
    assert load_model(tmp_path / "m")[0].context is None


def test_a_run_with_context_is_not_resumed_without_its_neighbours(tmp_path: Path) -> None:
    run(tmp_path / "m", "train.iterations=1")
    (event,) = run(tmp_path / "m", frames=images(tmp_path, 14), resume=True)
    assert isinstance(event, Failed)
    assert "no longer found" in event.message


@pytest.mark.parametrize("method", ["directpose", "semimultipose"])
def test_both_heads_of_several_animals_learn(job: Job, method: str) -> None:
    changes = (f"train.method={method}", "model.context=true", "train.iterations=4")
    clips = ("video.losses=[temporal]", "video.start=0", "video.every=1", "video.clip_frames=3")
    events = list(train(**job.arguments(*changes, *clips)))
    assert isinstance(events[-1], Done), events[-1]
    names = {name for e in events if isinstance(e, Step) for name in e.losses}
    assert {"cls", "context_cls", "context_keypoints", "context_heat", "clip_animals"} <= names
    assert all(np.isfinite(v) for e in of(events, Step) for v in e.losses.values())
    network, _ = load_model(job.out)
    assert network.context is not None
    assert all(float(gate.detach().abs().sum()) > 0 for gate in network.context.gates)
