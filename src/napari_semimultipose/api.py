"""The verbs of the program, for scripts and notebooks, the command line and the widgets.

Everything is loaded when a verb is first used: importing this module is cheap.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_semimultipose.config import (
    Config,
    EvaluateConfig,
    ReviewConfig,
    SmoothConfig,
    TrackConfig,
)
from napari_semimultipose.errors import ConfigError, FramesError
from napari_semimultipose.poses import Poses
from napari_semimultipose.sources import Entries, rows_named

if TYPE_CHECKING:
    from napari_semimultipose.crossfit import FoldProgress
    from napari_semimultipose.inference.predict import Predictor
    from napari_semimultipose.io.frames import Frames
    from napari_semimultipose.labeling.label_check import LabelProblem
    from napari_semimultipose.labeling.suggest import Progress, Suggestion
    from napari_semimultipose.metrics import Metric
    from napari_semimultipose.plausibility import Yardstick
    from napari_semimultipose.recordings import Recording
    from napari_semimultipose.smoothing import Smoothed
    from napari_semimultipose.training.events import Event

FilePath = str | os.PathLike[str]

_TRAIL = 15  # frames that the drawn paths of animals go back

__all__ = [
    "Config",
    "check",
    "evaluate",
    "measure",
    "open_frames",
    "predict",
    "read_poses",
    "render",
    "report",
    "smooth",
    "suggest",
    "track",
    "train",
    "train_ensemble",
    "write_poses",
]


def read_poses(
    path: FilePath,
    *,
    format: str | None = None,
    frames_root: FilePath | None = None,
    category: str | None = None,
) -> Poses:
    """Read labels or predictions of any known format; see `io.labels.read_poses`."""
    from napari_semimultipose.io import labels

    return labels.read_poses(path, format=format, frames_root=frames_root, category=category)


def write_poses(poses: Poses, path: FilePath, *, format: str | None = None) -> list[str]:
    """Write labels or predictions and return what the format could not hold.

    See `io.labels.write_poses`.
    """
    from napari_semimultipose.io import labels

    return labels.write_poses(poses, path, format=format)


def open_frames(source: Any) -> Frames:
    """Open a video, an image folder, a list of images or a stack; see `io.video.open_frames`."""
    from napari_semimultipose.io import video

    return video.open_frames(source)


def train(
    labels: FilePath | Poses,
    out: FilePath,
    *,
    frames: Any = None,
    unlabeled: Iterable[Any] = (),
    labeled_list: Entries | None = None,
    exclude_list: Entries | None = None,
    config: Config | None = None,
    resume: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Event]:
    """Train a model and leave it in a folder.

    This is a generator: training goes on while it is iterated. All frames of the labels' recordings
    that have no label are used as frames without labels (see the setting ``train.method``).

    Parameters
    ----------
    labels : path or Poses
        Labelled animals. Predicted instances are no labels.
    out : path
        Model folder.
    frames : path, Frames or array, optional
        Frames of labels of one video, or the folder that the image names start from. By default they
        are looked for where the labels say and around the labels file.
    unlabeled : iterable of paths, Frames or arrays
        More frames without labels: videos, folders of images or videos, text files that list images. An
        image of the labels is never taken from here.
    labeled_list, exclude_list : path or sequence, optional
        Names of images, as written in the labels, or frame numbers (see `sources`): those whose labels
        may be used (all by default), and those that training must not see at all. The rest counts as
        unlabelled.
    config : Config, optional
        Settings; by default the preset ``default``, and those of the folder when resuming.
    resume : bool
        Go on with the run in `out`.
    should_stop : callable, optional
        Asked before each step; True saves the state and ends the run.

    Yields
    ------
    Event
        See `training.events`. The last one is ``Done`` or ``Failed``.

    Raises
    ------
    SemiMultiPoseError
        At the first step of the iteration, when files, lists or settings are wrong.
    """
    from napari_semimultipose.recordings import open_for_training
    from napari_semimultipose.training import loop

    poses = labels if isinstance(labels, Poses) else read_poses(labels)
    # Rows sorted by video and frame, the order in which the loop numbers them.
    poses = poses.keep(poses.present)
    if config is None:
        config = _saved_config(out) if resume else Config()
    with ExitStack() as opened:
        sources = open_for_training(
            poses,
            opened,
            labels_path=None if isinstance(labels, Poses) else labels,
            frames=frames,
            unlabeled=unlabeled,
            labeled_list=labeled_list,
            exclude_list=exclude_list,
        )
        yield from loop.train(
            poses,
            Path(out),
            config,
            frames=sources.frames,
            unlabeled=sources.unlabeled,
            labeled_rows=sources.labeled_rows,
            exclude=sources.exclude,
            resume=resume,
            should_stop=should_stop or (lambda: False),
        )


def train_ensemble(
    labels: FilePath | Poses,
    out: FilePath,
    *,
    members: int = 5,
    config: Config | None = None,
    should_stop: Callable[[], bool] | None = None,
    **sources: Any,
) -> Iterator[Event]:
    """Train several models that differ by their seeds and by the frames that validate them.

    Each member is a model folder in `out`. What is there already is kept: finished members are
    skipped, and one that was stopped is resumed.

    Parameters
    ----------
    labels, should_stop, **sources
        As for `train`.
    out : path
        Folder of the ensemble; `predict` takes it as a model.
    members : int
        Number of models.
    config : Config, optional
        Settings of all; member m has the seed ``train.seed`` + m. When going on, those of the ensemble.

    Yields
    ------
    Event
        Of all members; the progress is that of the whole. One ``Done`` or ``Failed`` at the end.
    """
    from napari_semimultipose.training.ensemble import train_members

    stop = should_stop or (lambda: False)

    def start(folder: Path, settings: Config, resume: bool) -> Iterator[Event]:
        return train(labels, folder, config=settings, resume=resume, should_stop=stop, **sources)

    yield from train_members(Path(out), members, config, start, stop)


def predict(
    model: FilePath | Predictor,
    frames: Any,
    *,
    out: FilePath | None = None,
    config: Config | None = None,
    track: bool = True,
    animals: int | None = None,
    frame_range: slice | range | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Poses:
    """Find the animals on the frames of a recording.

    Frames are streamed: memory grows with the poses only.

    Parameters
    ----------
    model : path or Predictor
        Model folder, or folder of an ensemble, whose members are joined on every frame (their spread is
        kept); or the model loaded (`inference.predict.Predictor`), for many recordings, with
        its own settings of prediction.
    frames : path, Frames or array
        A recording; a labels file, whose labelled frames are meant; or a text file that lists images.
        Names of images are kept as they are written there.
    out : path, optional
        File to write the poses to; its suffix chooses the format.
    config : Config, optional
        Of which the groups ``predict`` and ``track`` are used; those of the model by default.
    track : bool
        Follow the animals over time. Lists of images and labels files are not tracked: nothing says
        that their frames follow each other.
    animals : int, optional
        Number of animals if it is fixed, for tracking; no more are predicted on a frame. Overrides
        ``track.animals`` and ``predict.max_animals``.
    frame_range : slice or range, optional
        Part of the frames.
    should_stop : callable, optional
        Asked between batches; True ends the prediction, and what there is is returned.
    on_progress : callable, optional
        Called with the number of frames done and their total.

    Raises
    ------
    ModelError
        When `model` is no usable model folder.
    FramesError, LabelsError
        When frames cannot be found or read, or `out` cannot be written.
    """
    from napari_semimultipose.inference.members import load_predictor
    from napari_semimultipose.inference.predict import Predictor
    from napari_semimultipose.recordings import open_for_prediction
    from napari_semimultipose.tracking.identity import IdentityTracker, relabel

    base = config or (model.info.config if isinstance(model, Predictor) else _saved_config(model))
    config = _for_animals(base, animals)
    stop = should_stop or (lambda: False)
    with ExitStack() as opened:
        recordings = open_for_prediction(frames, opened, frame_range)
        predictor = (
            model if isinstance(model, Predictor) else load_predictor(Path(model), config.predict)
        )
        tracker = IdentityTracker(config.track) if track and recordings[0].sequence else None
        total = sum(len(recording.indices) for recording in recordings)
        parts: list[Poses] = []
        done = 0
        for recording in recordings:
            for poses in _predict_recording(predictor, recording, stop):
                parts.append(tracker.update(poses) if tracker is not None else poses)
                done += len(poses)
                if on_progress is not None:
                    on_progress(done, total)
        result = (
            Poses.concatenate(parts)
            if parts
            else Poses.empty(predictor.skeleton, [recording.video for recording in recordings])
        )
        if tracker is not None:
            result = relabel(result, tracker.finish())
    if out is not None:
        write_poses(result, out)
    return result


def measure(
    predictions: FilePath | Poses,
    *,
    model: FilePath | None = None,
    labels: FilePath | Poses | None = None,
    out: FilePath | None = None,
    on_progress: Callable[[float], Any] | None = None,
) -> dict[str, Metric]:
    """Measure how plausible predictions are, without any truth.

    The metrics of Lightning Pose, also for several animals: ``temporal_norm``,
    ``pca_singleview_error`` and ``pca_multiview_error``; see `plausibility`.

    Parameters
    ----------
    predictions : path or Poses
    model : path, optional
        Folder of the model or ensemble whose labels say which poses are usual.
    labels : path or Poses, optional
        Labels that say it instead.
    out : path, optional
        Name of a file of predictions, beside which a CSV file is written for each metric
        (``NAME_temporal_norm.csv``, ...).
    on_progress : callable, optional
        Called with the share 0..1 that is done.

    Returns
    -------
    dict of str to Metric
        In px, with what is plausible; metrics that the labels do not allow are left out.

    Raises
    ------
    ConfigError
        When neither a model nor labels are given, or both.
    ModelError, LabelsError
        When files cannot be read, or have other keypoints.
    """
    from napari_semimultipose import plausibility
    from napari_semimultipose.io.metric_tables import write_metrics

    poses = predictions if isinstance(predictions, Poses) else read_poses(predictions)
    yardstick = yardstick_of(model, labels)
    found = plausibility.drain(yardstick.measure(poses), on_progress)
    if out is not None:
        write_metrics(poses, found, Path(out), yardstick.sets(poses))
    return found


def yardstick_of(model: FilePath | None, labels: FilePath | Poses | None) -> Yardstick:
    """Return what predictions are compared with: the labels of a model, or labels; see `measure`."""
    from napari_semimultipose.plausibility import Yardstick

    if (model is None) == (labels is None):
        raise ConfigError("give the model whose labels say what is usual, or labels: one of them")
    if model is not None:
        return Yardstick.of_model(Path(model))
    assert labels is not None
    return Yardstick.of_labels(labels if isinstance(labels, Poses) else read_poses(labels))


def render(
    poses: FilePath | Poses,
    frames: Any,
    out: FilePath,
    *,
    frame_range: slice | range | None = None,
    colour_by: Literal["track", "keypoint"] = "track",
    trail: int | None = None,
    names: bool = True,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Write a recording with poses drawn into it as a video.

    Parameters
    ----------
    poses : path or Poses
        Of one recording; or of several, one of which is `frames`.
    frames : path, Frames, array or None
        What the poses were predicted on, as for `predict`; None: where the file of the poses says, or around
        it.
    out : path
        The video to write (.mp4).
    frame_range : slice or range, optional
        Frames to write; from the first to the last one with poses by default.
    colour_by : {"track", "keypoint"}
        What colours mean.
    trail : int, optional
        So many frames back the paths of the animals are drawn; 15 by default, none for images.
    names : bool
        Write the names of the tracks.
    should_stop, on_progress : callable, optional
        As for `predict`.

    Returns
    -------
    bool
        False when it was stopped; nothing is written then.

    Raises
    ------
    FramesError, LabelsError
        When the frames do not follow each other or cannot be read, no poses belong to them, or `out` cannot
        be written.
    """
    from napari_semimultipose.io.render import render_video
    from napari_semimultipose.labeling.alignment import poses_of_recording
    from napari_semimultipose.recordings import open_for_prediction, recording_of_poses

    table = poses if isinstance(poses, Poses) else read_poses(poses)
    if frames is None:
        if isinstance(poses, Poses):
            raise FramesError("poses in memory do not say where their recording is: give it")
        frames = recording_of_poses(table, poses)
    with ExitStack() as opened:
        recordings = open_for_prediction(frames, opened)
        first = recordings[0]
        if len(recordings) > 1 or list(first.indices) != list(first.numbers):
            raise FramesError(
                f"no labelled video can be made of single images of {frames}: give a recording, or a text "
                "file that lists the images"
            )
        if len(table.videos) > 1:
            table = poses_of_recording(table, first.frames)
        sequence = first.sequence and not isinstance(frames, list)
        chosen = frame_range
        if isinstance(chosen, slice):
            chosen = range(len(first.frames))[chosen]
        return render_video(
            first.frames,
            table,
            out,
            frame_range=chosen,
            colour_by=colour_by,
            trail=(_TRAIL if trail is None else trail) if sequence else 0,
            names=names,
            should_stop=should_stop,
            on_progress=on_progress,
        )


