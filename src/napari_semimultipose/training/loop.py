"""Training as a plain generator of events, for the viewer, the command line and cluster jobs alike."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_semimultipose.config import Config
from napari_semimultipose.data.batch import BatchSize
from napari_semimultipose.data.batches import BatchMaker
from napari_semimultipose.data.loaders import OnDemand, Prefetcher
from napari_semimultipose.data.neighbours import with_neighbours
from napari_semimultipose.data.session_data import with_sessions
from napari_semimultipose.data.single import WholeFrameMaker
from napari_semimultipose.data.split import TrainingData, prepare
from napari_semimultipose.errors import SemiMultiPoseError, TrainingError
from napari_semimultipose.models.threads import Threads
from napari_semimultipose.poses import Poses
from napari_semimultipose.training.events import (
    Checkpoint,
    Done,
    Event,
    Failed,
    Notice,
    Started,
)
from napari_semimultipose.training.kind import with_kind
from napari_semimultipose.training.run import Run

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

logger = logging.getLogger(__name__)

_TRAINED_BETWEEN = 4.0  # between two validations, in times of what one takes
_REPORT_S = 0.25  # least time between two `Step` events
_SAVE_S = 120.0  # most time between two saved states


def train(
    labels: Poses,
    out: Path,
    config: Config,
    *,
    frames: Mapping[int, Frames],
    unlabeled: Sequence[Frames] = (),
    labeled_rows: Sequence[int] | None = None,
    exclude: Collection[tuple[int, int]] = (),
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a model and leave it in a folder.

    The generator never raises: what goes wrong becomes a `Failed` event, the last one. The state is saved
    when training stops for any reason that is not an error, and now and then on the way.

    Parameters
    ----------
    labels : Poses
        Labelled animals; predicted instances are left out.
    out : Path
        Model folder. An existing model there is an error unless `resume`.
    config : Config
        All settings.
    frames : mapping of int to Frames
        The recording of each index into ``labels.videos``; frames without labels are unlabelled frames.
    unlabeled : sequence of Frames
        Further recordings without labels.
    labeled_rows : sequence of int, optional
        Rows of `labels` that may be used as labels; the others count as unlabelled. All by default.
    exclude : collection of (video, frame)
        Frames that training must not see at all.
    resume : bool
        Go on from the saved state in `out`; its settings are kept, except for the length, which may grow, and so are
        `exclude`, to which more may be added, and `labeled_rows` when they are not given.
    should_stop : callable
        Asked before every step; True saves the state and ends.

    Yields
    ------
    Event
        See `training.events`.
    """
    try:
        if not resume:
            config = with_kind(config, labels, labeled_rows)
        run = Run.open(Path(out), config, labels.skeleton, resume=resume)
        labeled_rows, exclude = run.limits(labels, labeled_rows, exclude)
        data = prepare(
            labels,
            frames,
            run.config.data,
            unlabeled=unlabeled,
            labeled_rows=labeled_rows,
            exclude=exclude,
            seed=run.config.train.seed,
            validation_keys=run.validation_keys,
            cameras=run.config.video.cameras,
            scale=run.scale,
        )
        video = run.config.video
        if video.cameras and "multiview" in video.losses and video.strength > 0:
            data = with_sessions(data, video.cameras)
        if run.config.model.context:
            data = with_neighbours(data, frames, exclude)
            if not data.neighbours:
                if resume:
                    raise TrainingError(
                        "this run looks at the frames around the labelled ones, which are no longer found: "
                        f"{data.notes[-1]}"
                    )
                run.config = run.config.with_settings({"model.context": False})
        run.start(data)
        yield from _events(run, data, should_stop)
    except SemiMultiPoseError as error:
        yield Failed(str(error))
    except Exception as error:
        logger.exception("training failed")
        yield Failed(f"{type(error).__name__}: {error}", traceback.format_exc())


