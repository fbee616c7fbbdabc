"""What losses on video, context and ensembles are worth with few labels, after equal training time.

    python benchmarks/video_losses.py --data ../shared/data --out RESULTS \
        [--tasks mirror20 mirror75 openfield10 flies25] [--arms supervised temporal pca multiview all] \
        [--seeds 0 1 2] [--minutes 4 | --iterations 400] [--validation] [--set NAME=VALUE ...]

Mouse in a mirror (`mouse-mirror`): 72 images train, of which `mirror20` labels 20 and `mirror75` all, 18
test; the video of the folder is unlabelled. Mouse from above (`mouse-openfield`): 10 of the first 87
labels, test on the last 29. Mouse from above in a video
(`mouse-4cam`, top camera): 20 labels of frames 0-79, test on frames 90-119, the video is unlabelled. Two flies (`fly-pair-demo`): 25 labels of frames 0-899, test on every 10th
of 1000-1349. The labels that are used depend on the seed, and are the same for all arms.

Errors are of labelled test frames. Temporal norm: mean way of a keypoint from one frame to the next.
Pose and view error: distance from the subspaces of all labels but those of the test, whatever the arm was
trained with. These three are of a stretch of the video, without the keypoints of the obstacle, which that
stretch does not show. Runs whose scores are in RESULTS are skipped, so an
interrupted table goes on where it stopped. Writes ``video_losses.json`` and ``.md``.

With ``--iterations`` the arms with clips take as many steps as fit into the same processor time: a step of the heat-map
network with a clip of eight frames takes 2.0 times that without one, one of DirectPose 1.2 times, and every other
step has a clip once these losses act. So the table does not depend on what else the machine does; give each program one
core (``OMP_NUM_THREADS=1 taskset -c 0``, ``--set train.threads=1``). A step with context counts as 2.0 without it, of
DirectPose as 1.8 (`context_cost.py`).
With ``--validation`` the mice are tested on the labelled images that may train but do not, for choices.

The arm ``context`` needs labels of a video, as the flies and the mouse from above in a video have; the images of the other
mice are not frames in a row, so that training leaves context out and says so.

The arm ``taught`` also learns from plausible poses that it finds on the frames of the video; all others use the frames
of the video in their losses alone. The arms with ``highest peaks`` predict with the model of another arm, but do not choose the plausible ones among the
peaks of the heat maps. With ``--again`` everything is predicted anew with the models that RESULTS holds.

The arms ``ensemble`` and ``ensemble+smoother`` train five models of the same labels, each as long as those of
the other arms; the first is that of the arm ``supervised``. The smoother sees the stretch of video alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tables import Results, markdown, mean_and_error

from napari_semimultipose import api
from napari_semimultipose.config import Config, EvaluateConfig
from napari_semimultipose.evaluation.confidence import expected_calibration_error, outcomes
from napari_semimultipose.evaluation.scores import evaluate
from napari_semimultipose.evaluation.tracks import track_scores
from napari_semimultipose.models.ensemble import member_folder, member_folders
from napari_semimultipose.poses import Poses
from napari_semimultipose.shapes.multiview import fit_multiview_pca
from napari_semimultipose.shapes.pca import fit_pose_pca
from napari_semimultipose.training.events import Done, Failed, Notice
from napari_semimultipose.training.subspaces import view_indices

ARMS: dict[str, dict[str, object]] = {
    "supervised": {},
    "temporal": {"video.losses": ["temporal"]},
    "pca": {"video.losses": ["pca"]},
    "multiview": {"video.losses": ["multiview"]},
    "all": {"video.losses": ["temporal", "pca", "multiview"]},
    "temporal+pca": {"video.losses": ["temporal", "pca"]},
    "taught": {"heatmap.teach": 1.0},
    "context": {"model.context": True},
    "context+temporal+pca": {"model.context": True, "video.losses": ["temporal", "pca"]},
}
COMBINED = ("ensemble", "ensemble+smoother")
PREDICTED: dict[str, tuple[str, dict[str, object]]] = {
    "highest peaks": ("supervised", {"predict.plausible": False}),
    "all, highest peaks": ("all", {"predict.plausible": False}),
    "taught, highest peaks": ("taught", {"predict.plausible": False}),
}
MEMBERS = 5
FINISHED = "finished"
"""File beside a model: its training was not cut short."""
OBSTACLE = ("obs_top", "obsHigh_bot", "obsLow_bot")
COLUMNS = {
    "mean_px": ("mean px", 2),
    "median_px": ("median px", 2),
    "p95_px": ("95th px", 1),
    "ap": ("AP .05", 3),
    "temporal_px": ("temporal norm px", 2),
    "pose_px": ("pose error", 3),
    "view_px": ("view error px", 2),
    "implausible": ("implausible", 3),
    "switches": ("switches", 1),
    "ece": ("calibration error", 3),
    "steps": ("steps", 0),
}


@dataclass
class Task:
    """Files, frames and settings of one task."""

    labels: Path
    frames: Path
    video: Path
    labeled: list[str]
    exclude: list[str]
    test_rows: list[int]
    clip: range
    unlabeled: list[Path] = field(default_factory=list)
    several: bool = False
    settings: dict[str, object] = field(default_factory=dict)
    mirrored: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, Any]:
        """Where training finds its frames, and which of them it may use."""
        return {
            "frames": self.frames,
            "unlabeled": self.unlabeled,
            "labeled_list": self.labeled,
            "exclude_list": self.exclude,
        }


def for_validation(task: Task) -> Task:
    """Test on the frames that may train but do not, and leave the test frames out as before."""
    poses = api.read_poses(task.labels)
    names = [str(poses.image_name(r)) for r in range(len(poses))]
    spare = [r for r, name in enumerate(names) if name not in {*task.labeled, *task.exclude}]
    return replace(task, test_rows=spare, exclude=[*task.exclude, *(names[r] for r in spare)])


def chosen(rows: list[int], count: int, seed: int) -> list[int]:
    """Labelled rows of a seed; all of them when that many are wanted."""
    if count >= len(rows):
        return rows
    return sorted(np.random.default_rng([seed, count]).permutation(rows)[:count].tolist())


def single(root: Path, labels: Path, video: Path, split: tuple[list[int], list[int]], count: int,
           seed: int, frames: Path, settings: dict[str, object]) -> Task:  # fmt: skip
    poses = api.read_poses(labels)
    train, test = split
    names = [str(poses.image_name(r)) for r in range(len(poses))]
    return Task(
        labels,
        frames,
        video,
        [names[r] for r in chosen(train, count, seed)],
        [names[r] for r in test],
        test,
        range(0, 300),
        [video],
        settings=settings,
    )


def mirror(data: Path, count: int, seed: int) -> Task:
    root = data / "mouse-mirror"
    split = ([r for r in range(90) if r % 5 != 4], [r for r in range(90) if r % 5 == 4])
    video = root / "videos/test_vid.mp4"
    made = single(root, root / "CollectedData.csv", video, split, count, seed, root, {})
    return replace(made, mirrored=("_top", "_bot"), absent=OBSTACLE)


def openfield(data: Path, count: int, seed: int) -> Task:
    root = data / "mouse-openfield"
    labels = root / "labeled-data/m4s1/CollectedData_Pranav.csv"
    video = next((root / "videos").glob("*.mp4"))
    split = (list(range(87)), list(range(87, 116)))
    return single(root, labels, video, split, count, seed, root, {})


def topview(data: Path, count: int, seed: int) -> Task:
    folder = data / "mouse-4cam/top"
    video = folder / "minimal_top.mp4"
    labels = Path(tempfile.mkdtemp()) / "labels.slp"
    api.write_poses(api.read_poses(folder / "minimal_top_proofread.slp").accepted(), labels)
    labeled = np.sort(np.random.default_rng([seed, count]).permutation(80)[:count])
    poses = api.read_poses(labels)
    rows = poses.rows()
    return Task(
        labels,
        video,
        video,
        [str(i) for i in labeled],
        ["80:120"],
        [rows[f] for f in range(90, 120)],
        range(80, 120),
        settings={"model.kind": "heatmap"},
    )


def flies(data: Path, count: int, seed: int) -> Task:
    root = data / "fly-pair-demo"
    step = 900 // count
    labeled = np.arange(0, 900, step)[:count]
    if seed:
        labeled = labeled + np.random.default_rng(seed).integers(0, step, len(labeled))
    video = root / "demo-flies13-preds.mp4"
    return Task(
        root / "demo-flies13-preds.slp",
        video,
        video,
        [str(i) for i in labeled],
        ["900:1350"],
        list(range(1000, 1350, 10)),
        range(1000, 1350),
        several=True,
        settings={"model.kind": "directpose"},
    )


TASKS = {"mirror": mirror, "openfield": openfield, "topview": topview, "flies": flies}


def train(task: Task, folder: Path, arm: str, seed: int, length: dict[str, float]) -> None:
    """Train a model into a folder; what was begun there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    settings = {
        "train.seed": seed,
        "heatmap.teach": 0.0,
        **length,
        **task.settings,
        **ARMS[arm],
    }
    if length["train.iterations"]:
        settings["train.iterations"] = round(length["train.iterations"] / cost(task, settings))
    told(api.train(task.labels, folder, config=Config().with_settings(settings), **task.sources))
    (folder / FINISHED).touch()


