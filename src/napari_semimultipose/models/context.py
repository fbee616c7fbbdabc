"""What the frames around a frame tell about it: a recurrence over five frames, in both directions.

Lightning Pose (Biderman et al. 2024, Nature Methods 21, 1316) runs a linear recurrence over five frames to
the last one. Here it is gated, ends at the frame in the middle from either side, and is added to what the
frame itself shows through a gate that is zero at first, so that both heads begin as one. What is
computed of a frame alone (`FrameFeatures`) serves all windows that the frame is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_semimultipose.io.surroundings import REACH

WINDOW = 2 * REACH + 1
_WIDTH = 64
_GROUPS = 8


@dataclass
class FrameFeatures:
    """What is computed once of each of F frames.

    Attributes
    ----------
    maps : tuple of Tensor [F, C, h, w]
        Inputs of the heads.
    encoded : tuple of Tensor [F, 4 * 64, h, w]
        Inputs of the recurrence, at one or several strides; none without context.
    """

    maps: tuple[Tensor, ...]
    encoded: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.maps[0])

    def select(self, index: Tensor | slice) -> FrameFeatures:
        """Return those of some frames."""
        return FrameFeatures(
            tuple(x[index] for x in self.maps), tuple(x[index] for x in self.encoded)
        )

    @staticmethod
    def join(parts: Sequence[FrameFeatures]) -> FrameFeatures:
        """Return those of several sets of frames, which must have one size."""
        if len(parts) == 1:
            return parts[0]
        return FrameFeatures(
            tuple(torch.cat(same) for same in zip(*(p.maps for p in parts), strict=True)),
            tuple(torch.cat(same) for same in zip(*(p.encoded for p in parts), strict=True)),
        )


def clip_windows(count: int, device: torch.device | None = None, *, parts: int = 1) -> Tensor:
    """Return the windows [P * T, 5] of the T frames of P clips that lie behind each other.

    The first and last frame of a clip stand for missing ones.
    """
    middle = torch.arange(count, device=device)[:, None]
    reach = torch.arange(-REACH, REACH + 1, device=device)
    windows = (middle + reach).clamp(0, max(count - 1, 0))
    start = count * torch.arange(parts, device=device)[:, None, None]
    return (windows + start).flatten(0, 1)


def still_windows(count: int, device: torch.device | None = None) -> Tensor:
    """Return windows [N, 5] of pictures that do not follow each other: each stands for its surroundings."""
    return torch.arange(count, device=device)[:, None].expand(-1, WINDOW)


def view_windows(count: int, first: int, device: torch.device | None = None) -> Tensor:
    """Return the windows [N, 5] of N views, whose four neighbours each lie behind each other from `first` on."""
    middle = torch.arange(count, device=device)[:, None]
    neighbours = first + 2 * REACH * middle + torch.arange(2 * REACH, device=device)
    return torch.cat([neighbours[:, :REACH], middle, neighbours[:, REACH:]], 1)


class Recurrence(nn.Module):
    """Gated recurrence from both ends of a window to its middle.

    With x the input of a frame, the state h goes on as
    ``h + sigmoid(a(x) + b(h)) * (tanh(c(x) + d(h)) - h)``, where a to d are convolutions
    (the minimal gated unit of Zhou et al. 2016, arXiv:1603.09420, with one gate and no reset).

    Parameters
    ----------
    width : int
        Channels of inputs and states.
    """

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        self.inputs = nn.Conv2d(width, 4 * width, 1)
        self.steps = nn.ModuleList(
            nn.Conv2d(width, 2 * width, 3, padding=1, bias=False) for _ in range(2)
        )

    def encode(self, x: Tensor) -> Tensor:
        """Map frames [F, C, h, w] to what both directions take from them [F, 4 C, h, w]."""
        encoded: Tensor = self.inputs(x)
        return encoded

    def forward(self, encoded: Tensor, windows: Tensor) -> Tensor:
        """Return the states [N, 2 C, h, w] of both directions in the middle of windows [N, 5]."""
        ahead, back = encoded.chunk(2, 1)
        return torch.cat(
            [
                self._run(ahead, windows[:, : REACH + 1], self.steps[0]),
                self._run(back, windows[:, REACH:].flip(1), self.steps[1]),
            ],
            1,
        )

    @staticmethod
    def _run(encoded: Tensor, order: Tensor, step: nn.Module) -> Tensor:
        gate, value = encoded[order[:, 0]].chunk(2, 1)
        state = gate.sigmoid() * value.tanh()
        for frames in order[:, 1:].T:
            gate, value = (encoded[frames] + step(state)).chunk(2, 1)
            state = torch.lerp(state, value.tanh(), gate.sigmoid())
        return state


class Context(nn.Module):
    """Adds what the surroundings tell to the features of frames.

    Parameters
    ----------
    sources : sequence of int
        Channels of the features that are looked at, for each stride. All strides share one
        recurrence.
    targets : sequence of (int, int)
        What is added to: index of the stride, and channels.

    Attributes
    ----------
    gates : list of Parameter [C]
        Zero at first.
    """

    def __init__(self, sources: Sequence[int], targets: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.reductions = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, _WIDTH, 3, padding=1),
                nn.GroupNorm(_GROUPS, _WIDTH),
                nn.ReLU(inplace=True),
            )
            for channels in sources
        )
        self.recurrence = Recurrence(_WIDTH)
        self.levels = tuple(level for level, _ in targets)
        self.expansions = nn.ModuleList(
            nn.Conv2d(2 * _WIDTH, channels, 1) for _, channels in targets
        )
        self.gates = nn.ParameterList(nn.Parameter(torch.zeros(c)) for _, c in targets)

    def encode(self, sources: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map features [F, C, h, w] of each stride to the inputs of the recurrence."""
        return tuple(
            self.recurrence.encode(reduce(x))
            for reduce, x in zip(self.reductions, sources, strict=True)
        )

    def forward(
        self, targets: Sequence[Tensor], encoded: Sequence[Tensor], windows: Tensor
    ) -> tuple[Tensor, ...]:
        """Return targets [N, C, h, w] with what the windows [N, 5] of frames tell.

        Parameters
        ----------
        targets : sequence of Tensor [N, C, h, w]
            Features of the frames in the middle of the windows.
        encoded : sequence of Tensor [F, 4 * 64, h, w]
            From `encode`.
        windows : Tensor [N, 5] of int
            Indices of frames.
        """
        states = [self.recurrence(x, windows) for x in encoded]
        added = []
        for target, level, expand, gate in zip(
            targets, self.levels, self.expansions, self.gates, strict=True
        ):
            told = gate[:, None, None] * expand(states[level])
            if told.shape[-2:] != target.shape[-2:]:
                told = F.interpolate(told, size=target.shape[-2:], mode="bilinear")
            added.append(target + told)
        return tuple(added)
