"""What a training step computes with: views of labelled and unlabelled frames, and a clip."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_semimultipose.config import Config
from napari_semimultipose.data.clips import Clip
from napari_semimultipose.data.pseudo import PseudoView


@dataclass
class Batch:
    """Views of L labelled and U unlabelled frames.

    Attributes
    ----------
    images : Tensor [L + U, 3, S, S]
        Labelled views first; 0..1.
    keypoints : list of L Tensors [I, K, 2]
        Labels in px of the view; also those outside it.
    labeled : list of L Tensors [I, K] of bool
        Which keypoints have a label.
    visible : list of L Tensors [I, K] of bool
        Which have a label inside the view.
    plain : Tensor [U, 3, S, S] or None
        The unlabelled views unaltered, for a teacher.
    to_view : Tensor [U, 2, 3]
        Affine maps from the plain to the altered unlabelled views.
    zoom : Tensor [U]
        How much larger the unlabelled views show the scaled frames.
    pseudo : list of U PseudoView, or empty
        Pseudo labels of the unlabelled views, where they were made on whole frames.
    clip : Clip or None
        Consecutive unlabelled frames.
    around : Tensor [L, 4, 3, S, S] or None
        The two frames before and the two after each labelled one, in the same view.
    """

    images: Tensor
    keypoints: list[Tensor]
    labeled: list[Tensor]
    visible: list[Tensor]
    plain: Tensor | None = None
    to_view: Tensor = field(default_factory=lambda: torch.zeros(0, 2, 3))
    zoom: Tensor = field(default_factory=lambda: torch.zeros(0))
    pseudo: list[PseudoView] = field(default_factory=list)
    clip: Clip | None = None
    around: Tensor | None = None

    @property
    def n_labeled(self) -> int:
        """Number L of labelled views."""
        return len(self.keypoints)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""

        def move(x: Tensor) -> Tensor:
            return x.to(device, non_blocking=True)

        return Batch(
            move(self.images),
            [move(x) for x in self.keypoints],
            [move(x) for x in self.labeled],
            [move(x) for x in self.visible],
            None if self.plain is None else move(self.plain),
            move(self.to_view),
            move(self.zoom),
            [one.to(device) for one in self.pseudo],
            None if self.clip is None else self.clip.to(device),
            None if self.around is None else move(self.around),
        )


@dataclass(frozen=True)
class BatchSize:
    """Labelled and unlabelled views of a step, and frames of its clip."""

    labeled: int
    unlabeled: int
    clip: int = 0

    @classmethod
    def of(cls, config: Config) -> BatchSize:
        """Return what the settings ask for."""
        clip = config.video.clip_frames if config.video.losses else 0
        if config.model.kind == "heatmap":
            taught = config.heatmap.batch // 2
            return cls(config.heatmap.batch - taught, taught, clip)
        return cls(config.data.batch_labeled, config.data.batch_unlabeled, clip)

    def halved(self) -> BatchSize | None:
        """Half of it, or None when nothing is left to halve."""
        if self.labeled + self.unlabeled <= 2 and self.labeled <= 1 and self.clip <= 2:
            return None
        clip = max(2, self.clip // 2) if self.clip else 0
        return BatchSize(max(1, self.labeled // 2), -(-self.unlabeled // 2), clip)
