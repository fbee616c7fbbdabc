"""Identities on real coordinates: python benchmarks/tracking.py [--data FOLDER] [--json FILE].

The tracks are removed and the slots shuffled; then `track` has to find them again, on the coordinates
as they are and on corrupted ones: 10 % of the detections dropped, 3 px of jitter on every keypoint,
and false positives (poses of other frames put anywhere, 5 % of the number of animals) with lower
scores. "ideal" is what true identities would score on the corrupted detections.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.config import EvaluateConfig, TrackConfig
from napari_semimultipose.evaluation.tracks import track_scores
from napari_semimultipose.io.labels import read_poses
from napari_semimultipose.poses import Poses
from napari_semimultipose.tracking.identity import track

# name: file, frames, whether animals are points (mean distance in px that counts as following)
RECORDINGS: dict[str, tuple[str, range | None, float]] = {
    "fly-quad-tracks": ("fly-quad-tracks/animals.slp", None, 0),
    "fly-pair-short": ("fly-pair-short/two_flies.slp", None, 0),
    "fly-pair-demo": ("fly-pair-demo/demo-flies13-preds.slp", range(1000, 1350), 0),
    "fly-pair-courtship": ("fly-pair-courtship/clip.slp", range(950, 1500), 0),
    "fly-pair-long": ("fly-pair-long/predictions.slp", None, 0),
    "fly-pair-centered": ("fly-pair-centered/centered_pair_predictions.clean.slp", None, 0),
    "zebrafish-ten": ("zebrafish-ten/ten_zfish.slp", None, 20),
    "mice-pair-cage": ("mice-pair-cage/proofread.slp", None, 0),
}


def shuffled(poses: Poses, random: np.random.Generator) -> Poses:
    """The same instances in slots without order."""
    f, n = poses.track.shape
    order = np.argsort(random.random((f, n)), axis=1)
    row = np.arange(f)[:, None]
    names = ("xy", "score", "instance_score", "track", "visible", "source")
    return replace(poses, **{name: getattr(poses, name)[row, order] for name in names})


def corrupted(poses: Poses, random: np.random.Generator, jitter_px: float) -> Poses:
    """Detections as a network might give them; `track` keeps the truth, -1 for false positives."""
    f, n, _, _ = poses.xy.shape
    xy = poses.xy + random.normal(size=poses.xy.shape) * jitter_px
    xy[random.random((f, n)) < 0.1] = np.nan
    row, slot = np.nonzero(poses.present)
    count = random.binomial(len(row), 0.05)
    donor = random.integers(0, len(row), count)
    shape = poses.xy[row[donor], slot[donor]]
    low, high = np.nanmin(poses.xy, (0, 1, 2)), np.nanmax(poses.xy, (0, 1, 2))
    shape += random.uniform(low, high, (count, 2))[:, None] - np.nanmean(shape, 1, keepdims=True)
    where = random.integers(0, f, count)
    wrong = Poses.from_instances(
        poses.skeleton, poses.frame[where], shape, instance_score=random.uniform(0.2, 0.8, count),
        videos=poses.videos,
    )  # fmt: skip
    score = np.where(poses.present, random.uniform(0.6, 1.0, (f, n)), 0.0)
    right = replace(poses, xy=xy, instance_score=score)
    return shuffled(Poses.concatenate([right, wrong]), random)


def measure(name: str, data: Path, kind: str, fixed: bool, stride: int) -> dict[str, Any]:
    file, frames, distance = RECORDINGS[name]
    truth = read_poses(data / file)
    if frames is not None:
        truth = truth.select(np.isin(truth.frame, np.array(frames)))
    truth = truth.select(np.arange(0, len(truth), stride))
    random = np.random.default_rng(0)
    detections = shuffled(truth, random) if kind == "clean" else corrupted(truth, random, 3.0)
    animals = len(np.unique(truth.track[truth.track >= 0]))
    start, cpu = time.perf_counter(), time.process_time()
    found = track(detections, TrackConfig(animals=animals if fixed else 0))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    config = EvaluateConfig(track_distance_px=distance)
    scores = track_scores(found, truth, config)
    ideal = track_scores(detections, truth, config)
    return {
        "recording": name,
        "kind": kind,
        "animals": animals,
        "fixed": fixed,
        "stride": stride,
        "frames": len(truth),
        **{
            key: scores[key]
            for key in ("switches", "fragments", "idf1", "idp", "idr", "mota", "predicted_tracks")
        },
        "ideal_idf1": ideal["idf1"],
        "frames_per_s": len(truth) / seconds,
        "frames_per_cpu_s": len(truth) / cpu,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", choices=RECORDINGS, default=list(RECORDINGS))
    args = parser.parse_args()
    results = []
    print(
        f"{'recording':20} {'detections':10} {'N':>4} {'every':>5} {'frames':>6} {'switches':>8} "
        f"{'IDF1':>6} {'ideal':>6} {'tracks':>6} {'frames/s':>9} {'/ CPU s':>8}"
    )
    for name in args.only:
        for kind, fixed, stride in (
            ("clean", False, 1),
            ("clean", True, 1),
            ("clean", False, 10),
            ("corrupted", False, 1),
            ("corrupted", True, 1),
        ):
            if stride > 1 and name in ("zebrafish-ten", "mice-pair-cage"):
                continue  # too short
            r = measure(name, args.data, kind, fixed, stride)
            results.append(r)
            print(
                f"{name:20} {kind:10} {r['animals'] if fixed else '?':>4} {stride:5} "
                f"{r['frames']:6} {r['switches']:8} {r['idf1']:6.4f} {r['ideal_idf1']:6.4f} "
                f"{r['predicted_tracks']:3}/{r['animals']:<2} {r['frames_per_s']:9.0f} "
                f"{r['frames_per_cpu_s']:8.0f}",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
