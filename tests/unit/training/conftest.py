"""A tiny training job that takes a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_semimultipose.config import Config
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton

TINY = [
    "data.crop_px=64",
    "data.animal_px=24",
    "data.batch_labeled=2",
    "data.batch_unlabeled=1",
    "model.channels=16",
    "model.heat_channels=16",
    "train.minutes=0",
    "train.iterations=6",
    "train.precision='32'",
    "train.device=cpu",
    "loss.alpha_start=0.2",
    "loss.beta_start=0.4",
    "train.validate_every=0.5",
]


@dataclass
class Job:
    labels: Poses
    frames: dict[int, Frames]
    out: Path

    def config(self, *changes: str) -> Config:
        return Config().with_settings([*TINY, *changes])

    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(str(self.out / "last.safetensors"))

    def arguments(self, *changes: str, **more: Any) -> dict[str, Any]:
        return {
            "labels": self.labels,
            "out": self.out,
            "config": self.config(*changes),
            "frames": self.frames,
            **more,
        }


@pytest.fixture
def job(tmp_path: Path) -> Job:
    rng = np.random.default_rng(0)
    skeleton = Skeleton(("head", "tail"), edges=((0, 1),))
    stack = rng.integers(0, 60, (24, 80, 96, 1)).astype(np.uint8)
    xy = np.zeros((24, 2, 2, 2))
    for f in range(24):
        for n in range(2):
            middle = rng.uniform([20, 20], [76, 60])
            turn = rng.uniform(0, 2 * np.pi)
            axis = 11 * np.array([np.cos(turn), np.sin(turn)])
            xy[f, n] = [middle + axis, middle - axis]
            for (x, y), value in zip(xy[f, n].round().astype(int), (250, 140), strict=True):
                stack[f, y - 2 : y + 3, x - 2 : x + 3] = value
    labels = Poses(skeleton, xy, np.arange(24)).select(np.arange(12))
    return Job(labels, {0: open_frames(stack)}, tmp_path / "model")
