"""A network on its device: pictures in, animals out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.config import PredictConfig
from napari_semimultipose.inference.decode import (
    best_first,
    candidates,
    local_peaks,
    sample_heat,
    suppress,
)
from napari_semimultipose.inference.follow import Animals
from napari_semimultipose.inference.pairs import part_pairs
from napari_semimultipose.inference.plausible import PlausibleChoice
from napari_semimultipose.inference.single import one_animal
from napari_semimultipose.inference.two_heads import surer_animals
from napari_semimultipose.models.build import Network, NetworkOutput
from napari_semimultipose.models.checkpoint import ModelInfo, load_model
from napari_semimultipose.models.context import WINDOW, FrameFeatures, still_windows
from napari_semimultipose.models.device import keep_freed_memory, pick_device, pick_precision
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.models.fuse import fuse_norms
from napari_semimultipose.models.geometry import scaled_size, side_scale
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.models.peaks import HeatmapOutput
from napari_semimultipose.models.turns import averaged, averaged_over_turns, turned_copies
from napari_semimultipose.poses import Skeleton

_PAD = 32
_MOST = 300  # animals a frame, where no number is given
_PIXELS_CPU, _PIXELS_GPU = 4 * 384**2, 32 * 512**2


@dataclass
class Loaded:
    """Pictures of one batch, scaled and padded, with what leads back to the original pixels."""

    images: Tensor  # uint8 [B, C, H, W]; C is 1 for grey frames
    ratio: tuple[float, float]  # (x, y) scaled / original
    origin: NDArray[np.float64]  # [B, 2], (x, y) of the first pixel in the frame


class PicturePredictor:
    """A network on its device: pictures in, animals out.

    Parameters
    ----------
    network : DirectPose or HeatmapTracker
        In evaluation mode.
    info : ModelInfo
    config : PredictConfig

    Attributes
    ----------
    turns : int
        Turned copies that are averaged.
    """

    def __init__(self, network: Network, info: ModelInfo, config: PredictConfig) -> None:
        self.info = info
        self.config = config
        self.turns: int = config.turns or 1
        self.device = pick_device(config.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self._bf16 = pick_precision(config.precision, self.device) == "bf16-mixed"
        self._network = network.to(self.device)
        if self.device.type == "cpu":
            self._network = self._network.to(memory_format=torch.channels_last)
        self._choice: PlausibleChoice | None = None
        if config.plausible and isinstance(network, HeatmapTracker):
            choice = PlausibleChoice.of(info.shapes, network.stride / 2)
            self._choice = None if choice is None else choice.to(self.device)

    @classmethod
    def from_folder(cls, path: str | Path, config: PredictConfig) -> Self:
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
    ) -> Loaded:
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
        if h % _PAD or w % _PAD:
            padded = torch.zeros(
                (len(images), pixels.shape[1], -(-h // _PAD) * _PAD, -(-w // _PAD) * _PAD),
                dtype=torch.uint8,
            )
            padded[..., :h, :w] = pixels
            pixels = padded
        if origin is None:
            origin = np.zeros((len(images), 2))
        return Loaded(pixels, (w / width, h / height), origin)

    @property
    def looks_around(self) -> bool:
        """Whether the frames around a frame tell about it."""
        return self.info.config.model.context

    @torch.inference_mode()
    def forward(self, images: Tensor, windows: Tensor | None = None) -> NetworkOutput:
        """Run the network on uint8 images [B, C, H, W].

        Parameters
        ----------
        windows : Tensor [N, 5] of int, optional
            For a network that looks around: the images around the N that are predicted. By default each is
            predicted alone.
        """
        if self.looks_around:
            if windows is None:
                windows = still_windows(len(images))
            return self.heads(self.features(images), windows.to(self.device))
        x = self._input(images)
        with self._autocast():
            if isinstance(self._network, HeatmapTracker):
                heat: HeatmapOutput = self._network(x)
                return heat
            return averaged_over_turns(self._network, x, self.turns)

    @torch.inference_mode()
    def features(self, images: Tensor) -> list[FrameFeatures]:
        """Compute what is needed of each of the uint8 images [B, C, H, W]: of each turned copy."""
        x = self._input(images)
        turns = 1 if isinstance(self._network, HeatmapTracker) else self.turns
        with self._autocast():
            return [self._network.features(copy) for copy in turned_copies(x, turns)]

    @torch.inference_mode()
    def heads(self, features: Sequence[FrameFeatures], windows: Tensor) -> NetworkOutput:
        """Map the `features` of frames to the output for the middle of windows [N, 5] of them."""
        with self._autocast():
            if isinstance(self._network, HeatmapTracker):
                return self._network.heads(features[0], windows)
            return averaged([self._network.heads(one, windows) for one in features])

    def _input(self, images: Tensor) -> Tensor:
        x = images.to(self.device, non_blocking=True) / 255
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16)

    def output_of(
        self, picture: NDArray, around: Sequence[NDArray] = ()
    ) -> tuple[NetworkOutput, Loaded]:
        """Run the network on one picture.

        Parameters
        ----------
        picture : array [H, W, C]
        around : sequence of array [H, W, C]
            The two frames before and the two after it, for a network that looks around.
        """
        loaded = self.load([picture])
        if not self.looks_around or len(around) != WINDOW - 1:
            return self.forward(loaded.images), loaded
        five = [*around[: WINDOW // 2], picture, *around[WINDOW // 2 :]]
        channels = max(one.shape[2] for one in five)  # grey and colour may be mixed
        five = [np.broadcast_to(one, (*one.shape[:2], channels)) for one in five]
        return self.forward(self.load(five).images, torch.arange(WINDOW)[None]), loaded

    @torch.inference_mode()
    def animals(self, output: NetworkOutput, loaded: Loaded) -> list[Animals]:
        """Decode the network's output to the animals of each frame."""
        config = self.config
        if isinstance(output, HeatmapOutput):
            assert isinstance(self._network, HeatmapTracker)
            return one_animal(
                self._network, output, loaded.ratio, config.score_threshold, self._choice
            )
        found = self._detected(output, loaded)
        if output.context is None:
            return found
        limit = config.max_animals or _MOST
        return [
            surer_animals(first, second, config.nms_threshold, limit)
            for first, second in zip(found, self._detected(output.context, loaded), strict=True)
        ]

    def _detected(self, output: Output, loaded: Loaded) -> list[Animals]:
        """Decode the output of one head."""
        config = self.config
        threshold = config.score_threshold
        # The geometric mean with a heat map, which is at most 1, cannot be higher than the root; of low
        # limits, which are for scoring, that would leave much that is nothing.
        least = max(threshold**2, 0.3 * threshold) if config.heat_score else threshold
        found = candidates(output, max(least, 0.01), peaks=config.nms == "oks")
        found = found.select(found.score >= least)
        limit = config.max_animals or _MOST
        found = suppress(
            found,
            config.nms,
            config.nms_threshold,
            limit=_MOST if config.heat_score else limit,
        )
        xy = found.xy
        if config.refine_cells:
            peaks = local_peaks(output, found, config.refine_cells)
            use = (peaks.probability >= config.refine_peak) & (
                peaks.shift_cells <= config.refine_cells
            )
            xy = torch.where(use[..., None], peaks.xy, xy)
        found.xy = xy
        alone = found.score
        if config.heat_score:
            # Now, and again below: to part pairs takes long where there are many false animals.
            found.score = (alone * sample_heat(output, found).mean(1)).sqrt()
            order = best_first(found, threshold, limit)
            found, alone = found.select(order), alone[order]
        if config.part_pairs and self.info.pairs:
            size_px = self.info.animal_size_px * float(np.mean(loaded.ratio))
            found.xy = part_pairs(output, found, found.xy, self.info.pairs, size_px)
        score = sample_heat(output, found)
        if config.heat_score:
            found.score = (alone * score.mean(1)).sqrt()
            order = best_first(found, threshold, limit)
            found, score = found.select(order), score[order]
        ratio = np.array(loaded.ratio)
        image = found.image.cpu().numpy()
        original = (
            (found.xy.double().cpu().numpy() + 0.5) / ratio - 0.5 + loaded.origin[image, None]
        )
        keypoint_score = score.double().cpu().numpy()
        instance_score = found.score.double().cpu().numpy()
        return [
            Animals(original[image == i], keypoint_score[image == i], instance_score[image == i])
            for i in range(len(loaded.origin))
        ]
