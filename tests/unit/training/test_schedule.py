"""Length, learning rate, optimiser groups and averaged weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_semimultipose.config import Config, TrainConfig
from napari_semimultipose.training.schedule import (
    AveragedNetwork,
    Progress,
    learning_rate_factor,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_by_iterations_ignores_the_clock() -> None:
    clock = Clock()
    progress = Progress(TrainConfig(iterations=10), clock=clock)
    clock.now = 1e6
    assert progress.share == 0
    progress.iteration = 5
    assert progress.share == 0.5
    assert progress.remaining_s == pytest.approx(1e6)


def test_progress_by_minutes_counts_earlier_runs() -> None:
    clock = Clock()
    progress = Progress(TrainConfig(minutes=2), iteration=7, elapsed_s=60, clock=clock)
    assert progress.share == 0.5
    clock.now = 30
    assert progress.share == 0.75
    assert progress.remaining_s == 30
    clock.now = 1000
    assert progress.share == 1


def test_learning_rates_of_the_presets() -> None:
    default = Config().train
    assert learning_rate_factor(default, default.warmup) == pytest.approx(1)
    assert learning_rate_factor(default, 1) == pytest.approx(0.01)
    paper = Config.from_preset("paper").train
    assert learning_rate_factor(paper, 0.0) == pytest.approx(1 / 3)
    assert learning_rate_factor(paper, 4999 / 15000) == 1
    assert learning_rate_factor(paper, 5001 / 15000) == pytest.approx(0.01)
    code = Config.from_preset("authors_code").train
    assert learning_rate_factor(code, 0.75) == pytest.approx(0.25)


def test_the_average_follows_its_formula_and_copies_counters() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        network[0].weight.fill_(0.0)
    averaged = AveragedNetwork(network, 0.9)
    expected = 0.0
    for n in range(1, 31):
        with torch.no_grad():
            network[0].weight.fill_(float(n))
        network(torch.randn(4, 1))
        averaged.update(network)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
    assert float(averaged.network[0].weight) == pytest.approx(expected, rel=1e-5)
    assert int(averaged.network[1].num_batches_tracked) == 30
    assert not any(p.requires_grad for p in averaged.network.parameters())
