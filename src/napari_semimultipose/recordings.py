"""From paths, lists and labels to open recordings, for training and for prediction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semimultipose.errors import FramesError, LabelsError
from napari_semimultipose.io.places import match_names
from napari_semimultipose.poses import Poses, Video
from napari_semimultipose.sources import (
    Entries,
    KnownImages,
    Place,
    find_places,
    read_entries,
    rows_named,
    some,
)

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

_LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class TrainingFrames:
    """What `training.loop.train` needs to know about frames.

    Attributes
    ----------
    frames : dict of int to Frames
        The recording of each index into the videos of the labels.
    unlabeled : list of Frames
        Further recordings.
    labeled_rows : list of int, optional
        Rows whose labels may be used; all when None.
    exclude : set of (video, frame)
        Frames that training must not see.
    """

    frames: dict[int, Frames]
    unlabeled: list[Frames]
    labeled_rows: list[int] | None
    exclude: set[Place]


def open_for_training(
    labels: Poses,
    opened: ExitStack,
    *,
    labels_path: str | os.PathLike[str] | None = None,
    frames: Any = None,
    unlabeled: Iterable[Any] = (),
    labeled_list: Entries | None = None,
    exclude_list: Entries | None = None,
) -> TrainingFrames:
    """Open all recordings of a training.

    Parameters
    ----------
    labels : Poses
    opened : ExitStack
        Closes the recordings in the end.
    labels_path : path, optional
        File of the labels; their frames are looked for around it.
    frames : path, Frames or array, optional
        Frames of labels of one video, or the folder that image names start from.
    unlabeled : iterable of paths, Frames or arrays
        Videos, folders of images or of videos, text files that list images.
    labeled_list, exclude_list : path or sequence, optional
        See `sources`. Excluded names may also be those of images in `unlabeled`.

    Raises
    ------
    LabelsError
        When a list names what does not exist, or frames of labels are not found.
    FramesError
        When frames cannot be opened.
    """
    rows = None if labeled_list is None else rows_named(labels, labeled_list, "the labelled list")
    exclude: set[Place] = set()
    elsewhere: list[str] = []
    if exclude_list is not None:
        found, elsewhere = find_places(read_entries(exclude_list), labels)
        exclude = {place for places in found.values() for place in places}
    place_of = list(zip(labels.video.tolist(), labels.frame.tolist(), strict=True))
    wanted = range(len(labels)) if rows is None else rows
    needed = [row for row in wanted if place_of[row] not in exclude]
    if isinstance(frames, (str, os.PathLike)) or frames is None:
        sources = _sources_of(labels, needed, labels_path, frames)
    else:
        if len(labels.videos) > 1:
            raise LabelsError(
                f"the labels belong to {len(labels.videos)} videos, but the frames of one were given"
            )
        sources = {0: frames}
    for video, source in sources.items():
        if isinstance(source, list):  # images without labels may be missing
            exclude |= {(video, i) for i, file in enumerate(source) if not Path(file).is_file()}
    free = _Unlabeled(
        known=KnownImages(labels),
        taken={os.path.realpath(s) for s in sources.values() if isinstance(s, str)},
        bases=[Path(p) for p in (frames, labels_path) if isinstance(p, (str, os.PathLike))],
    )
    for item in unlabeled:
        free.add(item)
    free.leave_out(elsewhere, labels)
    recordings = {v: _open(_readable(source), opened) for v, source in sources.items()}
    return TrainingFrames(
        recordings, [_open(source, opened) for source in free.sources()], rows, exclude
    )


def _sources_of(
    labels: Poses,
    needed: Sequence[int],
    labels_path: str | os.PathLike[str] | None,
    root: str | os.PathLike[str] | None,
) -> dict[int, Any]:
    """Return what `open_frames` takes for each video of the labels; those of the needed rows must exist."""
    from napari_semimultipose.io.locate import resolve_videos

    sources = resolve_videos(
        labels.select(needed), labels_path or Path("labels"), root, required=True
    )
    return {video: source for video, source in sources.items() if source is not None}


def _readable(source: Any) -> Any:
    """Put an existing image in the place of missing ones, so that the others keep their numbers."""
    if not isinstance(source, list):
        return source
    there = [file for file in source if Path(file).is_file()]
    return [file if Path(file).is_file() else there[0] for file in source]


@dataclass
class _Unlabeled:
    """Collects recordings without labels; nothing is used twice.

    Attributes
    ----------
    known : KnownImages
        Images of the labels, which are used (or excluded) as such.
    taken : set of str
        Real paths of the videos of the labels.
    bases : list of Path
        Where relative names in lists may start, besides the folder of the list.
    """

    known: KnownImages
    taken: set[str]
    bases: list[Path]
    _images: dict[str, Path] = field(default_factory=dict)
    _others: list[Any] = field(default_factory=list)

    def add(self, item: Any) -> None:
        """Add a recording, a folder or a list."""
        if not isinstance(item, (str, os.PathLike)):
            self._others.append(item)
            return
        path = Path(item)
        if path.suffix.lower() == _LIST_SUFFIX:
            self._add_images(resolve_entries(path, self.bases))
        elif path.is_dir() and path.suffix != ".zarr":
            images, videos = folder_content(path)
            self._add_images(images)
            for video in videos:
                self._add_recording(video)
        else:
            self._add_recording(item)

    def leave_out(self, names: Sequence[str], labels: Poses) -> None:
        """Leave out images by name.

        Raises
        ------
        LabelsError
            When a name is not among the images.
        """
        files = list(self._images)
        lost = []
        for name, match in zip(names, match_names(names, files), strict=True):
            if match is None:
                lost.append(name)
            else:
                self._images.pop(files[match], None)
        if lost:
            have = [n for v in labels.videos for n in v.images] or [
                str(n) for n in labels.frame[:2]
            ]
            raise LabelsError(
                f"the exclude list: {some(lost)} named neither in the labels (they have "
                f"{some(have, 2)}) nor among the unlabelled images"
            )

    def sources(self) -> Iterator[Any]:
        """Yield what `open_frames` takes, one after the other."""
        if self._images:
            yield [str(file) for file in self._images.values()]
        yield from self._others

    def _add_images(self, files: Iterable[Path]) -> None:
        for file in files:
            if file not in self.known:
                self._images.setdefault(os.path.realpath(file), file)

    def _add_recording(self, path: str | os.PathLike[str]) -> None:
        real = os.path.realpath(path)
        if real not in self.taken:
            self.taken.add(real)
            self._others.append(path)


def resolve_entries(path: Path, bases: Iterable[Path] = ()) -> list[Path]:
    """Find the images that a text file lists.

    Relative names start in the folder of the list, in one of `bases` (a folder, or a file in it), or in
    the current folder.

    Raises
    ------
    FramesError
        When images are missing.
    """
    folders = [path.parent, *(b if b.is_dir() else b.parent for b in bases), Path()]
    files: list[Path] = []
    lost: list[str] = []
    for entry in read_entries(path):
        places = (folder / entry for folder in folders)
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            lost.append(entry)
        else:
            files.append(file)
    if lost:
        where = ", ".join(str(f.absolute()) for f in dict.fromkeys(folders))
        raise FramesError(f"{path}: {some(lost)} cannot be found; looked for from {where}")
    return files


def folder_content(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images and videos of a folder; only videos where there is no image.

    Raises
    ------
    FramesError
        When there is neither.
    """
    from napari_semimultipose.io.images import IMAGE_SUFFIXES, list_images
    from napari_semimultipose.io.locate import VIDEO_SUFFIXES

    kinds = set(VIDEO_SUFFIXES) - IMAGE_SUFFIXES
    videos = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in kinds and not file.name.startswith(".")
    )
    try:
        return list_images(folder), []
    except FramesError:
        if not videos:
            raise
        return [], videos


