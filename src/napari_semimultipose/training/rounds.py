"""Rounds of self-training: now and then, a teacher labels whole frames that have no labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from napari_semimultipose.config import Config
from napari_semimultipose.data.frames import FrameRef
from napari_semimultipose.data.pseudo import PseudoPoses

_SHARE = 0.05
_MOST_SINGLE = 500  # frames with one animal, which cost little


def labels_whole_frames(config: Config) -> bool:
    """Whether the teacher looks at whole frames, and not at the views of each step.

    Only where frames have one scale (``data.animal_px``).
    """
    if config.model.kind == "heatmap":
        return config.train.method == "semimultipose" and config.heatmap.teach > 0
    return (
        config.train.method == "semimultipose"
        and config.loss.teacher
        and config.loss.pseudo_from == "frames"
        and config.data.animal_px > 0
    )


class PseudoRounds:
    """When the teacher looks at which frames, and what it found there.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    done : int
        Rounds so far; fewer where the training has grown since.
    poses : mapping of hashable to PseudoPoses
        What was found, by `FrameRef.key`, the last time that the teacher looked at the frame; frames
        without a certain animal are left out.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._single = config.model.kind == "heatmap"
        self.done = 0
        self.poses: dict[Hashable, PseudoPoses] = {}
        self._names: dict[Hashable, str] = {}

    def due(self, share: float) -> bool:
        """Whether it is time for the next round, at a share 0..1 of training.

        The first is when the unlabelled frames begin to act, the others follow at equal distances.
        """
        if not labels_whole_frames(self._config):
            return False
        return self._until(share) > self.done

    def _until(self, share: float) -> int:
        """Return how many rounds there are until a share 0..1 of training."""
        loss = self._config.loss
        start, stop = loss.beta_start, loss.beta_stop
        times = [start + (stop - start) * i / loss.pseudo_rounds for i in range(loss.pseudo_rounds)]
        return sum(share >= time for time in times)

    def affordable(self, steps: float, pixels: int) -> int:
        """How many frames of so many pixels a round may look at, in a training of so many steps.

        A round takes a twentieth of the computing of all steps, for frames of any size; a step counts
        as three forward passes of its views.
        """
        data, turns = self._config.data, self._config.teacher_turns
        views = (data.batch_labeled + data.batch_unlabeled) * data.crop_px**2
        if self._single:
            turns, views = 1, self._config.heatmap.batch * self._config.heatmap.side_px**2
        return max(1, int(_SHARE * steps * 3 * views / (turns * max(pixels, 1))))

    def frames(self, unlabeled: Sequence[FrameRef], most: int) -> list[FrameRef]:
        """At most so many frames for the next round: others each time, as long as there are some."""
        order = np.random.default_rng([self._config.train.seed, 5]).permutation(len(unlabeled))
        wanted = _MOST_SINGLE if self._single else self._config.loss.pseudo_frames
        limit = min(wanted, most)
        count = min(limit, len(order))
        first = self.done * count
        return [unlabeled[order[(first + i) % len(order)]] for i in range(count)]

    def take(
        self, found: Mapping[Hashable, PseudoPoses], names: Mapping[Hashable, str] | None = None
    ) -> None:
        """Keep what a round has found, and what earlier ones found on other frames.

        Parameters
        ----------
        found : mapping of hashable to PseudoPoses
            By `FrameRef.key`.
        names : mapping of hashable to str, optional
            The `FrameRef.name` of each of these frames.
        """
        self.done += 1
        self._names |= names or {}
        # A frame on which the teacher is sure of nothing would teach that there is nothing.
        before = {key: poses for key, poses in self.poses.items() if key not in found}
        self.poses = before | {key: poses for key, poses in found.items() if len(poses.xy)}

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as plain values and tensors."""
        frames = [
            [
                list(key) if isinstance(key, tuple) else key,
                torch.from_numpy(p.xy),
                torch.from_numpy(p.known),
                torch.from_numpy(p.doubtful),
                self._names.get(key, ""),
            ]
            for key, p in self.poses.items()
        ]
        return {"done": self.done, "frames": frames}

    def restore(self, state: Mapping[str, Any], share: float, unlabeled: Sequence[FrameRef]) -> int:
        """Take over what `state` gave, of the frames that are there still.

        Where a training has grown, its rounds are repeated at their places in the longer one; where frames are
        gone, or other ones have taken their place, the next round is at once.

        Parameters
        ----------
        share : float
            Share 0..1 of training.
        unlabeled : sequence of FrameRef
            The frames without labels.

        Returns
        -------
        int
            How many frames are there no longer.
        """
        names = {ref.key: ref.name for ref in unlabeled}
        self.poses, self._names = {}, {}
        for saved, xy, known, doubtful, *said in state["frames"]:
            key = tuple(saved) if isinstance(saved, list) else saved
            name = said[0] if said else ""  # earlier versions did not say which frame it is
            if names.get(key) == name:
                self.poses[key] = PseudoPoses(xy.numpy(), known.numpy(), doubtful.numpy())
                self._names[key] = name
        gone = len(state["frames"]) - len(self.poses)
        self.done = min(int(state["done"]), max(0, self._until(share) - bool(gone)))
        return gone
