"""Frames a second of prediction, from the video file to tracked poses, and where the time goes.

    python benchmarks/throughput.py MODEL VIDEO --out RESULTS [--animals 2] [--frames 0:1350] [--truth LABELS]

Each way of predicting runs in turn, `--repeats` times; the median counts. ``decode`` reads the frames
alone, ``forward`` repeats the forward passes alone, on inputs of the same sizes: no prediction can be
quicker than either. Loading the model is not counted; ``command`` is the whole command, with everything.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_semimultipose import api
from napari_semimultipose.config import Config, EvaluateConfig
from napari_semimultipose.inference.predict import Predictor

PEERS = {
    "YOLO11n-pose, fly-pair-demo": 32.0,
    "sleap-nn bottom-up, fly-pair-demo": 5.4,
}
"""Frames a second of the peers, two cores, decoding included (measured once, see the peers' scripts)."""


class Watched:
    """A predictor that remembers the sizes of its inputs."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.sizes: list[torch.Size] = []
        forward = predictor.forward

        def watched(images: Tensor) -> Any:
            self.sizes.append(images.shape)
            return forward(images)

        predictor.forward = watched  # type: ignore[method-assign]
        self.forward = forward

    def repeat(self, sizes: list[torch.Size]) -> None:
        """Run forward passes of these sizes, and nothing else."""
        inputs = {size: torch.randint(0, 255, size, dtype=torch.uint8) for size in set(sizes)}
        for size in sizes:
            self.forward(inputs[size])


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def decode(video: Path, span: range) -> None:
    with api.open_frames(video) as frames:
        for _ in frames.iterate(span.start, span.stop):
            pass


def measure(
    model: Path, video: Path, span: range, animals: int, repeats: int, config: Config
) -> dict[str, Any]:
    watched = Watched(Predictor.from_folder(model, config.predict))
    times: dict[str, list[float]] = {"decode": [], "predict": [], "forward": []}
    poses = None

    def predict() -> None:
        nonlocal poses
        poses = api.predict(watched.predictor, video, config=config, frame_range=span)

    api.predict(
        watched.predictor, video, config=config, frame_range=range(span.start, span.start + 16)
    )
    for _ in range(repeats):
        times["decode"].append(seconds(lambda: decode(video, span)))
        watched.sizes = []
        times["predict"].append(seconds(predict))
        sizes = list(watched.sizes)
        times["forward"].append(seconds(lambda sizes=sizes: watched.repeat(sizes)))
    rate = {name: len(span) / statistics.median(values) for name, values in times.items()}
    return {
        **{f"{name}_fps": round(value, 1) for name, value in rate.items()},
        "share_of_forward": round(rate["predict"] / rate["forward"], 3),
        "megapixels_a_frame": round(sum(b * h * w for b, _, h, w in sizes) / len(span) / 1e6, 4),
        "poses": poses,
    }


def command_fps(model: Path, video: Path, span: range, animals: int) -> float:
    program = Path(sys.executable).with_name("semimultipose")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            program, "predict", model, video, "--out", Path(folder) / "poses.slp",
            "--frame-range", f"{span.start}:{span.stop}", "--animals", animals,
        ]  # fmt: skip
        return len(span) / seconds(lambda: subprocess.run([*map(str, arguments)], check=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--animals", type=int, default=2)
    parser.add_argument("--frames", default="")
    parser.add_argument("--truth", type=Path, help="labels to score the predictions with")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with api.open_frames(given.video) as frames:
        first, _, last = given.frames.partition(":")
        span = range(int(first or 0), int(last or len(frames)))
    base = api.prediction_config(given.model, animals=given.animals).with_settings(given.settings)
    ways = {
        "windows": base,
        "whole frames": base.with_settings({"predict.refresh_every": 0}),
    }
    rows: dict[str, Any] = {}
    for name, config in ways.items():
        row = measure(given.model, given.video, span, given.animals, given.repeats, config)
        poses = row.pop("poses")
        if given.truth is not None:
            scores = api.evaluate(
                poses, given.truth, config=EvaluateConfig(), frames_list=[str(i) for i in span]
            )
            row |= {key: scores[key] for key in ("ap", "ap50", "median_error_px", "recall")}
            if scores.get("tracks"):
                row |= {key: scores["tracks"][key] for key in ("idf1", "switches")}
        rows[name] = row
        print(name, json.dumps(row), flush=True)
    rows["command_fps"] = round(command_fps(given.model, given.video, span, given.animals), 1)
    rows["threads"] = torch.get_num_threads()
    rows["peers_fps"] = PEERS
    (given.out / "throughput.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print("whole command:", rows["command_fps"], "frames/s")


if __name__ == "__main__":
    main()
