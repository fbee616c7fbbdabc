"""YOLO pose data sets: a folder with ``data.yaml``, pictures, and a text file for each picture.

All numbers are shares of the width or height of the picture, so the sizes must be known.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from PIL import Image

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io import lost
from napari_semimultipose.io.coco import FLAGS, visibility_from_flags
from napari_semimultipose.io.places import name_parts, recording_names
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_SPLITS = ("train", "val", "test")


def is_yolo(path: Path) -> bool:
    """Whether a folder or YAML file is a YOLO pose data set."""
    return _load(path) is not None


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read a YOLO pose data set: all pictures of all its splits, as one list of images.

    An empty text file is a picture without animals, a missing one a picture that nobody has
    labelled. Lines with a confidence at the end are predictions, and the third number of their
    keypoints is a confidence too; a further number is a track. Several classes are read as one
    kind of animal.

    Parameters
    ----------
    path : path
        The folder or its ``data.yaml``.
    frames_root : path, optional
        Folder of the data set, if the pictures are not where the labels are.

    Raises
    ------
    LabelsError
        When the configuration or a line is wrong, or the size of a picture is not known.
    """
    config = _load(path)
    if config is None:
        raise LabelsError(f"{path} is no YOLO pose data set: its data.yaml has no kpt_shape")
    folder = path if path.is_dir() else path.parent
    base = folder / str(config.get("path", "."))
    base = base if base.is_dir() else folder  # the stored path may be of another machine
    root = frames_root or base
    skeleton, dims = _skeleton(config)
    sizes: dict[str, Any] = config.get("picture_sizes") or {}
    names = list(dict.fromkeys([*_pictures(config, root), *sizes]))
    splits = {split: config[split] for split in _SPLITS if config.get(split)}
    if splits and not names:
        raise LabelsError(
            f"no picture was found in {root} where {path} says they are "
            f"({', '.join(f'{split}: {place}' for split, place in splits.items())}): correct these paths, or name the "
            "folder of the pictures"
        )
    flat: dict[str, list[Any]] = {
        key: [] for key in ("frame", "xy", "third", "score", "track", "source")
    }
    looked_at = []
    known = set()
    for frame, name in enumerate(names):
        text = _labels_file(base, name)
        if not text.is_file():
            continue
        looked_at.append((0, frame))
        lines = [line.split() for line in text.read_text(encoding="utf-8-sig").splitlines()]
        lines = [line for line in lines if line and not line[0].startswith("#")]
        size = _size(sizes, root, name) if lines else None
        known.add(size)
        for line in lines:
            _parse(line, len(skeleton), dims, size, text, flat)
            flat["frame"].append(frame)
    k = len(skeleton)
    xy, third = np.array(flat["xy"]).reshape(-1, k, 2), np.array(flat["third"]).reshape(-1, k)
    source = np.array(flat["source"], np.int8)
    predicted = source == Source.PREDICTED
    flags = np.where(predicted[:, None], 0, third)
    visible = visibility_from_flags(flags, three=config.get("keypoint_flags") == FLAGS)
    visible[predicted] = np.where(third[predicted] > 0, Visibility.VISIBLE, Visibility.ABSENT)
    shape = known.pop() if len(known) == 1 and len(looked_at) == len(names) else None
    return Poses.from_instances(
        skeleton,
        flat["frame"],
        xy,
        score=np.where(predicted[:, None], third, 1.0),
        instance_score=flat["score"],
        track=flat["track"],
        visible=visible,
        source=source,
        videos=[Video(str(root), tuple(names), shape)],
        empty_frames=looked_at,
    )


def _load(path: Path) -> dict[str, Any] | None:
    place = path / "data.yaml" if path.is_dir() else path
    try:
        content = yaml.safe_load(place.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) and "kpt_shape" in content else None


