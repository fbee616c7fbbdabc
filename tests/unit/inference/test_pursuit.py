"""Followed animals, with several threads under way: order, results, and what goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError
from napari_semimultipose.inference.follow import Animals, Follower
from napari_semimultipose.inference.pursuit import Pursuit
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.crew import Crew

HEIGHT, WIDTH, SIZE_PX = 240, 320, 20.0


def recording(count: int) -> Frames:
    """Frames whose pixels tell their number, in the first channel, and where they are."""
    frames = np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None]
    frames[..., 1] = np.arange(HEIGHT)[:, None]
    frames[..., 2] = np.arange(WIDTH)[None] // 2
    return open_frames(frames)


def place(frame: int) -> NDArray[np.float64]:
    return np.array([40.0 + 2 * frame, 80.0 + frame])


class Eyes:
    """Finds the animal of each picture where it is, if it is in the picture."""

    def __init__(self, wait: Callable[[int], float] = lambda frame: 0.0) -> None:
        self.wait = wait
        self.whole: list[int] = []
        self.seen: list[int] = []
        self.most = self.now = 0
        self.lock = threading.Lock()

    def __call__(
        self, pictures: Sequence[NDArray], side: int, origin: NDArray | None
    ) -> list[Animals]:
        frames = [int(picture[0, 0, 0]) for picture in pictures]
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.seen += frames
            self.whole += frames if origin is None else []
        time.sleep(self.wait(frames[0]))
        with self.lock:
            self.now -= 1
        out = []
        for i, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
            xy = place(frame) + np.array([[-8.0, 0], [8.0, 0]])
            low = np.zeros(2) if origin is None else origin[i]
            high = low + np.array(picture.shape[1::-1])
            inside = ((xy >= low) & (xy < high)).all()
            kept = xy[None][: int(inside)]
            out.append(Animals(kept, np.ones(kept.shape[:2]), np.full(len(kept), 0.9)))
        return out


def follow(
    frames: Frames, eyes: Eyes, *, threads: int = 3, refresh: int = 0, **more: object
) -> tuple[list[int], list[Animals]]:
    crew = Crew(threads, guest=lambda: False)
    numbers: list[int] = []
    animals: list[Animals] = []
    follower = Follower(1, (HEIGHT, WIDTH), 1.0, SIZE_PX, 0.5)
    try:
        pursuit = Pursuit(follower, eyes, crew, refresh)
        for part, found in pursuit.stream(frames, range(len(frames)), **more):  # type: ignore[arg-type]
            numbers += part
            animals += found
    finally:
        crew.close()
    return numbers, animals


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_frames_keep_their_order_whichever_thread_is_quicker(threads: int) -> None:
    eyes = Eyes(lambda frame: 0.004 * (-frame % 5))
    numbers, animals = follow(recording(50), eyes, threads=threads)
    assert numbers == list(range(50))
    for number, one in zip(numbers, animals, strict=True):
        np.testing.assert_allclose(one.xy.mean(1), [place(number)])
    assert min(threads, 2) <= eyes.most <= threads
    assert eyes.whole == [0]


def test_what_is_found_does_not_depend_on_who_is_quicker() -> None:
    shown = []
    for waits in (lambda frame: 0.0, lambda frame: 0.004 * (frame % 3)):
        eyes = Eyes(waits)
        follow(recording(40), eyes, refresh=7)
        shown.append((sorted(eyes.seen), sorted(eyes.whole)))
    assert shown[0] == shown[1]


@pytest.mark.parametrize("refresh", [2, 5, 12])
def test_whole_frames_come_as_often_as_asked(refresh: int) -> None:
    eyes = Eyes()
    follow(recording(60), eyes, threads=2, refresh=refresh)
    steps = np.diff(sorted(eyes.whole))
    assert steps.max() == refresh
    assert (steps[3:] == refresh).all()


def test_each_frame_before_a_damaged_one_is_given_out() -> None:
    frames = recording(30)
    read = frames._read

    def damaged(i: int) -> NDArray:
        if i == 21:
            raise FramesError("frame 21 is damaged")
        return read(i)

    frames._read = damaged  # type: ignore[method-assign]
    crew = Crew(2, guest=lambda: False)
    pursuit = Pursuit(Follower(1, (HEIGHT, WIDTH), 1.0, SIZE_PX, 0.5), Eyes(), crew, 0)
    numbers: list[int] = []
    with pytest.raises(FramesError, match="frame 21"):
        numbers.extend(i for part, _ in pursuit.stream(frames, range(30)) for i in part)
    crew.close()
    assert numbers == list(range(21))


class Mixed(Frames):
    """Pictures of which some are larger than the others."""

    def __init__(self, larger: set[int], count: int) -> None:
        self.larger = larger
        super().__init__((count, HEIGHT, WIDTH, 3), source=None)

    def _read(self, i: int) -> NDArray:
        size = (HEIGHT + 20, WIDTH + 20) if i in self.larger else (HEIGHT, WIDTH)
        return np.full((*size, 3), i, np.uint8)


@pytest.mark.parametrize("larger", [{4}, {3, 5}, {0, 1}, {9}, {2, 4, 6, 8, 9}])
def test_pictures_of_another_size_are_seen_as_a_whole_in_their_place(larger: set[int]) -> None:
    eyes = Eyes()
    numbers, animals = follow(Mixed(larger, 10), eyes, threads=2)
    assert numbers == list(range(10))
    assert set(eyes.seen) == set(range(10))
    assert set(eyes.whole) >= larger
    for number, one in zip(numbers, animals, strict=True):
        np.testing.assert_allclose(one.xy.mean(1), [place(number)])


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_recordings_of_any_length_come_out_whole(count: int, threads: int) -> None:
    numbers, animals = follow(recording(count), Eyes(), threads=threads, refresh=3)
    assert numbers == list(range(count))
    assert len(animals) == count


def test_who_stops_listening_leaves_nothing_behind() -> None:
    crew = Crew(2, guest=lambda: False)
    follower = Follower(1, (HEIGHT, WIDTH), 1.0, SIZE_PX, 0.5)
    stream = Pursuit(follower, Eyes(), crew, 0).stream(recording(60), range(60))
    next(stream)
    stream.close()
    crew.close()
    assert not [t for t in threading.enumerate() if t.name.startswith(("crew", "frames"))]


def test_it_stops_when_asked() -> None:
    asked = iter([False, False, True])
    numbers, _ = follow(recording(60), Eyes(), should_stop=lambda: next(asked, True))
    assert numbers == list(range(len(numbers)))
    assert 8 <= len(numbers) < 24
    assert not [t for t in threading.enumerate() if t.name.startswith(("crew", "frames"))]


def test_an_error_of_a_thread_is_told() -> None:
    class Blind(Eyes):
        def __call__(self, pictures: Sequence, side: int, origin: NDArray | None) -> list[Animals]:
            if int(pictures[0][0, 0, 0]) > 20:
                raise RuntimeError("out of memory")
            return super().__call__(pictures, side, origin)

    with pytest.raises(RuntimeError, match="out of memory"):
        follow(recording(40), Blind())
