"""Names of places: embedded videos, image names, and which of two lists of names mean the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

from napari_semimultipose.errors import LabelsError

_MARK = "::"
_NUMBER = re.compile(r"\d+$")
_MOST_DIGITS = 9


def embedded_place(file: str, dataset: str) -> str:
    """Return the `Video.path` of a video that is stored inside an HDF5 file (``.pkg.slp``).

    The form is ``FILE::DATASET``, for instance ``bees.pkg.slp::video0/video``.
    """
    return f"{file}{_MARK}{dataset}"


def split_embedded(path: str) -> tuple[str, str] | None:
    """Split ``FILE::DATASET`` into its parts; None for the path of an ordinary file."""
    file, mark, dataset = path.rpartition(_MARK)
    return (file, dataset) if mark and file and dataset else None


def name_parts(name: str) -> tuple[str, ...]:
    """Parts of a path as written on any system, without ``.`` and drive colons."""
    return tuple(p for p in PurePosixPath(name.replace("\\", "/")).parts if p not in ("/", "."))


def full_name(folder: str, name: str) -> str:
    """Name of an image with the folder that it starts from; an absolute name as it is."""
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    return name if absolute or not folder else f"{folder}/{name}"


def recording_names(paths: Sequence[str]) -> list[str]:
    """Return different names for recordings, from the ends of their paths: ``top``, or ``run1_top`` and ``run2_top``."""
    parts = [name_parts(path) for path in paths]
    stems = [PurePosixPath(p[-1]).stem if p else f"video{i}" for i, p in enumerate(parts)]
    names = stems
    for depth in range(2, max((len(p) for p in parts), default=0) + 1):
        if len(set(names)) == len(names):
            break
        shared = {name for name, count in Counter(names).items() if count > 1}
        names = [
            "_".join((*p[-depth:-1], stem)) if name in shared else name
            for p, stem, name in zip(parts, stems, names, strict=True)
        ]
    seen = Counter(names)
    return [f"{name}_{i}" if seen[name] > 1 else name for i, name in enumerate(names)]


def match_names(wanted: Sequence[str], have: Sequence[str]) -> list[int | None]:
    r"""Find each name of `wanted` in `have`, as files are found when a folder has moved.

    Names are the same when they are equal; else when one ends with all parts of the other
    (``labeled/a.jpg`` and ``/data/labeled/a.jpg``); else when they share the longest tail of at
    least the file name, and only one name of `have` does.

    Parameters
    ----------
    wanted, have : sequences of str
        Paths with ``/`` or ``\``, relative or absolute.

    Returns
    -------
    list of int or None
        For each wanted name the index into `have`, None when it is not there.

    Raises
    ------
    LabelsError
        When a name fits several of `have` equally well.
    """
    exact: dict[str, int] = {}
    by_file: dict[str, list[int]] = defaultdict(list)
    parts = [name_parts(name) for name in have]
    for i, name in enumerate(have):
        exact.setdefault(name, i)
        if parts[i]:
            by_file[parts[i][-1]].append(i)
    found: list[int | None] = []
    for name in wanted:
        mine = name_parts(name)
        if name in exact or not mine:
            found.append(exact.get(name))
            continue
        common = {i: _common_tail(mine, parts[i]) for i in by_file.get(mine[-1], ())}
        longest = max(common.values(), default=0)
        best = [i for i, n in common.items() if n == longest]
        if len({parts[i] for i in best}) > 1:
            names = ", ".join(have[i] for i in best[:4])
            raise LabelsError(
                f"the image {name} could be any of: {names}. Write the names with their folders."
            )
        found.append(best[0] if best else None)
    return found


def frame_numbers(images: Sequence[str]) -> list[int] | None:
    """Return the frame that each image was taken from, where the names tell: ``img0042.png`` from frame 42.

    None where a name ends with no number, with one that is too long for a frame, such as a time, or two names with the
    same one; and where the images are counted from 1, since such a list is a recording itself, in which the
    place of an image is its frame.
    """
    ends = [_NUMBER.search(PurePosixPath(name.replace("\\", "/")).stem) for name in images]
    digits = [end.group() for end in ends if end is not None]
    numbers = [int(text) for text in digits if len(text) <= _MOST_DIGITS]
    if not numbers or len(set(numbers)) < len(images):
        return None
    counted = len(numbers) > 1 and numbers == list(range(1, len(numbers) + 1))
    return None if counted else numbers


def same_place(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether the parts of two names mean one file for certain, although its project may have moved.

    The folder counts, where both have one: sessions have files of the same names.
    """
    common = _common_tail(a, b)
    return common >= min(2, len(a), len(b)) and common > 0


def _common_tail(a: Sequence[str], b: Sequence[str]) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[-1 - n] == b[-1 - n]:
        n += 1
    return n
