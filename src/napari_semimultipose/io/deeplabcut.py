"""DeepLabCut labels and predictions (CSV, HDF5) and Lightning Pose CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io import lost
from napari_semimultipose.io.deeplabcut_config import config_above
from napari_semimultipose.io.places import name_parts
from napari_semimultipose.io.skeletons import symmetry_is_guessed
from napari_semimultipose.io.tables import Table, read_table, write_table
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

SCORER = "napari"
UNIQUE = "single"  # DeepLabCut's name for the body parts that exist once, not once an animal


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read a DeepLabCut or Lightning Pose table.

    Tables with likelihoods are predictions: the likelihood is the score of a keypoint and their
    mean that of the instance. In tables of labels a row without any position is an image that
    nobody has labelled yet: it is in the list of images, and no row of the result.

    Individuals become tracks of their names. Unique body parts become an instance of their own on
    the track ``single``, whose other keypoints are absent. Edges come from the project's
    ``config.yaml``, also for a single table of a project.

    Parameters
    ----------
    path : path
        A ``.csv`` or ``.h5`` file.
    frames_root : path, optional
        Folder that the names of the images start from; by default the project, or the folder of
        the table.

    Raises
    ------
    LabelsError
        When the file is no such table, or damaged.
    """
    table = read_table(path)
    config = config_above(path)
    return poses_from_tables([(table, _video(table, path, frames_root))], config)


def _video(table: Table, path: Path, frames_root: Path | None) -> Video:
    """Say what the rows of a table belong to."""
    if not table.named:
        stem = path.stem
        if table.scorer and table.scorer in stem:  # DeepLabCut appends the scorer
            stem = stem[: stem.index(table.scorer)]
        return Video(stem)
    names = tuple(str(name) for name in table.index)
    folder = path.absolute().parent
    above = name_parts(names[0])[:-1]
    if above and folder.parts[-len(above) :] == above:
        folder = folder.parents[len(above) - 1]
    return Video(str(frames_root or folder), names)


def poses_from_tables(
    tables: Sequence[tuple[Table, Video]], config: dict[str, Any] | None
) -> Poses:
    """Join tables, each with what its rows belong to; `read` says what they mean."""
    skeleton = _skeleton([t for t, _ in tables], config or {})
    place = {name: i for i, name in enumerate(skeleton.keypoints)}
    tracks: dict[str, int] = {}
    parts: list[dict[str, Any]] = []
    seen: set[tuple[int, int]] = set()
    for v, (table, _) in enumerate(tables):
        frames = np.arange(len(table.index)) if table.named else np.array(table.index, np.int64)
        predicted = any(coord == "likelihood" for _, _, coord in table.columns)
        for individual in dict.fromkeys(c[0] for c in table.columns):
            data = np.full((len(frames), len(skeleton), 3), np.nan)
            for i, (who, part, coord) in enumerate(table.columns):
                if who == individual:
                    which = ("x", "y", "likelihood").index(coord)
                    data[:, place[part], which] = table.values[:, i]
            track = tracks.setdefault(individual, len(tracks)) if individual else -1
            here = np.isfinite(data[..., :2]).all(-1)
            rows = here.any(1)
            score = np.nan_to_num(data[..., 2]) if predicted else np.ones(here.shape)
            count = np.maximum(here.sum(1), 1)
            parts.append(
                {
                    "frame": frames[rows],
                    "video": np.full(rows.sum(), v),
                    "xy": data[rows, :, :2],
                    "score": score[rows],
                    "instance_score": ((score * here).sum(1) / count)[rows],
                    "track": np.full(rows.sum(), track),
                    "source": np.full(rows.sum(), Source.PREDICTED if predicted else Source.HUMAN),
                }
            )
        if predicted:
            seen |= {(v, int(f)) for f in frames}
    flat = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    return Poses.from_instances(
        skeleton,
        **flat,
        videos=[video for _, video in tables],
        track_names=list(tracks),
        empty_frames=seen,
    )


