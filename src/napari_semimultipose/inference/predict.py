"""Apply a model to a recording of any length: frames in, poses out, in bounded memory."""

from __future__ import annotations

import time
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
from napari_semimultipose.inference.follow import Animals, Follower
from napari_semimultipose.inference.reader import Reader
from napari_semimultipose.inference.single import one_animal
from napari_semimultipose.models.build import Network, NetworkOutput
from napari_semimultipose.models.checkpoint import ModelInfo, load_model
from napari_semimultipose.models.device import (
    give_back_memory,
    keep_freed_memory,
    pick_device,
    pick_precision,
)
from napari_semimultipose.models.fuse import fuse_norms
from napari_semimultipose.models.geometry import scaled_size, side_scale
from napari_semimultipose.models.heatmap import HeatmapOutput, HeatmapTracker
from napari_semimultipose.models.turns import averaged_over_turns
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

_PAD = 32
_TRIM_S = 2.0  # time between two returns of freed memory
_TOGETHER = 8  # frames that are searched in windows together
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


@dataclass
class _Loaded:
    """Pictures of one batch, scaled and padded, with what leads back to the original pixels."""

    images: Tensor  # uint8 [B, C, H, W]; C is 1 for grey frames
    ratio: tuple[float, float]  # (x, y) scaled / original
    origin: NDArray[np.float64]  # [B, 2], (x, y) of the first pixel in the frame


