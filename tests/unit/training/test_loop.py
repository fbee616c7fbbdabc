"""Training from start to end: what it leaves, how it stops, resumes and fails."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.labels import read_poses
from napari_semimultipose.models.checkpoint import load_model, read_info
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.training import run as run_module
from napari_semimultipose.training.events import (
    Checkpoint,
    Done,
    Event,
    Failed,
    Notice,
    Started,
    Step,
    Validation,
)
from napari_semimultipose.training.loop import train
from napari_semimultipose.training.schedule import Progress

if TYPE_CHECKING:
    from conftest import Job


def of(events: list[Event], kind: type) -> list:
    return [e for e in events if isinstance(e, kind)]


def test_a_run_tells_its_story_and_leaves_a_model_folder(job: Job) -> None:
    events = list(train(**job.arguments()))
    assert isinstance(events[0], Started)
    assert (events[0].n_labeled, events[0].n_validation, events[0].n_unlabeled) == (11, 1, 12)
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "finished"
    assert of(events, Step)[-1].progress == 1
    assert of(events, Validation)
    assert of(events, Checkpoint)[-1].kind == "last"
    for name in ("model.safetensors", "config.yaml", "labels.slp", "split.json", "log.csv"):
        assert (job.out / name).is_file(), name
    network, info = load_model(job.out)
    assert info.skeleton.keypoints == ("head", "tail")
    assert info.iteration == 6
    assert not network.training
    assert len(read_poses(job.out / "labels.slp")) == 12
    split = json.loads((job.out / "split.json").read_text())
    assert len(split["train"]) == 11
    with (job.out / "log.csv").open() as file:
        kinds = {row["kind"] for row in csv.DictReader(file)}
    assert kinds == {"loss", "rate", "validation"}


def test_unlabelled_frames_act_only_in_semimultipose(job: Job) -> None:
    def names(method: str) -> set[str]:
        job.out = job.out.with_name(method)
        settings = (f"train.method={method}", "loss.pseudo_from=views")
        events = list(train(**job.arguments(*settings)))
        assert isinstance(events[-1], Done), events[-1]
        return {name for e in of(events, Step) for name in e.losses}

    supervised, labeled = names("directpose"), names("labeled")
    assert supervised == {"cls", "heat", "keypoints", "quality", "locator", "total"}
    assert (labeled - supervised) == {"labeled_to_heat", "labeled_to_keypoints"}
    assert {"unlabeled_to_keypoints", "teacher_cls", "teacher_heat"} <= names(
        "semimultipose"
    ) - labeled


@pytest.mark.parametrize(
    "settings",
    [
        ["loss.fusion_target=gauss", "loss.pseudo_set=dense", "loss.teacher=false"],
        ["loss.fusion_target=onehot", "loss.pseudo_eval_pass=true", "loss.pad_stretch=true"],
        [
            "loss.fusion_target=bilinear",
            "loss.limb_hinge=1",
            "train.optimizer=sgd",
            "train.lr=0.01",
        ],
        ["model.levels=[8,16]", "model.level_ranges=[32]", "model.tower=grouped", "model.finest=8"],
        ["data.animal_px=0", "data.train_short_px=[64,96]", "data.short_px=80", "train.ema=0"],
    ],
)
def test_variants_run_and_stay_finite(job: Job, settings: list[str]) -> None:
    events = list(train(**job.arguments(*settings)))
    assert isinstance(events[-1], Done), events[-1]
    assert all(np.isfinite(v) for e in of(events, Step) for v in e.losses.values())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(str(folder / "last.safetensors"))


def test_a_resumed_run_equals_the_uninterrupted_one(job: Job) -> None:
    whole = list(train(**job.arguments()))
    assert isinstance(whole[-1], Done), whole[-1]
    expected, job.out = weights(job.out), job.out.with_name("halves")
    asked = iter([False] * 5 + [True] * 9)  # once in the round after step 3
    first = list(train(**job.arguments(), should_stop=lambda: next(asked)))
    assert isinstance(first[-1], Done)
    assert (first[-1].reason, first[-1].iteration) == ("stopped", 4)
    second = list(train(**job.arguments(), resume=True))
    assert of(second, Started)[0].iteration == 4
    assert isinstance(second[-1], Done)
    resumed = weights(job.out)
    assert expected.keys() == resumed.keys()
    for name, value in expected.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_a_resumed_run_keeps_to_its_limits(job: Job) -> None:
    """What was excluded stays so, and what could be used as labels is used, where neither is said again."""
    usable = list(range(6))
    taken = [(0, int(job.labels.frame[row])) for row in (1, 4)]
    first = job.arguments("train.iterations=1", "data.validation_fraction=0")
    (started,) = of(list(train(**first, labeled_rows=usable, exclude=taken)), Started)
    second = {**job.arguments("train.iterations=2"), "resume": True}
    (again,) = of(list(train(**second)), Started)
    assert (again.n_labeled, again.n_unlabeled) == (started.n_labeled, started.n_unlabeled)
    assert again.n_labeled == 4
    (more,) = of(
        list(
            train(
                **{**job.arguments("train.iterations=3"), "resume": True},
                exclude=[(0, int(job.labels.frame[2]))],
            )
        ),
        Started,
    )
    assert more.n_labeled == 3


@pytest.mark.parametrize("name", ["labels.slp", "config.yaml", "log.csv"])
def test_files_of_others_are_never_overwritten(job: Job, name: str) -> None:
    """As with the folder of the labels as output folder."""
    job.out.mkdir(exist_ok=True)
    (job.out / name).write_text("mine")
    (event,) = train(**job.arguments())
    assert isinstance(event, Failed)
    assert f"holds {name}" in event.message
    assert [p.name for p in job.out.iterdir()] == [name]
    assert (job.out / name).read_text() == "mine"


def test_stopping_before_the_first_step_leaves_a_usable_model(job: Job) -> None:
    events = list(train(**job.arguments(), should_stop=lambda: True))
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "stopped"
    load_model(job.out)


def test_an_existing_model_is_never_overwritten(job: Job) -> None:
    list(train(**job.arguments("train.iterations=1")))
    before = (job.out / "model.safetensors").read_bytes()
    (event,) = train(**job.arguments())
    assert isinstance(event, Failed)
    assert "already holds a model" in event.message
    assert (job.out / "model.safetensors").read_bytes() == before


def test_resuming_needs_a_state_that_fits(job: Job) -> None:
    (event,) = train(**job.arguments(), resume=True)
    assert isinstance(event, Failed)
    list(train(**job.arguments("train.iterations=1")))
    other = replace(job.labels, skeleton=Skeleton(("a", "b")))
    (event,) = train(**job.arguments() | {"labels": other}, resume=True)
    assert isinstance(event, Failed)
    assert "keypoints head, tail" in event.message
    (job.out / "resume.pt").write_bytes(b"nonsense")
    (event,) = train(**job.arguments(), resume=True)
    assert isinstance(event, Failed)
    assert "damaged" in event.message


def test_memory_running_out_halves_the_batch_and_goes_on(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_step = run_module.Run.step
    sizes = []

    def hungry(self: run_module.Run, batch: object) -> None:
        sizes.append(len(batch.images))  # type: ignore[attr-defined]
        if len(batch.images) > 2:  # type: ignore[attr-defined]
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        true_step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module.Run, "step", hungry)
    events = list(train(**job.arguments()))
    assert isinstance(events[-1], Done), events[-1]
    assert any("out of memory" in notice.message for notice in of(events, Notice))
    assert sizes[0] == 3
    assert set(sizes[1:]) == {2}


def test_too_little_memory_for_one_view_is_an_error(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: run_module.Run, batch: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(run_module.Run, "step", never)
    events = list(train(**job.arguments()))
    assert isinstance(events[-1], Failed)
    assert "data.crop_px" in events[-1].message


def test_a_loss_that_is_not_finite_ends_with_advice(job: Job) -> None:
    events = list(
        train(**job.arguments("train.optimizer=sgd", "train.lr=1e30", "train.iterations=60"))
    )
    assert isinstance(events[-1], Failed)
    assert "train.lr" in events[-1].message


def test_other_errors_are_failures_with_details(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: run_module.Run, batch: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(run_module.Run, "step", broken)
    events = list(train(**job.arguments()))
    assert isinstance(events[-1], Failed)
    assert "mat1" in events[-1].message
    assert "Traceback" in events[-1].details


def test_an_unreadable_frame_is_a_failure_without_a_traceback(job: Job) -> None:
    whole = job.frames[0]

    class Broken(Frames):
        def _read(self, i: int) -> np.ndarray:
            raise FramesError("frame 3 of clip.mp4 cannot be decoded")

        def close(self) -> None:
            pass

    frames = Broken(whole.shape, source=None)
    events = list(train(**job.arguments(frames={0: frames})))
    assert events[-1] == Failed("frame 3 of clip.mp4 cannot be decoded")


def test_no_label_is_a_failure_that_says_what_to_do(job: Job) -> None:
    nothing = Poses.empty(job.labels.skeleton)
    (event,) = train(**job.arguments() | {"labels": nothing})
    assert isinstance(event, Failed)
    assert "label at least one frame" in event.message


@pytest.mark.parametrize("case", ["one frame", "one animal", "one keypoint"])
def test_the_smallest_jobs_run(job: Job, case: str) -> None:
    labels = job.labels
    if case == "one frame":
        labels = labels.select([0])
    elif case == "one animal":
        labels = labels.keep(np.arange(2)[None] == 0)
    else:
        labels = Poses(Skeleton(("head",)), labels.xy[:, :, :1], labels.frame)
    events = list(train(**job.arguments() | {"labels": labels}))
    assert isinstance(events[-1], Done), events[-1]
    assert load_model(job.out)[1].iteration == 6


def test_a_wall_clock_budget_ends_in_time(job: Job) -> None:
    events = list(train(**job.arguments("train.iterations=0", "train.minutes=0.05")))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.reason == "finished"
    assert of(events, Step)[-1].elapsed_s < 3 + 20


def test_settings_of_a_resumed_run_stay_but_it_may_grow(job: Job) -> None:
    list(train(**job.arguments("train.iterations=2", "train.seed=5")))
    events = list(train(**job.arguments("train.iterations=4"), resume=True))
    assert isinstance(events[-1], Done)
    assert events[-1].iteration == 4
    assert read_info(job.out).config.train.seed == 5


def test_scores_are_those_of_the_weights_that_were_kept(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of few frames the newest weights are kept, of more those that scored best."""
    values = iter([0.9, 0.2] * 2)
    monkeypatch.setattr(
        run_module, "validate", lambda *_: dict.fromkeys(("ap", "ap_loose"), next(values))
    )
    every = "train.validate_every=0.34"
    events = list(train(**job.arguments(every)))
    assert [e.scores["ap"] for e in of(events, Validation)] == [0.9, 0.2]
    assert 0 < of(events, Started)[0].n_validation < 5
    assert read_info(job.out).scores["ap"] == 0.2
    job.out = job.out.with_name("more")
    events = list(train(**job.arguments(every, "data.validation_fraction=0.5")))
    assert of(events, Started)[0].n_validation >= 5
    assert read_info(job.out).scores["ap"] == 0.9


