"""Making batches for a training loop: ahead of it, or when they are asked for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Self, TypeVar

import torch

from napari_semimultipose.data.batch import Batch, BatchSize
from napari_semimultipose.data.batches import BatchMaker

_AHEAD = 3

Item = TypeVar("Item")


class _Ahead(Generic[Item]):
    """Calls a function for consecutive iterations in a thread of its own, some iterations ahead.

    Use as a context manager.
    """

    def __init__(self, make: Callable[[int], Item], first: int) -> None:
        self._make = make
        self._first = first
        self._queue: queue.Queue[Item | BaseException] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # One thread for the views: the network uses the cores.
        torch.set_num_threads(1)
        iteration = self._first
        while not self._stop.is_set():
            item: Item | BaseException
            try:
                item = self._make(iteration)
            except Exception as error:
                item = error
            while not self._stop.is_set():
                try:
                    self._queue.put(item, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if isinstance(item, BaseException):
                return
            iteration += 1

    def _next(self) -> Item:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop the work ahead and wait for the thread."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Prefetcher(_Ahead[Batch]):
    """Makes batches ahead of the training loop: for networks that do not compute on the CPU.

    `get` returns the batches of consecutive iterations, from `first` on.
    """

    def __init__(self, maker: BatchMaker, first: int, size: BatchSize, *, plain: bool) -> None:
        super().__init__(lambda iteration: maker(iteration, size, plain=plain), first)

    def get(self) -> Batch:
        """Return the next batch.

        Raises
        ------
        Exception
            Whatever making the batch raised, such as `FramesError` for an unreadable video.
        """
        return self._next()


class OnDemand(_Ahead[None]):
    """Reads frames ahead, but makes the views when they are asked for, on all cores together.

    For networks that compute on the CPU: a thread that makes views beside the network takes one core
    now and then, and the threads of the network, which wait for each other after each layer, lose
    more time than the views take.

    Parameters
    ----------
    maker, first, size, plain
        As for `Prefetcher`.
    workers : int
        Threads that make views; while the network computes with one thread, that one makes the views, too.
    """

    def __init__(
        self, maker: BatchMaker, first: int, size: BatchSize, *, plain: bool, workers: int = 1
    ) -> None:
        self._args = (maker, size, plain)
        self._iteration = first
        self._pool = ThreadPoolExecutor(
            max(1, workers),
            "views",
            initializer=torch.set_num_threads,
            initargs=(1,),
        )
        super().__init__(self._read, first)

    def _read(self, iteration: int) -> None:
        maker, size, _ = self._args
        for ref in maker.reads(iteration, size):
            maker.scaled(ref)

    def get(self) -> Batch:
        """Return the next batch; see `Prefetcher.get`."""
        self._next()
        maker, size, plain = self._args
        alone = torch.get_num_threads() == 1
        batch = maker(self._iteration, size, plain=plain, pool=None if alone else self._pool)
        self._iteration += 1
        return batch

    def close(self) -> None:
        """Stop reading ahead and wait for the threads."""
        super().close()
        self._pool.shutdown()
