"""Identities over time: python benchmarks/tracking.py --out RESULTS [--data FOLDER] [--model FOLDER].

On true coordinates of real recordings: The tracks are removed and the slots shuffled; then `track` has to find them again, on the coordinates
as they are and on corrupted ones: 10 % of the detections dropped, 3 px of jitter on every keypoint,
and false positives (poses of other frames put anywhere, 5 % of the number of animals) with lower
scores. "ideal" is what true identities would score on the corrupted detections.

With ``--model``, a model that was trained on `fly-pair-demo`, on predicted poses as well: of frames of
that recording which it did not see, of another recording of two flies, and of three flies (the frames
of `fly-pair-short` and `fly-single-short`, from the same kind of arena, laid over each other).

Writes ``tracking.json``, ``.md`` and ``.png``; what is in the file already is not measured again.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tables import Results, bars, markdown

from napari_semimultipose import api
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

PREDICTED: dict[str, tuple[str, str, range]] = {
    "fly-pair-demo": (
        "fly-pair-demo/demo-flies13-preds.mp4", "fly-pair-demo/demo-flies13-preds.slp",
        range(1000, 1350),
    ),
    "fly-pair-courtship": (
        "fly-pair-courtship/clip.mp4", "fly-pair-courtship/clip.slp", range(950, 1500),
    ),
    "three flies": ("", "", range(0)),
}  # fmt: skip
"""Video, labels and frames of the recordings whose poses are predicted."""


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


class Overlay:
    """Frames of two recordings in one: bright animals on a dark ground."""

    def __init__(self, first: Any, second: Any) -> None:
        self.stack = np.stack(
            [np.maximum(first[i], second[i]) for i in range(min(len(first), len(second)))]
        )


def both(first: Poses, second: Poses) -> Poses:
    """The animals of two recordings on the frames that both have, with tracks of their own."""
    n = min(len(first), len(second))
    first, second = first.select(np.arange(n)), second.select(np.arange(n))
    shift = int(first.track.max()) + 1
    joined = {
        name: np.concatenate([getattr(first, name), getattr(second, name)], 1)
        for name in ("xy", "score", "instance_score", "visible", "source")
    }
    other = np.where(second.track >= 0, second.track + shift, -1)
    return replace(first, **joined, track=np.concatenate([first.track, other], 1), track_names=())


def scene(name: str, data: Path, stack: ExitStack) -> tuple[Any, Poses, range]:
    """Frames, true poses and the span of one of `PREDICTED`."""
    if name == "three flies":
        folders = ("fly-pair-short/two_flies", "fly-single-short/single_fly")
        frames = Overlay(
            *(stack.enter_context(api.open_frames(data / f"{f}.mp4")) for f in folders)
        ).stack
        truth = both(*(read_poses(data / f"{f}.slp") for f in folders))
        return frames, truth, range(len(frames))
    video, labels, span = PREDICTED[name]
    truth = read_poses(data / labels)
    return data / video, truth, span


def measure_predicted(name: str, data: Path, model: Path) -> dict[str, Any]:
    """Predict and track a recording with the right number of animals, and score both."""
    with ExitStack() as stack:
        frames, truth, span = scene(name, data, stack)
        truth = truth.select(np.isin(truth.frame, np.array(span)))
        animals = len(np.unique(truth.track[truth.track >= 0]))
        config = api.prediction_config(model, animals=animals)
        start = time.perf_counter()
        found = api.predict(model, frames, config=config, frame_range=span)
        seconds = time.perf_counter() - start
    found = replace(found, videos=truth.videos)
    scores = api.evaluate(found, truth, config=EvaluateConfig())
    tracks = scores["tracks"]
    return {
        "recording": name,
        "kind": "predicted",
        "animals": animals,
        "fixed": True,
        "stride": 1,
        "frames": len(span),
        **{key: tracks[key] for key in ("switches", "fragments", "idf1", "predicted_tracks")},
        **{key: scores[key] for key in ("ap", "median_error_found_px", "recall")},
        "frames_per_s": len(span) / seconds,
    }


def table(results: Results) -> str:
    """Markdown of all rows."""
    rows = []
    for r in results.values():
        n = r["animals"] if r["fixed"] else "?"
        rows.append([
            r["recording"], r["kind"], n, r["stride"], r["frames"], r["switches"],
            f"{r['idf1']:.3f}", f"{r['ideal_idf1']:.3f}" if "ideal_idf1" in r else "",
            f"{r['predicted_tracks']} of {r['animals']}",
            f"{r['ap']:.3f}" if "ap" in r else "",
            f"{r['median_error_found_px']:.1f}" if "ap" in r else "",
        ])  # fmt: skip
    return markdown(
        ["recording", "detections", "animals told", "every", "frames", "switches", "IDF1",
         "ideal IDF1", "tracks", "AP .05", "median error, px"],
        rows,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", nargs="*", choices=RECORDINGS, default=list(RECORDINGS))
    given = parser.parse_args()
    results = Results(given.out, "tracking")
    for name in given.only:
        for kind, fixed, stride in (
            ("clean", False, 1),
            ("clean", True, 1),
            ("clean", False, 10),
            ("corrupted", False, 1),
            ("corrupted", True, 1),
        ):
            key = f"{name}/{kind}/{'told' if fixed else 'open'}/{stride}"
            if key in results or (stride > 1 and name in ("zebrafish-ten", "mice-pair-cage")):
                continue  # or too short
            results.add(key, measure(name, given.data, kind, fixed, stride))
            print(key, results[key], flush=True)
    for name in PREDICTED if given.model is not None else ():
        key = f"{name}/predicted/told/1"
        if key not in results:
            results.add(key, measure_predicted(name, given.data, given.model))
            print(key, results[key], flush=True)
    groups: dict[str, dict[str, list[float]]] = {}
    for row in results.values():
        kind = row["kind"] + (", number told" if row["fixed"] else "")
        if row["stride"] == 1:
            groups.setdefault(row["recording"], {})[kind] = [row["idf1"]]
    bars(given.out / "tracking.png", groups, "IDF1")
    results.write_markdown(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
