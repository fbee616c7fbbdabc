"""DirectPose with the heat-map branch of SemiMultiPose.

Three branches share a backbone with a feature pyramid: B1 makes a heat map for each keypoint, B2
says at each location whether an animal is centred there, B3 gives the position of all its
keypoints, with features sampled at a first guess of each keypoint (keypoint alignment).
DirectPose: Tian, Chen and Shen 2019 (arXiv:1911.07451); SemiMultiPose: Blau et al. 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_semimultipose.config import ModelConfig
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.models.backbone import STRIDES, Backbone
from napari_semimultipose.models.branches import HeatBranch, InstanceBranch, KeypointBranch
from napari_semimultipose.models.context import Context, FrameFeatures
from napari_semimultipose.models.vision import FeaturePyramidNetwork

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass
class LevelOutput:
    """Dense predictions at one stride s, in float32.

    ``cls`` and ``quality`` [B, 1, h, w] are logits; ``offsets`` [B, K, 2, h, w] are keypoints and
    ``guesses`` [B, G, 2, h, w] the sampling positions of the groups, both (x, y) in units of s from
    the location of the cell.
    """

    stride: int
    cls: Tensor
    quality: Tensor
    offsets: Tensor
    guesses: Tensor


@dataclass
class Output:
    """Dense predictions of all levels and the heat-map logits [B, K, H/s, W/s] at `heat_stride`.

    ``context`` is the same with the frames around each frame taken into account, where that was asked for.
    """

    levels: list[LevelOutput]
    heat: Tensor
    heat_stride: int
    context: Output | None = None

    def part(self, start: int, stop: int) -> Output:
        """Return the predictions of the images ``start:stop`` of the batch."""
        cut = slice(start, stop)
        return Output(
            [
                LevelOutput(v.stride, v.cls[cut], v.quality[cut], v.offsets[cut], v.guesses[cut])
                for v in self.levels
            ],
            self.heat[cut],
            self.heat_stride,
            None if self.context is None else self.context.part(start, stop),
        )


def group_indices(
    groups: str | Sequence[Sequence[str]], keypoints: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Resolve the setting ``model.groups`` to keypoint indices.

    Raises
    ------
    ConfigError
        If lists of names do not hold every keypoint exactly once.
    """
    if groups == "one":
        return (tuple(range(len(keypoints))),)
    if groups == "each":
        return tuple((i,) for i in range(len(keypoints)))
    names = [name for group in groups for name in group]
    if sorted(names) != sorted(keypoints):
        raise ConfigError(
            "model.groups must name each keypoint exactly once; the keypoints are "
            + ", ".join(keypoints)
        )
    where = {name: i for i, name in enumerate(keypoints)}
    return tuple(tuple(where[name] for name in group) for group in groups)