def cost(task: Task, settings: dict[str, object]) -> float:
    """How much longer the mean step takes than one without clips and without context."""
    out = 1.0
    if settings.get("model.context"):
        out += 0.8 if task.several else 1.0
    if "video.losses" in settings:
        every = Config().video
        out += (0.2 if task.several else 1.0) * (1 - every.start) / every.every
    return out


def told(events: Iterable[object]) -> None:
    """Print what there is to say of a training; an error ends the program."""
    for event in events:
        if isinstance(event, Notice):
            print(f"  {event.message}", flush=True)
        elif isinstance(event, Failed):
            raise RuntimeError(event.message)
        elif isinstance(event, Done):
            print(f"  {event.iteration} steps, validation {dict(event.scores)}", flush=True)


def predictions(
    task: Task, model: Path, settings: dict[str, object] | None = None
) -> tuple[Poses, Poses]:
    """Poses on the test frames and on the stretch of video."""
    config = api.prediction_config(model).with_settings(
        {"predict.score_threshold": 0.01, **(settings or {})}
    )
    clip = api.predict(
        model, task.video, config=config, frame_range=task.clip, animals=2 if task.several else None
    )
    if task.frames == task.video:
        return clip.select([clip.rows()[f] for f in task.test_rows]), clip
    truth = api.read_poses(task.labels).select(task.test_rows)
    stills = [task.frames / str(truth.image_name(r)) for r in range(len(truth))]
    return api.predict(model, api.open_frames(stills), config=config, track=False), clip


