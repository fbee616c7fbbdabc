"""A model is asked about turned copies of some frames, and frames on which it then differs are suggested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose import second_look
from napari_semimultipose.config import Config, PredictConfig
from napari_semimultipose.errors import LabelsError, ModelError
from napari_semimultipose.inference import members, predict
from napari_semimultipose.inference.copies import View, predict_copies
from napari_semimultipose.inference.follow import Animals
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.labeling.suggest import Progress, drain
from napari_semimultipose.models import checkpoint
from napari_semimultipose.models.checkpoint import ModelInfo
from napari_semimultipose.poses import Poses, Skeleton, Source

SKELETON = Skeleton(("left", "right"), symmetry=((0, 1),))
SIZE = (40, 60)
DREAMT = 33
"""On this frame the model stand-in sees an animal at one place of the picture, however it is turned."""


class Reader:
    """Stands for a model: an animal lies between a bright and a dark dot."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.skeleton = SKELETON

    def stream(self, frames: Frames, indices, *, follow, should_stop):
        for i in indices:
            if should_stop():
                return
            self.asked.append(i)
            picture = frames[i][..., 0].astype(int)
            dots = [np.argwhere(picture == value)[0][::-1] for value in (200, 100)]
            # Seen in a mirror, the dot of the left side is the one of the right side.
            if picture[picture > 0].min() != 50:
                dots = []
            ahead = np.argwhere(picture == 50)[0][::-1] if dots else None
            if dots:
                (x, y), (u, v) = dots[1] - dots[0], ahead - dots[0]
                dots = dots if x * v - y * u < 0 else dots[::-1]
            xy = np.array([dots], float)
            if i == DREAMT:
                xy = np.array([[[5.0, 5], [5, 15]]])
            yield [i], [Animals(xy, np.full((1, 2), 0.9), np.full(1, 0.9))]


def recording(count: int = 120) -> tuple[Frames, Poses]:
    """Frames with an animal of three dots: left, right and ahead."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((count, *SIZE, 1), np.uint8)
    xy = np.zeros((count, 1, 2, 2))
    for i in range(count):
        x, y = rng.integers([12, 12], [SIZE[1] - 12, SIZE[0] - 12])
        for value, at in ((200, (x, y - 5)), (100, (x, y + 5)), (50, (x + 6, y))):
            pictures[i, at[1], at[0]] = value
        xy[i, 0] = [(x, y - 5), (x, y + 5)]
    poses = Poses(SKELETON, xy, np.arange(count), source=np.full((count, 1), Source.PREDICTED))
    return open_frames(pictures), poses


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    model = Reader()
    info = ModelInfo(SKELETON, Config().with_settings({"model.kind": "directpose"}), 1.0)

    def stream(predictor, frames, *, frame_range, follow, should_stop):  # type: ignore[no-untyped-def]
        for part, animals in predictor.stream(
            frames, frame_range, follow=follow, should_stop=should_stop
        ):
            yield predict.PredictedChunk(
                predict.to_poses(SKELETON, part, animals, (predict.video_of(frames),)), 0, 0
            )

    monkeypatch.setattr(checkpoint, "read_info", lambda path: info)
    monkeypatch.setattr(members, "load_predictor", lambda path, config: model)
    monkeypatch.setattr("napari_semimultipose.inference.copies.predict_stream", stream)
    return model


def ask(frames: Frames, count: int, **more: object) -> list:
    return drain(second_look.suggest_with_model(Path("model"), frames, count, **more))  # type: ignore[arg-type]


def test_the_model_is_not_averaged_over_turned_copies(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for pictures: it would say the same of a turned copy by construction."""
    turns: list[int] = []

    def load(path: Path, config: PredictConfig) -> Reader:
        turns.append(config.turns)
        return reader

    monkeypatch.setattr(members, "load_predictor", load)
    ask(recording()[0], 1)
    assert turns == [1]


def test_the_frame_on_which_the_model_dreams_is_found(reader: Reader) -> None:
    frames, poses = recording()
    dreamt = poses.xy.copy()
    dreamt[DREAMT, 0] = [(5, 5), (5, 15)]
    found = ask(frames, 1, predictions=[replace(poses, xy=dreamt)])
    assert (found[0].frame, found[0].kind) == (DREAMT, "turned")
    assert "when the picture is turned" in found[0].reason


def test_without_predictions_the_model_makes_them(reader: Reader) -> None:
    frames, _ = recording()
    steps: list[Progress] = []
    found = drain(second_look.suggest_with_model(Path("model"), frames, 12), steps.append)
    assert (found[0].frame, found[0].kind) == (DREAMT, "turned")
    assert len(reader.asked) == 3 * 120  # as they are, mirrored, and turned by half a turn
    assert {s.what for s in steps} >= {"predicting frames", "predicting copy 2 of 2"}
    assert all(0 <= s.done <= s.total for s in steps)


def test_only_some_frames_of_long_recordings_are_looked_at(reader: Reader) -> None:
    frames, poses = recording(900)
    labels = replace(poses.select([100, 200]), source=np.zeros((2, 1)))
    ask(frames, 2, predictions=[poses], labels=[labels])
    assert 40 <= len(set(reader.asked)) <= second_look.FEWEST_LOOKS
    assert {100, 200}.isdisjoint(reader.asked)


def test_stopping_keeps_what_was_seen(reader: Reader) -> None:
    frames, poses = recording()
    assert ask(frames, 3, should_stop=lambda: True) == []
    found = ask(frames, 3, predictions=[poses], should_stop=lambda: len(reader.asked) > 20)
    assert len(found) == 3


def test_what_cannot_be_is_said(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, poses = recording(30)
    other = replace(poses, skeleton=Skeleton(("a", "b")))
    with pytest.raises(LabelsError, match="one skeleton"):
        ask(frames, 3, predictions=[other])
    monkeypatch.undo()
    with pytest.raises(ModelError, match="no model folder"):
        ask(frames, 3)


def test_sides_of_mirrored_animals_are_exchanged_back(reader: Reader) -> None:
    frames, poses = recording(20)
    for view in (View(), View(mirrored=True), View(angle_deg=180.0)):
        seen = Poses.concatenate(list(predict_copies(reader, frames, view, range(20))))  # type: ignore[arg-type]
        np.testing.assert_allclose(seen.xy, poses.xy)
