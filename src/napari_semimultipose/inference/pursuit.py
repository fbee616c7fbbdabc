"""Keep the threads of a processor busy with the next frames of followed animals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice

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
class _Flight:
    """Some frames that one thread looks at, in windows or `whole`, and what is to be known of them."""

    numbers: list[int]
    whole: bool
    found: Future[list[tuple[Animals, bool]]]


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
    """

    follower: Follower
    look: Look
    crew: Crew
    _air: deque[_Flight] = field(default_factory=deque)
    _rest: deque[tuple[int, NDArray]] = field(default_factory=deque)

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
                while source and len(self._rest) < _TOGETHER:
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
                    animals += self._take(self._look_at(picture))
                while self._rest and len(self._air) < self._most:
                    self._send()
                if self._air:
                    flight = self._air.popleft()
                    numbers += flight.numbers
                    animals += self._take(flight.found.result())
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
        """How many flights are under way."""
        return max(2, self.crew.size)

    def _take(self, found: Sequence[tuple[Animals, bool]]) -> list[Animals]:
        for animals, whole in found:
            self.follower.take(animals, whole_frame=whole)
        return [animals for animals, _ in found]

    def _send(self) -> None:
        """Have a thread look at the next frames."""
        follower = self.follower
        under_way = sum(len(flight.numbers) for flight in self._air)
        whole = [i for i, flight in enumerate(self._air) if flight.whole]
        if whole:
            since = sum(len(flight.numbers) for flight in list(self._air)[whole[-1] + 1 :])
            together = follower.refresh - 1 - since if follower.refresh else _TOGETHER
        else:
            together = follower.together - under_way
        most = min(together, max(1, _TOGETHER // self._most))
        shape = self._rest[0][1].shape
        if follower.lost or most <= 0 or shape[:2] != follower.frame_size:
            number, picture = self._rest.popleft()
            self._air.append(_Flight([number], True, self.crew.submit(self._look_at, picture)))
            return
        same = [one for one in islice(self._rest, most) if one[1].shape == shape]
        for _ in same:
            self._rest.popleft()
        pictures = [picture for _, picture in same]
        windows = [follower.windows(under_way + 1 + i) for i in range(len(same))]
        found = self.crew.submit(self._look_in, pictures, windows)
        self._air.append(_Flight([number for number, _ in same], False, found))

    def _look_in(
        self, pictures: Sequence[NDArray], windows: Sequence[Sequence[Window]]
    ) -> list[tuple[Animals, bool]]:
        """Return the animals of frames, and whether the whole frame was needed to find them.

        A frame on which the windows have cut an animal is looked at in closer ones first.
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
            (self.look([picture], 0, None)[0], True) if animals is None else (animals, False)
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

    def _look_at(self, picture: NDArray) -> list[tuple[Animals, bool]]:
        return [(self.look([picture], 0, None)[0], True)]
