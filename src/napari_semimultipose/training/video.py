"""Losses on clips of unlabelled frames: fitted to the labels, weighed by their gradients, grown slowly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.config import Config, VideoConfig
from napari_semimultipose.data.clips import clip_length, common_starts
from napari_semimultipose.data.sessions import moments
from napari_semimultipose.data.split import TrainingData
from napari_semimultipose.losses.camera_views import CameraViews
from napari_semimultipose.losses.matched_views import MatchedViews
from napari_semimultipose.losses.temporal import speeds, temporal_loss
from napari_semimultipose.models.geometry import side_scale
from napari_semimultipose.shapes.multiview import MultiviewPCA
from napari_semimultipose.shapes.pca import PosePCA
from napari_semimultipose.training.subspaces import (
    LabelledAnimals,
    fit_subspaces,
    labelled_animals,
)

SHARES = {"temporal": 0.1, "pca": 0.1, "multiview": 0.2}
"""Gradient of each loss relative to that of the labels, at strength 1."""
_CLIPS = 8  # clips that a tolerance, or a weight, is measured on
_SLACK = 1.5  # tolerated jump relative to the 95th percentile of all
_JUMP = (0.03, 0.5)  # its limits, in animal sizes
_MOSTLY = 0.5  # more keypoints in excess than this are suspicious


@dataclass
class ClipPoses:
    """Predicted poses of a clip, with gradient, in px of the scaled frames.

    Attributes
    ----------
    xy : Tensor [M, K, 2]
    confidence : Tensor [M, K]
        Without gradient.
    pairs : Tensor [P, 2] of int
        Poses of one animal in consecutive frames.
    size : Tensor [M]
        Size of each animal, px, without gradient.
    frame : Tensor [M] of int, optional
        Frame of the clip that each pose is on; None with one pose a frame.
    camera : Tensor [M] of int, optional
        Camera that each pose was seen by; None where the clip is of one recording.
    """

    xy: Tensor
    confidence: Tensor
    pairs: Tensor
    size: Tensor
    frame: Tensor | None = None
    camera: Tensor | None = None


class VideoLosses:
    """The losses that the settings ask for and the labels allow.

    A tolerance that is measured on predictions, and the weights, are settled on the first clips; until
    then the losses do not act. Use `prepare_video_losses`.

    Parameters
    ----------
    config : VideoConfig
    reference : float
        Size of the median animal, px of the scaled frames.
    n_keypoints : int
    temporal : bool
    pose : PosePCA, optional
    views : MultiviewPCA, MatchedViews or CameraViews, optional
    jump : float
        Tolerated jump, px of the scaled frames; 0: measured.
    device : torch.device
    """

    def __init__(
        self,
        config: VideoConfig,
        reference: float,
        n_keypoints: int,
        *,
        temporal: bool,
        pose: PosePCA | None,
        views: MultiviewPCA | MatchedViews | CameraViews | None,
        jump: float,
        device: torch.device,
    ) -> None:
        self.config = config
        self.reference = reference
        self.temporal = temporal
        self.pose = None if pose is None else pose.to(device)
        self.views = None if views is None else views.to(device)
        self.epsilon: Tensor | None = None
        if jump > 0:
            self.epsilon = torch.full((n_keypoints,), jump, device=device)
        self.device = device
        self.weights: dict[str, float] = {}
        self.since: dict[str, float] = {}
        self.notes: list[str] = []
        self._ways: list[NDArray[np.float64]] = []
        self._ratios: dict[str, list[float]] = {}
        self._active: dict[str, list[float]] = {}

    @property
    def names(self) -> list[str]:
        """Names of the losses that act."""
        given = {"temporal": self.temporal, "pca": self.pose, "multiview": self.views}
        return [name for name, value in given.items() if value]

    def needs_clip(self, share: float) -> bool:
        """Whether clips are wanted at a share 0..1 of training."""
        return bool(self.names) and share >= self.config.start

    def terms(self, poses: ClipPoses) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the raw losses of a clip, px, and the share of keypoints that are in excess.

        All are finite, also without any pose.
        """
        terms: dict[str, Tensor] = {}
        active: dict[str, Tensor] = {}
        least = self.config.min_confidence
        sure = torch.where(poses.confidence >= least, poses.confidence, 0.0)
        if self.temporal:
            if self.epsilon is None:
                self._measure(poses)
            else:
                terms["temporal"], active["temporal"] = temporal_loss(
                    poses.xy,
                    poses.confidence,
                    poses.pairs,
                    self.epsilon,
                    poses.size,
                    self.reference,
                    least,
                )
        if self.pose is not None and len(poses.xy):
            terms["pca"], active["pca"] = self.pose.loss(poses.xy, sure)
        if self.views is not None and len(poses.xy):
            said = self._of_views(poses, sure)
            if said is not None:
                terms["multiview"], active["multiview"] = said
        return terms, active

    def _of_views(self, poses: ClipPoses, sure: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the disagreement of the views; None for one recording where cameras are compared."""
        if isinstance(self.views, MultiviewPCA):
            return self.views.loss(poses.xy, sure)
        frame = poses.frame
        if frame is None:
            frame = torch.arange(len(poses.xy))
        if isinstance(self.views, CameraViews):
            if poses.camera is None:
                return None
            return self.views.loss(poses.xy, sure, frame, poses.camera)
        assert self.views is not None
        return self.views.loss(poses.xy, sure, frame)

    def mean_terms(self, heads: Sequence[ClipPoses]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the means of the `terms` of several heads, each of which follows a clip on its own."""
        if len(heads) == 1:
            return self.terms(heads[0])
        both = [self.terms(poses) for poses in heads]
        # A tolerance may be settled between two heads: then the first has no term yet.
        names = set.intersection(*(set(terms) for terms, _ in both))
        return tuple(  # type: ignore[return-value]
            {name: torch.stack([part[name] for part in parts]).mean() for name in sorted(names)}
            for parts in zip(*both, strict=True)
        )

    def _measure(self, poses: ClipPoses) -> None:
        """Take in the ways of a clip; settle the tolerated jump once there are enough."""
        with torch.no_grad():
            way, use = speeds(poses.xy, poses.confidence, poses.pairs, self.config.min_confidence)
            size = poses.size[poses.pairs].prod(1).sqrt().clamp(min=1e-6)
            relative = torch.where(use, way / size[:, None], torch.nan)
        self._ways.append(relative.double().cpu().numpy())
        if len(self._ways) < _CLIPS:
            return
        ways = np.concatenate(self._ways)
        self._ways = []
        limits = [
            np.percentile(w[np.isfinite(w)], 95) if np.isfinite(w).any() else np.inf for w in ways.T
        ]
        epsilon = np.clip(_SLACK * np.array(limits), *_JUMP) * self.reference
        self.epsilon = torch.from_numpy(epsilon).float().to(self.device)

    def add(
        self,
        supervised: Tensor,
        terms: Mapping[str, Tensor],
        active: Mapping[str, Tensor],
        parameters: Sequence[Tensor],
        share: float,
    ) -> Tensor:
        """Return the supervised loss plus the weighted losses.

        Parameters
        ----------
        supervised : Tensor
            Loss of the labels, with graph.
        terms, active
            From `terms`.
        parameters : sequence of Tensor
            Weights whose gradients are compared: those of the last layers.
        share : float
            Share 0..1 of training.
        """
        total = supervised
        label_norm: float | None = None
        for name, term in terms.items():
            weight = self.weights.get(name)
            if weight is None:
                if float(active[name]) == 0:
                    continue
                if label_norm is None:
                    label_norm = gradient_norm(supervised, parameters)
                norm = gradient_norm(term, parameters)
                if norm > 0 and math.isfinite(norm) and math.isfinite(label_norm):
                    self._ratios.setdefault(name, []).append(label_norm / norm)
                    self._active.setdefault(name, []).append(float(active[name]))
                if len(self._ratios.get(name, ())) >= _CLIPS:
                    self._settle(name, share)
                continue
            grown = (share - self.since[name]) / self.config.ramp if self.config.ramp else 1.0
            total = total + self.config.strength * weight * min(max(0.0, grown), 1.0) * term
        return total

    def _settle(self, name: str, share: float) -> None:
        self.weights[name] = SHARES[name] * float(np.median(self._ratios[name]))
        self.since[name] = share
        active = float(np.mean(self._active[name]))
        if active > _MOSTLY:
            self.notes.append(
                f"the loss '{name}' finds {active:.0%} of the keypoints on unlabelled frames "
                "implausible: the network does not know these frames yet. If that stays so, label some "
                "of them, or check that the videos show the same scene as the labels"
            )

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        epsilon = None if self.epsilon is None else self.epsilon.tolist()
        return {
            "weights": self.weights,
            "since": self.since,
            "epsilon": epsilon,
            "ways": [torch.from_numpy(way) for way in self._ways],
            "ratios": self._ratios,
            "active": self._active,
        }

    def restore(self, state: Mapping[str, Any], share: float) -> None:
        """Take over the state of an earlier run, at a share 0..1 of training.

        Where a training has grown, losses grow anew from there, at most.
        """
        self.weights = dict(state["weights"])
        self.since = {name: min(float(since), share) for name, since in state["since"].items()}
        # Earlier versions measured these anew.
        self._ways = [way.numpy() for way in state.get("ways", ())]
        self._ratios = {name: list(values) for name, values in state.get("ratios", {}).items()}
        self._active = {name: list(values) for name, values in state.get("active", {}).items()}
        if state["epsilon"] is not None:
            self.epsilon = torch.tensor(state["epsilon"], device=self.device)


def gradient_norm(loss: Tensor, parameters: Sequence[Tensor]) -> float:
    """Norm of the gradient of a loss with regard to some parameters; 0 when it does not depend on them."""
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
    squares = [g.float().square().sum() for g in gradients if g is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


def frame_scale(config: Config, data: TrainingData) -> Callable[[int, int], float]:
    """Return what gives the working scale from the height and width of a frame."""
    if config.model.kind == "heatmap":
        return lambda height, width: side_scale(height, width, config.heatmap.side_px)
    return lambda height, width: data.scale or 1.0


def why_no_sessions(data: TrainingData, video: VideoConfig) -> str:
    """Say why no clip of all cameras can be read; empty when there are some."""
    cameras = ", ".join(video.cameras)
    if not data.sessions.complete:
        return (
            f"there is no session with a recording of each of the cameras {cameras} (--unlabeled); their names "
            "must be equal but for the camera, such as run1_top.mp4 and run1_side.mp4"
        )
    length = clip_length(video.clip_frames, len(video.cameras))
    groups = ([data.footage[i] for i in one] for one in data.sessions.complete)
    if not any(len(common_starts(group, length)) for group in groups):
        return f"no session of the cameras {cameras} has {length} frames in a row that training may see"
    return ""


def prepare_video_losses(
    config: Config, data: TrainingData, device: torch.device
) -> tuple[VideoLosses | None, list[str]]:
    """Fit the losses that the settings ask for to the labels.

    Returns
    -------
    VideoLosses or None
        None when none is asked for, or none is possible.
    list of str
        Which are not possible, and what is missing.

    Raises
    ------
    ConfigError
        If ``video.views`` names unknown keypoints, or names of cameras are ambiguous.
    """
    video = config.video
    wanted = list(dict.fromkeys(video.losses))
    if not wanted or video.strength == 0:
        return None, []
    if not any(len(f.starts(video.clip_frames)) for f in data.footage):
        return None, [
            f"the losses {', '.join(wanted)} are left out: they need a video with at least "
            f"{video.clip_frames} frames in a row that training may see (--unlabeled)"
        ]
    notes: list[str] = []
    if video.cameras and "multiview" in wanted and (why := why_no_sessions(data, video)):
        wanted.remove("multiview")
        notes.append(f"the loss 'multiview' is left out: {why}")
    labels, reference = _labelled(config, data, video.cameras)
    single = config.model.kind == "heatmap"
    skeleton = data.poses.skeleton
    fitted = fit_subspaces(
        video, labels, skeleton, single=single, reference=reference, wanted=wanted
    )
    notes += [f"the loss '{name}' is left out: {why}" for name, why in fitted.why.items()]
    losses = VideoLosses(
        video,
        reference,
        len(skeleton),
        temporal="temporal" in wanted,
        pose=fitted.pose,
        views=fitted.views,
        jump=video.jump_px * labels.scale,
        device=device,
    )
    return (losses if losses.names else None), notes


def _labelled(
    config: Config, data: TrainingData, cameras: Sequence[str] = ()
) -> tuple[LabelledAnimals, float]:
    """Return the labels that train, in px of the scaled frames, and the size of the median animal, px."""
    sizes = {ref.row: ref.frames.frame_shape(ref.index) for ref in data.train}
    seen = moments(data.poses, list(sizes), cameras) if cameras else None
    scale = frame_scale(config, data)
    labels = labelled_animals(data.poses, list(sizes), sizes.__getitem__, scale, seen)
    reference = labels.size
    return labels, reference if np.isfinite(reference) else 0.25 * config.heatmap.side_px


def labelled_shapes(config: Config, data: TrainingData) -> dict[str, Any]:
    """Return the ``shapes`` of a `ModelInfo`: what there are enough labels for.

    Raises
    ------
    ConfigError
        If ``video.views`` names unknown keypoints.
    """
    video = config.video.model_copy(update={"cameras": ()})
    labels, reference = _labelled(config, data)
    fitted = fit_subspaces(video, labels, data.poses.skeleton, single=True, reference=reference)
    shapes: dict[str, Any] = {}
    if fitted.pose is not None:
        shapes["pose"] = fitted.pose.numbers()
    if isinstance(fitted.views, MultiviewPCA):
        shapes["views"] = fitted.views.numbers()
    return shapes
