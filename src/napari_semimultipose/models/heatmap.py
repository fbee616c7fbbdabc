"""Heat-map tracker for one animal: a backbone, a linear head, and a spatial softmax.

After Lightning Pose (Biderman et al. 2024, Nature Methods 21, 1316), whose heat maps each sum to 1. `peaks`
decodes them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_semimultipose.config import Config
from napari_semimultipose.models.backbone import Backbone
from napari_semimultipose.models.context import Context, FrameFeatures
from napari_semimultipose.models.directpose import _MEAN, _STD
from napari_semimultipose.models.peaks import HeatmapOutput
from napari_semimultipose.models.vision import FeaturePyramidNetwork

_COARSEST = 32
_PYRAMID_TOP = (
    16  # the last stage of a backbone has most weights, and few labels train none of them well
)


class HeatmapTracker(nn.Module):
    """Heat maps of the keypoints of one animal.

    With ``model.context``, a second head looks at the frames around a frame, too; see `models.context`.

    Parameters
    ----------
    config : Config
        The groups ``model`` (backbone) and ``heatmap``.
    keypoints : sequence of str
        Names of the K keypoints.

    Attributes
    ----------
    calibration : Tensor [2]
        Slope and offset that turn the logit of the mass of a peak into that of the probability that the
        keypoint is right; measured on validation frames.
    """

    mean: Tensor
    std: Tensor
    calibration: Tensor

    def __init__(self, config: Config, keypoints: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        heat = config.heatmap
        self.stride = 2**heat.downsample
        finest = max(self.stride, 4)
        strides = (
            (_COARSEST,)
            if heat.head == "deconvolution"
            else tuple(s for s in (4, 8, _PYRAMID_TOP) if s >= finest)
        )
        self.backbone = Backbone(
            config.model.backbone,
            strides,
            pretrained=config.model.pretrained,
            frozen_norm=config.model.norm == "frozen_bn",
        )
        n = len(keypoints)
        head: DeconvolutionHead | PyramidHead
        if heat.head == "deconvolution":
            head = DeconvolutionHead(self.backbone.widths[-1], n, heat.downsample)
        else:
            head = PyramidHead(self.backbone.widths, strides, config.model.channels, n, self.stride)
        self.head = head
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self.context: Context | None = None
        if config.model.context:
            # Last, so that the rest has the weights that it has without.
            self.context = Context((head.source_width,), ((0, head.width),))
            self.context_reader = copy.deepcopy(head.reader)

    @property
    def readouts(self) -> list[nn.Module]:
        """Last layers: their inputs are what all keypoints share."""
        if self.context is None:
            return [self.head.last]
        layers = [
            m
            for m in self.context_reader.modules()
            if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        return [self.head.last, layers[-1]]

    def forward(
        self, images: Tensor, windows: Tensor | None = None, around: Tensor | None = None
    ) -> HeatmapOutput:
        """Map images [B, 3, H, W] (0..1; H, W multiples of 32) to heat maps.

        Parameters
        ----------
        windows : Tensor [N, 5] of int, optional
            What the second head looks at: indices into `images` and, after these, `around`. Without,
            there is no second head in the output.
        around : Tensor [A, 3, H, W], optional
            Pictures that are only looked at; no gradient of the backbone comes from them.
        """
        features = self.features(images, around)
        return self.heads(features, windows, len(images))

    def features(self, images: Tensor, around: Tensor | None = None) -> FrameFeatures:
        """Compute what is needed of each picture, of `images` and then of `around`."""
        levels = self._levels(images)
        base = self.head.base(levels)
        if self.context is None:
            return FrameFeatures((base,))
        source = self.head.source(levels)
        if around is not None:
            # The heads take nothing of them but what the recurrence makes of them.
            with torch.no_grad():
                more = self.head.source(self._levels(around))
            source = torch.cat([source, more])
        return FrameFeatures((base,), self.context.encode([source]))

    def _levels(self, images: Tensor) -> dict[str, Tensor]:
        levels: dict[str, Tensor] = self.head.levels(self.backbone((images - self.mean) / self.std))
        return levels

    def heads(
        self, features: FrameFeatures, windows: Tensor | None = None, count: int | None = None
    ) -> HeatmapOutput:
        """Map features to heat maps.

        Parameters
        ----------
        features : FrameFeatures
        windows : Tensor [N, 5] of int, optional
            Frames that the second head looks at.
        count : int, optional
            The first head reads so many frames, from the first on; by default those in the middle of the
            windows, or all.
        """
        (base,) = features.maps
        if windows is None or self.context is None:
            return HeatmapOutput(self.head.read(base[:count]).float(), self.stride)
        middle = base[windows[:, windows.shape[1] // 2]]
        single = self.head.read(middle if count is None else base[:count])
        (told,) = self.context([middle], features.encoded, windows)
        several = HeatmapOutput(self.context_reader(told).float(), self.stride)
        return HeatmapOutput(single.float(), self.stride, several)

    def confidence(self, mass: Tensor) -> Tensor:
        """Probability 0..1 that keypoints are right, from the mass of their peaks."""
        slope, offset = self.calibration
        return torch.sigmoid(slope * torch.logit(mass.float(), eps=1e-4) + offset)


class DeconvolutionHead(nn.Module):
    """Pixel shuffle and transposed convolutions, without normalisation and without nonlinearity.

    Parameters
    ----------
    width : int
        Channels of the features at stride 32.
    n_keypoints : int
    downsample : int
        The maps have a stride of 2 to this power.
    """

    def __init__(self, width: int, n_keypoints: int, downsample: int) -> None:
        super().__init__()
        self.shuffle = nn.PixelShuffle(2)
        layers: list[nn.Module] = []
        channels = width // 4
        for _ in range(int(math.log2(_COARSEST)) - downsample - 1):
            layer = nn.ConvTranspose2d(channels, n_keypoints, 3, 2, 1, output_padding=1)
            nn.init.xavier_uniform_(layer.weight, gain=0.01 if not layers else 1.0)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            layers.append(layer)
            channels = n_keypoints
        self.layers = nn.Sequential(*layers)
        self.width = self.source_width = width // 4

    @property
    def reader(self) -> nn.Sequential:
        """Layers from the base to the heat maps."""
        return self.layers

    def levels(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Map features {"32": [B, C, H/32, W/32]} to {"16": [B, width, H/16, W/16]}."""
        x = features[str(_COARSEST)][:, : 4 * self.width]
        return {str(_COARSEST // 2): self.shuffle(x)}

    def base(self, levels: dict[str, Tensor]) -> Tensor:
        """Return the input of `read`."""
        return levels[str(_COARSEST // 2)]

    def source(self, levels: dict[str, Tensor]) -> Tensor:
        """Return what context looks at."""
        return levels[str(_COARSEST // 2)]

    def read(self, base: Tensor) -> Tensor:
        """Map [B, width, H/16, W/16] to logits [B, K, h, w]."""
        return self.layers(base)  # type: ignore[no-any-return]

    @property
    def last(self) -> nn.Module:
        """The last layer; no second name of it among the weights, which could then not be saved."""
        return self.layers[-1]

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Map features to logits [B, K, h, w]."""
        return self.read(self.base(self.levels(features)))


class PyramidHead(nn.Module):
    """A feature pyramid and a linear layer to the heat maps.

    Parameters
    ----------
    widths, strides : sequence of int
        Of the features.
    channels : int
        Width of the pyramid.
    n_keypoints : int
    stride : int
        Stride of the maps; finer than the pyramid by a pixel shuffle.
    """

    def __init__(
        self,
        widths: Sequence[int],
        strides: Sequence[int],
        channels: int,
        n_keypoints: int,
        stride: int,
    ) -> None:
        super().__init__()
        self.width = self.source_width = channels
        # Context looks at cells twice as large: it tells where to look, not where exactly.
        self.finest, self.coarser = str(strides[0]), str(strides[min(1, len(strides) - 1)])
        self.pyramid = FeaturePyramidNetwork(list(widths), channels)
        self.norm = nn.BatchNorm2d(channels)
        self.hidden = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.hidden_norm = nn.BatchNorm2d(channels)
        fine = strides[0] // stride if strides[0] > stride else 1
        self.last = nn.Conv2d(channels, n_keypoints * fine**2, 3, padding=1)
        nn.init.normal_(self.last.weight, std=0.01)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)
        self.shuffle = nn.PixelShuffle(fine) if fine > 1 else nn.Identity()

    @property
    def reader(self) -> nn.Sequential:
        """Layers from the base to the heat maps."""
        return nn.Sequential(self.last, self.shuffle)

    def levels(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Map features {"4": [B, C, H/4, W/4], ...} to those of the pyramid."""
        levels: dict[str, Tensor] = self.pyramid(features)
        return levels

    def base(self, levels: dict[str, Tensor]) -> Tensor:
        """Map the levels to the input of `read`."""
        x = self.norm(levels[self.finest]).relu()
        base: Tensor = self.hidden_norm(self.hidden(x)).relu()
        return base

    def source(self, levels: dict[str, Tensor]) -> Tensor:
        """Return what context looks at."""
        return levels[self.coarser]

    def read(self, base: Tensor) -> Tensor:
        """Map [B, width, h', w'] to logits [B, K, h, w]."""
        return self.shuffle(self.last(base))  # type: ignore[no-any-return]

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Map features to logits [B, K, h, w]."""
        return self.read(self.base(self.levels(features)))