def scores(task: Task, stills: Poses, clip: Poses) -> dict[str, float]:
    """All figures of a run."""
    everything = api.read_poses(task.labels)
    out: dict[str, float] = {}
    if task.several:
        rows = everything.rows()
        truth = everything.select([rows[f] for f in task.test_rows])
        found = evaluate(stills, truth, EvaluateConfig(sigma=0.05))
        out |= {"ap": found["ap"], "median_px": found["median_error_px"]}
        out["p95_px"] = found["p95_error_px"]
        whole = everything.select([rows[f] for f in task.clip if f in rows])
        tracks = track_scores(clip, whole)
        out["switches"] = tracks["switches"]
    else:
        truth = everything.select(task.test_rows)
        error = np.linalg.norm(first(stills) - first(truth), axis=-1)
        error = error[np.isfinite(error)]
        out |= {"mean_px": error.mean(), "median_px": np.median(error)}
        out["p95_px"] = np.percentile(error, 95)
        same = replace(stills, frame=truth.frame, video=truth.video, videos=truth.videos)
        out["ece"] = expected_calibration_error(*outcomes(same, truth))
    excluded = set(task.test_rows)
    labelled = everything.select([
        r for r in range(len(everything))
        if (int(everything.frame[r]) < 900 if task.several else r not in excluded)
    ])  # fmt: skip
    poses = labelled.xy[labelled.present].copy()
    poses[labelled.visible[labelled.present] <= 0] = np.nan
    pca = fit_pose_pca(poses[:: max(1, len(poses) // 300)], body=task.several)
    shown = clip.xy[clip.present] if task.several else first(clip)
    shown[:, [everything.skeleton.keypoints.index(name) for name in task.absent]] = np.nan
    xy = torch.from_numpy(np.nan_to_num(shown)).float()
    weight = torch.isfinite(torch.from_numpy(shown)).all(-1).float()
    error, size = pca.errors(xy, weight)
    relative = error / size[:, None]
    out["pose_px"] = float(relative[weight > 0].mean())
    out["implausible"] = float(((relative > 2 * pca.epsilon) & (weight > 0)).any(1).float().mean())
    if not task.several:
        out["temporal_px"] = float(np.nanmean(np.linalg.norm(np.diff(shown, axis=0), axis=-1)))
        views = view_indices(everything.skeleton, ())
        if len(views):
            far, known = fit_multiview_pca(poses, views).errors(xy, weight)
            out["view_px"] = float(far[known].mean())
    return {name: float(value) for name, value in out.items() if value is not None}


def first(poses: Poses) -> np.ndarray:
    """Positions [F, K, 2] of the one animal of each frame."""
    if not poses.present.any():
        return np.full((len(poses), *poses.xy.shape[2:]), np.nan)
    slot = poses.present.argmax(1)
    xy: np.ndarray = poses.xy[np.arange(len(poses)), slot].copy()
    xy[~poses.present.any(1)] = np.nan
    return xy


def ensemble(task: Task, given: Path, name: str, seed: int, length: dict[str, float]) -> Path:
    """Train the members that are missing and return the folder; the first is the model of ``supervised``."""
    folder = given / f"{name}-ensemble-{seed}"
    first_member, trained = member_folder(folder, 0), given / f"{name}-supervised-{seed}"
    if not first_member.exists() and (trained / FINISHED).is_file():
        shutil.copytree(trained, first_member)
    settings = {"train.seed": seed, "heatmap.teach": 0.0, **length, **task.settings}
    events = api.train_ensemble(
        task.labels,
        folder,
        members=MEMBERS,
        config=Config().with_settings(settings),
        **task.sources,
    )
    told(events)
    return folder


def smoothed(task: Task, folder: Path) -> tuple[Poses, Poses]:
    """Poses of an ensemble on the test frames, and smoothed ones on the stretch of video."""
    stills, _ = predictions(task, folder)
    members = [predictions(task, member)[1] for member in member_folders(folder)]
    clip = api.smooth(members, mirrored=task.mirrored).result.poses[0]
    if task.frames == task.video:
        stills = clip.select([clip.rows()[f] for f in task.test_rows])
    return stills, clip


def table(results: Results) -> str:
    """Markdown: mean and standard error over the seeds; differences to ``supervised`` are paired by seed."""
    groups: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for key, values in results.items():
        task, arm, seed = key.split("/")
        groups.setdefault((task, arm), {})[seed] = values
    rows: list[list[object]] = []
    for (task, arm), runs in sorted(groups.items(), key=lambda item: item[0][0]):
        cells: list[object] = [task, arm, len(runs)]
        for name, (_, digits) in COLUMNS.items():
            column = [r[name] for r in runs.values() if name in r]
            cells.append(mean_and_error(column, digits) if column else "-")
        base = groups.get((task, "supervised"), {})
        key = "median_px" if task.startswith("flies") else "mean_px"
        paired = [
            r[key] - base[s][key] for s, r in runs.items() if s in base and arm != "supervised"
        ]
        cells.append(mean_and_error(paired, 2) if paired else "-")
        rows.append(cells)
    header = ["task", "arm", "seeds", *(title for title, _ in COLUMNS.values())]
    return markdown([*header, "mean (flies: median) px against supervised"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["mirror20", "mirror75"])
    parser.add_argument(
        "--arms", nargs="+", default=list(ARMS)[:5], choices=[*ARMS, *COMBINED, *PREDICTED]
    )
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--iterations", type=int, default=0)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--set", nargs="+", default=[], dest="settings")
    given = parser.parse_args()
    results = Results(given.out, "video_losses")
    length: dict[str, float] = {"train.minutes": given.minutes, "train.iterations": 0}
    if given.iterations:
        length = {"train.minutes": 0, "train.iterations": given.iterations}
    for text in given.settings:
        name, _, value = text.partition("=")
        length[name] = json.loads(value)
    for task in given.tasks:
        kind = task.rstrip("0123456789")
        for seed in given.seeds:
            made = TASKS[kind](given.data, int(task[len(kind) :]), seed)
            if given.validation and not made.several:
                made = for_validation(made)
            for arm in given.arms:
                key = f"{task}/{arm}/{seed}"
                if key in results and not given.again:
                    continue
                trained, settings = PREDICTED.get(arm, (arm, {}))
                folder = given.out / f"{task}-{trained}-{seed}"
                print(key, flush=True)
                started = time.monotonic()
                if arm in COMBINED:
                    models = ensemble(made, given.out, task, seed, length)
                    join = smoothed if arm == "ensemble+smoother" else predictions
                    found = scores(made, *join(made, models))
                else:
                    if not (folder / FINISHED).is_file():
                        train(made, folder, trained, seed, length)
                    found = scores(made, *predictions(made, folder, settings))
                    found["steps"] = json.loads((folder / "model.json").read_text())["iteration"]
                found["seconds"] = round(time.monotonic() - started, 1)
                results.add(key, found)
                results.write_markdown(table(results))
                print(f"  {found}", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
