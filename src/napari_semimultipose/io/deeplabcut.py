"""DeepLabCut labels and predictions (CSV, HDF5) and Lightning Pose CSV files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io import lost
from napari_semimultipose.io.deeplabcut_config import config_above
from napari_semimultipose.io.places import name_parts
from napari_semimultipose.io.skeletons import symmetry_is_guessed
from napari_semimultipose.io.tables import VARIANCES, Table, read_table, write_table
from napari_semimultipose.io.tracks import all_track_names, give_columns
from napari_semimultipose.poses import IntArray, Poses, Skeleton, Source, Video, Visibility

SCORER = "napari"
_COLLECTED = re.compile(r"CollectedData_(?P<scorer>.+)\.(csv|h5)")
# Coordinates that are read, in the order of the arrays here.
_READ = ("x", "y", "likelihood", "visible", *(name for pair in VARIANCES for name in pair))
UNIQUE = "single"  # DeepLabCut's name for the body parts that exist once, not once an animal


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read a DeepLabCut or Lightning Pose table.

    Tables with likelihoods are predictions: the likelihood is the score of a keypoint and their
    mean that of the instance; variances, as ensembles and smoothers write them, become its spread. In
    tables of labels a row without any position is an image that nobody has labelled yet: it is in the list
    of images, and no row of the result. A column ``visible`` (Lightning Pose) holds COCO's numbers.

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
    return poses_from_tables([(table, video_of_table(table, path, frames_root))], config)


def video_of_table(table: Table, path: Path, frames_root: Path | None) -> Video:
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
            data = np.full((len(frames), len(skeleton), len(_READ)), np.nan)
            for i, (who, part, coord) in enumerate(table.columns):
                if who == individual and coord in _READ:
                    data[:, place[part], _READ.index(coord)] = table.values[:, i]
            track = tracks.setdefault(individual, len(tracks)) if individual else -1
            here = np.isfinite(data[..., :2]).all(-1)
            visible = np.clip(np.nan_to_num(data[..., 3], nan=Visibility.VISIBLE), 0, 2)
            here &= visible > 0
            rows = here.any(1)
            score = np.nan_to_num(data[..., 2]) if predicted else np.ones(here.shape)
            count = np.maximum(here.sum(1), 1)
            parts.append(
                {
                    "frame": frames[rows],
                    "video": np.full(rows.sum(), v),
                    "xy": data[rows, :, :2],
                    "score": score[rows],
                    "visible": np.where(here, visible, Visibility.ABSENT)[rows].astype(np.int8),
                    "instance_score": ((score * here).sum(1) / count)[rows],
                    "track": np.full(rows.sum(), track),
                    "source": np.full(rows.sum(), Source.PREDICTED if predicted else Source.HUMAN),
                    "spread": _spread(data[rows]),
                }
            )
        if predicted:
            seen |= {(v, int(f)) for f in frames}
    flat = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    if not any(coord in _READ[4:] for table, _ in tables for _, _, coord in table.columns):
        del flat["spread"]
    return Poses.from_instances(
        skeleton,
        **flat,
        videos=[video for _, video in tables],
        track_names=list(tracks),
        empty_frames=seen,
    )


def _spread(data: NDArray) -> NDArray:
    """Return standard deviations [M, K, 2] from the first variances of `VARIANCES` that are known."""
    out = np.full((*data.shape[:2], 2), np.nan)
    for pair in VARIANCES[::-1]:
        variance = data[..., [_READ.index(name) for name in pair]]
        out = np.where(np.isfinite(variance), np.sqrt(np.maximum(variance, 0.0)), out)
    return out


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
    spread : bool
        It has the variances of positions.
    visible : bool
        It says which keypoints are occluded.
    """

    name: str
    multi: bool
    likelihood: bool
    spread: bool = False
    visible: bool = False


def write(poses: Poses, path: Path, target: Path | None = None) -> list[str]:
    """Write a DeepLabCut table: ``.csv``, or ``.h5`` by the suffix.

    The scorer is that of the file that is replaced, or of its name (``CollectedData_SCORER.csv``): DeepLabCut leaves
    labels of others out. The images of that file that nobody has labelled stay in its list, and so does its column
    ``visible``, which tables of Lightning Pose have.

    It has individuals when any frame has several animals or any animal a track, and likelihoods
    when any instance is not a human's; then also, where they are known, the variances of positions in px^2
    (``x_var``, ``y_var``). Frames of a recording are rows by number.

    Parameters
    ----------
    poses : Poses
    path : path
    target : path, optional
        The file that is replaced.

    Returns
    -------
    list of str
        What the format could not hold.

    Raises
    ------
    LabelsError
        For labels of several videos.
    """
    style = _style("DeepLabCut", poses, has_individuals(poses))
    if target is not None and not style.likelihood and _tells_visibility(target):
        style = replace(style, visible=True)
    return _write_one(poses, path, style, target)


