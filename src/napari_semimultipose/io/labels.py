"""Labels in, labels out: one function that reads any format, one that writes it, one table.

The formats themselves live in modules of their own, which are imported when they are needed.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_semimultipose.errors import LabelsError, SemiMultiPoseError
from napari_semimultipose.io.atomic import check_space, replace_file, replace_folder
from napari_semimultipose.poses import Poses


@dataclass(frozen=True)
class Format:
    """A labels format.

    Parameters
    ----------
    name : str
        What `read_poses` and `write_poses` take as `format`.
    title : str
        The name that people use.
    suffixes : tuple of str
        Endings of its files, the usual one first.
    reads, writes : bool
        What can be done with it.
    holds : str
        What a file keeps.
    loses : str
        What it cannot keep; `write_poses` says so whenever it happens.
    reader, writer : str
        The functions that do it, as ``module:function``, modules of this package.
    folder : bool
        Whether it is a folder.
    needs_target : bool
        Whether its writer looks at the file that is to be replaced.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    reads: bool
    writes: bool
    holds: str
    loses: str
    reader: str
    writer: str
    folder: bool = False
    needs_target: bool = False


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "sleap",
            "SLEAP",
            (".slp",),
            True,
            True,
            "everything; several videos, image lists, embedded images",
            "scores of human labels",
            "sleap:read",
            "sleap_writer:write",
            needs_target=True,
        ),
        Format(
            "coco",
            "COCO keypoints",
            (".json",),
            True,
            True,
            "everything; image lists, and frames of recordings by number",
            "nothing, but other programs ignore tracks, symmetry and keypoint scores",
            "coco:read",
            "coco:write",
        ),
        Format(
            "sleap-analysis",
            "SLEAP analysis",
            (".analysis.h5",),
            True,
            True,
            "positions, tracks, scores, skeleton; one video a file",
            "visibility, frames without animals",
            "analysis_h5:read",
            "analysis_h5:write",
        ),
        Format(
            "nwb",
            "NWB (ndx-pose)",
            (".nwb",),
            True,
            True,
            "human labels with visibility, predictions with keypoint scores, tracks, edges, videos",
            "visibility of predictions, scores of animals, frames without predictions, symmetry",
            "nwb:read",
            "nwb_writer:write",
            needs_target=True,
        ),
        Format(
            "jabs",
            "JABS",
            ("_pose_est_v5.h5", "_pose_est_v2.h5"),
            True,
            True,
            "whole pixels of the twelve keypoints of its mouse, numbered animals, keypoint scores",
            "fractions of pixels, visibility, names of tracks, scores of animals, human labels",
            "jabs:read",
            "jabs:write",
        ),
        Format(
            "deeplabcut",
            "DeepLabCut",
            (".csv", ".h5"),
            True,
            True,
            "positions, individuals (as tracks), likelihoods of predictions; one video a file",
            "visibility, images without animals, scores of animals, skeleton edges",
            "deeplabcut:read",
            "deeplabcut:write",
            needs_target=True,
        ),
        Format(
            "deeplabcut-project",
            "DeepLabCut project folder",
            (),
            True,
            True,
            "positions, individuals (as tracks), skeleton edges; several videos",
            "visibility, images without animals, all scores, image names of another form",
            "deeplabcut_project:read",
            "deeplabcut_project:write",
            folder=True,
        ),
        Format(
            "lightning-pose",
            "Lightning Pose",
            (".csv",),
            True,
            True,
            "positions of one animal, visibility of labels, likelihoods of predictions; one video a file",
            "tracks, images without animals, scores of animals, skeleton edges",
            "deeplabcut:read",
            "deeplabcut:write_lightning_pose",
            needs_target=True,
        ),
        Format(
            "lightning-pose-project",
            "Lightning Pose project folder",
            (),
            True,
            False,
            "the same, of one camera or several; each camera is a video",
            "nothing that Lightning Pose has",
            "lightning_pose_folder:read",
            "",
        ),
        Format(
            "yolo-pose",
            "YOLO pose folder",
            (),
            True,
            True,
            "positions and visibility, scores and track numbers of predictions; one list of images",
            "tracks of human labels, names of tracks, recordings, visibility of predictions",
            "yolo:read",
            "yolo:write",
            folder=True,
        ),
        Format(
            "journal",
            "Journal of unsaved labels",
            (".semimultipose.journal",),
            True,
            False,
            "everything, after every edit in the Annotate widget",
            "nothing",
            "journal:read",
            "",
        ),
    )
}


