"""Finding the videos and images that labels belong to.

Labels files store paths of the machine on which they were made. What matters is the name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.places import (
    embedded_place,
    full_name,
    match_names,
    name_parts,
    split_embedded,
)
from napari_semimultipose.poses import Poses, Video

FrameSource = str | list[str]
"""What `io.video.open_frames` takes: a path, ``FILE.slp::DATASET``, or the paths of images."""

VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv", ".mts", ".m2ts",
    ".ts", ".flv", ".ogv", ".h264", ".tif", ".tiff", ".zarr",
)  # fmt: skip

_SUBFOLDERS = ("videos", "video", "images", "frames")
_SOME = 5
_DEPTH = 5  # folders; labels that lie in somebody's home must not search all of it


def resolve_videos(
    poses: Poses,
    labels_path: str | os.PathLike[str],
    frames_root: str | os.PathLike[str] | None = None,
    *,
    required: bool = False,
) -> dict[int, FrameSource | None]:
    """Find the frames of each video of `poses`.

    Looked for, in this order: the path as stored (from `frames_root`, the folder of the labels and
    the current folder, if it is relative); the end of the stored path, down to the mere file
    name, in `frames_root`, in the folder of the labels and in their folders ``videos``,
    ``images``, ...; for labels of one video, the video beside the labels whose name begins or
    continues the name of the labels file, and at last the only video there is. Images are also
    looked for anywhere below `frames_root` and the folder of the labels, by the ends of their names.

    Parameters
    ----------
    poses : Poses
        Labels.
    labels_path : path
        The file they were read from.
    frames_root : path, optional
        Where to look first: a folder, or the video itself for labels of one video.
    required : bool
        Raise an error when the frames of any labels are not found.

    Returns
    -------
    dict of int to str, list of str or None
        For each video what `open_frames` takes, or None when it was not found. The list of images
        is as long as `Video.images`; a missing image without labels keeps its stored name.

    Raises
    ------
    LabelsError
        When `frames_root` does not exist, when an image name fits several files, or, if
        `required`, when something was not found; the error says where it was looked for.
    """
    labels = Path(labels_path).absolute()
    folders = [labels if labels.is_dir() else labels.parent]
    if frames_root is not None:
        root = Path(frames_root)
        if not root.exists():
            raise LabelsError(f"the folder of the frames, {root}, does not exist")
        if root.is_file():
            if len(poses.videos) > 1 or poses.videos[0].images:
                raise LabelsError(
                    f"{root} is one file, but the labels belong to "
                    f"{len(poses.videos[0].images) or len(poses.videos)} images or videos: "
                    "name the folder that holds them"
                )
            return {0: str(root)}
        folders.insert(0, root)
    sources = {
        i: _find_images(poses, i, folders)
        if video.images
        else _find_video(video, labels, folders, alone=len(poses.videos) == 1)
        for i, video in enumerate(poses.videos)
    }
    _one_each(poses, sources)
    if required:
        used = set(poses.video.tolist())
        missing = [i for i, source in sources.items() if source is None and i in used]
        if missing:
            raise LabelsError(_not_found([poses.videos[i] for i in missing], folders))
    return sources


def _one_each(poses: Poses, sources: dict[int, FrameSource | None]) -> None:
    """Take away files that were found for several videos, in place, from all but the one most like them.

    Sessions have files of the same names: those of one that is not there must not be taken from another.
    """
    owners: dict[str, dict[int, str]] = {}
    for i, source in sources.items():
        video = poses.videos[i]
        if isinstance(source, str):
            owners.setdefault(source, {})[i] = video.path
        elif source is not None:
            needed = set(poses.frame[poses.video == i].tolist())
            for frame, (file, image) in enumerate(zip(source, video.images, strict=True)):
                # Of images, those with labels were looked for; others may be names alone.
                if frame in needed or (not needed and Path(file).is_file()):
                    owners.setdefault(file, {})[i] = full_name(video.path, image)
    for file, stored in owners.items():
        if len({name_parts(name) for name in stored.values()}) < 2:
            continue
        try:
            (best,) = match_names([file], list(stored.values()))
        except LabelsError:
            best = None
        for place, i in enumerate(stored):
            if place != best:
                sources[i] = None


def find_below(videos: Sequence[Video], folder: str | os.PathLike[str]) -> dict[int, Video]:
    """Find the files of videos by their names, some folders below one that the user chose.

    Of several files of one name, the one counts whose folders are most like those of the stored path.

    Parameters
    ----------
    videos : sequence of Video
    folder : path

    Returns
    -------
    dict of int to Video
        The videos that were found, with their new places, by their index. Lists of images are found
        when all of them are; those of one folder keep their names.

    Raises
    ------
    LabelsError
        When two files fit equally well.
    """
    root = Path(folder)
    names = {parts[-1] for v in videos for n in v.images or (v.path,) if (parts := name_parts(n))}
    files = _files_below(root, names)
    out: dict[int, Video] = {}
    for index, video in enumerate(videos):
        if not video.images:
            (place,) = match_names([video.path], files) if name_parts(video.path) else [None]
            if place is not None:
                out[index] = replace(video, path=files[place])
            continue
        places = match_names(list(video.images), files)
        if all(place is not None for place in places):
            found = [files[place] for place in places if place is not None]
            bases = {
                str(Path(file).parents[len(name_parts(name)) - 1])
                for file, name in zip(found, video.images, strict=True)
            }
            same = len(bases) == 1 and not Path(video.images[0]).is_absolute()
            base = bases.pop()
            if same and all(Path(base, name).is_file() for name in video.images):
                out[index] = replace(video, path=base)
            else:
                out[index] = replace(video, path="", images=tuple(found))
    return out


def _find_video(
    video: Video, labels: Path, folders: Sequence[Path], *, alone: bool
) -> FrameSource | None:
    embedded = split_embedded(video.path)
    if embedded:
        file, dataset = embedded
        found = _first_existing([*_candidates(file, folders), labels])
        return embedded_place(str(found), dataset) if found else None
    found = _first_existing(_candidates(video.path, folders)) if video.path else None
    if found is None and alone:
        found = _video_beside(video, labels, folders)
    return str(found) if found else None


def _candidates(stored: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the places where a file that was stored as `stored` may lie, the likeliest first."""
    path = Path(stored)
    if path.is_absolute():
        yield path
    else:
        yield from (folder / path for folder in folders)
    parts = name_parts(stored)
    for start in range(len(parts)):
        for folder in folders:
            yield folder.joinpath(*parts[start:])
    if parts:
        yield from (folder / sub / parts[-1] for folder in folders for sub in _SUBFOLDERS)
    if not path.is_absolute():
        yield path.absolute()