def _events(run: Run, data: TrainingData, should_stop: Callable[[], bool]) -> Iterator[Event]:
    config = run.config
    for note in (*data.notes, *run.notes()):
        yield Notice(note)
    single = config.model.kind == "heatmap"
    if not single and config.train.method == "semimultipose" and not data.unlabeled:
        yield Notice("there are no unlabelled frames: training uses the labelled ones alone")
    yield Started(
        run.folder,
        str(run.device),
        len(data.train),
        len(data.unlabeled),
        len(data.validation),
        run.progress.iteration,
        config.train.iterations or None,
        None if config.train.iterations else config.train.minutes,
        data.scale,
    )
    maker = (
        WholeFrameMaker(data, config)
        if single
        else BatchMaker(data, config.data, config.augment, config.train.seed, config.video.every)
    )
    size = run.batch_size
    every = config.train.validate_every
    # At fixed places, so that a training that is often interrupted has them too.
    next_validation = (math.floor(run.progress.share / every + 1e-9) + 1) * every if every else 0.0
    saved = reported = time.monotonic()
    on_cpu = run.device.type == "cpu"
    threads = Threads(config.train.threads or None, fixed=not on_cpu or config.train.threads > 0)
    source = partial(OnDemand, workers=threads.most) if on_cpu else Prefetcher
    batches: OnDemand | Prefetcher | None = None
    now = size
    maker.pseudo = run.pseudo.poses
    try:
        while run.progress.share < 1:
            if should_stop():
                yield from _stopped(run)
                return
            share = run.progress.share
            clip = size.clip if run.video is not None and run.video.needs_clip(share) else 0
            wants = bool(data.unlabeled) and run.objective.needs_unlabeled(share)
            if wants and run.pseudo.due(share):
                learned = run.label_frames(data.unlabeled, maker.scaled, should_stop)
                if learned is None:
                    yield from _stopped(run)
                    return
                yield learned
                maker.pseudo = run.pseudo.poses
                if batches is not None:
                    batches.close()
                    batches = None
            if single and not maker.pseudo:
                wants = False  # nothing was found that could teach
            if wants:
                wanted = BatchSize(size.labeled, size.unlabeled, clip)
            else:  # labelled views take the places of unlabelled ones until those are used
                wanted = BatchSize(size.labeled + size.unlabeled, 0, clip)
            if batches is None or wanted != now:
                if batches is not None:
                    batches.close()
                now = wanted
                batches = source(
                    maker, run.progress.iteration, now, plain=run.objective.needs_plain
                )
            try:
                with threads.timed():
                    run.step(batches.get())
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                smaller = size.halved()
                if smaller is None:
                    raise TrainingError(
                        "there is not enough memory for a single view: make data.crop_px smaller "
                        "or choose a smaller model.backbone"
                    ) from None
                size = run.batch_size = smaller
                batches.close()
                batches = None
                run.free_memory()
                yield Notice(
                    f"out of memory: going on with {size.labeled} labelled and "
                    f"{size.unlabeled} unlabelled views a step"
                )
                continue
            for note in run.notes():
                yield Notice(note)
            now_s = time.monotonic()
            if now_s - reported >= _REPORT_S or run.progress.share >= 1:
                reported = now_s
                yield run.report()
            if data.validation and run.progress.share >= min(next_validation, 1):
                before = run.progress.share
                yield run.validate(data)
                # Training by the clock on a slow or busy processor must not spend itself in validations.
                spent = run.progress.share - before
                apart = max(every, _TRAINED_BETWEEN * spent)
                next_validation = run.progress.share + apart
                if run.improved:
                    run.save_best()
                    yield Checkpoint(run.progress.iteration, run.folder, "best")
            if time.monotonic() - saved >= _SAVE_S:
                run.save()
                saved = time.monotonic()
                yield Checkpoint(run.progress.iteration, run.folder, "last")
    finally:
        if batches is not None:
            batches.close()
        threads.release()
    run.save()
    yield Checkpoint(run.progress.iteration, run.folder, "last")
    yield Done(run.folder, run.progress.iteration, "finished", run.scores)


def _stopped(run: Run) -> Iterator[Event]:
    """Save the state of a training that should stop, and tell."""
    run.save()
    yield Checkpoint(run.progress.iteration, run.folder, "last")
    yield Done(run.folder, run.progress.iteration, "stopped", run.scores)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
