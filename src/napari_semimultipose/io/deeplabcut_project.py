"""DeepLabCut projects: a folder with ``config.yaml`` and ``labeled-data/*/CollectedData_*``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.deeplabcut import (
    SCORER,
    UNIQUE,
    TableStyle,
    has_individuals,
    lost_in_table,
    poses_from_tables,
    table_from_poses,
)
from napari_semimultipose.io.deeplabcut_config import config_in, load_config
from napari_semimultipose.io.places import name_parts, recording_names
from napari_semimultipose.io.tables import read_table, write_table
from napari_semimultipose.poses import Poses, Video


def is_project(path: Path) -> bool:
    """Whether a folder or YAML file is a DeepLabCut project."""
    if path.is_dir():
        return (path / "labeled-data").is_dir() and config_in(path) is not None
    return path.suffix.lower() in (".yaml", ".yml") and load_config(path) is not None


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read a DeepLabCut project; every folder of ``labeled-data`` is a video of its own.

    See `deeplabcut.read` for what the tables mean.

    Parameters
    ----------
    path : path
        The folder, or its ``config.yaml``.
    frames_root : path, optional
        Folder that the names of the images start from; the project by default.

    Raises
    ------
    LabelsError
        When the configuration or the labels are missing, or a table is damaged.
    """
    folder = path if path.is_dir() else path.parent
    config = load_config(path) if path.is_file() else config_in(folder)
    if config is None:
        raise LabelsError(f"{path} is no DeepLabCut project: its config.yaml is missing or no YAML")
    tables = []
    for place in sorted(p for p in (folder / "labeled-data").glob("*") if p.is_dir()):
        found = _labels_in(place, str(config.get("scorer", "")))
        if found is not None:
            table = read_table(found)
            video = Video(str(frames_root or folder), tuple(str(name) for name in table.index))
            tables.append((table, video))
    if not tables:
        raise LabelsError(
            f"{folder} has no labels: there is no labeled-data/*/CollectedData_*.csv or .h5 in it"
        )
    return poses_from_tables(tables, config)


def _labels_in(folder: Path, scorer: str) -> Path | None:
    """Labels of one video. The HDF5 file is the one that DeepLabCut itself trains from."""
    named = [folder / f"CollectedData_{scorer}{suffix}" for suffix in (".h5", ".csv")]
    others = sorted(folder.glob("CollectedData*.h5")) + sorted(folder.glob("CollectedData*.csv"))
    return next((p for p in [*named, *others] if p.is_file()), None)


def write(poses: Poses, path: Path) -> list[str]:
    """Write a DeepLabCut project folder: ``config.yaml`` and the labels, as CSV and HDF5.

    DeepLabCut wants images under the names ``labeled-data/FOLDER/FILE``: names of another form
    are changed to it. The images themselves are not written.

    Returns
    -------
    list of str
        What the format could not hold.
    """
    style = TableStyle("DeepLabCut", has_individuals(poses), False)
    lost = lost_in_table(poses, style)
    poses, renamed = _as_labeled_data(poses)
    lost += renamed
    (path / "labeled-data").mkdir()
    unique: set[str] = set()
    individuals: dict[str, None] = {}
    for v, video in enumerate(poses.videos):
        if not (poses.video == v).any():
            continue
        table = table_from_poses(poses, v, style)
        individuals |= dict.fromkeys(c[0] for c in table.columns if c[0] not in ("", UNIQUE))
        unique |= {part for who, part, _ in table.columns if who == UNIQUE}
        folder = path / "labeled-data" / video.images[0].split("/")[1]
        folder.mkdir(parents=True)
        for suffix in (".csv", ".h5"):
            write_table(table, folder / f"CollectedData_{SCORER}{suffix}")
    names = list(poses.skeleton.keypoints)
    common = [n for n in names if n not in unique]
    config = {
        "Task": poses.skeleton.name,
        "scorer": SCORER,
        "multianimalproject": style.multi,
        "identity": False,
        "video_sets": {},
        "bodyparts": "MULTI!" if style.multi else names,
        "skeleton": [[names[a], names[b]] for a, b in poses.skeleton.edges],
    }
    if style.multi:
        config |= {
            "individuals": list(individuals),
            "multianimalbodyparts": common,
            "uniquebodyparts": [n for n in names if n in unique],
        }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (path / "config.yaml").write_text(text, encoding="utf-8")
    return lost


def _as_labeled_data(poses: Poses) -> tuple[Poses, list[str]]:
    """Give every image a name ``labeled-data/FOLDER/FILE``, and each folder a video of its own."""
    digits = max(4, len(str(int(poses.frame.max(initial=0)))))
    folders: dict[str, dict[str, int]] = {}
    video, frame = np.zeros(len(poses), np.int64), np.zeros(len(poses), np.int64)
    owner: dict[str, tuple[int, int]] = {}
    changed = set()
    stems = recording_names(["" if v.images else v.path for v in poses.videos])
    for row, key in enumerate(zip(poses.video.tolist(), poses.frame.tolist(), strict=True)):
        clip = poses.videos[key[0]]
        old = poses.image_name(row)
        if old is None:
            new = f"labeled-data/{stems[key[0]]}/img{key[1]:0{digits}d}.png"
        else:
            *above, file = [p for p in name_parts(old) if p != ".."]
            above = above[1:] if above[:1] == ["labeled-data"] else above
            new = f"labeled-data/{'_'.join(above) or clip.name or 'images'}/{file}"
        if new != old:
            changed.add(new)
        if owner.setdefault(new, key) != key:
            raise LabelsError(f"several images would have the name {new} in a DeepLabCut project")
        folder = new.split("/")[1]
        images = folders.setdefault(folder, {})
        video[row] = list(folders).index(folder)
        frame[row] = images.setdefault(new, len(images))
    videos = tuple(Video("", tuple(images)) for images in folders.values()) or (Video(),)
    lost = []
    if changed:
        lost.append(
            f"DeepLabCut projects have images labeled-data/FOLDER/FILE: {len(changed)} images or frames "
            f"were given such names ({min(changed)}); the pictures themselves were not written"
        )
    return replace(poses, video=video, frame=frame, videos=videos), lost
