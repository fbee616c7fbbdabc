"""How long a training step takes, how much of it is the network, and how long training takes to start.

    python benchmarks/training_speed.py --data ../shared/data --out RESULTS [--tasks bees25 flies100]
        [--arms directpose semimultipose clips] [--steps 60] [--repeats 3]

Each run is a process of its own, as a user would start it, with all cores. ``start`` is the time from the
start of the process to the end of the first step, imports and reading labels included; ``loading`` is
what a step waits for its views; ``faults`` are the page faults of a step. ``semimultipose`` uses
unlabelled views from the first step on; ``clips`` is supervised learning with the losses on video from
the first step on and a clip in every second step, as by default: its ``loading`` is the mean over steps, because
every second one waits for a clip. The task ``mouse`` is one animal with the heat-map network
(`mouse-mirror`, 72 labels, and its video). Writes ``training_speed.json``, ``.md`` and ``.png``; repeats
that are in the file already are not run again.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from label_efficiency import Task, bees, flies
from tables import PEERS, Results, bars, markdown, mean_and_error

from napari_semimultipose import read_poses

WARM_UP = 5  # first steps, which are not counted: the loaders and the allocator fill


def mouse(data: Path, count: str, seed: int, validation: bool) -> Task:
    """Return the mouse in a mirror: 72 labelled images, its video without labels."""
    root = data / "mouse-mirror"
    names = [str(name) for name in read_poses(root / "CollectedData.csv").videos[0].images]
    test = names[4::5]
    train = [name for name in names if name not in test][: int(count or len(names))]
    video = root / "videos" / "test_vid.mp4"
    return Task(root / "CollectedData.csv", root, train, test, test, [video], False)


def one_run(data: Path, task: str, arm: str, steps: int) -> dict[str, Any]:
    """Train some steps in this process and time them."""
    from psutil import Process

    started = Process().create_time()
    import torch

    from napari_semimultipose import api
    from napari_semimultipose.config import Config
    from napari_semimultipose.data.loaders import OnDemand, Prefetcher
    from napari_semimultipose.training.events import Failed
    from napari_semimultipose.training.run import Run

    times: dict[str, list[float]] = {"loading": [], "network": []}
    faults: list[int] = []
    start_s = 0.0

    def timed(owner: type, name: str, kind: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: Any) -> Any:
            nonlocal start_s
            begin = time.perf_counter()
            result = inner(*args)
            times[kind].append(time.perf_counter() - begin)
            if kind == "network":
                start_s = start_s or time.time() - started
                faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
            return result

        setattr(owner, name, outer)

    timed(OnDemand, "get", "loading")
    timed(Prefetcher, "get", "loading")
    timed(Run, "step", "network")
    kind = task.rstrip("0123456789")
    makers = {"bees": bees, "flies": flies, "mouse": mouse}
    made = makers[kind](data, task[len(kind) :], 0, False)
    clips = {"video.losses": ["temporal", "pca"], "video.start": 0.0} if arm == "clips" else {}
    config = Config().with_settings(
        {
            "train.method": "directpose" if arm == "clips" else arm,
            **clips,
            "train.minutes": 0,
            "train.iterations": 100_000,
            "train.validate_every": 1,
            "loss.beta_start": 0,
            "loss.ramp": 0,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        for event in api.train(
            made.labels,
            Path(folder) / "model",
            frames=made.frames,
            unlabeled=made.unlabeled,
            labeled_list=made.labeled,
            exclude_list=made.exclude,
            config=config,
            should_stop=lambda: len(times["network"]) >= steps + WARM_UP,
        ):
            if isinstance(event, Failed):
                raise SystemExit(event.message)
    middle = statistics.mean if arm == "clips" else statistics.median
    ms = {name: 1000 * middle(values[WARM_UP:]) for name, values in times.items()}
    return {
        "step_ms": round(ms["loading"] + ms["network"], 1),
        "loading_ms": round(ms["loading"], 1),
        "network_share": round(ms["network"] / (ms["loading"] + ms["network"]), 3),
        "start_s": round(start_s, 2),
        "faults": round((faults[-1] - faults[WARM_UP]) / (len(faults) - 1 - WARM_UP)),
        "threads": torch.get_num_threads(),
    }


def table(results: Results) -> str:
    """Markdown: mean and standard error over the repeats, and the steps of the peers."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, row in results.items():
        task, arm, _ = key.split("/")
        groups.setdefault((task, arm), []).append(row)
    rows: list[list[object]] = []
    for (task, arm), runs in sorted(groups.items()):
        cells = [
            mean_and_error([r[name] for r in runs], digits)
            for name, digits in (
                ("step_ms", 0), ("network_share", 3), ("start_s", 1), ("faults", 0),
            )
        ]  # fmt: skip
        rows.append([task, arm, *cells])
    for task, tools in PEERS["training_speed"].items():
        rows += [[task, f"*{tool}*", row["step_ms"], "", "", ""] for tool, row in tools.items()]
    header = ["task", "method", "step, ms", "of it network", "start, s", "page faults a step"]
    return markdown(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["bees25", "flies100"])
    parser.add_argument("--arms", nargs="+", default=["directpose", "semimultipose"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("TASK", "ARM"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(one_run(given.data, *given.child, given.steps)))
        return
    results = Results(given.out, "training_speed")
    for repeat in range(given.repeats):
        for task in given.tasks:
            for arm in given.arms:
                key = f"{task}/{arm}/{repeat}"
                if key in results:
                    continue
                command = [sys.executable, __file__, "--data", given.data, "--out", given.out]
                command += ["--steps", given.steps, "--child", task, arm]
                done = subprocess.run(
                    [*map(str, command)], check=True, stdout=subprocess.PIPE, text=True
                )
                results.add(key, json.loads(done.stdout.splitlines()[-1]))
                print(key, results[key], flush=True)
    groups: dict[str, dict[str, list[float]]] = {}
    for key, row in results.items():
        task, arm, _ = key.split("/")
        groups.setdefault(task, {}).setdefault(arm, []).append(row["step_ms"])
    bars(given.out / "training_speed.png", groups, "ms a step")
    results.write_markdown(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
