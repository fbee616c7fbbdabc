"""COCO keypoint files (``.json``).

Read and written here rather than through sleap-io, whose reader drops images that it does not
find, the flag *occluded*, scores, and the names of the images as written.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose import __version__
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.skeletons import union_skeleton
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

logger = logging.getLogger(__name__)

FLAGS = "0 absent, 1 occluded, 2 visible"


def read(path: Path, frames_root: Path | None = None, category: str | None = None) -> Poses:
    """Read a COCO keypoint file.

    The images, in the order of the file, are the frames of one list of images, with their names
    as written; images without an animal are kept. A keypoint with the flag 0 is absent, whatever
    its position. The flag 1 is *occluded*, unless no flag of the file is 2: then the file knows
    two flags only and 1 is *visible*. Annotations with a ``score`` are predictions. Images that
    are listed twice under one name are one image, and their equal annotations one animal.

    Several categories are joined by the names of their keypoints (see `union_skeleton`).

    Parameters
    ----------
    path : path
        The ``.json`` file.
    frames_root : path, optional
        Folder that the names of the images start from; the folder of the file by default.
    category : str, optional
        Read the annotations of this category only.

    Raises
    ------
    LabelsError
        When the file is no COCO keypoint file, or an annotation does not fit its category.
    """
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    _check_sections(content, path)
    images, videos = _images(content, path, frames_root)
    skeletons = _skeletons(content, path, category)
    skeleton, places = union_skeleton(list(skeletons.values()))
    where = dict(zip(skeletons, places, strict=True))
    listed = Counter(image["file_name"] for image in content["images"])
    names = {image["id"]: image["file_name"] for image in content["images"]}

    found: dict[str, list[Any]] = defaultdict(list)
    seen: set[tuple] = set()
    track_ids: dict[Any, int] = {}
    track_names = {t["id"]: str(t["name"]) for t in content.get("tracks", ())}
    doubled = 0
    for note in content["annotations"]:
        values = note.get("keypoints")
        if not values or note["category_id"] not in where:
            continue
        if note["image_id"] not in images:
            raise LabelsError(
                f"{path}: annotation {note.get('id')} belongs to image {note['image_id']}, "
                "which is not in the list of images"
            )
        place = where[note["category_id"]]
        if len(values) != 3 * len(place):
            raise LabelsError(
                f"{path}: annotation {note.get('id')} has {len(values)} numbers, its category "
                f"{3 * len(place)} (x, y, flag for {len(place)} keypoints)"
            )
        if listed[names[note["image_id"]]] > 1:
            key = (images[note["image_id"]], note["category_id"], *values)
            if key in seen:
                doubled += 1
                continue
            seen.add(key)
        triples = np.full((len(skeleton), 3), np.nan)
        triples[place] = np.array(values, np.float64).reshape(-1, 3)
        scores = np.ones(len(skeleton))
        if "keypoint_scores" in note:
            scores[place] = note["keypoint_scores"]
        video, frame = images[note["image_id"]]
        found["video"].append(video)
        found["frame"].append(frame)
        found["points"].append(triples)
        found["score"].append(scores)
        found["instance_score"].append(float(note.get("score", 1.0)))
        found["source"].append(_source(note))
        found["track"].append(_track(note, track_ids))
    if doubled:
        logger.warning("%s lists images twice: %d doubled animals were dropped", path, doubled)
    points = np.array(found["points"]).reshape(-1, len(skeleton), 3)
    flags = np.nan_to_num(points[..., 2])
    visible = visibility_from_flags(flags, three=FLAGS in str(content.get("info", "")))
    tracks, track_list = _number_tracks(found["track"], track_ids, track_names)
    return Poses.from_instances(
        skeleton.with_guessed_symmetry(),
        found["frame"],
        points[..., :2],
        video=found["video"],
        score=np.array(found["score"]).reshape(-1, len(skeleton)),
        instance_score=found["instance_score"],
        track=tracks,
        visible=visible,
        source=found["source"],
        videos=videos,
        track_names=track_list,
        empty_frames=images.values(),
    )


def visibility_from_flags(flags: NDArray, *, three: bool) -> NDArray[np.int8]:
    """Visibility of the keypoints of a whole file from the flags written in it.

    Parameters
    ----------
    flags : array
        0, 1 or 2.
    three : bool
        Whether the file says that it knows three flags. Otherwise the flags decide: in files
        without any 2 the flag 1 means *visible*.
    """
    three = three or bool((flags == Visibility.VISIBLE).any())
    visible = np.isin(flags, (2,) if three else (1, 2))
    chosen = np.select([visible, flags == 1], [Visibility.VISIBLE, Visibility.OCCLUDED], 0)
    return chosen.astype(np.int8)


def _check_sections(content: Any, path: Path) -> None:
    if isinstance(content, list):
        raise LabelsError(
            f"{path} is a list of COCO results without the images they belong to. "
            "Add the sections 'images' and 'categories' of the labels they were made for."
        )
    missing = [k for k in ("images", "annotations", "categories") if k not in content]
    if missing:
        raise LabelsError(f"{path} is no COCO file: it has no section {', '.join(missing)}")


def _images(
    content: dict, path: Path, frames_root: Path | None
) -> tuple[dict[Any, tuple[int, int]], list[Video]]:
    """Give each image id its (video, frame); frames of recordings say so in extra fields."""
    folder = str(frames_root or path.parent)
    names: dict[str, int] = {}
    recordings = [str(name) for name in content.get("recordings", ())]
    place: dict[Any, tuple[int, int]] = {}
    sizes: dict[int, set] = defaultdict(set)
    for image in content["images"]:
        if recordings and "recording" in image:
            video = range(len(recordings))[int(image["recording"])]
            place[image["id"]] = video, int(image["frame_index"])
        else:
            video = -1
            place[image["id"]] = video, names.setdefault(image["file_name"], len(names))
        sizes[video].add((image.get("height"), image.get("width")))
    videos = [Video(name, (), _one_size(sizes[i])) for i, name in enumerate(recordings)]
    last = len(videos)
    if names or not videos:
        videos.append(Video(folder, tuple(names), _one_size(sizes[-1])))
    return {key: (last if v < 0 else v, f) for key, (v, f) in place.items()}, videos


def _one_size(sizes: set) -> tuple[int, int] | None:
    """Return the size that all images share, or None."""
    if len(sizes) != 1:
        return None
    height, width = next(iter(sizes))
    return (int(height), int(width)) if height and width else None


def _skeletons(content: dict, path: Path, category: str | None) -> dict[Any, Skeleton]:
    """Skeletons by the id of their category: of those in use, or the first one."""
    kinds = {c["id"]: c for c in content["categories"] if c.get("keypoints")}
    if not kinds:
        raise LabelsError(f"{path} names no keypoints in its categories: it holds no poses")
    used = Counter(a["category_id"] for a in content["annotations"] if a.get("keypoints"))
    if unknown := used.keys() - kinds.keys():
        raise LabelsError(f"{path}: annotations have the unknown category {unknown.pop()}")
    if category is not None:
        chosen = [i for i, kind in kinds.items() if str(kind.get("name")) == category]
        if not chosen:
            have = ", ".join(sorted(str(kind.get("name")) for kind in kinds.values()))
            raise LabelsError(f"{path} has no category {category!r}; it has {have}")
    else:
        chosen = [i for i in kinds if used[i]] or [next(iter(kinds))]
    if len(chosen) > 1:
        counts = ", ".join(f"{kinds[i].get('name')} ({used[i]})" for i in chosen)
        logger.warning("%s: the categories %s are read as one kind of animal", path, counts)
    return {i: _skeleton(kinds[i]) for i in chosen}


def _skeleton(kind: dict) -> Skeleton:
    count = len(kind["keypoints"])

    def pairs(key: str) -> list[tuple[int, int]]:  # 1-based in COCO
        ends = [(int(a) - 1, int(b) - 1) for a, b in kind.get(key) or ()]
        return [(a, b) for a, b in ends if a != b and 0 <= a < count and 0 <= b < count]

    return Skeleton(
        tuple(kind["keypoints"]),
        tuple(pairs("skeleton")),
        tuple(pairs("symmetry")),
        str(kind.get("name") or "animal"),
    )


def _source(note: dict) -> Source:
    if "source" in note:
        return Source[str(note["source"]).upper()]
    return Source.PREDICTED if "score" in note else Source.HUMAN


def _track(note: dict, ids: dict[Any, int]) -> int:
    for value in (
        note.get("track_id"),
        note.get("instance_id"),
        (note.get("attributes") or {}).get("object_id"),
    ):
        if value is not None:
            return ids.setdefault(value, len(ids))
    return -1


def _number_tracks(
    tracks: list[int], ids: dict[Any, int], names: dict[Any, str]
) -> tuple[list[int], list[str]]:
    """Order the tracks as the file lists them, the unlisted ones after them."""
    order = [*names, *(key for key in ids if key not in names)]
    new = {ids[key]: i for i, key in enumerate(order) if key in ids}
    labels = [names.get(key, f"track_{key}") for key in order]
    return [new.get(t, -1) for t in tracks], labels


# ---------------------------------------------------------------------------------------- writing


def write(poses: Poses, path: Path) -> list[str]:
    """Write a COCO keypoint file.

    Beside COCO's own fields it has: ``symmetry`` in the category, a list ``tracks`` of ids and
    names, ``track_id``, ``source`` and ``keypoint_scores`` in the annotations, a list of
    ``recordings``, and ``recording`` and ``frame_index`` for their frames. Other programs ignore
    them. Boxes are those of the keypoints. Only the images that are rows of `poses` are written.

    Returns
    -------
    list of str
        What the format could not hold.
    """
    skeleton = poses.skeleton
    rows: dict[tuple[int, int], int] = {}
    images = []
    file_names = _file_names(poses)
    for row, key in enumerate(zip(poses.video.tolist(), poses.frame.tolist(), strict=True)):
        if key not in rows:
            rows[key] = len(rows) + 1
            images.append({"id": rows[key], "file_name": file_names[row], **_image(poses, row)})
    annotations = []
    flat = poses.instances()
    for i in range(poses.n_instances):
        visible = flat["visible"][i]
        points = np.nan_to_num(flat["xy"][i])
        low, high = points[visible > 0].min(0), points[visible > 0].max(0)
        keypoints = np.column_stack([points, visible]).tolist()
        note = {
            "id": i + 1,
            "image_id": rows[int(flat["video"][i]), int(flat["frame"][i])],
            "category_id": 1,
            "iscrowd": 0,
            "num_keypoints": int((visible > 0).sum()),
            "keypoints": [v for x, y, flag in keypoints for v in (x, y, int(flag))],
            "bbox": [*low.tolist(), *(high - low).tolist()],
            "area": float(np.prod(high - low)),
            "source": Source(int(flat["source"][i])).name.lower(),
        }
        if flat["track"][i] >= 0:
            note["track_id"] = int(flat["track"][i])
        if flat["source"][i] != Source.HUMAN or flat["instance_score"][i] != 1:
            note["score"] = float(flat["instance_score"][i])
        if (flat["score"][i][visible > 0] != 1).any():
            note["keypoint_scores"] = flat["score"][i].tolist()
        annotations.append(note)
    content = {
        "info": {
            "description": f"written by napari-semimultipose {__version__}",
            "keypoint_flags": FLAGS,
        },
        "categories": [
            {
                "id": 1,
                "name": skeleton.name,
                "keypoints": list(skeleton.keypoints),
                "skeleton": [[a + 1, b + 1] for a, b in skeleton.edges],
                "symmetry": [[a + 1, b + 1] for a, b in skeleton.symmetry],
            }
        ],
        "recordings": [v.path for v in _recordings(poses)],
        "tracks": [{"id": i, "name": name} for i, name in enumerate(poses.track_names)],
        "images": images,
        "annotations": annotations,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    clips = {v.name or "the recording" for v in _recordings(poses)}
    if clips and len(poses):
        return [
            f"COCO lists images: the frames of {', '.join(sorted(clips))} were given the names of "
            "images, the images themselves were not written"
        ]
    return []


def _recordings(poses: Poses) -> list[Video]:
    return [v for v in poses.videos if not v.images]


def _file_names(poses: Poses) -> list[str]:
    """Names [F] of the images of all rows, different for different frames."""
    names = []
    for row, (video, frame) in enumerate(zip(poses.video, poses.frame, strict=True)):
        stem = PurePath(poses.videos[video].path.replace("\\", "/")).stem or f"video{video}"
        names.append(poses.image_name(row) or f"{stem}/{frame:08d}.png")
    keys = list(zip(poses.video.tolist(), poses.frame.tolist(), strict=True))
    if len(set(names)) < len(set(keys)):  # two folders with files of one name
        folders = [poses.videos[v].name for v in poses.video]
        names = [f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)]
    if len(set(names)) < len(set(keys)):
        raise LabelsError(
            "COCO tells images by their names, and these labels have several images of one name: "
            "write another format, or give the images different names"
        )
    return names


def _image(poses: Poses, row: int) -> dict[str, Any]:
    """Size of the image of a row, and which frame of which recording it is."""
    video = poses.videos[poses.video[row]]
    entry: dict[str, Any] = {}
    if poses.image_name(row) is None:
        place = [i for i, v in enumerate(poses.videos) if not v.images].index(poses.video[row])
        entry |= {"recording": place, "frame_index": int(poses.frame[row])}
    if video.shape is not None:
        entry |= {"height": video.shape[0], "width": video.shape[1]}
    return entry
