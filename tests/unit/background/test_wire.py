"""What travels between a viewer and its working process."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose.background.wire import Answer, Wire, Work
from napari_semimultipose.config import Config
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.training.events import Done, Step
from napari_semimultipose.widgets.jobs import TrainingJob


def through(message):
    sent = io.BytesIO()
    Wire(io.BytesIO(), sent).send(message)
    return Wire(io.BytesIO(sent.getvalue()), io.BytesIO()).receive()


@pytest.mark.parametrize(
    "message",
    [
        Work("a.b", "c", (1, "two", None, (3.0, {"x": [True]})), "."),
        Step(3, 1.5, 0.1, 20.0, {"total": 1.0}, 1e-3),
        Done(Path("model"), 5, "finished"),
        TrainingJob(Path("m"), Config().with_settings({"train.minutes": 3}), unlabeled=[Path("a")]),
        {1, 2},
        np.float64(3.5),
        np.dtype("<f4"),
    ],
)
def test_messages_arrive_as_they_were(message):
    assert through(message) == message


def test_arrays_arrive_as_they_were():
    for array in (
        np.arange(12.0).reshape(3, 4),
        np.arange(6)[::2],
        np.array(["ab", "c"]),
        np.eye(3).T,
    ):
        found = through(Answer(1, array)).value
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


class _Bomb:
    def __init__(self, call, *given):
        self._reduced = (call, given)

    def __reduce__(self):
        return self._reduced


@pytest.mark.parametrize(
    "bomb",
    [
        _Bomb(os.system, "echo no"),
        _Bomb(eval, "1"),
        _Bomb(getattr, [], "append"),
        _Bomb(subprocess.Popen, ["echo"]),
        _Bomb(open_frames, "a function of ours is no class"),
        _Bomb(pickle.loads, b""),
    ],
)
def test_other_things_are_refused(bomb):
    content = pickle.dumps(bomb)
    wire = Wire(io.BytesIO(len(content).to_bytes(8, "little") + content), io.BytesIO())
    with pytest.raises(pickle.UnpicklingError, match="may not hold"):
        wire.receive()


def test_frames_do_not_travel_where_nobody_can_answer():
    frames = open_frames(np.zeros((2, 8, 9), np.uint8))
    with pytest.raises(pickle.PicklingError, match="never back"):
        Wire(io.BytesIO(), io.BytesIO()).send(frames)


@pytest.mark.parametrize("cut", [0, 3, 8, 12])
def test_a_pipe_that_ends_is_an_end(cut):
    sent = io.BytesIO()
    Wire(io.BytesIO(), sent).send(Answer(1, "text"))
    with pytest.raises(EOFError):
        Wire(io.BytesIO(sent.getvalue()[:cut]), io.BytesIO()).receive()