def open_recording(source: Any) -> Frames:
    """Open one recording; a text file that lists images is one as well, with the names as written there.

    Raises
    ------
    FramesError
        When it is missing or damaged, or is a labels file or a folder of videos.
    """
    from napari_semimultipose.io.video import open_frames

    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    if path is None:
        return open_frames(source)
    if path.suffix.lower() == _LIST_SUFFIX:
        frames = open_frames([str(file) for file in resolve_entries(path)])
        frames.names = tuple(read_entries(path))
        return frames
    if path.is_dir() and path.suffix != ".zarr":
        _, videos = folder_content(path)
        if videos:
            names = some(video.name for video in videos)
            raise FramesError(f"{path} holds videos ({names}); name one of them")
    if path.is_file() and is_labels_file(path) and not path.name.endswith(".pkg.slp"):
        raise FramesError(f"{path} is a labels file; name the recording that the labels belong to")
    return open_frames(source)


@dataclass(frozen=True)
class Recording:
    """Frames to predict, and where their poses belong.

    Attributes
    ----------
    frames : Frames
    video : Video
        What the poses refer to.
    indices : sequence of int
        Indices into `frames` to predict.
    numbers : sequence of int
        For each of `indices` the frame index in `video`.
    sequence : bool
        Whether the frames follow each other in time, so that animals can be tracked.
    """

    frames: Frames
    video: Video
    indices: Sequence[int]
    numbers: Sequence[int]
    sequence: bool


