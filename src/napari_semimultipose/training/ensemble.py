"""Train the members of an ensemble one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from napari_semimultipose.config import Config
from napari_semimultipose.errors import TrainingError
from napari_semimultipose.models.checkpoint import RESUME, is_model_folder, read_info
from napari_semimultipose.models.ensemble import (
    EnsembleInfo,
    is_ensemble,
    member_folder,
    read_ensemble,
    write_ensemble,
)
from napari_semimultipose.training.events import Done, Event, Failed, Notice, Step

Start = Callable[[Path, Config, bool], Iterator[Event]]


def train_members(
    folder: Path,
    members: int,
    config: Config | None,
    start: Start,
    should_stop: Callable[[], bool],
) -> Iterator[Event]:
    """Train what is missing of an ensemble.

    Member m has the seed ``train.seed`` + m, which also draws the frames that validate it, so that each
    learns from other frames.

    Parameters
    ----------
    folder : path
        Of the ensemble.
    members : int
        How many there are to be; an ensemble can grow, and never shrinks.
    config : Config, optional
        Settings; when going on only length and device are taken from it.
    start : callable
        Gets a model folder, its settings, and whether to resume; returns the events of the training.
    should_stop : callable

    Yields
    ------
    Event
        Of the members; the last one is ``Done`` or ``Failed``.

    Raises
    ------
    TrainingError
        When the folder holds a single model, or fewer than two members are asked for.
    """
    if members < 2:
        raise TrainingError(f"an ensemble has two members or more, not {members}")
    if is_model_folder(folder):
        raise TrainingError(
            f"{folder} holds a single model: choose another folder for the ensemble"
        )
    info = read_ensemble(folder) if is_ensemble(folder) else EnsembleInfo(members)
    info = replace(info, members=max(members, info.members))
    base = _settings(folder, info, config)
    write_ensemble(folder, info)
    last: Done | None = None
    for number in range(info.members):
        if number in info.finished:
            yield Notice(f"member {number + 1} of {info.members} is trained already")
            continue
        place = member_folder(folder, number)
        resume = (place / RESUME).is_file()
        if not resume and is_model_folder(place):
            raise TrainingError(
                f"{place} was stopped before its first state was saved: delete it, and start again"
            )
        yield Notice(f"member {number + 1} of {info.members}")
        seed = base.train.seed + number
        for event in start(place, base.with_settings({"train.seed": seed}), resume):
            if isinstance(event, Done):
                last = event
            elif isinstance(event, Step):
                yield _of_all(event, number, info)
            else:
                yield event
                if isinstance(event, Failed):
                    return
        if last is None or last.reason != "finished":
            break
        info = replace(info, finished=(*info.finished, number))
        write_ensemble(folder, info)
        if should_stop():
            break
    done = len(info.finished) == info.members
    iteration, scores = (0, {}) if last is None else (last.iteration, last.scores)
    yield Done(folder, iteration, "finished" if done else "stopped", scores)


def _settings(folder: Path, info: EnsembleInfo, config: Config | None) -> Config:
    """Return the settings of the ensemble: those of its first member where there is one."""
    first = member_folder(folder, 0)
    if not is_model_folder(first):
        return config or Config()
    known = read_info(first).config
    if config is None:
        return known
    train = config.train
    return known.with_settings(
        {
            "train.minutes": train.minutes,
            "train.iterations": train.iterations,
            "train.device": train.device,
        }
    )


def _of_all(step: Step, number: int, info: EnsembleInfo) -> Step:
    """Progress of the whole ensemble; the members to come take as long as this one."""
    share = max(step.progress, 1e-6)
    each_s = step.elapsed_s + step.remaining_s
    to_come = sum(1 for i in range(number + 1, info.members) if i not in info.finished)
    done = info.members - to_come - 1
    return replace(
        step,
        progress=(done + share) / info.members,
        remaining_s=step.remaining_s + to_come * each_s,
    )
