"""What a viewer and its working process say to each other, and how it travels through a pipe."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from typing_extensions import override

from napari_semimultipose.io.frames import Frames

_HEAD = struct.Struct("<Q")

_OWN = "napari_semimultipose."
_OTHERS = {
    "builtins": {"bytearray", "complex", "frozenset", "range", "set", "slice"},
    "collections": {"OrderedDict", "defaultdict", "deque"},
    "copyreg": {"_reconstructor", "__newobj__"},
    "datetime": {"date", "datetime", "timedelta"},
    "fractions": {"Fraction"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "WindowsPath"},
}
"""Names outside this package that a message may hold; everything else is refused."""


@dataclass(frozen=True)
class Work:
    """To the process: call a function, which yields events."""

    module: str
    function: str
    arguments: tuple[Any, ...]
    folder: str


@dataclass(frozen=True)
class Stop:
    """To the process: end the work soon, and properly."""


@dataclass(frozen=True)
class MakeRoom:
    """To the process: somebody works in the viewer; leave a processor to it for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """To the process: what it has asked for, or why there is none."""

    number: int
    value: Any = None
    error: str | None = None


@dataclass(frozen=True)
class Question:
    """From the process: something about frames that only the viewer has."""

    number: int
    frames: int
    method: str
    index: int


@dataclass(frozen=True)
class Event:
    """From the process: an event of the work."""

    value: Any


@dataclass(frozen=True)
class End:
    """From the process: the work is over; it waits for more."""


@dataclass(frozen=True)
class Description:
    """Frames as they are sent: where to open them again, if anywhere, and how to ask for them."""

    number: int
    source: str | tuple[str, ...] | None
    shape: tuple[int, int, int, int]
    path: str | None
    names: tuple[str, ...] | None
    fps: float | None
    stored: tuple[int, ...] | None


class Wire:
    """One end of a pair of pipes that carries objects; both directions may be used at once.

    Objects are made of the classes of this package, numpy arrays and plain values: anything else is
    refused on arrival. Frames are not copied but described (see `Description`).

    Parameters
    ----------
    incoming, outgoing : binary file
    lend : callable, optional
        Takes frames that are about to be sent and returns the number under which they are known here.
    borrow : callable, optional
        Turns the description of frames into frames.
    """

    def __init__(
        self,
        incoming: BinaryIO,
        outgoing: BinaryIO,
        *,
        lend: Callable[[Frames], int] | None = None,
        borrow: Callable[[Description], Frames] | None = None,
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lend = lend
        self._borrow = borrow
        self._writing = threading.Lock()

    def send(self, message: Any) -> None:
        """Send an object; an `OSError` means that nobody listens any more."""
        buffer = io.BytesIO()
        _Pickler(buffer, self._lend).dump(message)
        content = buffer.getbuffer()
        with self._writing:
            self._outgoing.write(_HEAD.pack(len(content)))
            self._outgoing.write(content)
            self._outgoing.flush()

    def receive(self) -> Any:
        """Wait for an object and return it.

        Raises
        ------
        EOFError
            When the other end is closed.
        """
        (size,) = _HEAD.unpack(self._exactly(_HEAD.size))
        return _Unpickler(io.BytesIO(self._exactly(size)), self._borrow).load()

    def close(self) -> None:
        """Say that nothing more will come: the other end gets an `EOFError`."""
        with contextlib.suppress(OSError):
            self._outgoing.close()

    def _exactly(self, size: int) -> bytes:
        content = self._incoming.read(size)
        if len(content) < size:
            raise EOFError("the other end of the pipe is closed")
        return content


def describe(frames: Frames, number: int) -> Description:
    """Return what is sent in place of frames."""
    return Description(
        number,
        _place(frames.source),
        frames.shape,
        frames.path,
        frames.names,
        frames.fps,
        frames.stored,
    )


def _place(source: Any) -> str | tuple[str, ...] | None:
    """Return what opens frames again: a path, or a list of paths; None for arrays in memory."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if (
        isinstance(source, Sequence)
        and len(source)
        and all(isinstance(s, str | os.PathLike) for s in source)
    ):
        return tuple(os.fspath(s) for s in source)
    return None


class _Pickler(pickle.Pickler):
    def __init__(self, file: BinaryIO, lend: Callable[[Frames], int] | None) -> None:
        super().__init__(file, protocol=5)
        self._lend = lend

    @override
    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Frames):
            return None
        if self._lend is None:
            raise pickle.PicklingError("frames are sent to a working process, never back")
        d = describe(obj, self._lend(obj))
        return (d.number, d.source, d.shape, d.path, d.names, d.fps, d.stored)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, borrow: Callable[[Description], Frames] | None) -> None:
        super().__init__(file)
        self._borrow = borrow

    @override
    def persistent_load(self, pid: Any) -> Any:
        if self._borrow is None:
            raise pickle.UnpicklingError("frames are sent to a working process, never back")
        return self._borrow(Description(*pid))

    @override
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_OWN):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        elif name in _OTHERS.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a message may not hold {module}.{name}")
