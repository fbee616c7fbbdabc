"""A walk: from a video without labels to proofread tracks, with what it takes.

    python benchmarks/walk.py --data ../shared/data --out RESULTS [--first 15] [--second 10]
        [--minutes 4] [--steps 0]

The recording is `fly-pair-demo` (1,350 frames, two flies, 13 keypoints). A careful user is played by the
true poses, with the steps that the widgets offer:

1. *Suggest* frames of different looks; click all keypoints of both flies on them; *Train*; *Predict*.
2. *Suggest* doubtful frames; take the predictions over as labels, drag the keypoints that are more than
   `DRAG_PX` away, click those that are missing; *Train* again with all labels; *Predict* all frames.
3. *Review*: go through the list of problems. Where something is wrong (an identity, or a keypoint more
   than `WRONG_PX` away), try the usual repair (one key); where that does not make it better, undo it and
   drag the wrong keypoints of the frames of the problem; where nothing is wrong, press "fine".

Clicks, drags and keys are counted. Minutes of the machine are measured, those of the person are the
counts times the seconds below. Writes ``walk.json`` and ``walk.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from tables import markdown

from napari_semimultipose import api
from napari_semimultipose.config import Config, EvaluateConfig, ReviewConfig
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.labeling.problems import Problem, find_problems
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Source
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets.review_jobs import labelled_places
from napari_semimultipose.widgets.usual_repairs import usual_repair

CLICK_S, DRAG_S, KEY_S, LOOK_S = 1.0, 2.5, 0.5, 1.5
"""Seconds of a person for a click, a drag, a key, and for looking at one more frame or problem."""

DRAG_PX, WRONG_PX = 6.0, 12.0


@dataclass
class Effort:
    """What a person did in one part of the walk."""

    clicks: int = 0
    drags: int = 0
    keys: int = 0
    looks: int = 0
    machine_s: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def person_s(self) -> float:
        """Seconds at the rates above."""
        return CLICK_S * self.clicks + DRAG_S * self.drags + KEY_S * self.keys + LOOK_S * self.looks


def labelled(truth: Poses, frames: list[int]) -> Poses:
    """The true poses of some frames, as a person's labels."""
    part = truth.select(np.isin(truth.frame, frames))
    return replace(part, source=np.where(part.present, Source.HUMAN, part.source))


def train(labels: Poses, video: Path, out: Path, given: argparse.Namespace) -> float:
    """Train a model with all frames of the video; return the seconds."""
    length = {"train.minutes": given.minutes}
    if given.steps:
        length = {"train.minutes": 0, "train.iterations": given.steps}
    start = time.monotonic()
    for event in api.train(labels, out, frames=video, config=Config().with_settings(length)):
        if isinstance(event, Failed):
            raise SystemExit(event.message)
    return time.monotonic() - start


def correction(guess: Poses, truth: Poses, frames: list[int]) -> Effort:
    """What it takes to correct predictions on some frames."""
    effort = Effort()
    for frame in frames:
        row = np.flatnonzero(guess.frame == frame)
        real = truth.xy[np.flatnonzero(truth.frame == frame)[0]]
        effort.looks += 1
        effort.keys += 2  # to the next suggestion; take the predictions over
        found = guess.xy[row[0]] if len(row) else np.full_like(real, np.nan)
        for animal in real:
            if np.isnan(animal).all():
                continue
            with np.errstate(invalid="ignore"):
                distance = np.linalg.norm(found - animal, axis=-1)  # [N, K]
            mean = np.where(
                np.isnan(distance).all(1), np.inf, np.nanmean(np.nan_to_num(distance, nan=1e3), 1)
            )
            best = int(np.argmin(mean)) if len(mean) else -1
            there = ~np.isnan(animal).any(-1)
            if best < 0 or mean[best] > 100:
                effort.clicks += int(there.sum())
                continue
            d = distance[best]
            effort.clicks += int((there & np.isnan(d)).sum())
            effort.drags += int((there & (d > DRAG_PX)).sum())
            effort.keys += int((~there & ~np.isnan(found[best]).any(-1)).sum())  # delete
    return effort


