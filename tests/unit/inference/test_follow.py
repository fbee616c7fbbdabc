"""Following a known number of animals: the same poses as from whole frames, with less work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_semimultipose.config import Config, PredictConfig
from napari_semimultipose.inference.follow import Animals, Follower, Window
from napari_semimultipose.inference.predict import Predictor, predict_stream
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.checkpoint import ModelInfo
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.poses import Poses

from .spots import PLAIN, SKELETON, SpotFinder, spots

SIZE_PX = 30.0
HEIGHT, WIDTH = 300, 400


class Watched(SpotFinder):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Output:
        self.sizes.append(tuple(images.shape))
        output = super().forward(images)
        # Of two cells that are equally bright only one is a maximum.
        cls = output.levels[0].cls
        cls += 1e-3 * torch.arange(cls.shape[-1]) + 1e-3 * torch.arange(cls.shape[-2])[:, None]
        return output


def paths(count: int, *more: tuple[float, float, float, float]) -> list[list[tuple[float, float]]]:
    """Places of spots that start at (x, y) and move by (dx, dy) a frame."""
    starts = [(60.0, 70.0, 3.0, 1.0), (300.0, 200.0, -2.0, 0.5), *more]
    return [[(x + i * dx, y + i * dy) for x, y, dx, dy in starts] for i in range(count)]


def video(places: Sequence[Sequence[tuple[float, float]]]) -> Frames:
    return open_frames(np.stack([spots(list(p), HEIGHT, WIDTH) for p in places]))


def predict(
    frames: Frames, config: PredictConfig, *, scale: float = 1.0, **more: object
) -> tuple[Poses, Watched]:
    network = Watched()
    made = Predictor(network, ModelInfo(SKELETON, Config(), scale, SIZE_PX), config)  # type: ignore[arg-type]
    chunks = predict_stream(made, frames, **more)  # type: ignore[arg-type]
    return Poses.concatenate([c.poses for c in chunks]), network


def settings(**values: object) -> PredictConfig:
    return PLAIN.model_copy(update={"max_animals": 2, "refresh_every": 0, **values})


def places_of(poses: Poses) -> list[list[tuple[float, float]]]:
    return [
        sorted(map(tuple, poses.xy[f, poses.present[f], 0].tolist())) for f in range(len(poses))
    ]


@pytest.mark.parametrize("scale", [0.75, 1.0])
def test_the_poses_are_those_of_whole_frames(scale: float) -> None:
    frames = video(paths(30))
    whole, plain = predict(frames, settings(), scale=scale)
    followed, network = predict(frames, settings(refresh_every=1000), scale=scale)
    assert followed.frame.tolist() == list(range(30))
    np.testing.assert_allclose(places_of(followed), places_of(whole), atol=0.7)
    pixels = [sum(b * h * w for b, _, h, w in seen.sizes) for seen in (plain, network)]
    assert pixels[1] < 0.4 * pixels[0]


@pytest.mark.parametrize(("every", "whole"), [(10, 4), (3, 14), (1000, 1)])
def test_a_frame_now_and_then_is_seen_as_a_whole(
    every: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    _, network = predict(video(paths(40)), settings(refresh_every=every))
    seen = [shape for shape in network.sizes if shape[2] >= HEIGHT]
    assert len(seen) == whole


def test_an_animal_that_jumps_is_found_again() -> None:
    places = paths(20)
    for later in places[9:]:
        later[0] = (later[0][0] + 152, later[0][1] + 150)
    found, _ = predict(video(places), settings(refresh_every=1000))
    expected = [sorted(p) for p in places]
    np.testing.assert_allclose(places_of(found), expected, atol=0.7)


def test_while_an_animal_is_missing_whole_frames_are_searched() -> None:
    places = paths(12)
    for between in places[4:8]:
        between.pop(0)
    found, _ = predict(video(places), settings(refresh_every=1000))
    assert found.present.sum(1).tolist() == [2] * 4 + [1] * 4 + [2] * 4


def test_animals_that_meet_share_a_window_and_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    meeting = [[(100.0 + i, 150.0), (170.0 - i, 150.0)] for i in range(25)]
    found, network = predict(video(meeting), settings(refresh_every=1000))
    np.testing.assert_allclose(places_of(found), [sorted(p) for p in meeting], atol=1.5)
    windows = [shape[0] for shape in network.sizes if shape[2] < HEIGHT]
    assert windows[0] == 8  # two for each of four frames
    assert 4 in windows[1:]


def test_animals_at_the_border_of_the_frame_are_followed() -> None:
    leaving = [[(40.0 - 2 * i, 100.0), (200.0, 290.0)] for i in range(16)]
    found, network = predict(video(leaving), settings(refresh_every=1000))
    np.testing.assert_allclose(places_of(found), [sorted(p) for p in leaving], atol=1.5)
    assert sum(shape[2] >= HEIGHT for shape in network.sizes) == 1


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"max_animals": 0}, {}),
        ({"refresh_every": 0}, {}),
        ({"refresh_every": 10}, {"follow": False}),
        ({"refresh_every": 10}, {"frame_range": [3, 4, 9]}),
        ({"refresh_every": 10}, {"frame_range": range(0, 20, 5)}),
    ],
)
def test_only_frames_that_follow_each_other_are_followed(changes: dict, more: dict) -> None:
    _, network = predict(video(paths(20)), settings(**{"refresh_every": 10, **changes}), **more)
    assert all(shape[2] >= HEIGHT for shape in network.sizes)


def test_frames_hardly_larger_than_the_windows_are_seen_as_a_whole() -> None:
    small = open_frames(np.stack([spots([(30, 30), (90, 90)], 110, 120)] * 6))
    _, network = predict(small, settings(refresh_every=10))
    assert all(shape[2] >= 110 for shape in network.sizes)


def test_an_animal_cut_by_its_window_is_not_taken() -> None:
    follower = Follower(1, (300, 400), 1.0, 30.0, 0.5)
    window = Window(100, 100, follower.side)
    inside = animal((130, 120), (140, 130))
    over = animal((130, 120), (100 + follower.side - 2, 130))
    assert follower.gather([window], [inside]) is not None
    assert follower.gather([window], [over]) is None
    # At the border of the frame nothing more could be seen anyway.
    corner = Window(400 - follower.side, 100, follower.side)
    assert follower.gather([corner], [animal((380, 120), (399, 130))]) is not None


def test_a_cut_animal_is_looked_at_again_in_a_window_around_it() -> None:
    follower = Follower(1, (300, 400), 1.0, 30.0, 0.5)
    window = Window(100, 100, follower.side)
    over = animal((130, 120), (100 + follower.side - 2, 130))
    (closer,) = follower.closer([window], [over])
    assert closer.x > window.x
    assert follower.gather([closer], [over]) is not None
    assert follower.closer([window], [over.select(np.zeros(0, int))]) == []  # where nothing is seen


def test_an_animal_that_leaves_its_window_costs_no_whole_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    places = paths(30)
    for later in places[14:]:  # a start that nobody could foresee
        later[0] = (later[0][0] + 12, later[0][1] + 12)
    found, network = predict(video(places), settings(refresh_every=1000))
    np.testing.assert_allclose(places_of(found), [sorted(p) for p in places], atol=0.7)
    assert sum(shape[2] >= HEIGHT for shape in network.sizes) == 1
    assert {shape[0] for shape in network.sizes} & {1, 2, 3}  # closer windows


def test_the_whole_view_of_an_animal_wins_over_a_cut_one() -> None:
    follower = Follower(1, (300, 400), 1.0, 30.0, 0.5)
    left, right = Window(100, 100, follower.side), Window(130, 100, follower.side)
    cut = animal((132, 120), (145, 130), score=0.9)
    whole = animal((131, 120), (144, 130), score=0.6)
    found = follower.gather([right, left], [cut, whole])
    assert found is not None
    assert found.instance_score.tolist() == [0.6]


def test_a_clear_animal_that_is_cut_counts_before_a_doubtful_one_that_is_whole() -> None:
    follower = Follower(2, (300, 400), 1.0, 30.0, 0.5)
    left, right = Window(40, 100, follower.side), Window(200, 100, follower.side)
    clear = animal((60, 120), (70, 130), score=0.9)
    cut = animal((220, 120), (200 + follower.side - 2, 130), score=0.85)
    false = animal((85, 140), (90, 150), score=0.3)
    assert follower.gather([left, right], [Animals.join([clear, false]), cut]) is None
    closer = follower.closer([left, right], [Animals.join([clear, false]), cut])
    assert len(closer) == 2
    assert max(window.x for window in closer) > right.x


def animal(*points: tuple[float, float], score: float = 0.8) -> Animals:
    xy = np.array([points], float)
    return Animals(xy, np.ones(xy.shape[:2]), np.array([score]))