def test_a_training_that_is_often_interrupted_validates_at_the_same_places(job: Job) -> None:
    seen = []
    for number in range(3):
        asked = iter([False] * 2 + [True] * 9)
        given = job.arguments("train.method=directpose")
        events = list(train(**given, should_stop=lambda a=asked: next(a), resume=number > 0))
        seen += [e.iteration for e in of(events, Validation)]
    assert seen == [3, 6]


def test_slow_validations_leave_time_for_training(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock, ten validations of a tenth of the time each would be all that a slow processor does."""
    clock = [0.0]

    def takes(seconds: float, method: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*arguments: Any) -> Any:
            clock[0] += seconds
            return method(*arguments)

        return slow

    monkeypatch.setattr(Progress, "elapsed_s", property(lambda self: clock[0]))
    monkeypatch.setattr(run_module.Run, "step", takes(1.0, run_module.Run.step))
    monkeypatch.setattr(run_module.Run, "validate", takes(6.0, run_module.Run.validate))
    length = ("train.iterations=0", "train.minutes=1", "train.validate_every=0.1")
    events = list(train(**job.arguments(*length)))
    done = events[-1]
    assert isinstance(done, Done), done
    assert done.iteration > 40  # of 60 without any validation; 13 with one as soon as it is due
    assert len(of(events, Validation)) >= 2