def paths(poses: Poses, frames: int) -> dict[int, np.ndarray]:
    """The path [frames, K, 2] of each track; NaN where it is not seen."""
    out: dict[int, np.ndarray] = {}
    for track in np.unique(poses.track[poses.track >= 0]).tolist():
        row, slot = np.nonzero(poses.track == track)
        path = np.full((frames, *poses.xy.shape[2:]), np.nan)
        path[poses.frame[row]] = poses.xy[row, slot]
        out[track] = path
    return out


def errors(found: dict[int, np.ndarray], true: dict[int, np.ndarray]) -> np.ndarray:
    """Distances [F, A, T, K] of true animals A to tracks T; 1000 px where a track lacks a keypoint."""
    tracks = np.stack(list(found.values()), 1)  # [F, T, K, 2]
    animals = np.stack(list(true.values()), 1)
    distance = np.linalg.norm(animals[:, :, None] - tracks[:, None], axis=-1)
    there = ~np.isnan(animals).any(-1)[:, :, None]
    return np.where(there, np.nan_to_num(distance, nan=1000.0), np.nan)


def wrong(store: PoseStore, truth: Poses, first: int, last: int) -> tuple[int, int]:
    """Count frames with wrong identities, and wrong keypoints, on frames `first` to `last`.

    Which track is which animal is what holds on most frames of the recording.
    """
    n = int(truth.frame.max()) + 1
    d = errors(paths(store.snapshot(), n), paths(truth, n))
    near = np.nanmedian(d, -1)  # [F, A, T]
    total = np.minimum(near, 200).sum(0)
    _, who = linear_sum_assignment(np.nan_to_num(total, nan=1e9))
    here = slice(first, last + 1)
    mine = near[here][:, np.arange(len(who)), who]
    other = np.where(np.eye(near.shape[2], dtype=bool)[who][None], np.inf, near[here]).min(
        -1
    )  # [f, A]
    exchanged = other + 5 < mine
    own = d[here][:, np.arange(len(who)), who]
    keypoints = (own > WRONG_PX) & ~exchanged[..., None]
    return int(exchanged.any(1).sum()), int(keypoints.sum())


def review(store: PoseStore, truth: Poses, labels: Poses) -> Effort:
    """Walk through the problems, which are found as in the widget; the store is repaired."""
    places = labelled_places([labels], labels.videos[0])
    effort = Effort(notes={"problems": 0, "fine": 0, "repaired": 0, "by hand": 0, "kinds": {}})
    config = ReviewConfig(animals=2)
    while True:
        problems = find_problems(store.snapshot(), config, usual=labels, places=places)
        problems = [p for p in problems if p.key not in effort.notes.setdefault("seen", set())]
        if not problems:
            break
        for problem in problems:
            effort.notes["seen"].add(problem.key)
            one_problem(store, truth, problem, effort)
    del effort.notes["seen"]
    return effort


def one_problem(store: PoseStore, truth: Poses, problem: Problem, effort: Effort) -> None:
    notes = effort.notes
    notes["problems"] += 1
    kind = notes["kinds"].setdefault(
        problem.kind.value, {"listed": 0, "wrong": 0, "one key": 0, "by hand": 0, "drags": 0}
    )
    kind["listed"] += 1
    effort.looks += 1
    effort.keys += 1  # to the next problem
    last = truth.frame.max() if problem.onward else problem.last
    before = wrong(store, truth, problem.first, int(last))
    if not any(before):
        notes["fine"] += 1
        effort.keys += 1
        return
    kind["wrong"] += 1
    try:
        change = usual_repair(store, problem, 2, 0).make()
        store.apply(change)
        after = wrong(store, truth, problem.first, int(last))
        effort.keys += 1
        if after < before and after[1] <= before[1]:
            notes["repaired"] += 1
            kind["one key"] += 1
        else:
            store.apply(change.reversed())
            effort.keys += 1
    except LabelsError:
        effort.keys += 1
    _, keypoints = wrong(store, truth, problem.first, problem.last)
    if keypoints:
        notes["by hand"] += 1
        kind["by hand"] += 1
        kind["drags"] += keypoints
        effort.drags += keypoints
        effort.keys += problem.last - problem.first  # frame by frame
        effort.looks += problem.last - problem.first + 1
        dragged(store, truth, problem.first, problem.last)


