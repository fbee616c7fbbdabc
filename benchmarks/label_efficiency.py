"""Accuracy after equal training time with few labels, through the command line.

    python benchmarks/label_efficiency.py --data ../shared/data --out RESULTS \
        [--tasks bees25 flies100] [--arms directpose labeled semimultipose] [--seeds 0] [--minutes 8] [--again]
        [--steps 5200 --fork 0.4]

Each run trains with ``semimultipose train``, predicts the test frames with ``semimultipose predict``
and scores them with ``semimultipose evaluate``. Runs whose scores are in RESULTS already are skipped,
so an interrupted table goes on where it stopped. Writes ``label_efficiency.json``, ``.md`` and a
figure for each task. With ``--steps`` the length is given in steps, so that runs beside each other,
on a core each, are as long as they would be alone. With ``--fork`` as well, the arms of a seed go on from one
training on labelled frames, stopped at that share of its length, which runs once: they differ in nothing else.

Bees: `honeybee`, the labelled share of the training days (`bees2`: 2 %, 2 images), all else of them unlabelled, test on the day
that training never sees. Flies: `fly-pair-demo`, evenly spaced labels of frames 0-899, the other
frames of them unlabelled, test on every 10th of 1000-1349. With ``--validation`` the scores are of
frames carved from the training days or frames instead, for choosing settings; with ``--validation day`` (bees)
of one of the training days, of which training then sees nothing, with labels of another one. With ``--again`` the models
of runs that are there already predict and are scored once more, with the program as it is now.

``results/`` beside this file keeps the rows of the runs so far, in a folder for each length of training;
give one of them as RESULTS to go on with its table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from tables import PEERS, Results, bars, markdown, mean_and_error

from napari_semimultipose.config import Config
from napari_semimultipose.data.batch import BatchSize

FLY_TRAIN, FLY_TEST, FLY_VALIDATION = 900, range(1000, 1350, 10), range(703, 900, 8)
COLUMNS = {
    "ap": "AP .05",
    "ap50": "AP50 .05",
    "ap_loose": "AP .1",
    "ap50_loose": "AP50 .1",
    "swap": "AP .05 swap",
    "swap_loose": "AP .1 swap",
    "median_error_px": "median px",
    "p95_error_px": "p95 px",
    "recall": "recall .5",
    "steps": "steps",
}


ARMS: dict[str, tuple[str, ...]] = {
    "plain": ("directpose", *(f"augment.{name}=0" for name in (
        "rotate_deg", "flip", "brightness", "contrast", "color", "blur", "noise", "paste"
    )), "augment.scale=[1,1]"),
    "directpose": ("directpose",),
    "labeled": ("labeled",),
    "semimultipose": ("semimultipose",),
    "onehot": ("semimultipose", "loss.fusion_target=onehot", "loss.teacher=false"),
    "gauss": ("semimultipose", "loss.fusion_target=gauss", "loss.teacher=false"),
    "two_way": ("semimultipose", "loss.fusion_target=two_way", "loss.teacher=false"),
    "limb_hinge": ("semimultipose", "loss.limb_hinge=0.5"),
    "three_rounds": (
        "semimultipose", "loss.pseudo_frames=200", "loss.pseudo_rounds=3", "loss.teacher_turns=1",
        "loss.agreement_cells=3", "loss.beta_start=0.3", "loss.beta_stop=0.8", "data.batch_labeled=2",
        "data.batch_unlabeled=4",
    ),
}  # fmt: skip
"""Method and settings of each arm. "plain" is DirectPose without our augmentation, "onehot", "gauss" and
"two_way" are fusion of the network's own branches, "semimultipose" has a teacher and follows its
keypoints, "limb_hinge" penalises long limbs in addition. "three_rounds": the teacher looks at all unlabelled frames three
times between 30 and 80 % of training, 4 of 6 views are of these frames, and the last fifth is of labelled frames alone."""


@dataclass
class Task:
    """Files and options of one task."""

    labels: Path
    frames: Path
    labeled: list[str]
    exclude: list[str]
    test: list[str]
    unlabeled: list[Path]
    stills: bool
    swap: tuple[str, ...] = ()


BEE_DAYS = ("170621", "170622")
"""The training days with more than a few labelled images."""


def bee_images(splits: dict, share: str, seed: int) -> list[str]:
    """Return the labelled images of a share in percent; below 5, some of those of 5."""
    fractions = splits["fractions"]
    if share in fractions:
        return fractions[share][seed]
    if not 0 < float(share) < 5:
        raise SystemExit(f"bees{share}: the shares are 1 to 5, {', '.join(fractions)}")
    some = fractions["5"][seed]
    count = max(1, round(float(share) / 100 * len(splits["dev_train"])))
    chosen = np.random.default_rng(seed).permutation(len(some))[:count]
    return [some[i] for i in sorted(chosen)]


def bees(data: Path, share: str, seed: int, validation: str) -> Task:
    root = data / "honeybee"
    splits = json.loads((root / "splits.json").read_text())
    labeled = bee_images(splits, share, seed)
    unlabeled = splits["unlabeled_leakfree"]
    unseen: list[str] = []
    held: list[str] = []
    if validation == "day":
        away, near = BEE_DAYS[seed % 2], BEE_DAYS[1 - seed % 2]
        unseen = [name for name in splits["dev_train"] if away in name]
        held = unseen[::2]
        unlabeled = [name for name in unlabeled if away not in name]
        of_day = [name for name in splits["dev_train"] if near in name]
        chosen = np.random.default_rng(seed).permutation(len(of_day))[: len(labeled)]
        labeled = [of_day[i] for i in sorted(chosen)]
    elif validation:
        unseen = held = [n for n in splits["dev_train"] if n not in set(labeled)][::4]
    return Task(
        root / "annotations_labeled.json",
        root,
        labeled,
        splits["dev_test"] + unseen,
        held or splits["dev_test"],
        [root / name for name in unlabeled],
        True,
        ("Rant,Lant",),
    )


def flies(data: Path, count: str, seed: int, validation: str) -> Task:
    root = data / "fly-pair-demo"
    step = FLY_TRAIN // int(count)
    labeled = np.arange(0, FLY_TRAIN, step)[: int(count)]
    if seed:  # another draw: one random frame of each interval
        labeled = labeled + np.random.default_rng(seed).integers(0, step, len(labeled))
    test = FLY_VALIDATION if validation else FLY_TEST
    held = sorted(set(FLY_VALIDATION) - set(labeled.tolist())) if validation else []
    return Task(
        root / "demo-flies13-preds.slp",
        root / "demo-flies13-preds.mp4",
        [str(i) for i in labeled],
        [f"{FLY_TRAIN}:1350", *map(str, held)],
        [str(i) for i in (held or test)],
        [],
        False,
    )


def command(*arguments: object) -> None:
    program = Path(sys.executable).with_name("semimultipose")
    subprocess.run([str(program), *map(str, arguments)], check=True)


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(map(str, lines)) + "\n", encoding="utf-8")
    return path


BEGUN = "begun.txt"


def begin(labels: Path, model: Path, options: list[object], at: float) -> float:
    """Train on labelled frames until a step, and leave the state to go on from; return the time in s."""
    done = model / BEGUN
    if done.is_file():
        return float(done.read_text())
    shutil.rmtree(model, ignore_errors=True)
    program = Path(sys.executable).with_name("semimultipose")
    arguments = [program, "train", labels, "--out", model, "--method", "directpose", *options]
    started = time.monotonic()
    with subprocess.Popen([*map(str, arguments)]) as process:
        while process.poll() is None:
            time.sleep(0.5)
            if last_step(model) >= at:
                process.send_signal(signal.SIGINT)
                process.wait()
    if last_step(model) < at:
        raise SystemExit(f"training in {model} ended before step {at:.0f}")
    seconds = time.monotonic() - started
    done.write_text(f"{seconds:.1f}")
    return seconds


def last_step(model: Path) -> int:
    try:
        last = (model / "log.csv").read_text(encoding="utf-8").splitlines()[-1]
        return int(last.split(",")[0])
    except (OSError, IndexError, ValueError):
        return 0


def go_on(start: Path, model: Path, method: str, changes: list[str]) -> None:
    """Copy a training that was begun, with the method and settings of an arm."""
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(start, model)
    file = model / "config.yaml"
    config = Config.from_yaml(file.read_text(encoding="utf-8"))
    config = config.with_settings({"train.method": method}).with_settings(changes)
    file.write_text(config.to_yaml(), encoding="utf-8")
    state = torch.load(model / "resume.pt", map_location="cpu", weights_only=True)
    state["batch_size"] = list(astuple(BatchSize.of(config)))
    torch.save(state, model / "resume.pt")


def run(
    task: Task, folder: Path, arm: str, seed: int, given: argparse.Namespace, before: dict
) -> dict:
    """Train, predict and score one run; with the row of before, its model predicts and is scored."""
    method, *changes = ARMS[arm]
    if not before:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was interrupted
    folder.mkdir(parents=True, exist_ok=True)
    lists = {
        name: write_lines(folder / f"{name}.txt", getattr(task, name))
        for name in ("labeled", "exclude", "test")
    }
    model = folder / "model"
    options: list[object] = ["--frames", task.frames, "--labeled-list", lists["labeled"]]
    options += ["--exclude-list", lists["exclude"]]
    options += ("--iterations", given.steps) if given.steps else ("--minutes", given.minutes)
    if task.unlabeled:
        free = write_lines(folder / "unlabeled.txt", [str(p.resolve()) for p in task.unlabeled])
        options += ["--unlabeled", free]
    changed = [*changes, *given.settings]
    started, begun_s = time.monotonic(), 0.0
    if not before and given.fork and arm != "plain":  # its views are others from the start
        start = given.out / f"{folder.name.split('-')[0]}-begun-{seed}"
        begun_s = begin(task.labels, start, [*options, "--seed", seed], given.fork * given.steps)
        started = time.monotonic()
        go_on(start, model, method, changed)
        command("train", task.labels, "--out", model, "--resume", *options)
    elif not before:
        options += ["--seed", seed, *(x for setting in changed for x in ("--set", setting))]
        command("train", task.labels, "--out", model, "--method", method, *options)
    trained = time.monotonic()
    prediction = folder / "prediction.slp"
    low = ("--set", "predict.score_threshold=0.01", "--no-track")
    if task.stills:
        stills = write_lines(
            folder / "stills.txt", [str((task.frames / n).resolve()) for n in task.test]
        )
        command("predict", model, stills, "--out", prediction, *low)
    else:
        first, last = int(task.test[0]), int(task.test[-1])
        command(
            "predict", model, task.frames, "--out", prediction, "--frame-range",
            f"{first}:{last + 1}", *low,
        )  # fmt: skip
    predicted = time.monotonic()
    scores: dict[str, object] = {}
    for sigma, suffix in ((0.05, ""), (0.1, "_loose")):
        for swap in ((), task.swap) if task.swap else ((),):
            file = folder / f"scores{suffix}{'_swap' if swap else ''}.json"
            pairs = [x for pair in swap for x in ("--swap", pair)]
            command(
                "evaluate", prediction, task.labels, "--frames-list", lists["test"],
                "--sigma", sigma, *pairs, "--json", file,
            )  # fmt: skip
            found = json.loads(file.read_text())
            if swap:
                scores[f"swap{suffix}"] = found["ap"]
            else:
                scores |= {f"ap{suffix}": found["ap"], f"ap50{suffix}": found["ap50"]}
                if not suffix:
                    scores["median_error_found_px"] = found["median_error_found_px"]
                else:
                    scores |= {
                        key: found[key] for key in ("median_error_px", "p95_error_px", "recall")
                    }
    steps = json.loads((model / "model.json").read_text())["iteration"]
    row = {
        "steps": steps,
        "train_s": round(begun_s + trained - started, 1),
        "predict_s": round(predicted - trained, 1),
        "length": f"{given.steps} steps" if given.steps else f"{given.minutes:g} min",
        "settings": given.settings,
        "fork": given.fork,
        "validation": given.validation,
        "commit": commit(),
    }
    if before:
        row |= {name: before[name] for name in ("train_s", "length", "settings")}
        row["trained_by"] = before.get("trained_by", before["commit"])
    return scores | row


def commit() -> str:
    """Which state of the program was measured."""
    asked = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(
        asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def grouped(results: Results) -> dict[str, dict[str, dict[int, dict]]]:
    """Sort the runs by task, arm and seed."""
    groups: dict[str, dict[str, dict[int, dict]]] = {}
    for key, scores in results.items():
        task, arm, seed = key.split("/")
        groups.setdefault(task, {}).setdefault(arm, {})[int(seed)] = scores
    return groups


def table(results: Results) -> str:
    """Markdown: mean and standard error over the seeds, the peers, and differences at equal seeds."""
    rows: list[list[object]] = []
    for task, arms in sorted(grouped(results).items()):
        for arm, runs in arms.items():
            cells = []
            for name in COLUMNS:
                digits = 0 if name == "steps" else 1 if name.endswith("px") else 3
                cells.append(mean_and_error([r.get(name) for r in runs.values()], digits))
            rows.append([task, arm, len(runs), *cells])
        for tool, scores in PEERS["label_efficiency"].get(task, {}).items():
            rows.append([task, f"*{tool}*", 1, *(scores.get(name, "-") for name in COLUMNS)])
    text = markdown(["task", "arm", "runs", *COLUMNS.values()], rows)
    gains = differences(results)
    return text + ("\n" + gains if gains else "")


def differences(results: Results, control: str = "directpose") -> str:
    """Markdown: what each arm gains over the control, over the seeds that both have."""
    rows: list[list[object]] = []
    for task, arms in sorted(grouped(results).items()):
        base = arms.get(control, {})
        for arm, runs in arms.items():
            seeds = sorted(set(base) & set(runs)) if arm != control else []
            if not seeds:
                continue
            cells: list[object] = []
            for name in ("ap", "ap_loose"):
                gain = [runs[s][name] - base[s][name] for s in seeds]
                better = sum(g > 0 for g in gain)
                cells += [mean_and_error(gain), f"{better} of {len(gain)}"]
            rows.append([task, arm, *cells])
    header = ["task", f"arm minus {control}", "AP .05", "better", "AP .1", "better"]
    return markdown(header, rows) if rows else ""


def draw(results: Results) -> None:
    """Bars of AP at sigma .1, with the single seeds, and the best peer of each task."""
    for task, arms in grouped(results).items():
        peers = {
            tool: scores["ap_loose"]
            for tool, scores in PEERS["label_efficiency"].get(task, {}).items()
            if scores["ap_loose"] > 0
        }
        values = {arm: [r["ap_loose"] for r in runs.values()] for arm, runs in arms.items()}
        path = results.folder / f"label_efficiency_{task}.png"
        bars(path, {task: values}, "AP (OKS sigma .1)", peers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["bees25", "flies100"])
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=["directpose", "labeled", "semimultipose"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--steps", type=int, default=0, help="length in steps instead of minutes")
    parser.add_argument(
        "--fork", type=float, default=0, help="share of --steps before the arms part"
    )
    parser.add_argument(
        "--validation", nargs="?", default="", const="frames", choices=("frames", "day")
    )
    parser.add_argument("--again", action="store_true", help="predict and score finished runs anew")
    parser.add_argument("--set", nargs="+", default=[], dest="settings")
    given = parser.parse_args()
    if given.fork and not given.steps:
        parser.error("--fork needs --steps")
    results = Results(given.out, "label_efficiency")
    for task in given.tasks:
        kind = task.rstrip("0123456789")
        make = {"bees": bees, "flies": flies}[kind]
        for seed in given.seeds:
            for arm in given.arms:
                key = f"{task}/{arm}/{seed}"
                if (key in results) != given.again:
                    continue
                made = make(given.data, task[len(kind) :], seed, given.validation)
                folder = given.out / key.replace("/", "-")
                results.add(key, run(made, folder, arm, seed, given, results.get(key, {})))
                results.write_markdown(table(results))
                draw(results)
    print(table(results))


if __name__ == "__main__":
    main()
