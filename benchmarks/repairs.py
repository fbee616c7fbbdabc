"""How long do repairs of identities take on a long recording, and finding its problems?

    python benchmarks/repairs.py --frames 100000 --animals 4 --keypoints 13

Random walks; every repair is computed, applied to the table and undone. Reported is the median of
some runs in milliseconds, and the processor time of computing and applying, which other work on the
machine does not change as much.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

import numpy as np

from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.labeling.problems import find_problems
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Source
from napari_semimultipose.tracking import counting, repair
from napari_semimultipose.tracking.trajectories import trajectory

LIMIT_MS = 200


def walks(frames: int, animals: int, keypoints: int) -> Poses:
    """Animals on random walks, 2 % of their poses missing, in tracks that break now and then."""
    rng = np.random.default_rng(0)
    body = rng.uniform(-30, 30, (animals, keypoints, 2))
    way = 500 + np.cumsum(rng.normal(0, 1.5, (frames, animals, 2)), axis=0)
    xy = way[:, :, None] + body + rng.normal(0, 0.5, (frames, animals, keypoints, 2))
    xy[rng.random((frames, animals)) < 0.02] = np.nan
    track = np.tile(np.arange(animals), (frames, 1))
    for number in range(animals, animals + 200):
        start = int(rng.integers(frames - 60))
        track[start : start + 50, rng.integers(animals)] = number
    skeleton = Skeleton(
        tuple(f"k{i}" for i in range(keypoints)), tuple((i, i + 1) for i in range(keypoints - 1))
    )
    return Poses(
        skeleton, xy, np.arange(frames), track=track,
        score=rng.uniform(0.4, 0.9, (frames, animals, keypoints)),
        instance_score=rng.uniform(0.4, 0.9, (frames, animals)),
        source=np.full((frames, animals), Source.PREDICTED),
    )  # fmt: skip


def measure(store: PoseStore, make: Callable[[], Change], runs: int) -> dict[str, float]:
    """Median times of computing, applying and undoing a change, and its size."""
    times = []
    for _ in range(runs):
        start, worked = time.perf_counter(), time.process_time()
        change = make()
        made = time.perf_counter()
        store.apply(change)
        applied, worked = time.perf_counter(), time.process_time() - worked
        store.apply(change.reversed())
        times.append((made - start, applied - made, time.perf_counter() - applied, worked))
    made, applied, undone, worked = 1000 * np.median(times, axis=0)
    return {
        "compute_ms": round(made, 1),
        "apply_ms": round(applied, 1),
        "undo_ms": round(undone, 1),
        "repair_ms": round(made + applied, 1),
        "processor_ms": round(worked, 1),
        "poses": len(change.row),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--animals", type=int, default=4)
    parser.add_argument("--keypoints", type=int, default=13)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    poses = walks(given.frames, given.animals, given.keypoints)
    store = PoseStore(poses)
    half = given.frames // 2
    slot = int(store.slots(half)[0])
    repairs: dict[str, Callable[[], Change]] = {
        "swap to the end": lambda: repair.swap(store, 0, 1),
        "swap on 1000 frames": lambda: repair.swap(store, 0, 1, half, half + 999),
        "swap on one frame": lambda: repair.swap(store, 0, 1, half, half),
        "assign to the end": lambda: repair.assign(store, half, slot, given.animals + 500),
        "assign on one frame": lambda: (
            repair.assign(store, half, slot, 3, onward=False)
            if store.array("track")[half, slot] != 3
            else repair.assign(store, half, slot, 2, onward=False)
        ),
        "merge two tracks": lambda: repair.merge(store, 0, 1),
        "split a track": lambda: repair.split(store, 0, half),
        "delete a track": lambda: repair.delete(store, 0),
        "delete from half on": lambda: repair.delete(store, 0, half),
        "interpolate 20 frames": lambda: repair.interpolate(store, 0, half, half + 19),
        "fix the number": lambda: counting.fix_count(store, given.animals),
        "fix a lower number": lambda: counting.fix_count(store, given.animals - 1),
    }
    results: dict[str, object] = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    slow = []
    for name, make in repairs.items():
        figures = measure(store, make, given.runs)
        results[name] = figures
        if max(figures["repair_ms"], figures["undo_ms"]) > LIMIT_MS:
            slow.append(name)
    start = time.perf_counter()
    problems = find_problems(poses, ReviewConfig(animals=given.animals))
    results["find problems"] = {
        "s": round(time.perf_counter() - start, 2), "problems": len(problems),
    }  # fmt: skip
    start = time.perf_counter()
    trajectory(store, 0)
    results["one trajectory"] = {"ms": round(1000 * (time.perf_counter() - start), 1)}
    results["over 200 ms"] = slow
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
