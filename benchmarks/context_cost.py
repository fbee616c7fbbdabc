"""What looking at the frames around each frame costs: a training step, and the prediction of a frame.

    python benchmarks/context_cost.py --out RESULTS [--steps 12] [--frames 48] [--rounds 3]

A drawn recording, default settings (`directpose`: supervised alone), one animal and two, without and with context. One
thread, and processor time of the whole process, which other work on the machine changes little; the two networks
take turns. Weights are random: they do not change the time. Writes ``context_cost.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from tables import Results, markdown

from napari_semimultipose.config import Config
from napari_semimultipose.data.batches import BatchMaker
from napari_semimultipose.data.neighbours import with_neighbours
from napari_semimultipose.data.single import WholeFrameMaker
from napari_semimultipose.data.split import prepare
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.checkpoint import ModelInfo
from napari_semimultipose.poses import Poses
from napari_semimultipose.training.run import Run

SIZE = (384, 512)


class Arm:
    """One network, its batches, and its predictor.

    Parameters
    ----------
    poses, frames
        Labels and pictures of a recording.
    folder : Path
        Where training writes.
    settings : dict
    """

    def __init__(
        self, poses: Poses, frames: object, folder: Path, settings: dict[str, object]
    ) -> None:
        config = Config().with_settings(
            {"train.minutes": 0, "train.iterations": 100_000, "train.device": "cpu", **settings}
        )
        recording = {0: open_frames(frames)}
        labels = poses.select(list(range(2, len(poses), 3)))
        data = prepare(labels, recording, config.data)
        if config.model.context:
            data = with_neighbours(data, recording)
        self.run = Run.open(folder, config, poses.skeleton, resume=False)
        self.run.start(data)
        self.maker = (
            WholeFrameMaker(data, config)
            if config.model.kind == "heatmap"
            else BatchMaker(data, config.data, config.augment, 0)
        )
        self.frames = recording[0]
        info = ModelInfo(poses.skeleton, config, data.scale, poses.animal_size_px)
        predict = config.predict.model_copy(update={"score_threshold": 0.9, "device": "cpu"})
        self.predictor = Predictor(self.run.network, info, predict)
        self.iteration = 0

    def step(self) -> tuple[float, float]:
        """Processor seconds of making a batch, and of learning from it."""
        begin = time.process_time()
        batch = self.maker(self.iteration, self.run.batch_size)
        middle = time.process_time()
        self.run.step(batch)
        self.iteration += 1
        return middle - begin, time.process_time() - middle

    def predict(self) -> float:
        """Frames a second of processor time."""
        self.run.network.eval()
        begin = time.process_time()
        n = sum(
            len(numbers)
            for numbers, _ in self.predictor.stream(self.frames, range(len(self.frames)))
        )
        return n / (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = Results(given.out, "context_cost")
    rows: list[list[object]] = []
    for kind, animals in (("heatmap", 1), ("directpose", 2)):
        frames, poses = make_recording(given.frames, animals=animals, size=SIZE, length_px=100)
        with tempfile.TemporaryDirectory() as folder:
            arms = [
                Arm(poses, frames, Path(folder) / str(context),
                    {"model.kind": kind, "model.context": context, "train.method": "directpose"})
                for context in (False, True)
            ]  # fmt: skip
            steps: list[list[tuple[float, float]]] = [[], []]
            speeds: list[list[float]] = [[], []]
            for number in range(given.steps + 2):
                for arm, times in zip(arms, steps, strict=True):
                    taken = arm.step()
                    if number >= 2:  # allocators fill
                        times.append(taken)
            for number in range(given.rounds + 1):
                for arm, found in zip(arms, speeds, strict=True):
                    speed = arm.predict()
                    if number:
                        found.append(speed)
        for context, times, found in zip((False, True), steps, speeds, strict=True):
            batch, network = (statistics.median(t) * 1e3 for t in zip(*times, strict=True))
            values = {"batch_ms": batch, "step_ms": network, "fps": statistics.median(found)}
            results.add(f"{kind}/{context}", values)
            name = "with context" if context else "without"
            rows.append([kind, name, *(f"{value:.0f}" for value in (batch, network))])
            rows[-1].append(f"{values['fps']:.1f}")
    table = markdown(["network", "", "batch ms", "step ms", "predicted frames a second"], rows)
    results.write_markdown(table)
    print(table)


if __name__ == "__main__":
    main()