_HDF5 = (".slp", ".h5", ".hdf5", ".nwb")
_HOLD_SPREAD = ("sleap", "deeplabcut", "lightning-pose")


def read_poses(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    frames_root: str | os.PathLike[str] | None = None,
    category: str | None = None,
) -> Poses:
    """Read labels or predictions of any known format.

    Parameters
    ----------
    path : path
        A file, or the folder of a format that is a folder.
    format : str, optional
        A name of `FORMATS`; found from the suffix and the content by default.
    frames_root : path, optional
        Folder that the image names of the file start from; the folder of the file by default.
    category : str, optional
        For COCO files of several kinds of animals: the one to read. By default all are read, and
        their keypoints are joined by name.

    Returns
    -------
    Poses
        Image names are as written in the file, frames are numbered from 0.

    Raises
    ------
    LabelsError
        When the file is missing, of an unknown or unexpected kind, empty or damaged.
    """
    place = Path(path)
    if not place.exists():
        raise LabelsError(f"{place} does not exist")
    if place.is_file() and place.stat().st_size == 0:
        raise LabelsError(f"{place} is empty: nothing was ever written to it, or the copy failed")
    known = FORMATS[detect_format(place)] if format is None else _format(format)
    if not known.reads:
        raise LabelsError(f"{known.title} can be written, but not read")
    # Absolute, for readers name the folder of the frames after them.
    place = place.absolute()
    root = None if frames_root is None else Path(frames_root).absolute()
    options: dict[str, Any] = {}
    if category is not None:
        if known.name != "coco":
            raise LabelsError(f"{known.title} has no categories to choose from")
        options["category"] = category
    reader: Callable[..., Poses] = _load(known.reader)
    try:
        return reader(place, root, **options)
    except SemiMultiPoseError:
        raise
    except (OSError, EOFError) as error:
        raise LabelsError(
            f"{place} cannot be read as {known.title}: {error}. It may be cut off or damaged; "
            "take another copy of it."
        ) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LabelsError(
            f"{place} cannot be read as {known.title}: {type(error).__name__}: {error}. "
            f"Either it is damaged, or it is of another format: {_choices('reads')}."
        ) from error


def write_poses(
    poses: Poses, path: str | os.PathLike[str], *, format: str | None = None
) -> list[str]:
    """Write labels or predictions; an old file stays as it was until the new one is complete.

    Parameters
    ----------
    poses : Poses
        What to write.
    path : path
        The file, or the folder of a format that is a folder.
    format : str, optional
        A name of `FORMATS`; found from the suffix by default.

    Returns
    -------
    list of str
        What the format could not hold, in words; empty when all of it is in the file.

    Raises
    ------
    LabelsError
        When the format is unknown, cannot be written, or cannot hold these poses at all.
    """
    place = Path(path)
    known = _writable(place, format)
    writer: Callable[..., list[str]] = _load(known.writer)
    options = {"target": place} if known.needs_target and place.is_file() else {}
    try:
        if place.suffix.lower() in _HDF5:
            check_space(place, _largest_size(poses, place))
        with (replace_folder if known.folder else replace_file)(place) as fresh:
            said = writer(poses, fresh, **options)
            if known.folder:
                _check_replaceable(place, fresh)
        if poses.spread is not None and known.name not in _HOLD_SPREAD:
            said = [*said, f"{known.title} holds no uncertainty of positions"]
        return said
    except SemiMultiPoseError:
        raise
    except OSError as error:
        raise LabelsError(f"{place} cannot be written: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LabelsError(
            f"these labels cannot be written as {known.title}: {type(error).__name__}: {error}. "
            "Write a SLEAP file, which holds everything."
        ) from error