def _skeleton(config: dict[str, Any]) -> tuple[Skeleton, int]:
    """Skeleton, and whether a keypoint has two or three numbers."""
    shape = config["kpt_shape"]
    if not (isinstance(shape, list) and len(shape) == 2 and shape[0] > 0 and shape[1] in (2, 3)):
        raise LabelsError(f"kpt_shape is {shape}; it must be [number of keypoints, 2 or 3]")
    k = int(shape[0])
    per_class = config.get("kpt_names") or {}
    names = config.get("node_names") or next(iter(per_class.values()), None)
    names = [str(n) for n in names or (f"point_{i}" for i in range(k))]
    if len(names) != k:
        raise LabelsError(f"data.yaml has {len(names)} keypoint names, but kpt_shape says {k}")
    flip = config.get("flip_idx") or []
    pairs = [(i, int(j)) for i, j in enumerate(flip) if i < int(j)]
    edges = [(int(e[0]), int(e[1])) for e in config.get("skeleton") or ()]
    kinds = config.get("names") or {}
    kinds = kinds.values() if isinstance(kinds, dict) else kinds
    name = "+".join(str(kind) for kind in kinds) or "animal"
    skeleton = Skeleton(tuple(names), tuple(edges), tuple(pairs), name)
    return skeleton if flip else skeleton.with_guessed_symmetry(), int(shape[1])


def _pictures(config: dict[str, Any], root: Path) -> Iterable[str]:
    """Names of the pictures of all splits, from the folder of the data set."""
    for split in _SPLITS:
        places = config.get(split) or []
        for place in [places] if isinstance(places, str) else places:
            here = root / str(place)
            if not here.exists() and str(place).startswith("../"):  # as Roboflow writes it
                here = root / str(place).removeprefix("../")
            if here.is_file():  # a list of pictures
                lines = (line.strip() for line in here.read_text(encoding="utf-8").splitlines())
                yield from (line.removeprefix("./") for line in lines if line)
            elif here.is_dir():
                found = (p for p in sorted(here.rglob("*")) if p.suffix.lower() in _PICTURES)
                yield from (p.relative_to(root).as_posix() for p in found)


def _labels_file(base: Path, name: str) -> Path:
    """Text file of a picture: the last folder ``images`` of its name becomes ``labels``."""
    parts = list(PurePosixPath(name).parts)
    for i in reversed(range(len(parts) - 1)):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return base.joinpath(*parts).with_suffix(".txt")


def _size(sizes: dict[str, Any], root: Path, name: str) -> tuple[int, int]:
    """Height and width of a picture."""
    if name in sizes:
        return int(sizes[name][0]), int(sizes[name][1])
    try:
        with Image.open(root / name) as picture:
            return int(picture.height), int(picture.width)
    except OSError as error:
        raise LabelsError(
            f"the picture {root / name} cannot be opened, but YOLO labels are shares of its size: "
            f"put it there, or name its folder ({error})"
        ) from error


def _parse(
    line: list[str],
    k: int,
    dims: int,
    size: tuple[int, int] | None,
    path: Path,
    flat: dict[str, list[Any]],
) -> None:
    """Take one line apart: class, box, keypoints, and a confidence and a track in predictions."""
    length = 5 + k * dims
    try:
        values = np.array([float(v) for v in line])
    except ValueError:
        values = np.zeros(0)
    if not length <= len(values) <= length + 2 or size is None:
        raise LabelsError(
            f"a line of {path} has {len(line)} numbers; {length} were expected (class, box of 4, "
            f"{k} keypoints of {dims}), and a confidence and a track for predictions"
        )
    points = values[5:length].reshape(k, dims)
    predicted = len(values) > length
    xy = points[:, :2] * (size[1], size[0])
    missing = (points[:, :2] == 0).all(1)
    third = points[:, 2] if dims == 3 else np.where(missing, 0, 1 if predicted else 2)
    flat["xy"].append(xy)
    flat["third"].append(third)
    flat["score"].append(values[length] if predicted else 1.0)
    flat["track"].append(int(values[length + 1]) if len(values) == length + 2 else -1)
    flat["source"].append(Source.PREDICTED if predicted else Source.HUMAN)


# ---------------------------------------------------------------------------------------- writing


