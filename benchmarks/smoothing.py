"""How do the smoothers compare with the published one, in time, agreement and repair?

    python -m venv EKS && EKS/bin/pip install ensemble-kalman-smoother
    python benchmarks/smoothing.py --data ../shared/data --published EKS/bin/python --out RESULTS

For each recording of ``eks-ensembles`` both smooth the same files with one camera at a time: as a whole
command, and again in a process that has done it once before. Times are processor times (user and system)
and wall-clock times. Then one member is corrupted (10 % of the frames moved by 30 px). Simulated walks,
whose truth is known, come last. Without the published package (`--published`) its columns are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose import api
from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.poses import Poses, Skeleton, Source

SETS = {
    "ibl-pupil": "ibl-pupil/*.csv",
    "mirror-mouse": "mirror-mouse/*.csv",
    "fly Cam-A": "fly/*Cam-A*.csv",
    "fly Cam-B": "fly/*Cam-B*.csv",
    "fly Cam-C": "fly/*Cam-C*.csv",
}
OURS = [sys.executable, "-c", "from napari_semimultipose.cli import main; main()", "smooth"]
WARM_OURS = """
import json, sys, time
from pathlib import Path
from napari_semimultipose import api
from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.io.deeplabcut import write_smoothed
*files, noise, out = sys.argv[1:]
for _ in range(2):
    wall, processor = time.perf_counter(), time.process_time()
    found = api.smooth(files, config=SmoothConfig(noise=noise))
    write_smoothed(found.result.poses[0], found.observed[0], Path(out))
print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]))
"""
WARM_PUBLISHED = """
import json, sys, time
from eks.singlecam_smoother import fit_eks_singlecam
*files, out = sys.argv[1:]
for _ in range(2):
    wall, processor = time.perf_counter(), time.process_time()
    fit_eks_singlecam(input_source=files, save_file=out)
print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]))
"""


def command(arguments: Sequence[str]) -> dict[str, float]:
    """Run a command; return its times in seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments[:6])} ... failed:\n{done.stderr[-2000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.perf_counter() - start, 2), "processor_s": round(used, 2)}


