"""One training step of the heat-map tracker: the losses of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from napari_semimultipose.config import Config
from napari_semimultipose.data.batch import Batch
from napari_semimultipose.data.clips import Clip
from napari_semimultipose.losses.heatmaps import gaussian_maps, heatmap_loss
from napari_semimultipose.losses.objective import fusion_weights
from napari_semimultipose.models.context import clip_windows, view_windows
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.models.peaks import HeatmapOutput, decode
from napari_semimultipose.training.step import StepLoss
from napari_semimultipose.training.video import ClipPoses, VideoLosses


class HeatmapObjective:
    """Computes the losses of a batch according to the settings.

    Parameters
    ----------
    config : Config
    video : VideoLosses, optional
        Losses on clips.
    readouts : sequence of Module
        Last layers of the network, whose gradients weigh the losses against each other.
    teaches : bool
        Whether plausible poses on unlabelled frames can be found.
    """

    needs_plain = False

    def __init__(
        self,
        config: Config,
        video: VideoLosses | None = None,
        readouts: Sequence[nn.Module] = (),
        *,
        teaches: bool = False,
    ) -> None:
        self.config = config
        self.video = video
        self.teaches = teaches
        self.parameters = [p for module in readouts for p in module.parameters()]

    def needs_unlabeled(self, progress: float) -> bool:
        """Whether unlabelled views act at this share of training."""
        return self._taught_weight(progress) > 0

    def _taught_weight(self, progress: float) -> float:
        if not self.teaches:
            return 0.0
        _, beta = fusion_weights(self.config.loss, self.config.train.method, progress)
        return beta * self.config.heatmap.teach

    def __call__(
        self,
        network: nn.Module,
        teacher: Callable[[Tensor], Output] | None,
        batch: Batch,
        progress: float,
    ) -> StepLoss:
        """Run the network on the batch and return its losses at a share 0..1 of training."""
        clip = batch.clip if self.video is not None else None
        n = batch.n_labeled
        taught = len(batch.pseudo)
        images = batch.images[: n + taught]
        if clip is not None:
            images = torch.cat([images, clip.images])
        output: HeatmapOutput = network(images, *self._surroundings(batch, len(images), clip))
        loss = self._supervised(output.part(0, n), batch)
        raw = {"heatmap": loss.detach()}
        if output.context is not None:
            second = self._supervised(output.context.part(0, n), batch)
            raw["context"] = second.detach()
            loss = loss + second
        total = loss
        if clip is not None and self.video is not None:
            poses = [self._follow(output.part(n + taught, len(images)), clip)]
            if output.context is not None:  # the second head does not look at pseudo labels
                poses.append(self._follow(output.context.part(n, len(images) - taught), clip))
            terms, active = self.video.mean_terms(poses)
            total = self.video.add(loss, terms, active, self.parameters, progress)
            raw |= {name: term.detach() for name, term in terms.items()}
            raw |= {f"{name}_active": share for name, share in active.items()}
        if taught:
            learnt = self._learn(output.part(n, n + taught), batch)
            raw["teacher"] = learnt.detach()
            total = total + self._taught_weight(progress) * learnt
        return StepLoss(total, raw)

    @staticmethod
    def _surroundings(
        batch: Batch, n_images: int, clip: Clip | None
    ) -> tuple[Tensor, Tensor] | tuple[()]:
        """Return what the second head looks at: windows of the images, and further pictures."""
        if batch.around is None:
            return ()
        n, device = batch.n_labeled, batch.images.device
        windows = view_windows(n, n_images, device)
        if clip is not None:
            frames = clip_windows(clip.length, device, parts=clip.n_cameras)
            windows = torch.cat([windows, n + len(batch.pseudo) + frames])
        return windows, batch.around.flatten(0, 1)

    def _follow(self, output: HeatmapOutput, clip: Clip) -> ClipPoses:
        """Return the animal on the frames of a clip."""
        positions = decode(output, self.config.heatmap.sigma_cells)
        assert self.video is not None
        image = torch.arange(len(clip.images), device=positions.xy.device)
        steps = image.view(clip.n_cameras, clip.length)
        return ClipPoses(
            clip.undo(positions.xy),
            positions.mass,
            torch.stack([steps[:, :-1], steps[:, 1:]], -1).flatten(0, 1),
            positions.xy.new_full((len(image),), self.video.reference),
            image % clip.length,
            clip.camera_of(image),
        )

    def _learn(self, output: HeatmapOutput, batch: Batch) -> Tensor:
        """Loss against the plausible poses; what is not known of them teaches nothing."""
        xy = torch.cat([one.keypoints for one in batch.pseudo])
        visible = torch.cat([one.visible for one in batch.pseudo])
        config = self.config.heatmap
        size = (output.logits.shape[2], output.logits.shape[3])
        target = gaussian_maps(xy, visible, size, output.stride, config.sigma_cells)
        return heatmap_loss(output.logits, target, visible, config.loss)

    def _supervised(self, output: HeatmapOutput, batch: Batch) -> Tensor:
        config = self.config.heatmap
        n, k = output.logits.shape[:2]
        device = output.logits.device
        xy = torch.zeros((n, k, 2), device=device)
        visible = torch.zeros((n, k), dtype=torch.bool, device=device)
        for i, (points, inside) in enumerate(zip(batch.keypoints, batch.visible, strict=True)):
            if len(points):  # frames without an animal: all keypoints are hidden
                xy[i], visible[i] = points[0], inside[0]
        size = (output.logits.shape[2], output.logits.shape[3])
        target = gaussian_maps(xy, visible, size, output.stride, config.sigma_cells)
        use = visible if config.missing == "ignore" else torch.ones_like(visible)
        return heatmap_loss(output.logits, target, use, config.loss)
