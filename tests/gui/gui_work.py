"""Pieces of work for a process of its own; a module, because the process finds them by name."""

from __future__ import annotations

import os
import signal
import time

from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.widgets.jobs import Chunk, Ready


def dies_after_eight_frames(job, should_stop):
    """Begin to predict, and end as a process does for which there is no memory."""
    _, truth = make_recording(24, animals=2, size=(96, 96), length_px=40, seed=0, missing=0)
    yield Ready("cpu", 24, truth.skeleton, truth.videos[0])
    time.sleep(0.6)
    for start in (0, 4):
        yield Chunk(truth.select(range(start, start + 4)), start + 4, 24, 3.0)
    os.kill(os.getpid(), signal.SIGKILL)
