"""Frames that live in another process and are asked for one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import override

from napari_semimultipose.background.wire import Answer, Description, Question
from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import Frames, Picture
from napari_semimultipose.io.video import open_frames

READ, FRAME_SHAPE = "read", "frame_shape"


class Asking:
    """Questions that are on their way; for several threads.

    Parameters
    ----------
    send : callable
        Sends a `Question`.
    """

    def __init__(self, send: Callable[[Question], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._asked = 0
        self._open: dict[int, _Slot] = {}
        self._closed = False

    def ask(self, frames: int, method: str, index: int) -> Any:
        """Ask, wait, and return the answer.

        Raises
        ------
        FramesError
            What the other process has to say, or that it is gone.
        """
        slot = _Slot()
        with self._lock:
            if self._closed:
                raise FramesError("the viewer that holds the frames is gone")
            self._asked += 1
            number = self._asked
            self._open[number] = slot
        self._send(Question(number, frames, method, index))
        slot.filled.wait()
        if slot.answer is None:
            raise FramesError("the viewer that holds the frames is gone")
        if slot.answer.error is not None:
            raise FramesError(slot.answer.error)
        return slot.answer.value

    def take(self, answer: Answer) -> None:
        """Hand an answer to the thread that waits for it."""
        with self._lock:
            slot = self._open.pop(answer.number)
        slot.answer = answer
        slot.filled.set()

    def close(self) -> None:
        """Let nobody wait any longer: no answer will come."""
        with self._lock:
            self._closed = True
            slots = list(self._open.values())
            self._open.clear()
        for slot in slots:
            slot.filled.set()


class _Slot:
    def __init__(self) -> None:
        self.filled = threading.Event()
        self.answer: Answer | None = None


class LentFrames(Frames):
    """Frames of the viewer's process.

    Parameters
    ----------
    description : Description
    asking : Asking
    """

    def __init__(self, description: Description, asking: Asking) -> None:
        d = description
        super().__init__(
            d.shape, source=None, path=d.path, names=d.names, fps=d.fps, stored=d.stored
        )
        self._number = d.number
        self._asking = asking

    @override
    def _read(self, i: int) -> Picture:
        picture = self._asking.ask(self._number, READ, i)
        return np.array(picture, np.uint8)  # what comes out of a message cannot be written to

    @override
    def frame_shape(self, i: int) -> tuple[int, int]:
        """Height and width in px of picture i."""
        self._checked(i)
        if self.names is None:
            return self.shape[1], self.shape[2]
        height, width = self._asking.ask(self._number, FRAME_SHAPE, i)
        return int(height), int(width)


def borrowed(description: Description, asking: Asking) -> Frames:
    """Open frames again where they are files; where they are not, or no longer, ask for them."""
    if description.source is not None:
        source = description.source
        try:
            frames = open_frames(list(source) if isinstance(source, tuple) else source)
        except FramesError:
            return LentFrames(description, asking)
        if frames.shape == description.shape:
            frames.path = description.path
            return frames
        frames.close()  # the file is another one by now
    return LentFrames(description, asking)


def look_up(frames: Frames, question: Question) -> Answer:
    """Answer a question about frames."""
    try:
        if question.method == FRAME_SHAPE:
            return Answer(question.number, frames.frame_shape(question.index))
        return Answer(question.number, frames[question.index])
    except FramesError as error:
        return Answer(question.number, error=str(error))
    except Exception as error:
        return Answer(question.number, error=f"{type(error).__name__}: {error}")