def _largest_size(poses: Poses, place: Path) -> int:
    """Return how many bytes an HDF5 file of these poses may have; images in an old file are copied along."""
    return 2**20 + 32 * poses.xy.size + (place.stat().st_size if place.is_file() else 0)


def detect_format(path: Path) -> str:
    """Name of the format of a file or folder, from its suffix and its content."""
    suffix = path.suffix.lower()
    if suffix == ".slp":
        return "sleap"
    if suffix == ".json":
        return "coco"
    if suffix == ".nwb":
        return "nwb"
    if suffix == ".journal":
        return "journal"
    if path.is_dir() or suffix in (".yaml", ".yml"):
        if _load("deeplabcut_project:is_project")(path):
            return "deeplabcut-project"
        if _load("lightning_pose_folder:is_project")(path):
            return "lightning-pose-project"
        if _load("yolo:is_yolo")(path):
            return "yolo-pose"
    elif suffix == ".csv":
        return "deeplabcut"
    elif suffix in (".h5", ".hdf5"):
        return _detect_hdf5(path)
    raise LabelsError(f"{path} is of no known labels format: {_choices('reads')}")


def _detect_hdf5(path: Path) -> str:
    """Name of the format of an HDF5 file, from its content."""
    try:
        if _load("analysis_h5:is_analysis")(path):
            return "sleap-analysis"
        if _load("jabs:is_jabs")(path):
            return "jabs"
    except OSError as error:
        raise LabelsError(
            f"{path} is no HDF5 file, or it is cut off: {error}. Take another copy of it."
        ) from error
    return "deeplabcut"


def check_target(path: str | os.PathLike[str], *, format: str | None = None) -> None:
    """Make sure that poses can be written somewhere, before they are made.

    Raises
    ------
    LabelsError
        When the format is unknown or cannot be written, or no file can be made there.
    """
    _writable(Path(path), format)
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise LabelsError(f"{path} cannot be written: {error.strerror or error}") from None


def _writable(place: Path, format: str | None) -> Format:
    """Return the format in which a file is written."""
    known = _format_to_write(place) if format is None else _format(format)
    if not known.writes:
        raise LabelsError(f"{known.title} can be read, but not written: {_choices('writes')}")
    if not known.folder and known.suffixes and not place.name.lower().endswith(known.suffixes):
        raise LabelsError(
            f"{known.title} files end with {' or '.join(known.suffixes)}, not {place.name!r}"
        )
    return known


def _format_to_write(path: Path) -> Format:
    for known in FORMATS.values():
        if known.writes and path.name.lower().endswith(known.suffixes):
            return known
    raise LabelsError(f"no labels format is known by the name {path.name}: {_choices('writes')}")


def _check_replaceable(folder: Path, fresh: Path) -> None:
    """Refuse to replace a folder that holds more than what is written now, for instance pictures."""
    if not folder.is_dir():
        return
    files = (p.relative_to(folder) for p in sorted(folder.rglob("*")) if p.is_file())
    if other := next((file for file in files if not (fresh / file).is_file()), None):
        raise LabelsError(
            f"{folder} holds {other}, which would be lost if the folder were replaced: choose a new folder"
        )


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise LabelsError(f"there is no labels format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def _choices(verb: str) -> str:
    """List the formats that can be read or written."""
    fit = (f for f in FORMATS.values() if getattr(f, verb))
    return "known are " + ", ".join(
        f"{f.title} ({', '.join(f.suffixes) or 'a folder'})" for f in fit
    )


def _load(name: str) -> Callable[..., Any]:
    """Import a function of this package that is named ``module:function``."""
    module, function = name.split(":")
    found: Callable[..., Any] = getattr(
        importlib.import_module(f"napari_semimultipose.io.{module}"), function
    )
    return found