class Predictor:
    """A network on its device, with the settings of prediction.

    Parameters
    ----------
    network : DirectPose or HeatmapTracker
        In evaluation mode.
    info : ModelInfo
    config : PredictConfig
    """

    def __init__(self, network: Network, info: ModelInfo, config: PredictConfig) -> None:
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
        fuse_norms(network)
        return cls(network, info, config)

    @property
    def skeleton(self) -> Skeleton:
        """Keypoints that the model knows."""
        return self.info.skeleton

    def scale_for(self, height: int, width: int) -> float:
        """Scale at which the network sees a frame of this size."""
        if self.info.config.model.kind == "heatmap":
            return side_scale(height, width, self.info.config.heatmap.side_px)
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

    def load(
        self,
        images: Sequence[NDArray],
        size: tuple[int, int] | None = None,
        origin: NDArray[np.float64] | None = None,
    ) -> _Loaded:
        """Scale and pad pictures of one size.

        Parameters
        ----------
        images : sequence of array [H, W, C]
            Frames or parts of frames.
        size : (int, int), optional
            Height and width to scale to; by default those of the working scale.
        origin : array [B, 2], optional
            First pixels (x, y) of parts of frames.
        """
        height, width = images[0].shape[:2]
        h, w = size or scaled_size(height, width, self.scale_for(height, width))
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
        if origin is None:
            origin = np.zeros((len(images), 2))
        return _Loaded(padded, (w / width, h / height), origin)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> NetworkOutput:
        """Run the network on uint8 images [B, C, H, W]."""
        x = images.to(self.device, non_blocking=True).float().div_(255)
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16):
            if isinstance(self._network, HeatmapTracker):
                heat: HeatmapOutput = self._network(x)
                return heat
            return averaged_over_turns(self._network, x, self.config.turns)

    @torch.inference_mode()
    def animals(self, output: NetworkOutput, loaded: _Loaded) -> list[Animals]:
        """Decode the network's output to the animals of each frame."""
        config = self.config
        if isinstance(output, HeatmapOutput):
            assert isinstance(self._network, HeatmapTracker)
            return one_animal(self._network, output, loaded.ratio, config.score_threshold)
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
        image = found.image.cpu().numpy()
        original = (xy.double().cpu().numpy() + 0.5) / ratio - 0.5 + loaded.origin[image, None]
        keypoint_score = score.double().cpu().numpy()
        instance_score = found.score.double().cpu().numpy()
        return [
            Animals(original[image == i], keypoint_score[image == i], instance_score[image == i])
            for i in range(len(loaded.images))
        ]

    def stream(
        self,
        frames: Frames,
        indices: range | Sequence[int],
        *,
        follow: bool = True,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        """Predict frames, reading ahead in a thread and decoding poses in another one.

        With `follow`, a known number of animals is looked for near where it was, where that is quicker
        (`inference.follow`): for frames that follow each other.

        Yields
        ------
        list of int, list of Animals
            Frame indices of a batch, in the given order, and their animals.
        """
        follower = self._follower(frames, indices) if follow else None
        if follower is not None:
            yield from self._following(follower, frames, indices, should_stop)
        else:
            yield from self._whole_frames(frames, indices, should_stop)

    def _whole_frames(
        self,
        frames: Frames,
        indices: range | Sequence[int],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        reader = Reader(
            frames, indices, self.batch_size, lambda pictures: self.load(list(pictures))
        )
        pending: Future[list[Animals]] | None = None
        waiting: list[int] = []
        with ThreadPoolExecutor(
            1, "poses", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            try:
                for numbers, loaded in reader:
                    if should_stop():
                        break
                    output = self.forward(loaded.images)
                    if pending is not None:
                        yield waiting, pending.result()
                    pending, waiting = pool.submit(self.animals, output, loaded), numbers
                if pending is not None:
                    yield waiting, pending.result()
            finally:
                reader.close()

    def _follower(self, frames: Frames, indices: range | Sequence[int]) -> Follower | None:
        """Return a follower where following is possible and pays."""
        config, size = self.config, self.info.animal_size_px
        if not (
            self.info.config.model.kind != "heatmap"
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
            config.refresh_every,
            config.nms_threshold,
        )
        return follower if follower.pays else None

    def _following(
        self,
        follower: Follower,
        frames: Frames,
        indices: range | Sequence[int],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[list[int], list[Animals]]]:
        """Predict frames in windows around the animals; see `inference.follow`."""
        reader = Reader(frames, indices, lambda height, width: _TOGETHER, list)
        try:
            for numbers, pictures in reader:
                if should_stop():
                    break
                found: list[Animals] = []
                while len(found) < len(pictures):
                    rest = pictures[len(found) :]
                    if follower.lost or rest[0].shape[:2] != follower.frame_size:
                        found += self._whole(follower, rest[0])
                    else:
                        found += self._in_windows(follower, rest)
                yield numbers, found
        finally:
            reader.close()

    def _whole(self, follower: Follower, picture: NDArray) -> list[Animals]:
        loaded = self.load([picture])
        found = self.animals(self.forward(loaded.images), loaded)
        follower.take(found[0], whole_frame=True)
        return found

    def _in_windows(self, follower: Follower, pictures: Sequence[NDArray]) -> list[Animals]:
        """Return the animals of the first pictures: as many as can be predicted together."""
        pictures = pictures[: follower.together]
        windows = [follower.windows(ahead) for ahead in range(1, len(pictures) + 1)]
        flat = [(picture, w) for picture, ws in zip(pictures, windows, strict=True) for w in ws]
        parts = [p[w.y : w.y + w.side, w.x : w.x + w.side] for p, w in flat]
        side = follower.input_side
        origin = np.array([(w.x, w.y) for _, w in flat], np.float64)
        loaded = self.load(parts, (side, side), origin)
        seen = iter(self.animals(self.forward(loaded.images), loaded))
        out: list[Animals] = []
        for picture, ws in zip(pictures, windows, strict=True):
            animals = follower.gather(ws, [next(seen) for _ in ws])
            if animals is None:
                out += self._whole(follower, picture)
            else:
                follower.take(animals, whole_frame=False)
                out.append(animals)
        return out


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
    indices = range(len(frames)) if frame_range is None else frame_range
    videos = (video_of(frames),)
    done = 0
    next_trim = time.monotonic() + _TRIM_S
    for part, animals in model.stream(frames, indices, follow=follow, should_stop=should_stop):
        if model.device.type == "cpu" and time.monotonic() > next_trim:
            give_back_memory()
            next_trim = time.monotonic() + _TRIM_S
        done += len(part)
        yield PredictedChunk(to_poses(model.skeleton, part, animals, videos), done, len(indices))
