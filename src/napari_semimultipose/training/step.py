"""One training step: the losses of a batch, on labelled and unlabelled views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_semimultipose.config import Config
from napari_semimultipose.data.batch import Batch
from napari_semimultipose.inference.decode import Detections, candidates, suppress
from napari_semimultipose.inference.pairs import PairParting
from napari_semimultipose.losses.fusion import (
    PseudoKeypoints,
    fusion_loss,
    limb_hinge,
    two_way_loss,
)
from napari_semimultipose.losses.objective import (
    Labels,
    fusion_weights,
    supervised_terms,
    term_weights,
    weighted_sum,
)
from napari_semimultipose.losses.targets import boxes_of, missing_mask
from napari_semimultipose.models.context import view_windows
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.training.pseudo import Unknown, confident_score, pseudo_labels
from napari_semimultipose.training.rounds import labels_whole_frames

_TO_KEYPOINTS = 0.25  # weight of the direction from heat maps to keypoints


@dataclass
class StepLoss:
    """Weighted total (with graph) and raw terms (numbers) of a step."""

    total: Tensor
    terms: dict[str, Tensor]


class Objective:
    """Computes the losses of a batch according to the settings.

    Parameters
    ----------
    config : Config
    skeleton : Skeleton
    groups : sequence of keypoint indices
        Groups of the network's locators.
    limb_lengths_px : sequence of float
        Longest labelled length of each edge at the working scale, px.
    """

    def __init__(
        self,
        config: Config,
        skeleton: Skeleton,
        groups: Sequence[Sequence[int]],
        limb_lengths_px: Sequence[float],
        device: torch.device,
        part: PairParting | None = None,
    ) -> None:
        self.config = config
        self.part = part
        self.groups = groups
        self.mirror = torch.from_numpy(skeleton.mirror_index).to(device)
        self.edges = torch.tensor(skeleton.edges, dtype=torch.long, device=device).reshape(-1, 2)
        self.limbs = torch.tensor(limb_lengths_px, dtype=torch.float32, device=device)
        known = self.limbs > 0  # an edge that was never labelled at both ends has no longest length
        self.edges, self.limbs = self.edges[known], self.limbs[known]
        has_teacher = config.loss.teacher and (config.train.ema > 0 or labels_whole_frames(config))
        self.taught = has_teacher and config.train.method == "semimultipose"

    def needs_unlabeled(self, progress: float) -> bool:
        """Whether unlabelled views act at this share of training."""
        return fusion_weights(self.config.loss, self.config.train.method, progress)[1] > 0

    @property
    def needs_plain(self) -> bool:
        """Whether the unlabelled views are also wanted unaltered."""
        return self.taught and not labels_whole_frames(self.config)

    def __call__(
        self,
        network: nn.Module,
        teacher: Callable[[Tensor], Output] | None,
        batch: Batch,
        progress: float,
    ) -> StepLoss:
        """Run the network on the batch and return its losses at a share 0..1 of training."""
        loss = self.config.loss
        size = (batch.images.shape[-2], batch.images.shape[-1])
        alpha, beta = fusion_weights(loss, self.config.train.method, progress)
        n = batch.n_labeled
        output = self._predicted(network, batch)
        labels = [
            Labels(*one) for one in zip(batch.keypoints, batch.labeled, batch.visible, strict=True)
        ]
        labelled = output.part(0, n)
        terms = self._supervised(labelled, labels, size)
        total = weighted_sum(terms, term_weights(loss))
        raw = dict(terms)
        if output.context is not None:
            second = self._supervised(output.context, labels, size)
            total = total + weighted_sum(second, term_weights(loss))
            raw |= {f"context_{name}": value for name, value in second.items()}
        if alpha > 0:
            total = total + alpha * self._fusion(
                network,
                batch.images[:n],
                labelled,
                progress,
                raw,
                "labeled",
                trained=self._open(labels, labelled),
            )
        if beta > 0 and len(batch.images) > n:
            free = output.part(n, len(batch.images))
            total = total + beta * self._fusion(
                network, batch.images[n:], free, progress, raw, "unlabeled", zoom=batch.zoom
            )
            if batch.pseudo:
                total = total + beta * loss.consistency * self._learn(batch, free, size, raw)
            elif loss.consistency > 0 and teacher is not None and batch.plain is not None:
                total = total + beta * loss.consistency * self._follow(
                    teacher, batch, free, size, progress, raw
                )
        return StepLoss(total, {name: value.detach() for name, value in raw.items()})

    @staticmethod
    def _predicted(network: nn.Module, batch: Batch) -> Output:
        output: Output
        if batch.around is None:
            output = network(batch.images)
        else:
            windows = view_windows(batch.n_labeled, len(batch.images), batch.images.device)
            output = network(batch.images, windows, batch.around.flatten(0, 1))
        return output

    def _supervised(
        self, output: Output, labels: Sequence[Labels], size: tuple[int, int]
    ) -> dict[str, Tensor]:
        return supervised_terms(
            output,
            labels,
            size,
            self.config.loss,
            groups=self.groups,
            level_ranges=self.config.model.level_ranges,
        )

    def _open(self, labels: Sequence[Labels], output: Output) -> Tensor:
        """Cells of labelled views [B, K, h, w] that the labels say nothing about.

        Only there does a pseudo keypoint know more than the label.
        """
        size = (output.heat.shape[-2], output.heat.shape[-1])
        return torch.stack(
            [
                missing_mask(
                    one.labeled, boxes_of(one.keypoints, one.labeled), size, output.heat_stride
                )
                for one in labels
            ]
        )

    def _fusion(
        self,
        network: nn.Module,
        images: Tensor,
        output: Output,
        progress: float,
        raw: dict[str, Tensor],
        where: str,
        trained: Tensor | None = None,
        zoom: Tensor | None = None,
    ) -> Tensor:
        """Fusion of the network's own branches (SemiMultiPose, equations 8 and 9).

        Both ways ('two_way'), the keypoints teach the heat maps in the cells `trained` alone. Limbs are measured in
        unlabelled views, which show the frames enlarged by `zoom` [B].
        """
        loss = self.config.loss
        source = output
        if loss.pseudo_eval_pass:
            network.eval()
            with torch.no_grad():
                source = network(images)
            network.train()
        found = candidates(source, loss.delta, peaks=loss.pseudo_set == "nms" and loss.teacher)
        if loss.pseudo_set == "nms":
            predict = self.config.predict
            found = suppress(found, predict.nms, predict.nms_threshold)
        pseudo = self._pseudo_keypoints(found, output)
        if loss.fusion_target == "two_way":
            both = two_way_loss(
                output.heat, pseudo, loss, confident_score(loss, progress), trained=trained
            )
            raw[f"{where}_to_keypoints"] = both["to_keypoints"]
            total = _TO_KEYPOINTS * both["to_keypoints"]
            # A teacher's keypoints teach the heat maps better than the pupil's own.
            if where == "labeled" or not (self.taught and loss.consistency > 0):
                raw[f"{where}_to_heat"] = both["to_heat"]
                total = total + both["to_heat"]
        else:
            total = fusion_loss(output.heat, pseudo, loss)
            raw[f"{where}_fusion"] = total
        if zoom is not None and loss.limb_hinge > 0 and len(self.edges):
            longest = self.limbs / output.heat_stride * zoom[pseudo.image, None]
            raw["limb_hinge"] = limb_hinge(pseudo.cells, pseudo.score, longest, self.edges)
            total = total + loss.limb_hinge * raw["limb_hinge"]
        return total

    def _pseudo_keypoints(self, found: Detections, output: Output) -> PseudoKeypoints:
        loss = self.config.loss
        xy = found.xy
        if loss.pad_stretch:
            # The published code rescales crops of 600 px by padded / unpadded height, on both axes.
            padded = output.heat_stride * output.heat.shape[-2]
            xy = xy * (padded / (padded - 8))
        cells = (xy - output.heat_stride // 2) / output.heat_stride
        score = found.cls if loss.pseudo_score == "cls" else found.score
        return PseudoKeypoints(found.image, cells, score)

    def _follow(
        self,
        teacher: Callable[[Tensor], Output],
        batch: Batch,
        output: Output,
        size: tuple[int, int],
        progress: float,
        raw: dict[str, Tensor],
    ) -> Tensor:
        """Losses against what the averaged network says on the unaltered views."""
        with torch.no_grad():
            assert batch.plain is not None
            said = teacher(batch.plain)
            labels = pseudo_labels(
                said,
                batch.to_view,
                size[0],
                self.config.loss,
                confident_score(self.config.loss, progress),
                self.mirror,
                self.part,
            )
        return self._taught(output, labels, size, raw)

    def _learn(
        self, batch: Batch, output: Output, size: tuple[int, int], raw: dict[str, Tensor]
    ) -> Tensor:
        """Losses against the pseudo labels that were made on whole frames."""
        labels = [
            Labels(
                one.keypoints,
                one.labeled,
                one.visible,
                Unknown(one.doubtful, one.to_view, one.frame_size),
                one.placed,
            )
            for one in batch.pseudo
        ]
        return self._taught(output, labels, size, raw)

    def _taught(
        self,
        output: Output,
        labels: Sequence[Labels],
        size: tuple[int, int],
        raw: dict[str, Tensor],
    ) -> Tensor:
        terms = self._supervised(output, labels, size)
        raw |= {f"teacher_{name}": value for name, value in terms.items()}
        raw["teacher_animals"] = terms["cls"].new_tensor(
            sum(len(one.keypoints) for one in labels) / max(len(labels), 1)
        )
        # The pupil's similarity to its teacher says nothing about its similarity to the truth.
        return weighted_sum(terms, term_weights(self.config.loss) | {"quality": 0.0})


def longest_limbs_px(poses: Poses, rows: Sequence[int], scale: float) -> list[float]:
    """Longest labelled length of each edge of the skeleton at the working scale, px."""
    xy = poses.xy[list(rows)]
    out = []
    for a, b in poses.skeleton.edges:
        length = ((xy[..., a, :] - xy[..., b, :]) ** 2).sum(-1) ** 0.5
        known = length[length == length]
        out.append(float(known.max()) * scale if known.size else 0.0)
    return out