def _skeleton(tables: Sequence[Table], config: dict[str, Any]) -> Skeleton:
    """Keypoints in the order of the configuration, then of the tables; edges by name."""
    used = list(dict.fromkeys(part for t in tables for _, part, _ in t.columns))
    if not used:
        raise LabelsError("the table names no body parts")
    wanted = [
        str(part)
        for key in ("multianimalbodyparts", "bodyparts", "uniquebodyparts")
        if isinstance(config.get(key), list)
        for part in config[key]
    ]
    names = [n for n in dict.fromkeys(wanted) if n in used]
    names += [n for n in used if n not in names]
    where = {name: i for i, name in enumerate(names)}
    edges = []
    for edge in config.get("skeleton") or ():
        ends = [where.get(str(name)) for name in edge] if isinstance(edge, list) else []
        # DeepLabCut also takes chains of more than two body parts
        edges += [(a, b) for a, b in pairwise(ends) if a != b]
    pairs = tuple((a, b) for a, b in edges if a is not None and b is not None)
    name = str(config.get("Task") or "animal")
    return Skeleton(tuple(names), pairs, name=name).with_guessed_symmetry()


# ---------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class TableStyle:
    """What a kind of table can hold.

    Parameters
    ----------
    name : str
        Name of the format.
    multi : bool
        It has individuals.
    likelihood : bool
        It has likelihoods, and so holds predictions.
    """

    name: str
    multi: bool
    likelihood: bool


def write(poses: Poses, path: Path) -> list[str]:
    """Write a DeepLabCut table: ``.csv``, or ``.h5`` by the suffix.

    It has individuals when any frame has several animals or any animal a track, and likelihoods
    when any instance is not a human's. Frames of a recording are rows by number.

    Returns
    -------
    list of str
        What the format could not hold.

    Raises
    ------
    LabelsError
        For labels of several videos.
    """
    style = TableStyle("DeepLabCut", has_individuals(poses), _is_predicted(poses))
    return _write_one(poses, path, style)


def write_lightning_pose(poses: Poses, path: Path) -> list[str]:
    """Write a Lightning Pose CSV file: one animal a frame, otherwise as `write`."""
    if (poses.present.sum(1) > 1).any():
        raise LabelsError(
            "Lightning Pose files hold one animal a frame, and these labels have "
            f"{poses.present.sum(1).max()} on one: write DeepLabCut or SLEAP"
        )
    return _write_one(poses, path, TableStyle("Lightning Pose", False, _is_predicted(poses)))


def has_individuals(poses: Poses) -> bool:
    """Whether a table of these poses needs individuals: several animals on a frame, or tracks."""
    return bool((poses.present.sum(1) > 1).any() or (poses.track >= 0).any())


def _is_predicted(poses: Poses) -> bool:
    return bool((poses.source[poses.present] != Source.HUMAN).any())


def _write_one(poses: Poses, path: Path, style: TableStyle) -> list[str]:
    used = sorted(set(poses.video.tolist())) or [0]
    if len(used) > 1:
        names = ", ".join(poses.videos[v].name or f"video {v}" for v in used)
        raise LabelsError(
            f"a {style.name} table holds one video, and these labels belong to {len(used)} "
            f"({names}): write a DeepLabCut project folder or a SLEAP file"
        )
    table = table_from_poses(poses, used[0], style)
    write_table(table, path)
    said = lost_in_table(poses, style)
    if edges := len(poses.skeleton.edges):
        said.append(f"{style.name} tables hold no skeleton: {edges} edges")
    video = poses.videos[used[0]]
    if not video.images and video.path:
        said.append(f"{style.name} tables do not name their recording: {video.path}")
    return said


def table_from_poses(poses: Poses, video: int, style: TableStyle) -> Table:
    """Lay the labels of one video out as a table."""
    rows = np.flatnonzero(poses.video == video)
    keys, inverse = np.unique(poses.frame[rows], return_inverse=True)
    row_of = dict(zip(rows.tolist(), inverse.tolist(), strict=True))
    who = _individuals(poses, style)
    names = list(dict.fromkeys(n for n in who.values())) or [""]
    if style.multi:
        order = {name: i for i, name in enumerate([*_track_names(poses), *names])}
        names.sort(key=lambda name: order.get(name, len(order)))
    parts = {name: _parts(poses, who, name) for name in names}
    coords = ("x", "y", "likelihood") if style.likelihood else ("x", "y")
    columns = [(n, poses.skeleton.keypoints[k], c) for n in names for k in parts[n] for c in coords]
    first = {}
    position = 0
    for name in names:
        first[name] = position
        position += len(parts[name]) * len(coords)
    values = np.full((len(keys), len(columns)), np.nan)
    for (row, slot), name in who.items():
        if row in row_of:
            data = poses.xy[row, slot][parts[name]]
            if style.likelihood:
                score = poses.score[row, slot][parts[name]]
                data = np.column_stack([data, score])
            at = first[name]
            values[row_of[row], at : at + data.size] = data.ravel()
    images = poses.videos[video].images
    index: list[Any] = keys.tolist()
    if images:
        if len(keys) and keys[-1] >= len(images):
            raise LabelsError(f"frame {keys[-1]} has no name in a list of {len(images)} images")
        index = [images[i] for i in keys]
    return Table(SCORER, columns, index, values)


