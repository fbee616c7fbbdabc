"""Frames of a recording, read ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

_AHEAD = 3

Batch = TypeVar("Batch")


class Reader(Generic[Batch]):
    """Reads frames ahead, in a thread, and puts those of one size together.

    Parameters
    ----------
    frames : Frames
    indices : range or sequence of int
    batch_size : callable
        Number of frames of a height and width that go together.
    load : callable
        What to make of them.

    Yields
    ------
    list of int, Batch
        Indices of some frames and what `load` made of them.
    """

    def __init__(
        self,
        frames: Frames,
        indices: range | Sequence[int],
        batch_size: Callable[[int, int], int],
        load: Callable[[Sequence[NDArray]], Batch],
    ) -> None:
        self._frames = frames
        self._indices = indices
        self._batch_size = batch_size
        self._load = load
        self._queue: queue.Queue[tuple[list[int], Batch] | BaseException | None] = queue.Queue(
            _AHEAD
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def _frames_in_order(self) -> Iterator[tuple[int, NDArray]]:
        if isinstance(self._indices, range) and self._indices.step > 0:
            r = self._indices
            yield from self._frames.iterate(r.start, r.stop, r.step)
        else:
            for index in self._indices:
                yield index, self._frames[index]

    def _run(self) -> None:
        torch.set_num_threads(1)
        numbers: list[int] = []
        pictures: list[NDArray] = []
        try:
            for index, picture in self._frames_in_order():
                if self._stop.is_set():
                    return
                if pictures and pictures[0].shape != picture.shape:
                    self._put((numbers, self._load(pictures)))
                    numbers, pictures = [], []
                numbers.append(index)
                pictures.append(picture)
                if len(pictures) >= self._batch_size(*picture.shape[:2]):
                    self._put((numbers, self._load(pictures)))
                    numbers, pictures = [], []
            if pictures:
                self._put((numbers, self._load(pictures)))
            self._put(None)
        except Exception as error:
            with suppress(Exception):  # what could be read comes first
                if pictures:
                    self._put((numbers, self._load(pictures)))
            self._put(error)

    def _put(self, item: tuple[list[int], Batch] | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[tuple[list[int], Batch]]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop reading and wait for the thread."""
        self._stop.set()
        self._thread.join()
