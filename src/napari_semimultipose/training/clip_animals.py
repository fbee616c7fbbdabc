"""Several animals on a clip: who is who from frame to frame, so that video losses compare the right ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_semimultipose.data.batch import Batch
from napari_semimultipose.data.clips import Clip
from napari_semimultipose.inference.decode import candidates, sample_heat, suppress
from napari_semimultipose.matching import assign
from napari_semimultipose.models.context import clip_windows
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.training.step import Objective, StepLoss
from napari_semimultipose.training.video import ClipPoses, VideoLosses

_SCORE = 0.3  # least score of an animal
_FALLOFF = 0.25  # similarity falls off over this share of an animal: motion is expected
_POSE_SHARE = 0.7  # of the similarity; the rest is the overlap of the boxes
_ALIKE = 0.3  # least similarity of a pair
_MARGIN = 0.1  # a pair must be so much better than its rivals
_LEAST_SIZE = 8.0
_CUT = 0.4  # animals with more keypoints than this share outside the view are left out


class ClipObjective:
    """The losses of a batch, plus the video losses on its clip; see `Objective`.

    Parameters
    ----------
    objective : Objective
    video : VideoLosses
    readouts : sequence of Module
        Last layers of the network, whose gradients weigh the losses against each other.
    """

    def __init__(
        self, objective: Objective, video: VideoLosses, readouts: Sequence[nn.Module]
    ) -> None:
        self._objective = objective
        self.video = video
        self.parameters = [p for module in readouts for p in module.parameters()]

    def needs_unlabeled(self, progress: float) -> bool:
        """Whether unlabelled views act at this share of training."""
        return self._objective.needs_unlabeled(progress)

    @property
    def needs_plain(self) -> bool:
        """Whether the unlabelled views are also wanted unaltered."""
        return self._objective.needs_plain

    def __call__(
        self,
        network: nn.Module,
        teacher: Callable[[Tensor], Output] | None,
        batch: Batch,
        progress: float,
    ) -> StepLoss:
        """Run the network on the batch and return its losses at a share 0..1 of training."""
        loss = self._objective(network, teacher, batch, progress)
        if batch.clip is None:
            return loss
        images = batch.clip.images
        windows = None
        if batch.around is not None:
            clip = batch.clip
            windows = clip_windows(clip.length, images.device, parts=clip.n_cameras)
        output: Output = network(images, windows)
        least = self.video.config.min_confidence
        poses = clip_poses(output, batch.clip, least)
        heads = [poses]
        if output.context is not None:
            heads.append(clip_poses(output.context, batch.clip, least))
        terms, active = self.video.mean_terms(heads)
        total = self.video.add(loss.total, terms, active, self.parameters, progress)
        raw = loss.terms | {name: term.detach() for name, term in terms.items()}
        raw |= {f"{name}_active": share for name, share in active.items()}
        raw["clip_animals"] = poses.size.new_tensor(len(poses.xy) / len(batch.clip.images))
        return StepLoss(total, raw)


def clip_poses(output: Output, clip: Clip, least: float) -> ClipPoses:
    """Return the animals that a network finds on a clip, paired from frame to frame.

    Positions keep their graph; the choice of the animals, their pairs, sizes and confidences have none.
    The confidence of a keypoint is the heat map there, and 0 outside the view.

    Parameters
    ----------
    least : float
        Smallest confidence of a keypoint that counts.
    """
    found = suppress(candidates(output, _SCORE, peaks=True), "oks", 0.5)
    found = found.select(found.score >= _SCORE)
    side = clip.images.shape[-1]
    inside = ((found.xy > -0.5) & (found.xy < side - 0.5)).all(-1)
    whole = inside.float().mean(1) >= 1 - _CUT
    found, inside = found.select(whole), inside[whole]
    confidence = torch.where(inside, sample_heat(output, found), 0.0).detach()
    xy = clip.undo(found.xy, found.image)
    size = animal_sizes(xy.detach(), confidence >= least)
    points, sure = xy.detach().double().cpu().numpy(), (confidence >= least).cpu().numpy()
    sizes, frame = size.double().cpu().numpy(), found.image.cpu().numpy()
    pairs = []
    for t in range(len(clip.images) - 1):
        if (t + 1) % clip.length == 0:
            continue  # the next image is the first one of another camera
        a, b = np.flatnonzero(frame == t), np.flatnonzero(frame == t + 1)
        i, j = associate(points[a], points[b], sure[a], sure[b], sizes[a], sizes[b])
        pairs.append(np.stack([a[i], b[j]], 1))
    index = np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)
    return ClipPoses(
        xy,
        confidence,
        torch.from_numpy(index).to(xy.device),
        size,
        found.image % clip.length,
        clip.camera_of(found.image),
    )


def animal_sizes(xy: Tensor, sure: Tensor) -> Tensor:
    """Diagonals [M] of the boxes around the sure keypoints of poses [M, K, 2], px; all keypoints without two."""
    use = torch.where((sure.sum(1) >= 2)[:, None], sure, torch.ones_like(sure))[..., None]
    far = torch.finfo(xy.dtype).max
    high = torch.where(use, xy, -far).amax(1)
    low = torch.where(use, xy, far).amin(1)
    size: Tensor = torch.linalg.vector_norm(high - low, dim=1).clamp(min=_LEAST_SIZE)
    return size


def associate(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    sure_a: NDArray[np.bool_],
    sure_b: NDArray[np.bool_],
    size_a: NDArray[np.float64],
    size_b: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair the animals of two consecutive frames; doubtful pairs are not made.

    The similarity is 0.7 times that of the poses, which falls off over a quarter of the animal, plus 0.3
    times the overlap of the boxes. A pair must beat all other pairs of its two animals clearly.

    Parameters
    ----------
    a, b : array [A, K, 2], [B, K, 2]
        Poses, px.
    sure_a, sure_b : array [A, K], [B, K] of bool
        Keypoints that count.
    size_a, size_b : array [A], [B]
        Sizes of the animals, px.

    Returns
    -------
    arrays of int
        Indices into `a` and `b` of the pairs.
    """
    none = np.zeros(0, np.int64)
    if not len(a) or not len(b):
        return none, none
    both = sure_a[:, None] & sure_b[None]
    squares = ((a[:, None] - b[None]) ** 2).sum(-1)
    scale = 2 * _FALLOFF**2 * (size_a[:, None] * size_b[None])[..., None]
    alike = (np.exp(-squares / scale) * both).sum(-1) / np.maximum(both.sum(-1), 1)
    score = _POSE_SHARE * alike + (1 - _POSE_SHARE) * _box_overlap(a, b)
    i, j = assign(score, _ALIKE)
    rivals = score.copy()
    rivals[i, j] = -np.inf
    best = np.maximum(rivals[i].max(1, initial=-np.inf), rivals[:, j].max(0, initial=-np.inf))
    clear = score[i, j] >= best + _MARGIN
    return i[clear], j[clear]


def _box_overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union [A, B] of the boxes around poses."""
    low_a, high_a, low_b, high_b = a.min(1), a.max(1), b.min(1), b.max(1)
    low = np.maximum(low_a[:, None], low_b[None])
    high = np.minimum(high_a[:, None], high_b[None])
    shared = np.clip(high - low, 0, None).prod(-1)
    total = (high_a - low_a).prod(-1)[:, None] + (high_b - low_b).prod(-1)[None] - shared
    return np.asarray(shared / np.maximum(total, 1e-9))
