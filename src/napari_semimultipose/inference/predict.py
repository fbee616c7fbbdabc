"""Apply a model to a recording of any length: frames in, poses out, in bounded memory."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semimultipose.config import PredictConfig
from napari_semimultipose.errors import FramesError
from napari_semimultipose.inference.follow import Animals, Follower
from napari_semimultipose.inference.pictures import Loaded, PicturePredictor
from napari_semimultipose.inference.pursuit import Pursuit
from napari_semimultipose.inference.reader import Reader
from napari_semimultipose.inference.windows import (
    WindowOf,
    Windows,
    frames_needed,
    stand_alone,
    window_of,
)
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.frames import video_of as video_of
from napari_semimultipose.models.crew import Crew
from napari_semimultipose.models.device import give_back_memory
from napari_semimultipose.models.threads import Threads
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

_TRIM_S = 2.0  # time between two returns of freed memory
_TURNS_OF_PICTURES = 4
_ROUNDS = 4  # frames for each of the threads side by side, at least
_FEW, _CROWD = (
    16,
    4,
)  # detections on a frame that are never too many; and relative to 99 % of the frames
_LARGE = 2_000_000  # places for animals in a table that is worth making smaller

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictedChunk:
    """Poses of some consecutive frames.

    Attributes
    ----------
    poses : Poses
        The animals of these frames; every frame has a row.
    done, total : int
        Frames predicted so far, and in all.
    """

    poses: Poses
    done: int
    total: int


def joined(parts: Sequence[Poses]) -> Poses:
    """Join the poses of all chunks of a prediction.

    A table of poses is as wide as the frame with the most animals. So that a flash, on which a network sees a hundred,
    does not multiply the memory of a long recording, the best detections alone are kept on frames with several times
    more than nearly all others; that is logged.
    """
    counts = np.concatenate([part.present.sum(1) for part in parts])
    large = len(counts) * int(counts.max(initial=0)) > _LARGE
    most = max(_FEW, _CROWD * int(np.percentile(counts, 99))) if large else 0
    crowded = int((counts > most).sum()) if large else 0
    if crowded:
        logger.warning(
            "on %s of %s frames there are up to %s detections, many more than on all others: the best %s of each are kept",
            *(crowded, len(counts), counts.max(), most),
        )
        parts = [part.keep(_best(part, most)) for part in parts]
    return Poses.concatenate(parts)


def _best(poses: Poses, most: int) -> NDArray[np.bool_]:
    """Mark the `most` best animals of each frame [F, N]."""
    score = np.where(poses.present, np.nan_to_num(poses.instance_score, nan=0.0), -np.inf)
    rank = np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1)
    return np.asarray(rank < most)


class Predictor(PicturePredictor):
    """Applies a network to recordings; see `PicturePredictor` for how it is made."""

    def stream(
        self,
        frames: Frames,
        indices: range | Sequence[int],
        *,
        follow: bool = True,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        """Predict frames, reading ahead in a thread; on a processor, the others compute side by side.

        With `follow`, a known number of animals is looked for near where it was, where that is quicker
        (`inference.follow`): for frames that follow each other.

        Yields
        ------
        list of int, list of Animals
            Frame indices of a batch, in the given order, and their animals.
        """
        self.turns = self.config.turns or self._usual_turns(stand_alone(frames, follow=follow))
        threads = Threads(fixed=self.device.type != "cpu")
        crew = Crew(1 if self.device.type != "cpu" else None)
        few = len(indices) < _ROUNDS * crew.size
        several = len(indices) > crew.size
        follows = follow and several and frames.stored is None
        follower = self._follower(frames, indices) if follows else None
        try:
            if follower is not None:
                pursuit = Pursuit(follower, self._seen_in, crew, self.config.refresh_every)
                yield from pursuit.stream(frames, indices, should_stop)
            elif self.looks_around or crew.size == 1 or few:
                window = window_of(frames, follow=follow) if self.looks_around else None
                yield from self._whole_frames(frames, indices, window, threads, should_stop)
            else:
                yield from self._side_by_side(frames, indices, crew, should_stop)
        finally:
            crew.close()
            threads.release()
            # What is asked afterwards has nothing to do with these frames.
            self.turns = self.config.turns or 1

    def _whole_frames(
        self,
        frames: Frames,
        indices: range | Sequence[int],
        window: WindowOf | None,
        threads: Threads,
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        needed = indices if window is None else frames_needed(frames, indices, window)
        windows = None if window is None else Windows(indices, window)
        reader = Reader(frames, needed, self.batch_size, lambda pictures: self.load(list(pictures)))
        pending: Future[list[Animals]] | None = None
        waiting: list[int] = []
        broken: FramesError | None = None
        with ThreadPoolExecutor(
            1, "poses", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            try:
                for numbers, loaded in reader:
                    if should_stop():
                        break
                    if windows is None:
                        with threads.timed():
                            output = self.forward(loaded.images)
                    else:
                        with threads.timed():
                            features = self.features(loaded.images)
                        # All of one batch have one size: those of a window do.
                        numbers, features, places = windows.take(numbers, features)
                        if not numbers:
                            continue
                        output = self.heads(features, places)
                        loaded = replace(loaded, origin=np.zeros((len(numbers), 2)))
                    if pending is not None:
                        yield waiting, pending.result()
                    pending, waiting = pool.submit(self.animals, output, loaded), numbers
            except FramesError as error:
                broken = error  # told after what was found before it
            finally:
                reader.close()
            if pending is not None:
                yield waiting, pending.result()
        if broken is not None:
            raise broken

    def _side_by_side(
        self,
        frames: Frames,
        indices: range | Sequence[int],
        crew: Crew,
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        """Predict whole frames, a batch in each thread."""
        reader = Reader(
            frames, indices, self.batch_size, lambda pictures: self.load(list(pictures))
        )
        waiting: deque[tuple[list[int], Future[list[Animals]]]] = deque()
        broken: FramesError | None = None
        try:
            for numbers, loaded in reader:
                if should_stop():
                    break
                waiting.append((numbers, crew.submit(self._seen, loaded)))
                if len(waiting) > crew.size:
                    numbers, found = waiting.popleft()
                    yield numbers, found.result()
        except FramesError as error:
            broken = error  # told after what was found before it
        finally:
            reader.close()
        for numbers, found in waiting:
            yield numbers, found.result()
        if broken is not None:
            raise broken

    def _usual_turns(self, pictures: bool) -> int:
        """Return over how many turned copies single pictures, or else recordings, are averaged by default."""
        free = self.info.config.augment.all_round
        return _TURNS_OF_PICTURES if pictures and free else 1

    def _follower(self, frames: Frames, indices: range | Sequence[int]) -> Follower | None:
        """Return a follower where following is possible and pays."""
        config, size = self.config, self.info.animal_size_px
        if not (
            self.info.config.model.kind != "heatmap"
            and not self.looks_around  # the windows would show other places on each frame
            and config.refresh_every
            and config.max_animals
            and size == size
            and isinstance(indices, range)
            and indices.step == 1
        ):
            return None
        height, width = frames.shape[1:3]
        scale = self.scale_for(height, width)
        follower = Follower(
            config.max_animals,
            (height, width),
            scale,
            size,
            config.nms_threshold,
        )
        return follower if follower.pays else None

    def _seen(self, loaded: Loaded) -> list[Animals]:
        """Return the animals of pictures."""
        return self.animals(self.forward(loaded.images), loaded)

    def _seen_in(
        self, pictures: Sequence[NDArray], side: int, origin: NDArray[np.float64] | None
    ) -> list[Animals]:
        """Return the animals of whole frames, or of windows with a side in px of the network input."""
        if origin is None:
            return self._seen(self.load(pictures))
        return self._seen(self.load(pictures, (side, side), origin))


def to_poses(
    skeleton: Skeleton,
    indices: Sequence[int],
    animals: Sequence[Animals],
    videos: Sequence[Video] = (),
    video: int = 0,
) -> Poses:
    """Put the animals of some frames into a table; frames without animals get an empty row."""
    counts = [len(a.xy) for a in animals]
    k = len(skeleton)
    return Poses.from_instances(
        skeleton,
        np.repeat(np.asarray(indices, np.int64), counts),
        np.concatenate([a.xy for a in animals]) if animals else np.zeros((0, k, 2)),
        score=np.concatenate([a.score for a in animals]) if animals else np.zeros((0, k)),
        instance_score=np.concatenate([a.instance_score for a in animals])
        if animals
        else np.zeros(0),
        source=np.full(sum(counts), Source.PREDICTED),
        video=np.full(sum(counts), video),
        videos=videos,
        empty_frames=[(video, i) for i in indices],
    )


def predict_stream(
    model: str | Path | Predictor,
    frames: Frames,
    config: PredictConfig | None = None,
    *,
    frame_range: range | Sequence[int] | None = None,
    follow: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[PredictedChunk]:
    """Predict a recording piece by piece.

    Memory does not grow with the length of the recording; what the caller keeps of the chunks does.

    Parameters
    ----------
    model : path or Predictor
        Model folder.
    frames : Frames
    config : PredictConfig, optional
        Those of the model by default.
    frame_range : range or sequence of int, optional
        Frames to predict; all by default.
    follow : bool
        Whether the frames follow each other, so that animals can be followed.
    should_stop : callable
        Asked between batches.

    Raises
    ------
    ModelError
        If `model` is no usable model folder.
    FramesError
        If a frame cannot be read.
    """
    if not isinstance(model, Predictor):
        if config is None:
            from napari_semimultipose.models.checkpoint import read_info

            config = read_info(model).config.predict
        model = Predictor.from_folder(model, config)
    indices = frame_range
    if indices is None:
        indices = range(len(frames)) if frames.stored is None else frames.stored
    videos = (video_of(frames),)
    done = 0
    next_trim = time.monotonic() + _TRIM_S
    for part, animals in model.stream(frames, indices, follow=follow, should_stop=should_stop):
        if model.device.type == "cpu" and time.monotonic() > next_trim:
            give_back_memory()
            next_trim = time.monotonic() + _TRIM_S
        done += len(part)
        yield PredictedChunk(to_poses(model.skeleton, part, animals, videos), done, len(indices))
