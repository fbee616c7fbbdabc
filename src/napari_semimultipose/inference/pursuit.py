"""Keep the threads of a processor busy with the next frames of followed animals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice, takewhile

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError
from napari_semimultipose.inference.follow import Animals, Follower, Window
from napari_semimultipose.inference.reader import Reader
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.models.crew import Crew

_TOGETHER = 8  # frames that are under way or given out together

Look = Callable[[Sequence[NDArray], int, "NDArray[np.float64] | None"], list[Animals]]
"""Finds the animals of pictures: of windows that the network sees with a side in px and that begin at
origins [B, 2] of their frames, or of whole frames (no origins)."""


@dataclass
class Pursuit:
    """Predict frames with followed animals, some of them in each of the threads.

    Where the animals are is known once a thread is done with its frames. By then the others are looking
    at the next ones already, in windows around where the animals will be, as far as is known. What
    comes out does not depend on which thread is quicker.

    Parameters
    ----------
    follower : Follower
    look : callable
        As `Look`.
    crew : Crew
    refresh : int
        Every so many frames one is looked at as a whole; 0: only where animals are missed.
    """

    follower: Follower
    look: Look
    crew: Crew
    refresh: int
    _air: deque[tuple[list[int], Future[list[Animals]]]] = field(default_factory=deque)
    _rest: deque[tuple[int, NDArray]] = field(default_factory=deque)
    _since: int = 0  # frames since one was sent to be looked at as a whole

    def stream(
        self,
        frames: Frames,
        indices: Sequence[int],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        """Yield indices of frames, in order, and their animals.

        Raises
        ------
        FramesError
            If a frame cannot be read, after all before it were given out.
        """
        reader = Reader(frames, indices, lambda height, width: _TOGETHER, list)
        source: Iterator[tuple[list[int], list[NDArray]]] | None = iter(reader)
        broken: FramesError | None = None
        numbers: list[int] = []
        animals: list[Animals] = []
        first = True
        try:
            while source or self._air or self._rest:
                while source and len(self._rest) <= _TOGETHER:
                    more = None
                    try:
                        if should_stop():
                            self._rest.clear()
                        else:
                            more = next(source, None)
                    except FramesError as error:
                        broken = error
                    if more is None:
                        source = None
                    else:
                        self._rest.extend(zip(*more, strict=True))
                if self._rest and first:
                    # With all processors: nobody knows yet where to look on the next frames.
                    first = False
                    number, picture = self._rest.popleft()
                    numbers.append(number)
                    animals += self._take(self.look([picture], 0, None))
                while self._rest and len(self._air) < self._most:
                    self._send()
                if self._air:
                    sent, found = self._air.popleft()
                    numbers += sent
                    animals += self._take(found.result())
                last = not (source or self._air or self._rest)
                if len(numbers) >= _TOGETHER or (numbers and last):
                    yield numbers, animals
                    numbers, animals = [], []
        finally:
            reader.close()
        if broken is not None:
            raise broken

    @property
    def _most(self) -> int:
        """How many batches of frames are under way."""
        return max(2, self.crew.size)

    def _take(self, found: list[Animals]) -> list[Animals]:
        for animals in found:
            self.follower.take(animals)
        return found

    def _send(self) -> None:
        """Have a thread look at the next frames, or at the next one as a whole."""
        follower = self.follower
        shape = self._rest[0][1].shape
        due = self.refresh - 1 - self._since if self.refresh else _TOGETHER
        if follower.lost or due <= 0 or shape[:2] != follower.frame_size:
            self._since = 0
            number, picture = self._rest.popleft()
            self._air.append(([number], self.crew.submit(self.look, [picture], 0, None)))
            return
        under_way = sum(len(numbers) for numbers, _ in self._air)
        most = min(due, max(1, _TOGETHER // self._most))
        alike = takewhile(lambda one: one[1].shape == shape, islice(self._rest, most))
        numbers, pictures = map(list, zip(*alike, strict=True))
        for _ in numbers:
            self._rest.popleft()
        self._since += len(numbers)
        windows = [follower.windows(under_way + 1 + i) for i in range(len(numbers))]
        self._air.append((numbers, self.crew.submit(self._look_in, pictures, windows)))

    def _look_in(
        self, pictures: Sequence[NDArray], windows: Sequence[Sequence[Window]]
    ) -> list[Animals]:
        """Return the animals of frames.

        A frame on which the windows have cut an animal is looked at in closer ones, and as a whole where
        these do not show all of them either.
        """
        follower = self.follower
        first = self._seen(pictures, windows)
        found = [follower.gather(w, a) for w, a in zip(windows, first, strict=True)]
        again = {
            i: follower.closer(windows[i], first[i])
            for i, animals in enumerate(found)
            if animals is None
        }
        again = {i: closer for i, closer in again.items() if closer}
        if again:
            second = self._seen([pictures[i] for i in again], list(again.values()))
            for (i, closer), animals in zip(again.items(), second, strict=True):
                found[i] = follower.gather(closer, animals)
        return [
            self.look([picture], 0, None)[0] if animals is None else animals
            for picture, animals in zip(pictures, found, strict=True)
        ]

    def _seen(
        self, pictures: Sequence[NDArray], windows: Sequence[Sequence[Window]]
    ) -> list[list[Animals]]:
        """Return the animals of each window of each frame."""
        flat = [(p, w) for p, around in zip(pictures, windows, strict=True) for w in around]
        pixels = [p[w.y : w.y + w.side, w.x : w.x + w.side] for p, w in flat]
        origin = np.array([(w.x, w.y) for _, w in flat], np.float64)
        seen = iter(self.look(pixels, self.follower.input_side, origin))
        return [[next(seen) for _ in around] for around in windows]