def write_lightning_pose(poses: Poses, path: Path, target: Path | None = None) -> list[str]:
    """Write a Lightning Pose CSV file: one animal a frame, otherwise as `write`."""
    if (poses.present.sum(1) > 1).any():
        raise LabelsError(
            "Lightning Pose files hold one animal a frame, and these labels have "
            f"{poses.present.sum(1).max()} on one: write DeepLabCut or SLEAP"
        )
    style = _style("Lightning Pose", poses, False)
    occluded = bool((poses.visible == Visibility.OCCLUDED).any())
    style = replace(style, visible=occluded and not style.likelihood)
    return _write_one(poses, path, style, target)


def _style(name: str, poses: Poses, multi: bool) -> TableStyle:
    predicted = _is_predicted(poses)
    return TableStyle(name, multi, predicted, predicted and poses.spread is not None)


def has_individuals(poses: Poses) -> bool:
    """Whether a table of these poses needs individuals: several animals on a frame, or tracks.

    One track that nobody has named says nothing: it comes from following one animal.
    """
    if (poses.present.sum(1) > 1).any():
        return True
    used = np.unique(poses.track[poses.track >= 0]).tolist()
    names = all_track_names(poses)
    return len(used) > 1 or any(names[track] != f"track_{track}" for track in used)


def _is_predicted(poses: Poses) -> bool:
    return bool((poses.source[poses.present] != Source.HUMAN).any())


def _write_one(
    poses: Poses, path: Path, style: TableStyle, target: Path | None = None
) -> list[str]:
    used = sorted(set(poses.video.tolist())) or [0]
    if len(used) > 1:
        names = ", ".join(poses.videos[v].name or f"video {v}" for v in used)
        raise LabelsError(
            f"a {style.name} table holds one video, and these labels belong to {len(used)} "
            f"({names}): write a DeepLabCut project folder or a SLEAP file"
        )
    table = table_from_poses(poses, used[0], style)
    write_table(_as_before(table, path.name, target), path)
    said = lost_in_table(poses, style)
    if edges := len(poses.skeleton.edges):
        said.append(f"{style.name} tables hold no skeleton: {edges} edges")
    video = poses.videos[used[0]]
    if not video.images and video.path:
        said.append(f"{style.name} tables do not name their recording: {video.path}")
    return said


def _tells_visibility(file: Path) -> bool:
    try:
        return any(coord == "visible" for _, _, coord in read_table(file).columns)
    except LabelsError:
        return False


def _as_before(table: Table, name: str, target: Path | None) -> Table:
    """Give a table the scorer of the one that it replaces, and the images of that without any position."""
    named = _COLLECTED.fullmatch(name)
    table = replace(table, scorer=named["scorer"]) if named else table
    try:
        before = None if target is None else read_table(target)
    except LabelsError:
        before = None  # a file of something else, which the user chose to replace
    if before is None:
        return table
    table = replace(table, scorer=before.scorer or table.scorer)
    of_labels = all("likelihood" not in {c for _, _, c in t.columns} for t in (before, table))
    if not (of_labels and before.named and (table.named or not table.index)):
        return table
    empty = np.atleast_1d(np.isnan(before.values).all(1)).tolist()
    known = {name_parts(str(image)) for image in table.index}
    more = [
        i for i, e in zip(before.index, empty, strict=True) if e and name_parts(str(i)) not in known
    ]
    order = {name_parts(str(image)): place for place, image in enumerate(before.index)}
    index = [str(image) for image in [*table.index, *more]]
    nothing = [Visibility.ABSENT if c == "visible" else np.nan for _, _, c in table.columns]
    values = np.concatenate([table.values, np.tile(nothing, (len(more), 1))])
    at = sorted(range(len(index)), key=lambda i: (order.get(name_parts(index[i]), len(order)), i))
    return replace(table, index=[index[i] for i in at], values=values[at])


def table_from_poses(poses: Poses, video: int, style: TableStyle) -> Table:
    """Lay the labels of one video out as a table."""
    flat = poses.instances()
    names, who = individuals(poses, flat, style)
    parts = _parts(flat, names, who)
    coords = ("x", "y", "likelihood") if style.likelihood else ("x", "y")
    data = flat["xy"]
    if style.likelihood:
        data = np.concatenate([data, flat["score"][..., None]], -1)
        data[flat["visible"] == 0] = np.nan
    if style.visible:
        coords = (*coords, "visible")
        data = np.concatenate([data, flat["visible"][..., None]], -1)
    if style.spread and "spread" in flat:
        coords = (*coords, "x_var", "y_var")
        data = np.concatenate([data, flat["spread"] ** 2], -1)
    frames = np.unique(poses.frame[poses.video == video])
    blocks, columns = [], []
    for i in np.unique(who).tolist() or [0]:
        mine = np.flatnonzero((who == i) & (flat["video"] == video))
        block = np.full((len(frames), len(parts[i]), len(coords)), np.nan)
        block[np.searchsorted(frames, flat["frame"][mine])] = data[mine][:, parts[i]]
        if style.visible:
            block[..., 2] = np.nan_to_num(block[..., 2], nan=Visibility.ABSENT)
        blocks.append(block.reshape(len(frames), len(parts[i]) * len(coords)))
        columns += [(names[i], poses.skeleton.keypoints[k], c) for k in parts[i] for c in coords]
    images = poses.videos[video].images
    index: list[Any] = frames.tolist()
    if images:
        if len(frames) and frames[-1] >= len(images):
            raise LabelsError(f"frame {frames[-1]} has no name in a list of {len(images)} images")
        index = [images[i] for i in frames]
    return Table(SCORER, columns, index, np.concatenate(blocks, 1))


