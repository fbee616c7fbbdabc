"""Apply a model to a recording of any length: frames in, poses out, in bounded memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.config import PredictConfig
from napari_semimultipose.inference.decode import candidates, local_peaks, sample_heat, suppress
from napari_semimultipose.models.checkpoint import ModelInfo, load_model
from napari_semimultipose.models.device import keep_freed_memory, pick_device, pick_precision
from napari_semimultipose.models.directpose import DirectPose, Output
from napari_semimultipose.models.geometry import scaled_size
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

_PAD = 32
_AHEAD = 3
_PIXELS_CPU, _PIXELS_GPU = 4 * 384**2, 32 * 512**2


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


@dataclass(frozen=True)
class Animals:
    """Animals of one frame, px of the original frame: arrays [M, K, 2], [M, K], [M]."""

    xy: NDArray[np.float64]
    score: NDArray[np.float64]
    instance_score: NDArray[np.float64]


@dataclass
class _Loaded:
    """Frames of one batch, scaled and padded, with what leads back to the original pixels."""

    indices: list[int]
    images: Tensor  # uint8 [B, C, H, W]; C is 1 for grey frames
    ratio: tuple[float, float]  # (x, y) scaled / original


class Predictor:
    """A network on its device, with the settings of prediction.

    Parameters
    ----------
    network : DirectPose
        In evaluation mode.
    info : ModelInfo
    config : PredictConfig
    """

    def __init__(self, network: DirectPose, info: ModelInfo, config: PredictConfig) -> None:
        self.info = info
        self.config = config
        self.device = pick_device(config.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self._bf16 = pick_precision(config.precision, self.device) == "bf16-mixed"
        self._network = network.to(self.device)
        if self.device.type == "cpu":
            self._network = self._network.to(memory_format=torch.channels_last)

    @classmethod
    def from_folder(cls, path: str | Path, config: PredictConfig) -> Predictor:
        """Load a model folder.

        Raises
        ------
        ModelError
            If it is no usable model folder.
        """
        network, info = load_model(path)
        return cls(network, info, config)

    @property
    def skeleton(self) -> Skeleton:
        """Keypoints that the model knows."""
        return self.info.skeleton

    def scale_for(self, height: int, width: int) -> float:
        """Scale at which the network sees a frame of this size."""
        if self.info.scale:
            return self.info.scale
        data = self.info.config.data
        return min(data.short_px / min(height, width), data.max_long_px / max(height, width))

    def batch_size(self, height: int, width: int) -> int:
        """Frames of this size in a forward pass."""
        if self.config.batch_size:
            return self.config.batch_size
        scale = self.scale_for(height, width)
        pixels = height * width * scale**2
        limit = _PIXELS_CPU if self.device.type == "cpu" else _PIXELS_GPU
        return int(np.clip(limit / pixels, 1, 64))

    def load(self, indices: Sequence[int], images: Sequence[NDArray]) -> _Loaded:
        """Scale and pad frames of one size."""
        height, width = images[0].shape[:2]
        scale = self.scale_for(height, width)
        h, w = scaled_size(height, width, scale)
        stack = np.stack(images)
        pixels = torch.from_numpy(stack).permute(0, 3, 1, 2)
        if (h, w) != (height, width):
            pixels = torch.nn.functional.interpolate(
                pixels, size=(h, w), mode="bilinear", antialias=True, align_corners=False
            )
        padded = torch.zeros(
            (len(images), pixels.shape[1], -(-h // _PAD) * _PAD, -(-w // _PAD) * _PAD),
            dtype=torch.uint8,
        )
        padded[..., :h, :w] = pixels
        return _Loaded(list(indices), padded, (w / width, h / height))

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Output:
        """Run the network on uint8 images [B, C, H, W]."""
        x = images.to(self.device, non_blocking=True).float().div_(255)
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16):
            output: Output = self._network(x)
        return output

    @torch.inference_mode()
    def animals(self, output: Output, loaded: _Loaded) -> list[Animals]:
        """Decode the network's output to the animals of each frame."""
        config = self.config
        found = candidates(output, max(config.score_threshold, 0.01), peaks=config.nms == "oks")
        found = found.select(found.score >= config.score_threshold)
        limit = config.max_animals or 300
        found = suppress(found, config.nms, config.nms_threshold, limit=limit)
        xy = found.xy
        if config.refine_cells:
            peaks = local_peaks(output, found, config.refine_cells)
            use = (peaks.probability >= config.refine_peak) & (
                peaks.shift_cells <= config.refine_cells
            )
            xy = torch.where(use[..., None], peaks.xy, xy)
            found.xy = xy
        score = sample_heat(output, found)
        ratio = np.array(loaded.ratio)
        original = (xy.double().cpu().numpy() + 0.5) / ratio - 0.5
        image = found.image.cpu().numpy()
        keypoint_score = score.double().cpu().numpy()
        instance_score = found.score.double().cpu().numpy()
        return [
            Animals(original[image == i], keypoint_score[image == i], instance_score[image == i])
            for i in range(len(loaded.indices))
        ]

    def stream(
        self,
        frames: Frames,
        indices: range | Sequence[int],
        *,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        """Predict frames, reading ahead in a thread and decoding poses in another one.

        Yields
        ------
        list of int, list of Animals
            Frame indices of a batch, in the given order, and their animals.
        """
        reader = _Reader(self, frames, indices)
        pending: Future[list[Animals]] | None = None
        waiting: list[int] = []
        with ThreadPoolExecutor(
            1, "poses", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            try:
                for loaded in reader:
                    if should_stop():
                        break
                    output = self.forward(loaded.images)
                    if pending is not None:
                        yield waiting, pending.result()
                    pending, waiting = pool.submit(self.animals, output, loaded), loaded.indices
                if pending is not None:
                    yield waiting, pending.result()
            finally:
                reader.close()


class _Reader:
    """Reads, scales and stacks frames ahead, in a thread."""

    def __init__(
        self, predictor: Predictor, frames: Frames, indices: range | Sequence[int]
    ) -> None:
        self._predictor = predictor
        self._frames = frames
        self._indices = indices
        self._queue: queue.Queue[_Loaded | BaseException | None] = queue.Queue(_AHEAD)
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
        try:
            held: list[tuple[int, NDArray]] = []
            for index, image in self._frames_in_order():
                if self._stop.is_set():
                    return
                if held and held[0][1].shape != image.shape:
                    self._put(self._load(held))
                    held = []
                held.append((index, image))
                if len(held) >= self._predictor.batch_size(*image.shape[:2]):
                    self._put(self._load(held))
                    held = []
            if held:
                self._put(self._load(held))
            self._put(None)
        except Exception as error:
            self._put(error)

    def _load(self, held: list[tuple[int, NDArray]]) -> _Loaded:
        return self._predictor.load([i for i, _ in held], [image for _, image in held])

    def _put(self, item: _Loaded | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[_Loaded]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


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


def video_of(frames: Frames) -> Video:
    """Return the reference to a recording, for the poses made on it."""
    height, width = frames.shape[1:3]
    return Video(frames.path or "", tuple(frames.names or ()), (height, width))


def predict_stream(
    model: str | Path | Predictor,
    frames: Frames,
    config: PredictConfig | None = None,
    *,
    frame_range: range | Sequence[int] | None = None,
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
    indices = range(len(frames)) if frame_range is None else frame_range
    videos = (video_of(frames),)
    done = 0
    for part, animals in model.stream(frames, indices, should_stop=should_stop):
        done += len(part)
        yield PredictedChunk(to_poses(model.skeleton, part, animals, videos), done, len(indices))