def dragged(store: PoseStore, truth: Poses, first: int, last: int) -> None:
    """Put the wrong keypoints of some frames where they belong."""
    n = int(truth.frame.max()) + 1
    true = paths(truth, n)
    xy, track, frame = (store.array(name).copy() for name in ("xy", "track", "frame"))
    near = np.nanmedian(errors(paths(store.snapshot(), n), true), -1)
    _, who = linear_sum_assignment(np.nan_to_num(np.minimum(near, 200).sum(0), nan=1e9))
    names = list(paths(store.snapshot(), n))
    for animal, path in enumerate(true.values()):
        row, slot = np.nonzero(track == names[who[animal]])
        for r, s in zip(row, slot, strict=True):
            if first <= frame[r] <= last:
                real = path[frame[r]]
                with np.errstate(invalid="ignore"):
                    far = ~(np.linalg.norm(xy[r, s] - real, axis=-1) <= WRONG_PX)
                far &= ~np.isnan(real).any(-1)
                xy[r, s, far] = real[far]
    poses = store.snapshot()
    store.replace(
        replace(
            poses,
            xy=xy,
            visible=np.where(np.isnan(xy).any(-1), 0, np.maximum(poses.visible, 1)).astype(
                poses.visible.dtype
            ),
        )
    )


def summary(found: Poses, truth: Poses) -> dict[str, Any]:
    scores = api.evaluate(found, truth, config=EvaluateConfig())
    keep = {k: scores[k] for k in ("ap", "recall", "median_error_found_px", "p95_error_found_px")}
    return keep | {k: scores["tracks"][k] for k in ("switches", "fragments", "idf1")}


def report(parts: dict[str, Effort]) -> str:
    """Write the walk in Markdown: the parts, each kind of repair, what came out, and what would halve it."""
    names = ("clicks", "drags", "keys", "looks")
    rows = [
        [
            name,
            *(getattr(e, n) for n in names),
            *(f"{s / 60:.1f}" for s in (e.person_s, e.machine_s)),
        ]
        for name, e in parts.items()
    ]
    effort = list(parts.values())
    person, machine = (sum(getattr(e, n) for e in effort) for n in ("person_s", "machine_s"))
    total = [sum(getattr(e, n) for e in effort) for n in names]
    rows.append(["in all", *total, f"{person / 60:.1f}", f"{machine / 60:.1f}"])
    out = ["## The walk", markdown(["part", *names, "person, min", "machine, min"], rows)]
    notes = parts["review and repair"].notes
    columns = ("listed", "wrong", "one key", "by hand", "drags")
    if notes["kinds"]:
        kinds = [[kind, *(found[c] for c in columns)] for kind, found in notes["kinds"].items()]
        kinds.append(["in all", *(sum(row[i] for row in kinds) for i in range(1, 6))])
        out += ["## Repairs, counted against the true tracks", markdown(["kind", *columns], kinds)]
    out.append("## What came out")
    scored = {name: e.notes for name, e in parts.items() if "idf1" in e.notes}
    figures = [key for key, value in notes.items() if isinstance(value, int | float)]
    figures = [key for key in figures if all(key in found for found in scored.values())]
    out.append(
        markdown(
            ["after", *figures],
            [[name, *(f"{found[key]:.3g}" for key in figures)] for name, found in scored.items()],
        )
    )
    left = [f"{notes[key]} {key}" for key in notes if key.endswith(" left")]
    out.append("After proofreading: " + ", ".join(left) + ".")
    out += ["## What would halve it", halving(parts, person)]
    return "\n\n".join(part.strip() for part in out) + "\n"


