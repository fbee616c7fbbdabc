"""Images that are embedded in SLEAP labels files (``.pkg.slp``), as frames."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import Frames, Picture, with_channels


class EmbeddedFrames(Frames):
    """Images inside a SLEAP file, counted like the frames of the video they come from.

    Only some frames of the video are there: `stored` names them, reading another one is an
    error, and `iterate` leaves the others out.

    Parameters
    ----------
    path : path
        The ``.pkg.slp`` file.
    dataset : str, optional
        Which video (``video0/video``); not needed when the file holds one.
    source : object
        What `open_frames` was called with.
    """

    def __init__(self, path: Path, dataset: str | None, *, source: Any) -> None:
        self._file = path
        dataset = dataset or _only_dataset(path)
        from sleap_io.io.video_reading import HDF5Video

        try:
            self._backend = HDF5Video(str(path), dataset=dataset)
            numbers = sorted(int(i) for i in self._backend.frame_map)
            stored = tuple(numbers or range(self._backend.num_frames))
            first = self._decode(stored[0])
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise FramesError(
                f"{path}: the images of {dataset} cannot be read ({error}); export the package "
                "again"
            ) from error
        height, width = first.shape[:2]
        channels = 1 if first.ndim == 2 or first.shape[2] <= 2 else 3
        super().__init__(
            (stored[-1] + 1, height, width, channels),
            source=source,
            path=f"{path}::{dataset}",
            stored=stored,
        )
        self._stored = frozenset(stored)
        self._lock = threading.Lock()

    def _decode(self, i: int) -> Any:
        return np.asarray(self._backend._read_frame(i))

    def _read(self, i: int) -> Picture:
        if i not in self._stored:
            few = ", ".join(map(str, sorted(self._stored)[:6]))
            raise FramesError(
                f"{self.path} has no image of frame {i}; it holds {len(self._stored)} frames: "
                f"{few}{', ...' if len(self._stored) > 6 else ''}"
            )
        with self._lock:
            return with_channels(self._decode(i), self.shape[3], f"{self.path}, frame {i}")

    def close(self) -> None:
        """Close the file."""
        self._backend.close()


def _only_dataset(path: Path) -> str:
    """Name of the video embedded in a file that holds one."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = sorted(
                f"{name}/video"
                for name, group in file.items()
                if isinstance(group, h5py.Group) and "video" in group
            )
    except OSError as error:
        raise FramesError(f"{path} cannot be read as a SLEAP file: {error}") from error
    if len(found) == 1:
        return found[0]
    if not found:
        raise FramesError(f"{path} holds labels without images: open the video that they belong to")
    raise FramesError(
        f"{path} holds the images of {len(found)} videos; give one of them: "
        + ", ".join(f"{path.name}::{name}" for name in found[:8])
    )