def prediction_config(
    model: FilePath, config: Config | None = None, *, animals: int | None = None
) -> Config:
    """Return the settings of a prediction: those of the model unless others are given.

    Parameters
    ----------
    model : path
        Model folder.
    config : Config, optional
        Settings to use instead.
    animals : int, optional
        Number of animals if it is fixed, 0 if not.
    """
    return _for_animals(config or _saved_config(model), animals)


def _for_animals(config: Config, animals: int | None) -> Config:
    if animals is None:
        return config
    return config.with_settings({"track.animals": animals, "predict.max_animals": animals})


def track(poses: Poses, config: TrackConfig | None = None) -> Poses:
    """Follow animals over time: poses with new tracks; see `tracking.identity.track`."""
    from napari_semimultipose.tracking import identity

    return identity.track(poses, config)


def smooth(
    predictions: FilePath | Poses | Sequence[FilePath | Poses],
    *,
    config: SmoothConfig | None = None,
    mirrored: Sequence[str] = (),
    cameras: Sequence[str] = (),
    calibration: FilePath | None = None,
    tracking: TrackConfig | None = None,
) -> Smoothed:
    """Smooth predictions over time, and say how far each position is to be trusted.

    Parameters
    ----------
    predictions : path, Poses or sequence of these
        One model's poses; several are the members of an ensemble (of the same recording), which are
        joined first.
    config : SmoothConfig, optional
    mirrored : sequence of str
        Endings of the names of keypoints that are one body part in several views of one image, for example
        ``("_top", "_bot")``.
    cameras : sequence of str
        For several synchronous cameras: names that are part of those of the files. By default those of the
        calibration.
    calibration : path, optional
        ``calibration.toml`` as anipose writes it.
    tracking : TrackConfig, optional
        How several animals without tracks are followed.

    Returns
    -------
    Smoothed
        See `smoothing` and `tracking.smoothing.poses.Smoothing`.

    Raises
    ------
    LabelsError, ConfigError
        When files cannot be read, or do not belong together.
    """
    from napari_semimultipose import smoothing

    single = isinstance(predictions, (str, os.PathLike, Poses))
    given: list[Any] = [predictions] if single else list(predictions)  # type: ignore[arg-type]
    if calibration is None and not cameras:
        parts = [p if isinstance(p, Poses) else read_poses(p) for p in given]
        return smoothing.smooth_members(parts, config, mirrored=mirrored, tracking=tracking)
    if mirrored:
        raise ConfigError("mirrored views are in one image: leave out the cameras, or the endings")
    if any(isinstance(p, Poses) for p in given):
        raise ConfigError("with several cameras, give files: their names tell the cameras apart")
    names = list(cameras)
    if not names and calibration is not None:
        from napari_semimultipose.tracking.cameras import read_calibration

        names = [camera.name for camera in read_calibration(Path(calibration))]
    files = smoothing.by_camera([Path(p) for p in given], names)
    views = {name: [read_poses(file) for file in found] for name, found in files.items()}
    return smoothing.smooth_views(views, config, calibration=calibration)


