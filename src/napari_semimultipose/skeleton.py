"""Names of an animal's keypoints, the lines between them, and which of them mirror each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Skeleton:
    """Names of the keypoints of one animal, the lines between them and the mirrored pairs.

    Parameters
    ----------
    keypoints : tuple of str
        K distinct, non-empty names.
    edges : tuple of (int, int)
        Pairs of keypoint indices to draw as lines.
    symmetry : tuple of (int, int)
        Pairs of keypoint indices that trade places when the picture is mirrored.
    name : str
        Name of the kind of animal.
    """

    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    symmetry: tuple[tuple[int, int], ...] = ()
    name: str = "animal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keypoints", tuple(str(k) for k in self.keypoints))
        for what in ("edges", "symmetry"):
            pairs = tuple((int(a), int(b)) for a, b in getattr(self, what))
            object.__setattr__(self, what, pairs)
            for a, b in pairs:
                if not (0 <= a < len(self) and 0 <= b < len(self)) or a == b:
                    raise ValueError(
                        f"skeleton {what}: ({a}, {b}) is no pair of two of the {len(self)} keypoints"
                    )
        if not self.keypoints or not all(self.keypoints):
            raise ValueError("a skeleton needs at least one keypoint, and every keypoint a name")
        if len(set(self.keypoints)) != len(self.keypoints):
            twice = sorted({k for k in self.keypoints if self.keypoints.count(k) > 1})
            raise ValueError(f"keypoint names occur twice: {', '.join(twice)}")
        ends = [i for pair in self.symmetry for i in pair]
        if len(set(ends)) != len(ends):
            raise ValueError("a keypoint can be in one symmetric pair only")

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def mirror_index(self) -> NDArray[np.int64]:
        """Index array [K] that puts the keypoints of a mirrored picture back in order."""
        index = np.arange(len(self))
        for a, b in self.symmetry:
            index[[a, b]] = b, a
        return index

    def with_guessed_symmetry(self) -> Skeleton:
        """Return a copy whose symmetric pairs are guessed from the names, unless it has pairs.

        Two names are a pair when one becomes the other by replacing *left* with *right*, or an L
        with an R that stands at the border of a word (``wingL``, ``L_ear``, ``legL4``, ``Lant``).
        """
        if self.symmetry:
            return self
        where = {k: i for i, k in enumerate(self.keypoints)}
        pairs: list[tuple[int, int]] = []
        taken: set[int] = set()
        for i, keypoint in enumerate(self.keypoints):
            for other in _mirrored_names(keypoint):
                j = where.get(other)
                if j is not None and i not in taken and j not in taken:
                    pairs.append((i, j))
                    taken |= {i, j}
        return replace(self, symmetry=tuple(pairs))


def _mirrored_names(name: str) -> Iterable[str]:
    """Names that `name`, taken as a name of the left side, may have on the right side."""
    for left, right in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT")):
        if left in name:
            yield name.replace(left, right)
    for m in re.finditer(r"L(?![A-Z])|(?<![A-Za-z])l(?![A-Za-z])|L(?=[A-Z][A-Za-z]*$)", name):
        yield name[: m.start()] + ("R" if m.group() == "L" else "r") + name[m.end() :]


_VIEW = re.compile(
    r"(top|bot|bottom|side|front|back|rear|mirror\d*|cam\d+|camera\d+|view\d+)$", re.I
)

_ENDS_OF_BODIES = {"front", "back", "rear"}


def animal_and_view(name: str) -> tuple[str, str]:
    """Split the name of an animal that is seen in several views: ``mouse1_top`` is mouse1 in the view top.

    Returns
    -------
    (str, str)
        The animal ("" where the name is that of a view alone) and the view in small letters; the whole name
        and "" where the name tells no view.
    """
    part, _, view = name.rpartition("_")
    return (part, view.lower()) if _VIEW.fullmatch(view) else (name, "")


def views_in_names(keypoints: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Find keypoints that are one body part seen in several views, by the endings of their names.

    ``nose_top`` and ``nose_bot`` are the same body part in two views (mirrors in one picture).

    Returns
    -------
    tuple of tuples of str
        The keypoints of each view, in the same order of body parts; empty without at least two
        views that share two body parts. ``front`` and ``back`` alone tell limbs, not views.
    """
    places: dict[str, dict[str, str]] = {}
    for name in keypoints:
        part, view = animal_and_view(name)
        if part and view:
            places.setdefault(view, {})[part] = name
    if len(places) < 2 or places.keys() <= _ENDS_OF_BODIES:
        return ()
    common = [p for p in next(iter(places.values())) if all(p in v for v in places.values())]
    if len(common) < 2:
        return ()
    return tuple(tuple(names[p] for p in common) for names in places.values())