def open_for_prediction(
    source: Any, opened: ExitStack, frame_range: slice | range | None = None
) -> list[Recording]:
    """Open what is to be predicted.

    Parameters
    ----------
    source : path, Frames or array
        A recording; a labels file, whose frames with a row are meant; or a text file that lists images.
        Names of images are kept as they are written there.
    opened : ExitStack
        Closes the recordings in the end.
    frame_range : slice or range, optional
        Part of the frames of a recording, or of the rows of a list.

    Raises
    ------
    FramesError, LabelsError
        When something cannot be found or read, or no frame is left.
    """
    from napari_semimultipose.io.frames import video_of

    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    if path is not None and path.is_file() and is_labels_file(path):
        if frame_range is not None:
            raise FramesError(
                f"{path} is a labels file: its labelled frames are predicted, not a range of frames"
            )
        return _labeled_frames(path, opened)
    if path is not None and path.suffix.lower() == _LIST_SUFFIX:
        frames = _open([str(file) for file in resolve_entries(path)], opened)
        video = Video(str(path.parent), tuple(read_entries(path)), video_of(frames).shape)
    else:
        frames = _open(source, opened)
        video = video_of(frames)
    chosen: Sequence[int] = _chosen(len(frames), frame_range)
    # A list of files, given as such or in a text file; the images of a folder follow each other.
    listed = (path is not None and path.suffix.lower() == _LIST_SUFFIX) or (
        isinstance(source, (list, tuple))
    )
    if frames.stored is not None:
        wanted = set(chosen)
        chosen = [i for i in frames.stored if i in wanted]
        if not chosen:
            raise FramesError(f"{frames.path or 'the recording'} holds none of these frames")
    return [Recording(frames, video, chosen, chosen, sequence=not listed and frames.stored is None)]


def recording_of_poses(poses: Poses, poses_path: str | os.PathLike[str]) -> Any:
    """Find the recording of a file of poses; see `io.locate.resolve_videos`.

    Returns
    -------
    str or list of str
        What `io.video.open_frames` takes.

    Raises
    ------
    FramesError, LabelsError
        When it is not found, or there are poses of several recordings.
    """
    used = sorted(set(poses.video.tolist()))
    if len(used) != 1:
        names = [poses.videos[video].name for video in used]
        raise FramesError(
            f"{poses_path} has poses of {len(used)} recordings"
            f"{f' ({some(names)})' if names else ''}: say which one is meant"
        )
    return _readable(_sources_of(poses, range(len(poses)), poses_path, None)[used[0]])


def is_labels_file(path: Path) -> bool:
    """Whether a path has the name of a labels file."""
    from napari_semimultipose.io.labels import FORMATS

    return path.name.lower().endswith(tuple(s for f in FORMATS.values() for s in f.suffixes))


def _labeled_frames(path: Path, opened: ExitStack) -> list[Recording]:
    from napari_semimultipose.io.labels import read_poses

    labels = read_poses(path)
    if not len(labels):
        raise LabelsError(f"{path} has no labelled frame to predict")
    sources = _sources_of(labels, range(len(labels)), path, None)
    recordings = []
    for v, video in enumerate(labels.videos):
        numbers = sorted(set(labels.frame[labels.video == v].tolist()))
        if not numbers:
            continue
        source = sources[v]
        if isinstance(source, list):
            frames = _open([source[n] for n in numbers], opened)
            indices: Sequence[int] = range(len(numbers))
        else:
            frames = _open(source, opened)
            indices = numbers
            if numbers[-1] >= len(frames):
                raise LabelsError(
                    f"{path} has labels on frame {numbers[-1]}, but {source} has {len(frames)} frames"
                )
        recordings.append(Recording(frames, video, indices, numbers, sequence=False))
    return recordings


def _chosen(count: int, frame_range: slice | range | None) -> range:
    if frame_range is None:
        return range(count)
    chosen = range(*frame_range.indices(count)) if isinstance(frame_range, slice) else frame_range
    if not chosen or min(chosen) < 0 or max(chosen) >= count:
        raise FramesError(
            f"the recording has the frames 0 to {count - 1}, none or not all are in {frame_range}"
        )
    return chosen


def _open(source: Any, opened: ExitStack) -> Frames:
    """Open frames and have them closed in the end; frames that are open already stay open."""
    from napari_semimultipose.io.frames import Frames
    from napari_semimultipose.io.video import open_frames

    if isinstance(source, Frames):
        return source
    return opened.enter_context(open_frames(source))