def _individuals(poses: Poses, style: TableStyle) -> dict[tuple[int, int], str]:
    """Individual of each (row, slot): its track, or the first one that is free in the frame."""
    places = zip(*(a.tolist() for a in np.nonzero(poses.present)), strict=True)
    if not style.multi:
        return dict.fromkeys(places, "")
    tracks = _track_names(poses)
    who: dict[tuple[int, int], str] = {}
    for row in range(len(poses)):
        slots = np.flatnonzero(poses.present[row]).tolist()
        taken = set()
        for slot in slots:
            if poses.track[row, slot] >= 0:
                name = tracks[poses.track[row, slot]]
                if name in taken:
                    raise LabelsError(
                        f"frame {poses.frame[row]} has two animals on the track {name}; "
                        "a DeepLabCut table has one column for both. Track them again."
                    )
                who[row, slot] = name
                taken.add(name)
        free = (name for name in _endless(tracks) if name not in taken)
        for slot in slots:
            if poses.track[row, slot] < 0:
                who[row, slot] = next(free)
    return who


def _endless(tracks: list[str]) -> Any:
    yield from (name for name in tracks if name != UNIQUE)
    number = 0
    while True:
        number += 1
        if f"individual{number}" not in tracks:
            yield f"individual{number}"


def _track_names(poses: Poses) -> list[str]:
    """Names of all tracks, different and not empty."""
    names: list[str] = []
    for i in range(max(len(poses.track_names), int(poses.track.max(initial=-1)) + 1)):
        name = poses.track_names[i] if i < len(poses.track_names) else ""
        name = name or f"track_{i}"
        names.append(name if name not in names else f"{name}_{i}")
    return names


def _parts(poses: Poses, who: dict[tuple[int, int], str], name: str) -> list[int]:
    """Keypoints that an individual has columns for: unique ones belong to nobody else."""
    if UNIQUE not in who.values():
        return list(range(len(poses.skeleton)))
    here = np.zeros((2, len(poses.skeleton)), bool)
    for (row, slot), other in who.items():
        here[int(other == UNIQUE)] |= poses.visible[row, slot] > 0
    if (here[0] & here[1]).any():
        return list(range(len(poses.skeleton)))
    return np.flatnonzero(here[1] if name == UNIQUE else ~here[1]).tolist()


def lost_in_table(poses: Poses, style: TableStyle) -> list[str]:
    """Say what a table of this style cannot hold of these poses."""
    flat = poses.instances()
    title = style.name
    said = lost.occluded(title, flat)
    empty = int((~poses.present.any(1)).sum())
    if empty and not style.likelihood:
        said.append(
            f"{title} cannot say that an image holds no animal: {empty} images without animals "
            "count as not labelled"
        )
    loose = int((flat["track"] < 0).sum())
    if not style.multi and loose < len(flat["track"]):
        said.append(f"{title} files of one animal hold no tracks")
    if style.multi and loose:
        said.append(f"{title} gives every animal a name: {loose} animals without a track got one")
    if not symmetry_is_guessed(poses.skeleton):
        said.append(f"{title} holds no pairs of left and right keypoints")
    human = int((flat["source"] == Source.HUMAN).sum())
    moved = int((flat["source"] == Source.PROPAGATED).sum())
    if style.likelihood:
        said += lost.animal_scores(title, flat)
        if human or moved:
            said.append(
                f"{title} tables with likelihoods are predictions: {human} human and {moved} "
                "propagated animals were written as such"
            )
    elif human < len(flat["source"]):
        said.append(
            f"{title} labels are human: {len(flat['source']) - human} predicted or propagated "
            "animals were written as such, without scores"
        )
    return said if style.likelihood else said + lost.human_scores(title, flat)