class DirectPose(nn.Module):
    """The network.

    With ``model.context``, the branches read the features of a frame a second time with what the frames
    around it tell added to them; see `models.context`.

    Parameters
    ----------
    config : ModelConfig
    keypoints : sequence of str
        Names of the K keypoints.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, keypoints: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.groups = group_indices(config.groups, keypoints)
        self.levels = tuple(config.levels)
        if min(self.levels) < config.finest:
            raise ConfigError("model.levels must not be finer than model.finest")
        top = max(*self.levels, 16)
        self.strides = tuple(s for s in STRIDES if config.finest <= s <= top)
        width = config.channels
        self.backbone = Backbone(
            config.backbone,
            self.strides,
            pretrained=config.pretrained,
            frozen_norm=config.norm == "frozen_bn",
        )
        self.pyramid = FeaturePyramidNetwork(list(self.backbone.widths), width)
        self.instance_branch = InstanceBranch(width, config.tower_depth, config.tower_norm)
        self.keypoint_branch = KeypointBranch(
            width,
            self.groups,
            config.tower_depth,
            config.tower_norm,
            grouped=config.tower == "grouped",
        )
        self.heat_branch = HeatBranch(
            width, config.heat_channels, config.heat_depth, len(keypoints)
        )
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

        # The maps that the branches read: the finest for the heat maps, and those of the levels.
        self.map_strides = tuple(dict.fromkeys((config.finest, *self.levels)))
        self.context: Context | None = None
        if config.context:
            # Last, so that the rest has the weights that it has without.
            nearest = self.levels.index(min(self.levels))
            self.context = Context(
                [width] * len(self.levels),
                [
                    (self.levels.index(s) if s in self.levels else nearest, width)
                    for s in self.map_strides
                ],
            )

    @property
    def readouts(self) -> list[nn.Module]:
        """Last layers of the branches."""
        heads, keypoints = self.instance_branch, self.keypoint_branch
        last = [heads.cls, heads.quality, keypoints.locator, *keypoints.aligners]
        return [*last, self.heat_branch.body[-1]]

    def forward(
        self, images: Tensor, windows: Tensor | None = None, around: Tensor | None = None
    ) -> Output:
        """Map images [B, 3, H, W] (0..1; H, W multiples of 32) to dense predictions.

        Parameters
        ----------
        windows : Tensor [N, 5] of int, optional
            Frames that tell about the one in the middle: indices into `images` and, after these,
            `around`. Without, the output has no ``context``; its length is N.
        around : Tensor [A, 3, H, W], optional
            Pictures that are only looked at; no gradient of the backbone comes from them.
        """
        return self.heads(self.features(images, around), windows, len(images))

    def features(self, images: Tensor, around: Tensor | None = None) -> FrameFeatures:
        """Compute what is needed of each picture, of `images` and then of `around`."""
        maps = self._look(images)
        if self.context is None:
            return FrameFeatures(maps)
        sources = [maps[self.map_strides.index(s)] for s in self.levels]
        if around is not None:
            with torch.no_grad():
                more = self._look(around)
            sources = [
                torch.cat([x, more[self.map_strides.index(s)]])
                for x, s in zip(sources, self.levels, strict=True)
            ]
        # The branches take nothing of the pictures around but what the recurrence makes of them.
        return FrameFeatures(maps, self.context.encode(sources))

    def _look(self, images: Tensor) -> tuple[Tensor, ...]:
        normal = torch.addcmul(-self.mean / self.std, images, 1 / self.std)  # in one pass
        features = self.pyramid(self.backbone(normal))
        return tuple(features[str(s)] for s in self.map_strides)

    def heads(
        self, features: FrameFeatures, windows: Tensor | None = None, count: int | None = None
    ) -> Output:
        """Map features to dense predictions.

        Parameters
        ----------
        features : FrameFeatures
        windows : Tensor [N, 5] of int, optional
            Frames that tell about the one in the middle.
        count : int, optional
            Single frames to predict, from the first on; by default those in the middle of the windows,
            or all.
        """
        if windows is None or self.context is None:
            return self._branches([x[:count] for x in features.maps])
        middle = [x[windows[:, windows.shape[1] // 2]] for x in features.maps]
        single = middle if count is None else [x[:count] for x in features.maps]
        told = self.context(middle, features.encoded, windows)
        # Together, so that batch normalisation treats both alike.
        both = self._branches([torch.cat(pair) for pair in zip(single, told, strict=True)])
        n = len(single[0])
        output = both.part(0, n)
        output.context = both.part(n, n + len(windows))
        return output

    def _branches(self, maps: Sequence[Tensor]) -> Output:
        levels = [maps[self.map_strides.index(s)] for s in self.levels]
        classes = [self.instance_branch(m) for m in levels]
        keypoints = self.keypoint_branch(levels, self.levels)
        heat = self.heat_branch(maps[0])
        return Output(
            [
                LevelOutput(s, cls.float(), quality.float(), offsets, guesses)
                for s, (cls, quality), (offsets, guesses) in zip(
                    self.levels, classes, keypoints, strict=True
                )
            ],
            heat.float(),
            self.config.finest,
        )
