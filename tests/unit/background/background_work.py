"""Pieces of work for a process of its own; a module, because the process finds them by name."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.training.events import Notice


def numbers(count: int, should_stop) -> Iterator[Notice]:
    for i in range(count):
        yield Notice(str(i))


def process(should_stop) -> Iterator[int]:
    yield os.getpid()


def until_stopped(folder: Path, should_stop) -> Iterator[str]:
    yield "working"
    while not should_stop():
        time.sleep(0.01)
    (folder / "saved").write_text("properly", encoding="utf-8")
    yield "saved"


def sums(frames: Frames, indices: list[int], should_stop) -> Iterator[object]:
    yield type(frames).__name__
    for i in indices:
        picture = frames[i]
        picture[0, 0] = 0  # returned arrays are copies
        yield frames.frame_shape(i), int(frames[i].astype(np.int64).sum())


def broken(kind: str, should_stop) -> Iterator[str]:
    yield "working"
    if kind == "label":
        raise LabelsError("the file has no labels")
    if kind == "other":
        raise RuntimeError("no such device")
    sys.stderr.write("a last word\n")
    sys.stderr.flush()
    os.kill(os.getpid(), getattr(signal, kind))


def chatty(should_stop) -> Iterator[str]:
    sys.stdout.write("what a library prints\n")
    sys.stdout.flush()
    os.system("echo what a program prints")
    yield "done"


def knows(module: str, should_stop) -> Iterator[bool]:
    yield module in sys.modules


def unknown_things(should_stop) -> Iterator[object]:
    yield "first"
    yield os.getpid  # a function: no plain value


def told_to_make_room(should_stop) -> Iterator[object]:
    told: list[float] = []
    name = "napari_semimultipose.models.threads"
    sys.modules[name] = SimpleNamespace(make_room=told.append)  # type: ignore[assignment]
    yield "working"
    while not told and not should_stop():
        time.sleep(0.01)
    del sys.modules[name]
    yield told
