"""Length of training, learning rate over it, and averaged weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from napari_semimultipose.config import TrainConfig

Network = TypeVar("Network", bound=nn.Module)


class Progress:
    """Share of training that is done, by iterations or by wall-clock time.

    Parameters
    ----------
    config : TrainConfig
        ``iterations`` counts when it is not 0, ``minutes`` otherwise.
    iteration : int
        Iterations done in earlier runs.
    elapsed_s : float
        Time spent in earlier runs, s.
    clock : callable
        Seconds; for tests.
    """

    def __init__(
        self,
        config: TrainConfig,
        iteration: int = 0,
        elapsed_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._iterations = config.iterations
        self._seconds = config.minutes * 60
        self.iteration = iteration
        self._before = elapsed_s
        self._clock = clock
        self._start = clock()

    @property
    def elapsed_s(self) -> float:
        """Time spent in training, s, earlier runs included."""
        return self._before + self._clock() - self._start

    @property
    def share(self) -> float:
        """Share 0..1 that is done."""
        if self._iterations:
            return min(1.0, self.iteration / self._iterations)
        return min(1.0, self.elapsed_s / max(self._seconds, 1e-9))

    @property
    def remaining_s(self) -> float:
        """Expected time to the end, s."""
        if not self._iterations:
            return max(0.0, self._seconds - self.elapsed_s)
        here = self.iteration
        return (self._iterations - here) * self.elapsed_s / here if here else math.inf


def learning_rate_factor(config: TrainConfig, share: float) -> float:
    """Learning rate relative to its highest value at a share 0..1 of training.

    A linear warm-up from a tenth (SGD: a constant third, as in DirectPose), then: ``cosine`` to 1 %;
    ``poly`` linearly to 0; ``step`` to 1/100 at `step_at`.
    """
    if share < config.warmup:
        return 1 / 3 if config.optimizer == "sgd" else 0.1 + 0.9 * share / config.warmup
    if config.schedule == "step":
        return 1.0 if share < config.step_at else 0.01
    if config.schedule == "poly":
        return max(1.0 - share, 0.0)
    done = (share - config.warmup) / max(1 - config.warmup, 1e-9)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


class AveragedNetwork(Generic[Network]):
    """Exponential moving average of a network's weights and statistics (mean teacher).

    The decay grows with the number of updates n as min(decay, (1 + n) / (10 + n)), so that early
    averages forget the random start.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network: Network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        # Walking through the modules at each step would take longer than the average itself.
        self._mine = self._tensors(self.network)
        self._source: nn.Module | None = None
        self._theirs: tuple[list[Tensor], list[Tensor]] = ([], [])

    @staticmethod
    def _tensors(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and statistics to average, and counters to copy."""
        tensors = [t.detach() for t in network.state_dict().values()]
        return (
            [t for t in tensors if t.dtype.is_floating_point],
            [t for t in tensors if not t.dtype.is_floating_point],
        )

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        if network is not self._source:
            self._source, self._theirs = network, self._tensors(network)
        torch._foreach_lerp_(self._mine[0], self._theirs[0], 1 - decay)
        for mine, theirs in zip(self._mine[1], self._theirs[1], strict=True):
            mine.copy_(theirs)
