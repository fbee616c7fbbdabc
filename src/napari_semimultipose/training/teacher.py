"""The averaged network as a teacher: it labels whole frames that have no labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.config import Config
from napari_semimultipose.data.frames import FrameRef, ScaledFrames
from napari_semimultipose.data.pseudo import PseudoPoses
from napari_semimultipose.inference.pairs import PairParting
from napari_semimultipose.inference.plausible import PlausibleChoice
from napari_semimultipose.models.build import Network
from napari_semimultipose.models.directpose import DirectPose, Output
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.models.peaks import HeatmapOutput
from napari_semimultipose.models.turns import averaged_over_turns
from napari_semimultipose.training.pseudo import confident_score, pseudo_pose, pseudo_poses

if TYPE_CHECKING:  # at run time it is loaded without torch's compiler, in `training.run`
    from lightning_fabric import Fabric

_PAD = 32


class Teacher:
    """Labels frames and views with the averaged network of a run.

    Parameters
    ----------
    config : Config
    network : Network
        The averaged network, or the network itself where none is averaged.
    fabric : Fabric
        Gives the number format of the run.
    device : torch.device
    part : PairParting, optional
        Parts mirrored keypoints that the network has put at one place.
    choice : PlausibleChoice, optional
        Which poses are plausible; of the heat-map tracker, that labels no frames without it.
    """

    def __init__(
        self,
        config: Config,
        network: Network,
        fabric: Fabric,
        device: torch.device,
        part: PairParting | None = None,
        choice: PlausibleChoice | None = None,
    ) -> None:
        self._config = config
        self._network = network
        self._fabric = fabric
        self._device = device
        self._part = part
        self._choice = choice

    def views(self, images: Tensor) -> Output:
        """Predict views [B, 3, H, W] of several animals, averaged over turned copies."""
        assert isinstance(self._network, DirectPose)
        with self._fabric.autocast():
            return averaged_over_turns(self._network, images, self._config.teacher_turns)

    @torch.no_grad()
    def frames(
        self,
        refs: Sequence[FrameRef],
        scaled: ScaledFrames,
        share: float,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[Hashable, PseudoPoses] | None:
        """Label whole frames.

        Parameters
        ----------
        refs : sequence of FrameRef
        scaled : ScaledFrames
            Reads them at the working scale.
        share : float
            Share 0..1 of training that is done; how sure the teacher must be depends on it.
        should_stop : callable
            Asked before each frame.

        Returns
        -------
        dict of hashable to PseudoPoses, or None
            By `FrameRef.key`; None when it should stop.

        Raises
        ------
        FramesError
            If a frame cannot be read.
        """
        self._network.eval()
        found: dict[Hashable, PseudoPoses] = {}
        for ref in refs:
            if should_stop():
                return None
            found[ref.key] = self._frame(scaled(ref), share)
        return found

    def _frame(self, image: Tensor, share: float) -> PseudoPoses:
        """Label one frame, uint8 [C, H, W]."""
        height, width = image.shape[1:]
        size = (width, height)
        padded = F.pad(image[None], (0, -width % _PAD, 0, -height % _PAD))
        x = padded.to(self._device).float().div_(255)
        x = x.contiguous(memory_format=torch.channels_last)
        network, loss = self._network, self._config.loss
        if isinstance(network, HeatmapTracker):
            assert self._choice is not None
            with self._fabric.autocast():
                heat: HeatmapOutput = network(x.expand(-1, 3, -1, -1))
            return pseudo_pose(network, heat, size, self._choice)
        return pseudo_poses(self.views(x), size, loss, confident_score(loss, share), self._part)