def write_smoothed(smoothed: Poses, observed: Poses, path: Path) -> list[str]:
    """Write a table of smoothed positions as the ensemble Kalman smoother does (Biderman et al. 2024).

    Parameters
    ----------
    smoothed : Poses
        Its spread is the standard deviation that is left.
    observed : Poses
        What was smoothed, of the same animals: median and spread of an ensemble.
    path : path
        A ``.csv`` or ``.h5`` file.

    Returns
    -------
    list of str
        What the format could not hold.
    """
    style = TableStyle("DeepLabCut", has_individuals(smoothed), True, True)
    used = sorted(set(smoothed.video.tolist())) or [0]
    if len(used) > 1:
        raise LabelsError(f"a table holds one video, and these poses belong to {len(used)}")
    table = table_from_poses(smoothed, used[0], style)
    before = table_from_poses(observed, used[0], style)
    column = {key: i for i, key in enumerate(before.columns)}
    row = {frame: i for i, frame in enumerate(before.index)}
    at = np.array([row.get(frame, -1) for frame in table.index], np.int64)
    nothing = np.full(len(table.index), np.nan)

    def former(who: str, part: str, coord: str) -> NDArray:
        index = column.get((who, part, coord))
        if index is None or not len(before.index):
            return nothing
        return np.where(at >= 0, before.values[at, index], np.nan)

    columns: list[tuple[str, str, str]] = []
    values: list[NDArray] = []
    for i, (who, part, coord) in enumerate(table.columns):
        if coord in ("x", "y", "likelihood"):
            columns.append((who, part, coord))
            values.append(table.values[:, i])
        elif coord == "x_var":
            for name, source in _FORMER:
                columns.append((who, part, name))
                values.append(former(who, part, source))
            columns.append((who, part, "x_posterior_var"))
            values.append(table.values[:, i])
        else:
            columns.append((who, part, "y_posterior_var"))
            values.append(table.values[:, i])
    data = np.stack(values, 1) if values else np.zeros((len(table.index), 0))
    write_table(Table("ensemble-kalman_tracker", columns, table.index, data), path)
    return lost_in_table(smoothed, style)


_FORMER = (
    ("x_ens_median", "x"),
    ("y_ens_median", "y"),
    ("x_ens_var", "x_var"),
    ("y_ens_var", "y_var"),
)


def individuals(
    poses: Poses, flat: Mapping[str, NDArray], style: TableStyle
) -> tuple[list[str], IntArray]:
    """Names of individuals, and for each instance [M] its own: its track, or a free one."""
    if not style.multi:
        return [""], np.zeros(len(flat["track"]), np.int64)
    tracks = all_track_names(poses)
    reuse = [i for i, name in enumerate(tracks) if name != UNIQUE]
    who = give_columns(f"a {style.name} table", flat, tracks, reuse)
    more = max(int(who.max(initial=-1)) + 1 - len(tracks), 0)
    fresh = (name for i in count(1) if (name := f"individual{i}") not in tracks)
    return tracks + list(islice(fresh, more)), who


def _parts(flat: Mapping[str, NDArray], names: list[str], who: IntArray) -> list[list[int]]:
    """Keypoints of the columns of each individual: unique ones belong to nobody else."""
    k = flat["visible"].shape[1]
    every = [list(range(k))] * max(len(names), 1)
    if UNIQUE not in names:
        return every
    single = names.index(UNIQUE)
    unique = (flat["visible"][who == single] > 0).any(0)
    if not unique.any() or (flat["visible"][who != single] > 0).any(0)[unique].any():
        return every
    common = np.flatnonzero(~unique).tolist()
    return [np.flatnonzero(unique).tolist() if i == single else common for i in range(len(names))]


def lost_in_table(poses: Poses, style: TableStyle) -> list[str]:
    """Say what a table of this style cannot hold of these poses."""
    flat = poses.instances()
    title = style.name
    said = [] if style.visible else lost.occluded(title, flat)
    empty = int((~poses.present.any(1)).sum())
    if empty and not style.likelihood:
        said.append(
            f"{title} cannot say that an image holds no animal: {empty} images without animals "
            "count as not labelled"
        )
    loose = int((flat["track"] < 0).sum())
    if not style.multi and loose < len(flat["track"]) and has_individuals(poses):
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