def write(poses: Poses, path: Path) -> list[str]:
    """Write a YOLO pose data set into an empty folder: ``data.yaml`` and the labels.

    Names of pictures that have no folder ``images`` are put below one, as YOLO wants it. All
    pictures are in the split *train* and in *val*: divide them as you need. The pictures
    themselves are not written. Instances that are not a human's get confidences.

    Returns
    -------
    list of str
        What the format could not hold.

    Raises
    ------
    LabelsError
        When the size of a picture is not known.
    """
    skeleton = poses.skeleton
    names, changed = _names(poses)
    sizes = {name: _known_size(poses, row) for row, name in enumerate(names)}
    lines: dict[str, list[str]] = {name: [] for name in names}
    owner: dict[Path, str] = {}
    for name in names:
        if owner.setdefault(_labels_file(path, name), name) != name:
            raise LabelsError(
                f"the pictures {owner[_labels_file(path, name)]} and {name} would have one labels file in a YOLO "
                "folder: give them different names, or write another format"
            )
    flat = poses.instances()
    for i, row in enumerate(flat["row"].tolist()):
        lines[names[row]].append(_line(flat, i, sizes[names[row]]))
    for name, text in lines.items():
        file = _labels_file(path, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(line + "\n" for line in text), encoding="utf-8")
    folders = sorted({str(PurePosixPath(name).parent) for name in names})
    config = {
        "path": ".",
        "train": folders,
        "val": folders,
        "names": {0: skeleton.name},
        "kpt_shape": [len(skeleton), 3],
        "flip_idx": skeleton.mirror_index.tolist(),
        "node_names": list(skeleton.keypoints),
        "kpt_names": {0: list(skeleton.keypoints)},
        "skeleton": [list(edge) for edge in skeleton.edges],
        "keypoint_flags": FLAGS,
        "picture_sizes": {name: list(size) for name, size in sizes.items()},
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None)
    (path / "data.yaml").write_text(text, encoding="utf-8")
    return _lost(poses, flat, changed)


def _names(poses: Poses) -> tuple[list[str], int]:
    """Names [F] of the pictures below the folder, and how many had to be changed."""
    names: list[str] = []
    owner: dict[str, tuple[int, int]] = {}
    changed = set()
    stems = recording_names(["" if v.images else v.path for v in poses.videos])
    for row, key in enumerate(zip(poses.video.tolist(), poses.frame.tolist(), strict=True)):
        old = poses.image_name(row)
        parts = [p for p in name_parts(old or f"{stems[key[0]]}/{key[1]:08d}.png") if p != ".."]
        new = "/".join(parts if "images" in parts[:-1] else ["images", *parts])
        if owner.setdefault(new, key) != key:
            raise LabelsError(
                f"two pictures would have the name {new} in a YOLO folder: give them different "
                "names, or write another format"
            )
        if new != old:
            changed.add(new)
        names.append(new)
    return names, len(changed)


def _known_size(poses: Poses, row: int) -> tuple[int, int]:
    video = poses.videos[poses.video[row]]
    name = poses.image_name(row)
    if video.shape is not None:
        return video.shape[0], video.shape[1]
    try:
        if name is not None:
            with Image.open(Path(video.path, name)) as picture:
                return int(picture.height), int(picture.width)
    except OSError:
        pass
    raise LabelsError(
        f"YOLO labels are shares of the size of the picture, and that of "
        f"{name or video.path or 'the recording'} is not known: give the folder of the frames, or "
        "write another format"
    )


def _line(flat: dict[str, Any], i: int, size: tuple[int, int]) -> str:
    scale = np.array([size[1], size[0]], float)
    visible = flat["visible"][i]
    points = np.nan_to_num(flat["xy"][i]) / scale
    low, high = points[visible > 0].min(0), points[visible > 0].max(0)
    predicted = flat["source"][i] != Source.HUMAN
    third = np.where(visible > 0, flat["score"][i], 0) if predicted else visible
    values = [*(low + high) / 2, *(high - low), *np.column_stack([points, third]).ravel()]
    if predicted:
        values.append(flat["instance_score"][i])
        if flat["track"][i] >= 0:
            values.append(flat["track"][i])
    return "0 " + " ".join(f"{v:.10g}" for v in values)


def _lost(poses: Poses, flat: dict[str, Any], changed: int) -> list[str]:
    said = ["the pictures themselves were not written: copy them to the folders images"]
    if changed:
        said.append(f"YOLO wants pictures in a folder images: {changed} names were changed")
    human = flat["source"] == Source.HUMAN
    others = lost.choose(flat, ~human)
    tracked = int((human & (flat["track"] >= 0)).sum())
    if tracked:
        said.append(f"YOLO holds no tracks of human labels: {tracked} animals")
    if poses.track_names and (others["track"] >= 0).any():
        said.append("YOLO numbers the tracks: their names were not written")
    zero = int(((others["visible"] > 0) & (others["score"] == 0)).sum())
    if zero:
        said.append(f"{zero} predicted keypoints with the score 0 count as absent")
    said += lost.occluded("a YOLO prediction", others)
    return said + lost.propagated("YOLO", flat) + lost.human_scores("YOLO", flat)
