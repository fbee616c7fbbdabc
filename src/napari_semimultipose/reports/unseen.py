"""Labelled frames that a model has not learned from, and what it predicts there."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.config import PredictConfig
from napari_semimultipose.errors import LabelsError, ModelError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.places import match_names, name_parts
from napari_semimultipose.models.checkpoint import SPLIT
from napari_semimultipose.poses import BoolArray, Poses
from napari_semimultipose.reports.pictures import FrameReader
from napari_semimultipose.reports.work import StoppedError, Work
from napari_semimultipose.sources import Place

Members = tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """Content of ``split.json``.

    Attributes
    ----------
    videos : tuple of str
        Paths of the videos of the labels.
    train, validation : list of (int, str or int)
        Video, and name of the image or number of the frame.
    unlabeled : int
        Number of frames without labels.
    """

    videos: tuple[str, ...]
    train: list[tuple[int, str | int]]
    validation: list[tuple[int, str | int]]
    unlabeled: int


def read_split(folder: Path) -> Split | None:
    """Read which frames a model has learned from; None where the file is missing.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    file = folder / SPLIT
    if not file.is_file():
        return None
    try:
        text: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        train, validation = (
            [(int(v), n if isinstance(n, str) else int(n)) for v, n in text[part]]
            for part in ("train", "validation")
        )
        return Split(tuple(map(str, text["videos"])), train, validation, int(text["unlabeled"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{file} is damaged ({error}); copy the folder again or train anew"
        ) from None


def rows_of(labels: Poses, entries: Sequence[tuple[int, str | int]]) -> list[int]:
    """Rows of the labels of a model that a part of its split names, sorted."""
    numbers = {
        (int(v), int(f)): row
        for row, (v, f) in enumerate(zip(labels.video, labels.frame, strict=True))
    }
    rows = {
        numbers[v, name] for v, name in entries if isinstance(name, int) and (v, name) in numbers
    }
    for video in {v for v, name in entries if isinstance(name, str)}:
        here = np.flatnonzero(labels.video == video).tolist()
        names = [labels.image_name(row) or "" for row in here]
        wanted = [name for v, name in entries if v == video and isinstance(name, str)]
        rows |= {here[place] for place in match_names(wanted, names) if place is not None}
    return sorted(rows)


def validation_rows(labels: Poses, splits: Sequence[Split | None]) -> dict[Members, list[int]]:
    """Frames that validated the members of a model, by the members that have not learned from them.

    Each frame is predicted by these members together: what a member has learned by heart says nothing.

    Parameters
    ----------
    labels : Poses
        What the model was trained on.
    splits : sequence of Split
        One for each member; None where it is not known.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for number, split in enumerate(splits):
        for row in rows_of(labels, split.validation) if split is not None else ():
            members[row].append(number)
    groups: dict[Members, list[int]] = defaultdict(list)
    for row, numbers in sorted(members.items()):
        groups[tuple(numbers)].append(row)
    return dict(groups)


def learned_from(truth: Poses, splits: Sequence[Split | None]) -> BoolArray:
    """Which frames [F] of other labels a model has learned from.

    Images are recognised by the ends of their names, videos by the names of their files.
    """
    images: set[tuple[str, ...]] = set()
    frames: set[tuple[str, int]] = set()
    for split in splits:
        for video, name in split.train if split is not None else ():
            if isinstance(name, str):
                images.add(name_parts(f"{split.videos[video]}/{name}" if split else name))
            elif split is not None and name_parts(split.videos[video]):
                frames.add((name_parts(split.videos[video])[-1], name))
    by_file: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for parts in images:
        by_file[parts[-1]].append(parts)
    known = np.zeros(len(truth), bool)
    for row in range(len(truth)):
        image = truth.image_name(row)
        if image is None:
            parts = name_parts(truth.videos[truth.video[row]].path)
            known[row] = bool(parts) and (parts[-1], int(truth.frame[row])) in frames
        else:
            parts = name_parts(image)
            known[row] = any(
                _same_end(parts, other) for other in by_file.get(parts[-1] if parts else "", ())
            )
    return known


def _same_end(name: tuple[str, ...], other: tuple[str, ...]) -> bool:
    n = min(len(name), len(other))
    return n > 0 and name[-n:] == other[-n:]


@dataclass(frozen=True)
class Unseen:
    """Labelled frames that a model has not learned from, with open recordings.

    Attributes
    ----------
    truth : Poses
        Their labels.
    frames : mapping of int to Frames
        The recording of each index into the videos of `truth`.
    missing : set of (video, frame)
        Frames whose pictures are not there.
    groups : mapping
        Rows of `truth` by the members that predict them.
    left_out : int
        Number of frames whose recordings are not open.
    """

    truth: Poses
    frames: Mapping[int, Frames]
    missing: set[Place]
    groups: Mapping[Members, Sequence[int]]
    left_out: int = 0

    @property
    def reader(self) -> FrameReader:
        """Reads its frames."""
        return FrameReader(self.frames, self.missing)


def open_unseen(
    labels: Poses,
    groups: Mapping[Members, Sequence[int]],
    opened: ExitStack,
    labels_path: str | os.PathLike[str] | None,
    frames: Any,
) -> Unseen:
    """Open the recordings of some rows of labels.

    Parameters
    ----------
    labels : Poses
    groups : mapping
        Rows by the members that are to predict them.
    opened : ExitStack
        Closes the recordings in the end.
    labels_path : path, optional
        File of the labels; frames are looked for around it.
    frames : path, Frames, array or mapping of int to Frames, optional
        Frames of labels of one video, or the folder that image names start from; or the recordings of
        the videos of the labels by their index: those of other videos are left out.

    Raises
    ------
    LabelsError, FramesError
        When frames are not found or cannot be opened.
    """
    from napari_semimultipose.recordings import open_for_training

    count = sum(map(len, groups.values()))
    if isinstance(frames, Mapping):
        groups = {
            members: [row for row in part if int(labels.video[row]) in frames]
            for members, part in groups.items()
        }
    rows = sorted(row for part in groups.values() for row in part)
    if not rows:
        raise LabelsError("the frames of these labels are not open: open their recordings")
    place = {row: i for i, row in enumerate(rows)}
    truth = labels.select(rows)
    missing: set[Place] = set()
    recordings: Mapping[int, Frames]
    if isinstance(frames, Mapping):
        recordings = frames
    else:
        sources = open_for_training(truth, opened, labels_path=labels_path, frames=frames)
        recordings, missing = sources.frames, sources.exclude
    for v in np.unique(truth.video).tolist():
        last = int(truth.frame[truth.video == v].max())
        if last >= len(recordings[v]):
            raise LabelsError(
                f"there are labels on frame {last}, but {truth.videos[v].path or 'the recording'} has "
                f"{len(recordings[v])} frames: are these the frames of these labels?"
            )
    return Unseen(
        truth,
        recordings,
        missing,
        {members: [place[row] for row in part] for members, part in groups.items() if part},
        count - len(rows),
    )


def predict_unseen(
    folders: Sequence[Path], unseen: Unseen, config: PredictConfig, work: Work
) -> Poses:
    """Predict the frames; each by the members of its group, joined.

    Parameters
    ----------
    folders : sequence of Path
        Model folders of the members.
    unseen : Unseen
    config : PredictConfig
    work : Work

    Returns
    -------
    Poses
        Of the videos of ``unseen.truth``, with the keypoints of the model.

    Raises
    ------
    ModelError
        When a member cannot be loaded.
    """
    from napari_semimultipose.inference.members import EnsemblePredictor, predict_stream
    from napari_semimultipose.inference.predict import Predictor

    work.at(0, "loading the model")
    needed = sorted({member for members in unseen.groups for member in members})
    loaded = {m: Predictor.from_folder(folders[m], config) for m in needed}
    truth, parts, done = unseen.truth, [], 0
    for members, rows in unseen.groups.items():
        one = loaded[members[0]]
        predictor = one if len(members) == 1 else EnsemblePredictor([loaded[m] for m in members])
        here = truth.select(rows)
        for video in np.unique(here.video).tolist():
            numbers = sorted(set(here.frame[here.video == video].tolist()))
            before = done
            for chunk in predict_stream(
                predictor,
                unseen.frames[video],
                frame_range=numbers,
                follow=False,
                should_stop=work.should_stop,
            ):
                poses, done = chunk.poses, before + chunk.done
                work.at(done / len(truth), f"predicting: frame {done} of {len(truth)}")
                parts.append(replace(poses, video=np.full(len(poses), video), videos=truth.videos))
            if work.should_stop():
                raise StoppedError
    return Poses.concatenate(parts)