def _first_existing(candidates: Iterable[Path]) -> Path | None:
    return next((p for p in candidates if p.exists()), None)


def _video_beside(video: Video, labels: Path, folders: Sequence[Path]) -> Path | None:
    """Find the video of labels that belong to one video, under whatever name."""
    names = [_stem(n) for n in (video.name, labels.name) if n]
    for folder in folders:
        places = [folder, *(folder / sub for sub in _SUBFOLDERS)]
        videos = [p for place in places for p in _videos_in(place)]
        for name in names:
            fit = [p for p in videos if _related(_stem(p.name), name)]
            if fit:
                return max(fit, key=lambda p: (_stem(p.name) == name, len(_stem(p.name))))
        if len(videos) == 1:
            return videos[0]
    return None


def _related(video: str, labels: str) -> bool:
    """Whether one name continues the other at the end of a word: ``clip`` and ``clip_tracked``."""
    short, long = sorted((video, labels), key=len)
    if not short or not long.startswith(short):
        return False
    rest = long[len(short) :]
    return not rest or not rest[0].isalnum() or rest.startswith("DLC")


def _stem(name: str) -> str:
    """File name without its video or labels suffixes; other dots belong to the name."""
    path = Path(name)
    while path.suffix.lower() in (*VIDEO_SUFFIXES, ".slp", ".pkg", ".csv", ".h5", ".json", ".nwb"):
        path = path.with_suffix("")
    return path.name.removesuffix(".analysis")


def _videos_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)


def _there(paths: Sequence[Path], needed: NDArray[np.int64]) -> bool:
    """Whether the needed ones of some images exist, or any where none is needed."""
    if len(needed):
        return all(paths[i].is_file() for i in needed)
    return any(path.is_file() for path in paths)


def _find_images(poses: Poses, index: int, folders: Sequence[Path]) -> list[str] | None:
    video = poses.videos[index]
    names = video.images
    needed = np.unique(poses.frame[poses.video == index])
    needed = needed[needed < len(names)]
    bases = [Path(video.path)] if video.path else []
    for base in [*bases, *folders, *(f / sub for f in folders for sub in _SUBFOLDERS)]:
        paths = [base / name.replace("\\", "/") for name in names]
        if _there(paths, needed):
            return [str(p) for p in paths]
    for folder in folders:
        files = _files_below(folder, {name_parts(name)[-1] for name in names})
        names = tuple(full_name(video.path, name) for name in video.images)
        found = match_names([names[i] for i in needed], files)
        if all(place is not None for place in found):
            rest = match_names(names, files)
            if not len(needed) and all(place is None for place in rest):
                continue
            stored = video.images
            return [files[p] if p is not None else n for p, n in zip(rest, stored, strict=True)]
    return None


def _files_below(folder: Path, names: set[str]) -> list[str]:
    """Paths of the files a few folders below `folder` that have one of the names."""
    found: list[str] = []
    for place, inside, files in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= _DEPTH:
            inside.clear()
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [str(Path(place, name)) for name in files if name in names]
    return found


def _not_found(videos: Sequence[Video], folders: Sequence[Path]) -> str:
    where = " and ".join(str(f) for f in folders)
    lines = []
    for video in videos[:_SOME]:
        if video.images:
            shown = ", ".join(video.images[:3]) + (", ..." if len(video.images) > 3 else "")
            lines.append(f"{len(video.images)} images ({shown})")
        else:
            lines.append(video.path or "the video (the labels do not name it)")
    if len(videos) > _SOME:
        lines.append(f"and {len(videos) - _SOME} more")
    return (
        f"the frames of these labels were not found: {'; '.join(lines)}. Looked for by the stored "
        f"path and by name in {where} and their folders {', '.join(_SUBFOLDERS)}. Name the folder "
        "or video that holds them."
    )
