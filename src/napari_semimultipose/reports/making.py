"""From paths to a report: what the source is, and where its frames are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.config import Config, EvaluateConfig, ReviewConfig
from napari_semimultipose.errors import ConfigError, FramesError, LabelsError, ModelError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.labels import read_poses
from napari_semimultipose.models.checkpoint import is_model_folder
from napari_semimultipose.models.ensemble import is_ensemble
from napari_semimultipose.poses import Poses
from napari_semimultipose.reports.model import model_report
from napari_semimultipose.reports.page import checked_name
from napari_semimultipose.reports.recording import recording_report
from napari_semimultipose.reports.work import Work

FilePath = str | os.PathLike[str]


def is_model(source: object) -> bool:
    """Whether a source of a report is a model folder or an ensemble."""
    return isinstance(source, str | os.PathLike) and (
        is_model_folder(Path(source)) or is_ensemble(Path(source))
    )


def write_report(
    source: FilePath | Poses,
    out: FilePath,
    *,
    truth: FilePath | Poses | None,
    frames: Any,
    config: Config | None,
    scores: EvaluateConfig | None,
    review: ReviewConfig | None,
    work: Work,
) -> None:
    """Write a report; see `api.report`.

    Raises
    ------
    StoppedError
        When it is not wanted any more.
    """
    target = checked_name(out)
    for path in (source, truth, frames):
        if isinstance(path, str | os.PathLike) and Path(path).absolute() == target.absolute():
            raise ConfigError(f"{path} would be replaced by the report; choose another name")
    true = truth if isinstance(truth, Poses) or truth is None else read_poses(truth)
    truth_path = truth if isinstance(truth, str | os.PathLike) else None
    if is_model(source) and not isinstance(source, Poses):
        if review is not None:
            raise ConfigError(
                f"{source} is a model: the number of animals and the limits of problems are for poses"
            )
        page = model_report(
            source,
            truth=true,
            truth_path=truth_path,
            frames=frames,
            config=config,
            scores=scores,
            work=work,
        )
    else:
        if config is not None:
            raise ConfigError("settings of a prediction are for models, and these are poses")
        page = _of_poses(source, true, frames, scores, review, work)
    work.at(1, f"writing {target.name}")
    page.write(target)


def _of_poses(
    source: FilePath | Poses,
    truth: Poses | None,
    frames: Any,
    scores: EvaluateConfig | None,
    review: ReviewConfig | None,
    work: Work,
) -> Any:
    work.at(0, "reading the poses")
    path = None if isinstance(source, Poses) else Path(source)
    poses = source if isinstance(source, Poses) else _read(Path(source))
    name = path.name if path is not None else (poses.videos[0].name or "a recording")
    with ExitStack() as opened:
        return recording_report(
            poses,
            name=name,
            frames=_recordings(poses, path, frames, opened),
            truth=truth,
            review=review,
            scores=scores,
            work=work.part(0.05, 0.98),
        )


def _read(path: Path) -> Poses:
    try:
        return read_poses(path)
    except LabelsError as error:
        if path.is_dir():
            raise ModelError(
                f"{path} is no model folder, and no folder of poses: {error}"
            ) from None
        raise


def _recordings(
    poses: Poses, path: Path | None, frames: Any, opened: ExitStack
) -> dict[int, Frames]:
    """Open the recordings of poses; without any given, those that are found."""
    from napari_semimultipose.io.locate import resolve_videos
    from napari_semimultipose.io.video import open_frames
    from napari_semimultipose.recordings import open_recording

    if isinstance(frames, Mapping):
        return dict(frames)
    used = np.unique(poses.video).tolist()
    if isinstance(frames, Frames):
        return _one(poses, used, frames)
    named = isinstance(frames, str | os.PathLike)
    if frames is not None and not named:
        return _one(poses, used, opened.enter_context(open_frames(frames)))
    images = bool(poses.videos[used[0] if used else 0].images)
    listed = named and Path(frames).suffix.lower() == ".txt"
    if named and len(used) < 2 and (listed or not images):
        return _one(poses, used, opened.enter_context(open_recording(frames)))
    if path is None and frames is None and not any(v.path for v in poses.videos):
        return {}
    sources = resolve_videos(poses, path or Path("poses"), frames, required=named)
    found: dict[int, Frames] = {}
    for video in used:
        source = sources.get(video)
        if isinstance(source, list):  # images that are missing are not shown
            there = [file for file in source if Path(file).is_file()]
            source = (
                [file if Path(file).is_file() else there[0] for file in source] if there else None
            )
        if source is None:
            continue
        try:
            found[video] = opened.enter_context(open_frames(source))
        except FramesError:
            if named:
                raise
    return found


def _one(poses: Poses, used: list[int], frames: Frames) -> dict[int, Frames]:
    """Give the frames to the only video of poses.

    Raises
    ------
    LabelsError
        When there are several, or poses beyond the end of the recording.
    """
    if len(used) > 1:
        raise LabelsError(
            f"the poses belong to {len(used)} recordings, but the frames of one were given: give the "
            "folder that holds them"
        )
    last = int(poses.frame.max()) if len(poses) else -1
    if last >= len(frames):
        raise LabelsError(
            f"there are poses on frame {last}, but the recording has {len(frames)} frames: are these the "
            "frames of these poses?"
        )
    return {used[0] if used else 0: frames}
