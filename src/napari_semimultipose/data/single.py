"""Training batches for one animal: whole frames, turned, zoomed and shifted a little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.config import Config
from napari_semimultipose.data.batches import BatchMaker
from napari_semimultipose.data.frames import FrameRef, ScaledFrames
from napari_semimultipose.data.paste import LabeledView
from napari_semimultipose.data.pseudo import PseudoPoses
from napari_semimultipose.data.split import TrainingData
from napari_semimultipose.data.views import Affine, affine_about
from napari_semimultipose.models.geometry import scale_points, side_scale
from napari_semimultipose.poses import Poses

_TURNS = 0.99  # below this resultant of the headings (a spread of 8 degrees), animals turn freely


def is_single(poses: Poses) -> bool:
    """Whether no frame shows more than one animal."""
    return poses.n_instances > 0 and bool((poses.present.sum(1) <= 1).all())


def posture(xy: NDArray) -> Literal["fixed", "free"]:
    """Tell whether animals [M, K, 2] (NaN: missing) turn to all sides, or are always the same way up.

    The heading of a pose is the turn that brings it closest to the first complete one (Procrustes, without
    reflection); headings of animals that turn freely have a short mean direction. The limit is high, because a
    few labels of an animal that turns freely are often alike, and turning too little costs far more than
    turning too much. At least two keypoints and five poses are needed; otherwise the posture counts as fixed.
    """
    known = np.isfinite(xy).all(-1)
    xy, known = xy[known.sum(1) >= 2], known[known.sum(1) >= 2]
    if len(xy) < 5:
        return "fixed"
    reference = xy[int(known.sum(1).argmax())]
    turns = []
    for pose in xy:
        both = np.isfinite(pose).all(-1) & np.isfinite(reference).all(-1)
        if both.sum() < 2:
            continue
        a = pose[both] - pose[both].mean(0)
        b = reference[both] - reference[both].mean(0)
        turn = complex((a * b).sum(), (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
        if abs(turn) > 0:
            turns.append(turn / abs(turn))
    if len(turns) < 5:
        return "fixed"
    return "free" if abs(np.mean(turns)) < _TURNS else "fixed"


class WholeFrameMaker(BatchMaker):
    """Makes batches of whole frames; see `BatchMaker`.

    Parameters
    ----------
    data : TrainingData
    config : Config
        The groups ``heatmap``, ``data`` and ``augment`` (colours alone); the posture must be known.
    """

    def __init__(self, data: TrainingData, config: Config) -> None:
        self.heatmap = config.heatmap
        super().__init__(data, config.data, config.augment, config.train.seed, config.video.every)
        self.scaled = ScaledFrames(lambda h, w: side_scale(h, w, self.side), config.data.cache_mb)
        self.free = config.heatmap.posture == "free"
        # Without pairs of keypoints, a mirrored animal would teach that left is right.
        self.mirrors = self.free and bool(data.poses.skeleton.symmetry)

    @property
    def side(self) -> int:
        """Side of the views, px."""
        return self.heatmap.side_px

    def _clip_views(
        self, sizes: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> list[Affine]:
        return [self._whole_view(size, rng, mirror=False) for size in sizes]

    def _whole_view(
        self, size: tuple[int, int], rng: np.random.Generator, *, mirror: bool = True
    ) -> Affine:
        """Draw a random map from a scaled frame of (height, width) `size` to a view of it."""
        angle = 180.0 if self.free else self.heatmap.rotate_deg
        low, high = np.log(self.heatmap.scale)
        middle = (self.side - 1) / 2
        shift = rng.uniform(-1, 1, 2) * self.heatmap.shift * self.side
        return affine_about(
            ((size[1] - 1) / 2, (size[0] - 1) / 2),
            middle + shift,
            angle_deg=rng.uniform(-angle, angle),
            zoom=float(np.exp(rng.uniform(low, high))),
            mirrored=bool(rng.random() < 0.5) and self.mirrors and mirror,
        )

    def _view_of_found(
        self, found: PseudoPoses, size: tuple[int, int], rng: np.random.Generator
    ) -> Affine:
        return self._whole_view(size, rng)

    def _pasted(self, view: LabeledView, rng: np.random.Generator) -> LabeledView:
        """Return the view: there is one animal on a frame."""
        return view

    def _labeled(
        self, ref: FrameRef, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        height, width = self.scaled(ref).shape[1:]
        full_height, full_width = ref.frames.frame_shape(ref.index)
        poses = self.data.poses
        present = poses.present[ref.row]
        xy = scale_points(poses.xy[ref.row][present], width / full_width, height / full_height)
        known = poses.visible[ref.row][present] > 0
        affine = self._whole_view((height, width), rng)
        return self._finished(self._seen(ref, affine, xy, known, self.side), rng)