def suggest(
    frames: Any,
    *,
    by: str | None = None,
    count: int = 20,
    predictions: FilePath | Poses | Sequence[FilePath | Poses] = (),
    labels: FilePath | Poses | None = None,
    model: FilePath | None = None,
    seed: int = 0,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> list[Suggestion]:
    """Suggest frames of a recording that are worth labelling.

    Parameters
    ----------
    frames : path, Frames or array
        A recording, or a text file that lists images.
    by : {"even", "diverse", "uncertain"}, optional
        Evenly spaced frames; frames of different looks; frames on which predictions are doubtful. By
        default ``uncertain`` where there are predictions or a model, else ``diverse``.
    count : int
        Number of suggestions; fewer come when there are not enough frames.
    predictions : path, Poses or sequence of these
        What a model found on the frames. Of several models the disagreement counts as well; the
        first one is judged.
    labels : path or Poses, optional
        Labels; the frames that they hold are never suggested.
    model : path, optional
        A model folder: it also counts on which frames the model differs from itself, when it sees them
        mirrored or turned, and its labels say which poses are usual. Without predictions it makes them, on some
        frames; see `second_look`.
    seed : int
        Of the clustering for ``diverse``; equal seeds give equal suggestions.
    should_stop : callable, optional
        Asked while frames are read; True ends that, and what was seen until then is used.
    on_progress : callable, optional
        Called with a `labeling.suggest.Progress` now and then.

    Returns
    -------
    list of Suggestion
        With a reason each, the most important first; see `labeling.suggest`.

    Raises
    ------
    ConfigError
        When predictions are missing or not used.
    FramesError, LabelsError, ModelError
        When something cannot be read, or predictions do not belong to the frames.
    """
    from napari_semimultipose import second_look
    from napari_semimultipose.io.frames import Frames
    from napari_semimultipose.labeling import suggest as work
    from napari_semimultipose.plausibility import judge_of
    from napari_semimultipose.recordings import open_recording

    given = [predictions] if isinstance(predictions, (str, os.PathLike, Poses)) else predictions
    if (given or model is not None) and by not in (None, "uncertain"):
        what = "predictions are" if given else "a model is"
        raise ConfigError(
            f"{what} only used by 'uncertain': leave out the {'predictions' if given else 'model'}, or {by!r}"
        )
    tables = [p if isinstance(p, Poses) else read_poses(p) for p in given]
    known = labels if isinstance(labels, Poses) or labels is None else read_poses(labels)
    with ExitStack() as opened:
        recording = open_recording(frames)
        if not isinstance(frames, Frames):
            opened.enter_context(recording)
        asked = should_stop or (lambda: False)
        done = () if known is None else (known,)
        judge = judge_of(done, None if model is None else Path(model))
        if model is not None:
            found = second_look.suggest_with_model(
                Path(model),
                recording,
                count,
                predictions=tables,
                labels=done,
                judge=judge,
                should_stop=asked,
            )
        else:
            found = work.suggest_frames(
                recording,
                work.criterion(by or ("uncertain" if tables else "diverse")),
                count,
                predictions=tables,
                labels=done,
                judge=judge,
                seed=seed,
                should_stop=asked,
            )
        return work.drain(found, on_progress)


def check(
    labels: FilePath | Poses,
    *,
    frames: Any = None,
    predictions: FilePath | Poses | None = None,
    folds: int = 0,
    config: Config | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[FoldProgress], Any] | None = None,
) -> tuple[list[LabelProblem], Poses | None]:
    """List labels that are likely to be wrong; see `labeling.label_check`.

    Parameters
    ----------
    labels : path or Poses
    frames : path, Frames or array, optional
        As for `train`; only needed for `folds`.
    predictions : path or Poses, optional
        What models that did not see these labels found on the labelled frames.
    folds : int
        Instead of `predictions`: train so many models, each without one part of the labels, and have
        it look at that part. 0: positions alone are checked.
    config : Config, optional
        Settings of the training of one fold.
    should_stop : callable, optional
        Asked while models are trained; True ends that, and what is predicted until then is used.
    on_progress : callable, optional
        Called with a `crossfit.FoldProgress` now and then.

    Returns
    -------
    problems : list of LabelProblem
        The most doubtful labels first.
    predictions : Poses or None
        Those that were used.

    Raises
    ------
    ConfigError
        When both predictions and folds are given, or one fold.
    FramesError, LabelsError, TrainingError
        When something cannot be read, or training fails.
    """
    from napari_semimultipose.crossfit import cross_fitted
    from napari_semimultipose.labeling.label_check import check_labels
    from napari_semimultipose.recordings import open_for_training

    if folds and (folds < 2 or predictions is not None):
        raise ConfigError(
            "give predictions or folds, not both"
            if predictions is not None
            else "one fold leaves no label to learn from: give two or more"
        )
    known = labels if isinstance(labels, Poses) else read_poses(labels)
    seen: Poses | None
    if predictions is None or isinstance(predictions, Poses):
        seen = predictions
    else:
        seen = read_poses(predictions)
    if folds:
        with ExitStack() as opened:
            sources = open_for_training(
                known,
                opened,
                labels_path=None if isinstance(labels, Poses) else labels,
                frames=frames,
            )
            for event in cross_fitted(
                known,
                config or Config(),
                sources.frames,
                folds,
                exclude=sources.exclude,
                should_stop=should_stop or (lambda: False),
            ):
                if isinstance(event, Poses):
                    seen = event
                elif on_progress is not None:
                    on_progress(event)
    return check_labels(known, seen), seen