def warm(arguments: Sequence[str]) -> dict[str, float]:
    """Run a script that prints the times of its second pass."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    wall, processor = json.loads(done.stdout.strip().splitlines()[-1])
    return {"wall_s": round(wall, 3), "processor_s": round(processor, 3)}


def distance(a: Path, b: Path) -> dict[str, float]:
    """Distances in px between two smoothed tables."""
    x, y = api.read_poses(a), api.read_poses(b)
    order = [y.skeleton.keypoints.index(name) for name in x.skeleton.keypoints]
    d = np.linalg.norm(x.xy[:, 0] - y.xy[:, 0][:, order], axis=-1)
    return {
        "median_px": round(float(np.median(d)), 4),
        "worst_keypoint_median_px": round(float(np.median(d, 0).max()), 4),
        "p95_px": round(float(np.quantile(d, 0.95)), 3),
    }


def corrupt(files: Sequence[Path], folder: Path) -> tuple[list[Path], np.ndarray]:
    """Copy the tables; in the first one move each keypoint by 30 px on 10 % of the frames."""
    rng = np.random.default_rng(0)
    out = []
    moved = np.zeros(0)
    for i, file in enumerate(files):
        with file.open(newline="") as text:
            rows = list(csv.reader(text))
        if i == 0:
            head = next(n for n, row in enumerate(rows) if row[0] == "coords") + 1
            x = [n for n, cell in enumerate(rows[head - 1]) if cell == "x"]
            moved = rng.random((len(rows) - head, len(x))) < 0.1
            angle = rng.uniform(0, 2 * np.pi, moved.shape)
            for r, k in np.argwhere(moved):
                row = rows[head + r]
                row[x[k]] = repr(float(row[x[k]]) + 30 * float(np.cos(angle[r, k])))
                row[x[k] + 1] = repr(float(row[x[k] + 1]) + 30 * float(np.sin(angle[r, k])))
        out.append(folder / file.name)
        with out[-1].open("w", newline="") as text:
            csv.writer(text, lineterminator="\n").writerows(rows)
    return out, moved


def off_clean(smoothed: Path, clean: np.ndarray, moved: np.ndarray) -> float:
    """Root mean squared distance in px from the median of the clean members, on corrupted frames."""
    xy = api.read_poses(smoothed).xy[:, 0]
    return round(float(np.sqrt((((xy - clean) ** 2).sum(-1))[moved].mean())), 3)


def on_recordings(
    data: Path, published: Path | None, folder: Path, chosen: Sequence[str]
) -> dict[str, Any]:
    """Times, agreement and repair on the files of others."""
    results: dict[str, Any] = {}
    for name in chosen:
        pattern = SETS[name]
        files = sorted((data / "eks-ensembles").glob(pattern))
        paths = [str(f) for f in files]
        row: dict[str, Any] = {}
        targets = {kind: folder / f"{name} {kind}.csv" for kind in ("fitted", "published", "eks")}
        for kind in ("fitted", "published"):
            out = str(targets[kind])
            row[f"ours {kind}"] = {
                "command": command([*OURS, *paths, "--noise", kind, "--out", out]),
                "warm": warm([sys.executable, "-c", WARM_OURS, *paths, kind, out]),
            }
        (folder / "corrupt").mkdir(exist_ok=True)
        broken, moved = corrupt(files, folder / "corrupt")
        members = np.stack([api.read_poses(f).xy[:, 0] for f in files])
        clean = np.median(members, 0)
        bad = folder / "bad.csv"
        for kind in ("fitted", "published"):
            command([*OURS, *map(str, broken), "--noise", kind, "--out", str(bad)])
            row[f"ours {kind}"]["corrupted_rms_px"] = off_clean(bad, clean, moved)
        if published is not None:
            eks = [str(published.with_name("eks")), "singlecam"]
            save = ["--save-dir", str(folder), "--save-filename"]
            row["published package"] = {
                "command": command([*eks, "--input-files", *paths, *save, targets["eks"].name]),
                "warm": warm([str(published), "-c", WARM_PUBLISHED, *paths, str(targets["eks"])]),
            }
            row["agreement"] = distance(targets["published"], targets["eks"])
            command([*eks, "--input-files", *map(str, broken), *save, bad.name])
            row["published package"]["corrupted_rms_px"] = off_clean(bad, clean, moved)
        results[name] = row
        print(name, json.dumps(row), flush=True)
    return results


def simulated() -> dict[str, Any]:
    """Walks of known smoothness, five members that err independently, 10 % of the frames badly."""
    results: dict[str, Any] = {}
    skeleton = Skeleton(tuple(f"k{i}" for i in range(4)))
    for smoothness in (0.01, 0.1, 1.0, 4.0):
        for corrupted in (False, True):
            rng = np.random.default_rng(1)
            truth = 200 + np.cumsum(rng.normal(0, np.sqrt(smoothness), (3000, 4, 2)), 0)
            deviation = np.where(rng.random((3000, 4)) < 0.1, 6.0, 1.0)[..., None]
            members = truth + rng.normal(size=(5, *truth.shape)) * deviation
            if corrupted:
                bad = rng.random((3000, 4)) < 0.1
                angle = rng.uniform(0, 2 * np.pi, bad.shape)
                members[0][bad] += 30 * np.stack([np.cos(angle), np.sin(angle)], -1)[bad]
            poses = Poses(
                skeleton, truth[:, None], np.arange(3000), score=np.full((3000, 1, 4), 0.9),
                source=np.full((3000, 1), Source.PREDICTED),
            )  # fmt: skip
            tables = [replace(poses, xy=m[:, None]) for m in members]
            for noise in ("fitted", "published"):
                found = api.smooth(tables, config=SmoothConfig.model_validate({"noise": noise}))
                result = found.result.poses[0]
                assert result.spread is not None
                error = result.xy[:, 0] - truth
                z = error / result.spread[:, 0]
                values = np.array(list(found.result.smoothness.values()))
                key = f"{smoothness:g} px^2, {noise}{', corrupted' if corrupted else ''}"
                results[key] = {
                    "smoothness_off": round(float(np.abs(values / smoothness - 1).max()), 3),
                    "z_std": round(float(z.std()), 3),
                    "rms_px": round(float(np.sqrt((error**2).mean())), 3),
                }
                print(key, results[key], flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--published", type=Path, help="Python with ensemble-kalman-smoother")
    parser.add_argument("--out", type=Path, help="File for the figures (JSON)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=tuple(SETS),
        help="These recordings alone, and no simulated walks",
    )
    given = parser.parse_args()
    published = given.published
    if published is None or not published.with_name("eks").exists():
        print("ensemble-kalman-smoother is not there (see --published): ours alone is measured")
        published = None
    results: dict[str, Any] = {} if given.only else {"simulated": simulated()}
    if (given.data / "eks-ensembles").is_dir():
        with tempfile.TemporaryDirectory() as folder:
            results["recordings"] = on_recordings(
                given.data, published, Path(folder), given.only or tuple(SETS)
            )
    else:
        print(f"{given.data / 'eks-ensembles'} is not there: simulated walks only")
    if given.out is not None:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
