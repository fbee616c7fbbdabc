"""Training of members: what is skipped, what is resumed, and what is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_semimultipose.config import Config
from napari_semimultipose.errors import ModelError, TrainingError
from napari_semimultipose.models.checkpoint import RESUME, ModelInfo, read_info, write_info
from napari_semimultipose.models.ensemble import is_ensemble, member_folders, read_ensemble
from napari_semimultipose.poses import Skeleton
from napari_semimultipose.training.ensemble import train_members
from napari_semimultipose.training.events import Done, Event, Failed, Notice, Step

CONFIG = Config().with_settings({"train.seed": 7, "train.minutes": 0, "train.iterations": 4})


class Trainer:
    """Stands for `api.train`: leaves a model folder, and ends as it is told to."""

    def __init__(self, ends: dict[int, str] | None = None) -> None:
        self.ends = ends or {}
        self.calls: list[tuple[str, int, bool]] = []

    def __call__(self, folder: Path, config: Config, resume: bool) -> Iterator[Event]:
        call = len(self.calls)
        self.calls.append((folder.name, config.train.seed, resume))
        write_info(folder, ModelInfo(Skeleton(("a",)), config, 1.0))
        yield Step(2, 10.0, 0.5, 10.0, {}, 0.1)
        end = self.ends.get(call, "finished")
        (folder / RESUME).write_text("state")
        if end == "failed":
            yield Failed("out of luck")
        else:
            yield Done(folder, 4, "finished" if end == "finished" else "stopped", {"ap": 0.5})


def train(
    folder: Path, members: int, trainer: Trainer, config: Config | None = CONFIG
) -> list[Event]:
    return list(train_members(folder, members, config, trainer, lambda: False))


def test_members_differ_by_their_seeds(tmp_path: Path) -> None:
    trainer = Trainer()
    events = train(tmp_path / "e", 3, trainer)
    assert trainer.calls == [("member-0", 7, False), ("member-1", 8, False), ("member-2", 9, False)]
    assert read_ensemble(tmp_path / "e").finished == (0, 1, 2)
    assert events[-1] == Done(tmp_path / "e", 4, "finished", {"ap": 0.5})
    assert sum(isinstance(e, Done) for e in events) == 1
    steps = [e for e in events if isinstance(e, Step)]
    assert [round(s.progress, 3) for s in steps] == [0.167, 0.5, 0.833]
    assert [s.remaining_s for s in steps] == [50, 30, 10]
    assert [e.message for e in events if isinstance(e, Notice)][:1] == ["member 1 of 3"]
    assert read_info(tmp_path / "e").config.train.seed == 7


def test_what_is_finished_is_skipped_and_what_was_stopped_is_resumed(tmp_path: Path) -> None:
    first = Trainer({1: "stopped"})
    events = train(tmp_path, 3, first)
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "stopped"
    assert member_folders(tmp_path) == [tmp_path / "member-0"]
    second = Trainer()
    events = train(
        tmp_path, 3, second, CONFIG.with_settings({"train.seed": 99, "train.iterations": 8})
    )
    # The seeds stay; only length and device are taken from the new settings.
    assert second.calls == [("member-1", 8, True), ("member-2", 9, False)]
    assert read_info(tmp_path / "member-2").config.train.iterations == 8
    assert any(isinstance(e, Notice) and "trained already" in e.message for e in events)
    third = Trainer()
    assert train(tmp_path, 4, third)[-1].reason == "finished"  # type: ignore[union-attr]
    assert third.calls == [("member-3", 10, False)]


def test_a_failure_ends_it(tmp_path: Path) -> None:
    trainer = Trainer({0: "failed"})
    events = train(tmp_path, 2, trainer)
    assert isinstance(events[-1], Failed)
    assert len(trainer.calls) == 1
    with pytest.raises(ModelError, match="no member of the ensemble"):
        member_folders(tmp_path)


def test_single_models_and_odd_numbers_are_refused(tmp_path: Path) -> None:
    write_info(tmp_path, ModelInfo(Skeleton(("a",)), CONFIG, 1.0))
    with pytest.raises(TrainingError, match="holds a single model"):
        train(tmp_path, 2, Trainer())
    with pytest.raises(TrainingError, match="two members or more"):
        train(tmp_path / "new", 1, Trainer())
    assert not is_ensemble(tmp_path)


def test_damaged_descriptions(tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_text("{")
    with pytest.raises(ModelError, match="is damaged"):
        read_ensemble(tmp_path)
