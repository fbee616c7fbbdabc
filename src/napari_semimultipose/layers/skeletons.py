"""Changing the skeleton of poses that exist already."""

from __future__ import annotations

from collections.abc import Sequence

from napari_semimultipose.layers.store import SkeletonChange
from napari_semimultipose.poses import Poses, Skeleton

Pairs = set[frozenset[int | None]]


def skeleton_change(
    before: Skeleton, after: Skeleton, origin: Sequence[int | None]
) -> SkeletonChange | None:
    """Return the change from one skeleton to another, named for a menu; None: they are the same.

    Parameters
    ----------
    before, after : Skeleton
        With K and L keypoints.
    origin : sequence of int or None, of length L
        For each keypoint of `after` the index that it had before, None for a new one. Keypoints of
        `before` that are not mentioned are dropped.

    Raises
    ------
    ValueError
        When `origin` does not have L entries, or mentions a keypoint twice.
    """
    change = SkeletonChange("change the skeleton", before, after, tuple(origin))
    if before == after and list(origin) == list(range(len(before))):
        return None
    what = _differences(change)
    return SkeletonChange(what[0], before, after, change.origin) if len(what) == 1 else change


def _differences(change: SkeletonChange) -> list[str]:
    """Say in words what is different, one entry for each kind of difference."""
    before, after, origin = change.before, change.after, change.origin
    kept = [i for i in origin if i is not None]
    new = [name for name, i in zip(after.keypoints, origin, strict=True) if i is None]
    gone = [before.keypoints[i] for i in change.dropped]
    renamed = [
        f"'{before.keypoints[i]}' to '{name}'"
        for name, i in zip(after.keypoints, origin, strict=True)
        if i is not None and before.keypoints[i] != name
    ]
    what = []
    if new:
        what.append(f"add keypoint '{new[0]}'" if len(new) == 1 else f"add {len(new)} keypoints")
    if gone:
        what.append(
            f"delete keypoint '{gone[0]}'" if len(gone) == 1 else f"delete {len(gone)} keypoints"
        )
    if renamed:
        what.append(
            f"rename {renamed[0]}" if len(renamed) == 1 else f"rename {len(renamed)} keypoints"
        )
    if kept != sorted(kept):
        what.append("reorder the keypoints")
    for name, words in (("edges", "change the lines"), ("symmetry", "change the mirrored pairs")):
        old: Pairs = {frozenset(pair) for pair in getattr(before, name)}
        fresh: Pairs = {frozenset(origin[i] for i in pair) for pair in getattr(after, name)}
        # Lines of keypoints that go or come are part of that.
        if {p for p in old if not p & set(change.dropped)} != {p for p in fresh if None not in p}:
            what.append(words)
    if before.name != after.name:
        what.append("rename the animal")
    return what


def labelled_counts(poses: Poses) -> list[int]:
    """How many animals have each of the K keypoints."""
    return [int(n) for n in (poses.visible > 0).sum((0, 1))]