def halving(parts: dict[str, Effort], person_s: float) -> str:
    """Say where the person's time goes, the largest part first, until half of it is named."""
    seconds = {"clicks": CLICK_S, "drags": DRAG_S, "keys": KEY_S, "looks": LOOK_S}
    spent = [
        (getattr(e, what) * each, getattr(e, what), what, name)
        for name, e in parts.items()
        for what, each in seconds.items()
    ]
    lines, named = [], 0.0
    for time_s, count, what, name in sorted(spent, reverse=True):
        if named >= person_s / 2 or not time_s:
            break
        named += time_s
        share = 100 * time_s / person_s
        lines.append(f"- {count} {what} in '{name}': {share:.0f} % of the person's time")
    return "Without these half of the person's time would be saved:\n\n" + "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=15, help="frames labelled at first")
    parser.add_argument("--second", type=int, default=10, help="frames corrected")
    parser.add_argument("--minutes", type=float, default=4, help="length of each training")
    parser.add_argument("--steps", type=int, default=0, help="length in steps instead")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    folder = given.data / "fly-pair-demo"
    video = folder / "demo-flies13-preds.mp4"
    truth = api.read_poses(folder / "demo-flies13-preds.slp")
    parts: dict[str, Effort] = {}

    effort = parts["label the first frames"] = Effort()
    start = time.monotonic()
    first = sorted(s.frame for s in api.suggest(video, count=given.first))
    effort.machine_s = time.monotonic() - start
    labels = labelled(truth, first)
    effort.clicks = int((labels.visible > 0).sum())
    effort.keys = int((labels.present[..., None] & (labels.visible == 0)).sum()) + len(first)
    effort.looks = len(first)

    effort = parts["train and predict"] = Effort(keys=2, clicks=4)
    model = given.out / "first"
    if not model.exists():
        effort.notes["training_s"] = train(labels, video, model, given)
    start = time.monotonic()
    config = api.prediction_config(model, animals=2)
    guess = api.predict(model, video, config=config)
    effort.machine_s = effort.notes.get("training_s", 0) + time.monotonic() - start
    effort.notes |= summary(guess, truth)
    print(effort, flush=True)

    start = time.monotonic()
    doubtful = api.suggest(video, count=given.second, predictions=guess, labels=labels)
    second = sorted(s.frame for s in doubtful)
    effort = parts["correct doubtful frames"] = correction(guess, truth, second)
    effort.machine_s = time.monotonic() - start
    print(effort, flush=True)

    effort = parts["train and predict again"] = Effort(keys=2, clicks=2)
    model = given.out / "second"
    labels = labelled(truth, sorted({*first, *second}))
    if not model.exists():
        effort.notes["training_s"] = train(labels, video, model, given)
    start = time.monotonic()
    guess = api.predict(model, video, config=config)
    effort.machine_s = effort.notes.get("training_s", 0) + time.monotonic() - start
    effort.notes |= summary(guess, truth)
    print(effort, flush=True)

    start = time.monotonic()
    store = PoseStore(guess)
    effort = parts["review and repair"] = review(store, truth, labels)
    effort.machine_s = 0.0
    effort.notes["simulation_s"] = time.monotonic() - start
    proofread = store.snapshot()
    effort.notes |= summary(proofread, truth)
    identities, keypoints = wrong(store, truth, 0, int(truth.frame.max()))
    effort.notes |= {
        "frames with wrong identities left": identities,
        "wrong keypoints left": keypoints,
    }
    print(effort, flush=True)

    text = report(parts)
    (given.out / "walk.md").write_text(text, "utf-8")
    kept = {name: {**vars(e), "person_s": e.person_s} for name, e in parts.items()}
    (given.out / "walk.json").write_text(json.dumps(kept, indent=1, default=str), "utf-8")
    print(text)


if __name__ == "__main__":
    main()
