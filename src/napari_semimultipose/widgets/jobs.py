"""What the widgets run in worker threads: generators of events that touch no Qt object and no layer."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_semimultipose import api
from napari_semimultipose.config import Config
from napari_semimultipose.errors import FramesError, LabelsError, SemiMultiPoseError
from napari_semimultipose.metrics import Metrics
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.training.events import Event, Failed, Notice
from napari_semimultipose.widgets.other_videos import with_other_videos
from napari_semimultipose.widgets.preload import import_quietly

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

ShouldStop = Callable[[], bool]

AUTOSAVE_S = 120.0

logger = logging.getLogger(__name__)


# ------------------------------------------------------------------- training


@dataclass(frozen=True)
class Recording:
    """Labels and frames of a pair of layers, taken when the user pressed *Start*.

    Attributes
    ----------
    labels : Poses
        Of all videos that the layer knows.
    video : int
        The video that the image layer shows.
    frames : Frames
        Frames of that video.
    name : str
        What the user calls it.
    path : Path, optional
        File that the labels came from; the frames of other videos are looked for around it.
    """

    labels: Poses
    video: int
    frames: Frames
    name: str
    path: Path | None = None


@dataclass(frozen=True)
class TrainingJob:
    """Everything that a training run needs; `recordings` or `labels_file` is given.

    Attributes
    ----------
    out : Path
        Model folder.
    config : Config
    resume : bool
    recordings : sequence of Recording
    labels_file, frames_path : Path, optional
        Labels on disk, and where their frames are.
    unlabeled : sequence of paths or Frames
        Further recordings.
    members : int
        Number of models; several become an ensemble in `out`.
    """

    out: Path
    config: Config
    resume: bool = False
    recordings: Sequence[Recording] = ()
    labels_file: Path | None = None
    frames_path: Path | None = None
    unlabeled: Sequence[Any] = ()
    members: int = 1


def training_events(job: TrainingJob, should_stop: ShouldStop) -> Iterator[Event]:
    """Train; see `training.loop.train` for the events.

    Raises
    ------
    SemiMultiPoseError
        When labels or frames cannot be read.
    """
    import_quietly("napari_semimultipose.training.loop")
    from napari_semimultipose.models.ensemble import is_ensemble
    from napari_semimultipose.training.ensemble import train_members

    if job.members == 1 and not is_ensemble(job.out):
        yield from _training_of_one(job, should_stop)
        return
    yield from train_members(
        job.out,
        max(job.members, 2),
        job.config,
        lambda out, config, resume: _training_of_one(
            replace(job, out=out, config=config, resume=resume), should_stop
        ),
        should_stop,
    )


def _training_of_one(job: TrainingJob, should_stop: ShouldStop) -> Iterator[Event]:
    if job.labels_file is not None:
        yield from api.train(
            job.labels_file,
            job.out,
            frames=job.frames_path,
            unlabeled=job.unlabeled,
            config=job.config,
            resume=job.resume,
            should_stop=should_stop,
        )
        return
    from napari_semimultipose.recordings import open_for_training
    from napari_semimultipose.training import loop

    labels, frames = merge_recordings(job.recordings)
    with ExitStack() as opened:
        for note in _add_other_videos(labels, frames, job.recordings, opened):
            yield Notice(note)
        rows = [i for i, video in enumerate(labels.video.tolist()) if video in frames]
        extra = open_for_training(
            labels.select([]), opened, labels_path=job.recordings[0].path, unlabeled=job.unlabeled
        )
        yield from loop.train(
            labels,
            job.out,
            job.config,
            frames=frames,
            unlabeled=extra.unlabeled,
            labeled_rows=rows,
            resume=job.resume,
            should_stop=should_stop,
        )


def merge_recordings(recordings: Sequence[Recording]) -> tuple[Poses, dict[int, Frames]]:
    """Join the labels of several pairs of layers.

    Returns
    -------
    labels : Poses
        With the videos of all recordings; two recordings whose videos have the same reference stay
        apart.
    frames : dict of int to Frames
        Frames of the videos that are shown, by their index into ``labels.videos``.

    Raises
    ------
    LabelsError
        When the skeletons differ.
    """
    first = recordings[0]
    taken: set[Video] = set()
    parts: list[Poses] = []
    shown: list[tuple[Video, Frames]] = []
    for recording in recordings:
        if recording.labels.skeleton.keypoints != first.labels.skeleton.keypoints:
            raise LabelsError(
                f"'{recording.name}' has other keypoints than '{first.name}': one model needs one "
                "skeleton; train them apart, or rename the keypoints"
            )
        videos = list(recording.labels.videos)
        for i in sorted({recording.video, *recording.labels.video.tolist()}):
            video, n = videos[i], 2
            while videos[i] in taken:
                videos[i] = replace(video, path=f"{video.path or recording.name} ({n})")
                n += 1
            taken.add(videos[i])
        parts.append(replace(recording.labels, videos=tuple(videos)))
        shown.append((videos[recording.video], recording.frames))
    labels = Poses.concatenate(parts)
    return labels, {labels.videos.index(video): frames for video, frames in shown}


def _add_other_videos(
    labels: Poses, frames: dict[int, Frames], recordings: Sequence[Recording], opened: ExitStack
) -> Iterator[str]:
    """Open the labelled videos that no image layer shows; yield what the user should know."""
    others = sorted(set(labels.video.tolist()) - set(frames))
    if not others:
        return
    from napari_semimultipose.io.locate import resolve_videos
    from napari_semimultipose.io.video import open_frames

    rows = [i for i, video in enumerate(labels.video.tolist()) if video in others]
    places = [r.path for r in recordings if r.path is not None] or [Path.cwd() / "labels"]
    for video in others:
        name = labels.videos[video].path or f"video {video}"
        source = None
        for place in places:
            found = resolve_videos(labels.select(rows), place).get(video)
            source = source or found
        try:
            if source is None:
                raise FramesError("they are not at the place that the labels name")
            frames[video] = opened.enter_context(open_frames(source))
        except FramesError as error:
            yield f"the labels of {name} are left out, because its frames cannot be read: {error}"


# ----------------------------------------------------------------- prediction


LAYERS_S = 0.6
"""Pause in which napari makes the layers of the result: beside a busy model it takes twice as long."""


@dataclass(frozen=True)
class Ready:
    """The model is loaded and the recording is open."""

    device: str
    total: int
    skeleton: Skeleton
    video: Video


@dataclass(frozen=True)
class Chunk:
    """Poses of some more frames."""

    poses: Poses
    done: int
    total: int
    remaining_s: float


@dataclass(frozen=True)
class Tracking:
    """All frames are predicted; animals are being joined over time."""


@dataclass(frozen=True)
class Measuring:
    """The poses are compared with what the labels of the model allow."""


@dataclass(frozen=True)
class Saved:
    """The poses were written; `lost` says what the format could not hold."""

    path: Path
    lost: Sequence[str] = ()


@dataclass(frozen=True)
class Predicted:
    """The end: poses of all frames that were done, how plausible they are, and which metrics are missing."""

    poses: Poses
    reason: Literal["finished", "stopped", "failed"]
    metrics: Metrics = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionJob:
    """Everything that a prediction needs.

    Attributes
    ----------
    model : Path
        Model folder.
    frames : Frames or Path
        The recording.
    config : Config
        Of which the groups ``predict`` and ``track`` are used.
    track : bool
    frame_range : (int, int), optional
        First frame, and the one after the last; all by default.
    out : Path, optional
        Labels file that is written at the end, and on the way every two minutes.
    """

    model: Path
    frames: Any
    config: Config
    track: bool = True
    frame_range: tuple[int, int] | None = None
    out: Path | None = None


def prediction_events(job: PredictionJob, should_stop: ShouldStop) -> Iterator[Any]:
    """Predict and track; whatever happens after the first chunk, `Predicted` comes with what is done.

    Yields
    ------
    Ready, Chunk, Tracking, Saved, Measuring, Predicted, Failed
    """
    import_quietly("napari_semimultipose.inference.predict")
    from napari_semimultipose.inference.members import load_predictor, predict_stream
    from napari_semimultipose.inference.predict import joined, video_of
    from napari_semimultipose.recordings import open_for_prediction

    with ExitStack() as opened:
        span = None if job.frame_range is None else slice(*job.frame_range)
        recordings = open_for_prediction(job.frames, opened, span)
        if len(recordings) != 1:
            raise FramesError(
                f"{job.frames} names {len(recordings)} recordings: choose one of them, or use "
                "the command line, which predicts many"
            )
        recording = recordings[0]
        predictor = load_predictor(job.model, job.config.predict)
        video = video_of(recording.frames)
        yield Ready(str(predictor.device), len(recording.indices), predictor.skeleton, video)
        time.sleep(LAYERS_S)
        parts: list[Poses] = []
        failure: Failed | None = None
        start = time.monotonic()
        next_save = start + AUTOSAVE_S
        try:
            for chunk in predict_stream(
                predictor,
                recording.frames,
                frame_range=recording.indices,
                follow=recording.sequence,
                should_stop=should_stop,
            ):
                parts.append(chunk.poses)
                now = time.monotonic()
                left_s = (now - start) / chunk.done * (chunk.total - chunk.done)
                yield Chunk(chunk.poses, chunk.done, chunk.total, left_s)
                if job.out is not None and now >= next_save:
                    yield from _save(Poses.concatenate(parts), job.out, quiet=True)
                    # a file that takes long to write is written more seldom
                    next_save = time.monotonic() + max(AUTOSAVE_S, 20 * (time.monotonic() - now))
        except SemiMultiPoseError as error:
            failure = Failed(str(error))
        except Exception as error:
            logger.exception("prediction failed")
            failure = Failed(f"{type(error).__name__}: {error}", traceback.format_exc())
        poses = joined(parts) if parts else Poses.empty(predictor.skeleton, videos=(video,))
        stopped = should_stop() and len(poses) < len(recording.indices)
    if job.track and recording.sequence and poses.n_instances:
        yield Tracking()
        poses = api.track(poses, job.config.track)
    if job.out is not None and len(poses):
        yield from _save(poses, job.out)
    reason: Literal["finished", "stopped", "failed"] = "finished"
    if failure is not None:
        reason = "failed"
    elif stopped:
        reason = "stopped"
    metrics: Metrics = {}
    missing: Mapping[str, str] = {}
    if poses.n_instances:
        yield Measuring()
        metrics, missing = _measured(job.model, poses)
    yield Predicted(poses, reason, metrics, missing)
    if failure is not None:
        yield failure


def with_layers_at_hand(events: Iterable[Any]) -> Iterator[Any]:
    """Pass events on, and meanwhile import what the layers of a result need.

    Otherwise napari would import it in the main thread, with the first layer.
    """
    thread = threading.Thread(target=import_quietly, args=("pandas", "scipy.spatial"), daemon=True)
    thread.start()
    for event in events:
        thread.join()
        yield event


def _measured(model: Path, poses: Poses) -> tuple[Metrics, Mapping[str, str]]:
    """Measure poses; a model without labels measures nothing, and says why."""
    from napari_semimultipose.metrics import TITLES
    from napari_semimultipose.plausibility import drain

    try:
        yardstick = api.yardstick_of(model, None)
        return drain(yardstick.measure(poses)), yardstick.missing(poses)
    except SemiMultiPoseError as error:
        return {}, dict.fromkeys(TITLES, str(error))
    except Exception as error:  # poses that were found must arrive, measured or not
        logger.exception("the poses could not be measured")
        return {}, dict.fromkeys(TITLES, f"{type(error).__name__}: {error}")


def saving_events(
    poses: Poses, path: Path, *, format: str | None = None, whole: bool = False
) -> Iterator[Any]:
    """Write poses to a file; yields `Saved` or `Failed`.

    Parameters
    ----------
    format : str, optional
        A name of `FORMATS`; found from the ending by default.
    whole : bool
        Keep what the file holds of videos of which there are no poses here.
    """
    if whole:
        try:
            poses = with_other_videos(poses, path)
        except SemiMultiPoseError as error:
            yield Failed(f"the poses could not be saved to {path}: {error}")
            return
    yield from _save(poses, path, format=format)


def _save(
    poses: Poses, path: Path, quiet: bool = False, format: str | None = None
) -> Iterator[Saved | Failed]:
    """Write; an error is an event, because the poses are not lost by it."""
    try:
        lost = api.write_poses(poses, path, format=format)
    except (SemiMultiPoseError, OSError) as error:
        yield Failed(f"the poses could not be saved to {path}: {error}")
    else:
        if not quiet:
            yield Saved(path, lost)
