"""Members of an ensemble take turns; what all of them have seen is kept, whatever happens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from napari_semimultipose.config import PredictConfig
from napari_semimultipose.errors import FramesError
from napari_semimultipose.inference import predict
from napari_semimultipose.inference.members import EnsemblePredictor, predict_stream
from napari_semimultipose.inference.predict import PredictedChunk
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Source

SKELETON = Skeleton(("a", "b"))
FRAMES = open_frames(np.zeros((400, 4, 8, 1), np.uint8))


class Member:
    """Stands for a model that finds one animal on each frame, but cannot read one of them."""

    def __init__(self, damaged: int | None = None) -> None:
        self.info = self.device = None
        self.config = PredictConfig()
        self.damaged = damaged
        self.seen: list[int] = []


@pytest.fixture(autouse=True)
def streams(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(member, frames, *, frame_range, follow, should_stop) -> Iterator[PredictedChunk]:
        for first in range(0, len(frame_range), 4):
            chunk = frame_range[first : first + 4]
            part = list(itertools.takewhile(lambda i: i != member.damaged, chunk))
            if should_stop():
                return
            member.seen += part
            xy = np.array([[[[i, 1.0], [i, 9.0]]] for i in part]).reshape(-1, 1, 2, 2)
            source = np.full((len(part), 1), Source.PREDICTED)
            yield PredictedChunk(Poses(SKELETON, xy, part, source=source), 0, 0)
            if len(part) < len(chunk):
                raise FramesError(f"frame {member.damaged} is damaged")

    monkeypatch.setattr(predict, "predict_stream", stream)


def collected(members: list[Member], stop_after: int | None = None) -> tuple[list[int], str, list]:
    """Frames that come out, the error, and the numbers of frames done."""
    ensemble = EnsemblePredictor(members)  # type: ignore[arg-type]
    asked = SimpleNamespace(times=0)

    def should_stop() -> bool:
        asked.times += 1
        return stop_after is not None and asked.times > stop_after

    out: list[int] = []
    done: list[int] = []
    try:
        for chunk in predict_stream(
            ensemble, FRAMES, frame_range=range(100), should_stop=should_stop
        ):
            out += chunk.poses.frame.tolist()
            done.append(chunk.done)
            assert chunk.poses.xy[:, 0, 0, 0].tolist() == chunk.poses.frame.tolist()
    except FramesError as error:
        return out, str(error), done
    return out, "", done


def test_all_members_see_all_frames_soon_few_then_more_at_a_time() -> None:
    members = [Member(), Member()]
    out, error, done = collected(members)
    assert (out, error) == (list(range(100)), "")
    assert [sorted(member.seen) for member in members] == [list(range(100))] * 2
    assert done[0] == 16
    assert done == sorted(set(done))
    assert len(done) < 6


@pytest.mark.parametrize("broken", [0, 1])
def test_frames_before_a_damaged_one_are_kept(broken: int) -> None:
    members = [Member(30 if i == broken else None) for i in range(3)]
    out, error, done = collected(members)
    assert "frame 30 is damaged" in error
    assert out == list(range(30))
    assert done[-1] == 30


def test_a_damaged_first_frame_is_told_without_poses() -> None:
    out, error, _ = collected([Member(0), Member()])
    assert (out, error) == ([], "frame 0 is damaged")


def test_a_stop_keeps_what_all_have_seen() -> None:
    # 16 frames in chunks of 4 by both members, and then some of the next turn.
    out, error, done = collected([Member(), Member()], stop_after=10)
    assert (out, error, done) == (list(range(16)), "", [16])