def evaluate(
    prediction: FilePath | Poses,
    truth: FilePath | Poses,
    *,
    config: EvaluateConfig | None = None,
    frames_list: Entries | None = None,
) -> dict[str, Any]:
    """Score predicted against true poses.

    Parameters
    ----------
    prediction, truth : path or Poses
        Images are paired by name, frames of videos by index, keypoints by name.
    config : EvaluateConfig, optional
        Definition of the scores.
    frames_list : path or sequence, optional
        Names of images or frame numbers of `truth` to score (see `sources`); all by default.

    Returns
    -------
    dict
        Ready for JSON; see `evaluation.scores.evaluate`.

    Raises
    ------
    LabelsError
        When a file cannot be read, or nothing fits together.
    """
    from napari_semimultipose.evaluation import scores

    predicted = prediction if isinstance(prediction, Poses) else read_poses(prediction)
    true = truth if isinstance(truth, Poses) else read_poses(truth)
    rows = None if frames_list is None else rows_named(true, frames_list, "the list of frames")
    return scores.evaluate(predicted, true, config, rows=rows)


def report(
    source: FilePath | Poses,
    out: FilePath,
    *,
    truth: FilePath | Poses | None = None,
    frames: Any = None,
    config: Config | None = None,
    scores: EvaluateConfig | None = None,
    review: ReviewConfig | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> bool:
    """Write a report of a model or of a recording: one HTML file that needs nothing else.

    Parameters
    ----------
    source : path or Poses
        A model folder or the folder of an ensemble; or poses of a recording.
    out : path
        The file to write (.html).
    truth : path or Poses, optional
        True poses. Of a model, labels to score it on; the frames that it has learned from are left out. By
        default its validation frames. Of a recording, what its poses are compared with.
    frames : path, Frames, array or mapping of int to Frames, optional
        The recording, or the folder that names of images start from. By default the frames are looked for
        where the poses or labels say and around their file. A mapping has the recordings of the videos of
        the poses, or of the labels, by their index.
    config : Config, optional
        Settings of the prediction with a model; its own by default.
    scores : EvaluateConfig, optional
        Definition of the scores.
    review : ReviewConfig, optional
        What counts as a problem of the poses of a recording, and how many animals there are.
    should_stop : callable, optional
        Asked now and then; True ends the work.
    on_progress : callable, optional
        Called with the share that is done (0..1) and what is being done.

    Returns
    -------
    bool
        False when it was stopped; nothing is written then.

    Raises
    ------
    ConfigError
        When something is given that is not used: settings of a prediction for poses, or limits of
        problems for a model.
    ModelError
        When `source` is neither a usable model folder nor poses.
    FramesError, LabelsError
        When poses, labels or frames cannot be read or do not belong together.
    """
    from napari_semimultipose.reports import making
    from napari_semimultipose.reports.work import StoppedError, Work

    work = Work(should_stop or (lambda: False), on_progress or (lambda share, text: None))
    try:
        making.write_report(
            source,
            out,
            truth=truth,
            frames=frames,
            config=config,
            scores=scores,
            review=review,
            work=work,
        )
    except StoppedError:
        return False
    return True


def _predict_recording(
    predictor: Predictor, recording: Recording, should_stop: Callable[[], bool]
) -> Iterator[Poses]:
    """Yield the poses of a recording piece by piece, as poses of the video they belong to."""
    from napari_semimultipose.inference.members import predict_stream

    number = dict(zip(recording.indices, recording.numbers, strict=True))
    for chunk in predict_stream(
        predictor,
        recording.frames,
        frame_range=recording.indices,
        follow=recording.sequence,
        should_stop=should_stop,
    ):
        frame = np.array([number[i] for i in chunk.poses.frame.tolist()], np.int64)
        yield replace(chunk.poses, frame=frame, videos=(recording.video,))


def _saved_config(model: FilePath) -> Config:
    from napari_semimultipose.models.checkpoint import read_info

    return read_info(Path(model)).config
