"""What is used of torchvision."""

from napari_semimultipose.models.compiler import without_compiler

with without_compiler():
    from torchvision import models
    from torchvision.models.feature_extraction import create_feature_extractor
    from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d, nms

__all__ = [
    "FeaturePyramidNetwork",
    "FrozenBatchNorm2d",
    "create_feature_extractor",
    "models",
    "nms",
]
