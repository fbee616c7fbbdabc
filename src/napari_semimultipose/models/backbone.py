"""Image networks from torchvision that deliver features at strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from napari_semimultipose.errors import ModelError
from napari_semimultipose.models.vision import (
    FrozenBatchNorm2d,
    create_feature_extractor,
    models,
)


@dataclass(frozen=True)
class _Source:
    """Names of the torchvision nodes with stride 4, 8, 16, 32, their widths, and the weights."""

    nodes: tuple[str, str, str, str]
    widths: tuple[int, int, int, int]
    weights: str
    channels_last: bool = False  # transformers deliver [B, h, w, C]


_RESNET = ("layer1", "layer2", "layer3", "layer4")
_REGNET = tuple(f"trunk_output.block{i}" for i in (1, 2, 3, 4))
BACKBONES: dict[str, _Source] = {
    "resnet18": _Source(_RESNET, (64, 128, 256, 512), "ResNet18_Weights"),
    "resnet34": _Source(_RESNET, (64, 128, 256, 512), "ResNet34_Weights"),
    "resnet50": _Source(_RESNET, (256, 512, 1024, 2048), "ResNet50_Weights"),
    "resnet101": _Source(_RESNET, (256, 512, 1024, 2048), "ResNet101_Weights"),
    "regnet_x_400mf": _Source(_REGNET, (32, 64, 160, 400), "RegNet_X_400MF_Weights"),  # type: ignore[arg-type]
    "regnet_y_400mf": _Source(_REGNET, (48, 104, 208, 440), "RegNet_Y_400MF_Weights"),  # type: ignore[arg-type]
    "mobilenet_v3_small": _Source(
        ("features.1", "features.3", "features.8", "features.12"),
        (16, 24, 48, 576),
        "MobileNet_V3_Small_Weights",
    ),
    "mobilenet_v3_large": _Source(
        ("features.3", "features.6", "features.12", "features.16"),
        (24, 40, 112, 960),
        "MobileNet_V3_Large_Weights",
    ),
    "efficientnet_b0": _Source(
        ("features.2", "features.3", "features.5", "features.8"),
        (24, 40, 112, 1280),
        "EfficientNet_B0_Weights",
    ),
    "efficientnet_b1": _Source(
        ("features.2", "features.3", "features.5", "features.8"),
        (24, 40, 112, 1280),
        "EfficientNet_B1_Weights",
    ),
    "efficientnet_b2": _Source(
        ("features.2", "features.3", "features.5", "features.8"),
        (24, 48, 120, 1408),
        "EfficientNet_B2_Weights",
    ),
    "swin_t": _Source(
        ("features.1", "features.3", "features.5", "features.7"),
        (96, 192, 384, 768),
        "Swin_T_Weights",
        channels_last=True,
    ),
}
STRIDES = (4, 8, 16, 32)
_MOMENTUM = 0.1


class Backbone(nn.Module):
    """Features of an image at some strides.

    Parameters
    ----------
    name : str
        A key of `BACKBONES`.
    strides : sequence of int
        Which of the strides 4, 8, 16, 32 to deliver; deeper parts of the network are left out.
    pretrained : bool
        Load torchvision's ImageNet weights (a download at the first use).
    frozen_norm : bool
        Replace BatchNorm by fixed affine layers that hold the loaded statistics.

    Raises
    ------
    ModelError
        If the weights cannot be downloaded.
    """

    def __init__(
        self,
        name: str,
        strides: Sequence[int],
        *,
        pretrained: bool = False,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        source = BACKBONES[name]
        build = getattr(models, name)
        weights = getattr(models, source.weights).DEFAULT if pretrained else None
        try:
            network = build(weights=weights)
        except OSError as error:  # URLError is one
            raise ModelError(
                f"the ImageNet weights of {name} could not be downloaded ({error}); "
                "check the network connection or set model.pretrained=false"
            ) from None
        self.strides = tuple(strides)
        self._channels_last = source.channels_last
        chosen = [STRIDES.index(s) for s in strides]
        self.widths = tuple(source.widths[i] for i in chosen)
        self.body = create_feature_extractor(
            network, {source.nodes[i]: str(STRIDES[i]) for i in chosen}
        )
        if frozen_norm:
            _freeze_norms(self.body)
        for module in self.body.modules():
            # Some backbones come with 0.01, for trainings of 100,000 steps: in one of a few hundred the
            # statistics for prediction would still hold the beginning.
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = _MOMENTUM

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, 3, H, W] to features ``{"8": [B, C, H/8, W/8], ...}``."""
        features: dict[str, Tensor] = self.body(images)
        if self._channels_last:
            return {stride: x.permute(0, 3, 1, 2) for stride, x in features.items()}
        return features


def _freeze_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fixed = FrozenBatchNorm2d(child.num_features, child.eps)
            fixed.load_state_dict(child.state_dict(), strict=False)
            setattr(module, name, fixed)
        else:
            _freeze_norms(child)
