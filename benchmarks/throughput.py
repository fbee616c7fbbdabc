"""Frames a second of prediction, from the files to tracked poses, and where the time goes.

    python benchmarks/throughput.py --data ../shared/data --out RESULTS --flies MODEL [--bees MODEL]

`--flies` is a model for `fly-pair-demo` (frames 1000-1349: video, two animals), `--bees` one for
`honeybee` (stills of 1280 x 720 px, a dozen animals, those of the test day). Each way of predicting runs
`--repeats` times; the median counts. ``decode`` reads the frames alone, ``forward`` repeats the forward
passes alone, on inputs of the same sizes: no prediction can be quicker than either. Loading the model is
not counted; ``command`` is the whole command, with everything. Writes ``throughput.json``, ``.md`` and
``.png``; rows that are in the file already are not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tables import PEERS, Results, bars, markdown
from torch import Tensor

from napari_semimultipose import api
from napari_semimultipose.config import Config, EvaluateConfig
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.io.images import ImageFrames
from napari_semimultipose.io.video import Frames

FLY_SPAN = range(1000, 1350)


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


def decode(frames: Frames, indices: Sequence[int]) -> None:
    for _ in frames.iterate(indices[0], indices[-1] + 1):
        pass


def measure(
    model: Path, frames: Frames, indices: range, animals: int, repeats: int, config: Config
) -> tuple[dict[str, Any], Any]:
    """Time one way of predicting; return its row and the poses."""
    watched = Watched(Predictor.from_folder(model, config.predict))
    times: dict[str, list[float]] = {"decode": [], "predict": [], "forward": []}
    poses, sizes = None, []

    def predict() -> None:
        nonlocal poses
        poses = api.predict(
            watched.predictor, frames, config=config, frame_range=indices, track=animals > 0
        )

    api.predict(watched.predictor, frames, config=config, frame_range=indices[:16])
    for _ in range(repeats):
        times["decode"].append(seconds(lambda: decode(frames, indices)))
        watched.sizes = []
        times["predict"].append(seconds(predict))
        sizes = list(watched.sizes)
        times["forward"].append(seconds(lambda sizes=sizes: watched.repeat(sizes)))
    rate = {name: len(indices) / statistics.median(values) for name, values in times.items()}
    row = {
        **{f"{name}_fps": round(value, 1) for name, value in rate.items()},
        "share_of_forward": round(rate["predict"] / rate["forward"], 3),
        "megapixels_a_frame": round(sum(b * h * w for b, _, h, w in sizes) / len(indices) / 1e6, 4),
        "threads": torch.get_num_threads(),
    }
    return row, poses


def command_fps(model: Path, video: Path, span: range, animals: int) -> float:
    program = Path(sys.executable).with_name("semimultipose")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            program, "predict", model, video, "--out", Path(folder) / "poses.slp",
            "--frame-range", f"{span.start}:{span.stop}", "--animals", animals,
        ]  # fmt: skip
        return len(span) / seconds(lambda: subprocess.run([*map(str, arguments)], check=True))


def flies(results: Results, data: Path, model: Path, repeats: int) -> None:
    """Two flies in a video: following them, whole frames, and the command."""
    video = data / "fly-pair-demo/demo-flies13-preds.mp4"
    truth = data / "fly-pair-demo/demo-flies13-preds.slp"
    base = api.prediction_config(model, animals=2)
    for way, settings in (
        ("windows around the animals", {}),
        ("whole frames", {"predict.refresh_every": 0}),
        ("windows, four turns", {"predict.turns": 4}),
    ):
        key = f"fly-pair-demo/{way}"
        if key in results:
            continue
        with api.open_frames(video) as frames:
            config = base.with_settings(settings)
            row, poses = measure(model, frames, FLY_SPAN, 2, repeats, config)
        scores = api.evaluate(
            poses, truth, config=EvaluateConfig(), frames_list=[str(i) for i in FLY_SPAN]
        )
        row |= {name: scores[name] for name in ("ap", "median_error_px", "recall")}
        row |= {name: scores["tracks"][name] for name in ("idf1", "switches")}
        results.add(key, row)
        print(key, row, flush=True)
    key = "fly-pair-demo/the whole command"
    if key not in results:
        fps = statistics.median(command_fps(model, video, FLY_SPAN, 2) for _ in range(repeats))
        results.add(key, {"predict_fps": round(fps, 1)})


def bees(results: Results, data: Path, model: Path, repeats: int) -> None:
    """Stills with a dozen bees."""
    root = data / "honeybee"
    names = json.loads((root / "splits.json").read_text("utf-8"))["dev_test"]
    ways = (("stills", {"predict.turns": 1}), ("stills, four turns", {"predict.turns": 4}))
    for way, settings in ways:
        key = f"honeybee/{way}"
        if key in results:
            continue
        frames = ImageFrames([root / n for n in names], source=str(root), names=tuple(names))
        config = api.prediction_config(model).with_settings(settings)
        row, _ = measure(model, frames, range(len(names)), 0, repeats, config)
        results.add(key, row)
        print(key, row, flush=True)


def table(results: Results) -> str:
    """Markdown, with the peers."""

    def cell(row: dict[str, Any], name: str, digits: int) -> str:
        return f"{row[name]:.{digits}f}" if row.get(name) is not None else ""

    columns = (
        ("predict_fps", 1), ("forward_fps", 1), ("decode_fps", 0), ("share_of_forward", 3),
        ("ap", 3), ("median_error_px", 1), ("switches", 0), ("idf1", 3),
    )  # fmt: skip
    rows = [[*key.split("/"), *(cell(r, *c) for c in columns)] for key, r in results.items()]
    for task, tools in PEERS["throughput"].items():
        rows += [[task, f"*{tool}*", *(cell(r, *c) for c in columns)] for tool, r in tools.items()]
    header = ["recording", "way", "frames/s", "forward passes alone", "decoding alone",
              "share of forward", "AP .05", "median px", "switches", "IDF1"]  # fmt: skip
    return markdown(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--flies", type=Path, help="model folder")
    parser.add_argument("--bees", type=Path, help="model folder")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    results = Results(given.out, "throughput")
    if given.flies is not None:
        flies(results, given.data, given.flies, given.repeats)
    if given.bees is not None:
        bees(results, given.data, given.bees, given.repeats)
    groups: dict[str, dict[str, list[float]]] = {}
    for key, row in results.items():
        task, way = key.split("/")
        groups.setdefault(task, {})[way] = [row["predict_fps"]]
    for task, tools in PEERS["throughput"].items():
        groups.setdefault(task, {}).update({t: [r["predict_fps"]] for t, r in tools.items()})
    bars(given.out / "throughput.png", groups, "frames a second")
    results.write_markdown(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
