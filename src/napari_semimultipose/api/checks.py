"""Measuring, scoring, checking and reporting; frames worth labelling."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from napari_semimultipose.api.files import read_poses
from napari_semimultipose.api.paths import FilePath
from napari_semimultipose.api.predictions import _saved_config
from napari_semimultipose.config import (
    Config,
    EvaluateConfig,
    ReviewConfig,
)
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.poses import Poses
from napari_semimultipose.sources import Entries, rows_named

if TYPE_CHECKING:
    from napari_semimultipose.crossfit import FoldProgress
    from napari_semimultipose.labeling.label_check import LabelProblem
    from napari_semimultipose.labeling.suggest import Progress, Suggestion
    from napari_semimultipose.metrics import Metric
    from napari_semimultipose.plausibility import Yardstick


@overload
def measure(  # type: ignore[overload-overlap]  # a str is a path, no sequence of paths
    predictions: FilePath | Poses,
    *,
    model: FilePath | None = None,
    labels: FilePath | Poses | None = None,
    cameras: Sequence[str] = (),
    out: FilePath | None = None,
    on_progress: Callable[[float], Any] | None = None,
) -> dict[str, Metric]: ...


@overload
def measure(
    predictions: Sequence[FilePath | Poses],
    *,
    model: FilePath | None = None,
    labels: FilePath | Poses | None = None,
    cameras: Sequence[str] = (),
    on_progress: Callable[[float], Any] | None = None,
) -> list[dict[str, Metric]]: ...


def measure(
    predictions: FilePath | Poses | Sequence[FilePath | Poses],
    *,
    model: FilePath | None = None,
    labels: FilePath | Poses | None = None,
    cameras: Sequence[str] = (),
    out: FilePath | None = None,
    on_progress: Callable[[float], Any] | None = None,
) -> dict[str, Metric] | list[dict[str, Metric]]:
    """Measure how plausible predictions are, without any truth.

    The metrics of Lightning Pose, also for several animals: ``temporal_norm``,
    ``pca_singleview_error`` and ``pca_multiview_error``; see `plausibility`.

    Parameters
    ----------
    predictions : path, Poses or sequence of these
        Several are those of the cameras of a session, which are compared with each other.
    model : path, optional
        Folder of the model or ensemble whose labels say which poses are usual.
    labels : path or Poses, optional
        Labels that say it instead.
    cameras : sequence of str
        Names of synchronous cameras, each part of the names of its recordings; by default those of the model.
    out : path, optional
        Name of a file of predictions, beside which a CSV file is written for each metric
        (``NAME_temporal_norm.csv``, ...); for predictions of one video.
    on_progress : callable, optional
        Called with the share 0..1 that is done.

    Returns
    -------
    dict of str to Metric, or a list of these
        In px, with what is plausible; metrics that the labels do not allow are left out. A list for several
        predictions, in their order.

    Raises
    ------
    ConfigError
        When neither a model nor labels are given, or both.
    ModelError, LabelsError
        When files cannot be read, or have other keypoints.
    """
    from napari_semimultipose import plausibility
    from napari_semimultipose.agreement import join
    from napari_semimultipose.io.metric_tables import write_metrics

    single = isinstance(predictions, (str, os.PathLike, Poses))
    # The checker does not see that what is not single is a sequence.
    given: list[Any] = [predictions] if single else list(predictions)  # type: ignore[arg-type]
    yardstick = yardstick_of(model, labels, cameras=cameras)
    joined = join(
        [p if isinstance(p, Poses) else read_poses(p) for p in given],
        [None if isinstance(p, Poses) else Path(p) for p in given],
        yardstick.config.video.cameras,
    )
    found = plausibility.drain(yardstick.measure(joined.poses), on_progress)
    if out is not None:
        write_metrics(joined.poses, found, Path(out), yardstick.sets(joined.poses))
    parts = [joined.of_part(found, i) for i in range(len(given))]
    return parts[0] if single else parts


def yardstick_of(
    model: FilePath | None, labels: FilePath | Poses | None, *, cameras: Sequence[str] = ()
) -> Yardstick:
    """Return what predictions are compared with: the labels of a model, or labels; see `measure`."""
    from napari_semimultipose.plausibility import Yardstick

    if (model is None) == (labels is None):
        raise ConfigError("give the model whose labels say what is usual, or labels: one of them")
    if model is not None:
        found = Yardstick.of_model(Path(model))
    else:
        assert labels is not None
        known = labels if isinstance(labels, Poses) else read_poses(labels)
        found = Yardstick.of_labels(known)
    return found.with_cameras(cameras) if cameras else found


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
        Images are paired by name, frames of videos by index, keypoints by name. In a truth that holds labels and
        predictions, as a project does that is being corrected, the labels alone are true.
    config : EvaluateConfig, optional
        Definition of the scores.
    frames_list : path or sequence, optional
        Names of images or frame numbers of `truth` to score (see `sources`); all by default.

    Returns
    -------
    dict
        Ready for JSON; see `evaluation.scores.evaluate`; and ``predictions_in_truth``: how many animals of `truth` are
        predictions beside labels, and were left out.

    Raises
    ------
    LabelsError
        When a file cannot be read, or nothing fits together.
    """
    from napari_semimultipose.evaluation import scores

    predicted = prediction if isinstance(prediction, Poses) else read_poses(prediction)
    given = truth if isinstance(truth, Poses) else read_poses(truth)
    true, left_out = scores.true_poses(given)
    rows = None if frames_list is None else rows_named(true, frames_list, "the list of frames")
    return scores.evaluate(predicted, true, config, rows=rows) | {"predictions_in_truth": left_out}


def suggest(
    frames: Any,
    *,
    by: str | None = None,
    count: int = 20,
    predictions: FilePath | Poses | Sequence[FilePath | Poses] = (),
    labels: FilePath | Poses | None = None,
    model: FilePath | None = None,
    other_cameras: Sequence[FilePath | Poses] = (),
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
    other_cameras : sequence of paths or Poses
        Predictions of the other cameras of the session, for a model that compares cameras.
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
    if other_cameras and (model is None or not _saved_config(model).video.cameras):
        raise ConfigError(
            "predictions of other cameras need a model that compares cameras (video.cameras)"
        )
    tables = [p if isinstance(p, Poses) else read_poses(p) for p in given]
    known = labels if isinstance(labels, Poses) or labels is None else read_poses(labels)
    with ExitStack() as opened:
        recording = open_recording(frames)
        if not isinstance(frames, Frames):
            opened.enter_context(recording)
        asked = should_stop or (lambda: False)
        done = () if known is None else (known,)
        beside = [p if isinstance(p, Poses) else read_poses(p) for p in other_cameras]
        judge = judge_of(done, None if model is None else Path(model), [*beside, *tables])
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
