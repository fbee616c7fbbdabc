"""Predicting, tracking and smoothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose.api.files import read_poses, write_poses
from napari_semimultipose.api.paths import FilePath
from napari_semimultipose.config import (
    Config,
    SmoothConfig,
    TrackConfig,
)
from napari_semimultipose.errors import (
    ConfigError,
    FramesError,
    PartialPredictionError,
    SemiMultiPoseError,
    UnsavedPosesError,
)
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    from napari_semimultipose.inference.predict import Predictor
    from napari_semimultipose.recordings import Recording
    from napari_semimultipose.smoothing import Smoothed


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
    PartialPredictionError
        When a frame cannot be read; it holds the poses of those before it, which are also written to `out`.
    UnsavedPosesError
        When `out`, which could be written before the prediction, cannot be written after it; it holds the poses.
    FramesError, LabelsError
        When frames cannot be found, or the first of them cannot be read, or `out` cannot be written.
    """
    from napari_semimultipose.inference.members import load_predictor
    from napari_semimultipose.inference.predict import Predictor, joined
    from napari_semimultipose.io.labels import check_target
    from napari_semimultipose.recordings import open_for_prediction
    from napari_semimultipose.tracking.identity import IdentityTracker, relabel

    if out is not None:
        check_target(out)
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
        broken: FramesError | None = None
        try:
            for recording in recordings:
                for poses in _predict_recording(predictor, recording, stop):
                    parts.append(tracker.update(poses) if tracker is not None else poses)
                    done += len(poses)
                    if on_progress is not None:
                        on_progress(done, total)
        except FramesError as error:
            if not parts:
                raise
            broken = error
        result = (
            joined(parts)
            if parts
            else Poses.empty(predictor.skeleton, [recording.video for recording in recordings])
        )
        if tracker is not None:
            result = relabel(result, tracker.finish())
    if out is not None:
        try:
            write_poses(result, out)
        except (SemiMultiPoseError, OSError) as error:
            raise UnsavedPosesError(
                f"{out} could not be written: {error}; the poses are in `poses` of this error",
                result,
            ) from error
    if broken is not None:
        where = "" if out is None else f", and are in {out}"
        raise PartialPredictionError(
            f"{broken}; the {done} frames before it were predicted{where}", result
        ) from broken
    return result


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
    # The checker does not see that what is not single is a sequence.
    given: list[Any] = [predictions] if single else list(predictions)  # type: ignore[arg-type]
    if calibration is None and not cameras:
        parts = [p if isinstance(p, Poses) else read_poses(p) for p in given]
        return smoothing.smooth_members(parts, config, mirrored=mirrored, tracking=tracking)
    if mirrored:
        raise ConfigError("mirrored views are in one image: leave out the cameras, or the endings")
    if tracking is not None:
        raise ConfigError(
            "several animals in several cameras need tracks of the same names in all of them, which following them "
            "in each camera by itself cannot give: name the tracks (in Review), and leave out the number of animals"
        )
    if any(isinstance(p, Poses) for p in given):
        raise ConfigError("with several cameras, give files: their names tell the cameras apart")
    names = list(cameras)
    if not names and calibration is not None:
        from napari_semimultipose.tracking.cameras import read_calibration

        names = [camera.name for camera in read_calibration(Path(calibration))]
    files = smoothing.by_camera([Path(p) for p in given], names)
    views = {name: [read_poses(file) for file in found] for name, found in files.items()}
    return smoothing.smooth_views(views, config, calibration=calibration)


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
