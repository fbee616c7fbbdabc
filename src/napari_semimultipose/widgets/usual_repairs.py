"""What is usually done about a problem."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.labeling.label_check import LabelProblem
from napari_semimultipose.labeling.problems import Kind, Problem
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.tracking import counting, repair

MOST_INTERPOLATED = 25
"""Poses on so many frames are replaced by lines between those around them; more are deleted."""


@dataclass(frozen=True)
class Repair:
    """One repair that can be made.

    Parameters
    ----------
    text : str
        What it does, in words.
    make : callable
        Returns the change; raises LabelsError when it cannot be done.
    """

    text: str
    make: Callable[[], Change]


def tracks_now(store: PoseStore, problem: Problem) -> tuple[int, ...]:
    """Return who the animals of a problem are, after all repairs so far; -1: nobody."""
    tracks = store.array("track")
    return tuple(int(tracks[problem.row, slot]) for slot in problem.slots)


def animals_of(store: PoseStore, problem: Problem) -> str:
    """Name the animals of a problem, as they are called after all repairs so far."""
    names = [repair.track_name(store, track) for track in tracks_now(store, problem)]
    return ", ".join("-" if name == "without identity" else name for name in names)


def usual_repair(store: PoseStore, problem: Problem, animals: int, video: int) -> Repair:
    """Return what is usually done about a problem.

    Parameters
    ----------
    store : PoseStore
    problem : Problem
    animals : int
        The number of animals that the problem was found with.
    video : int
    """
    if isinstance(problem, LabelProblem):
        return _label_repair(store, problem)
    first, last = problem.first, problem.last
    tracks = tracks_now(store, problem)
    names = [repair.track_name(store, track) for track in tracks]
    frames = f"on frame {first}" if first == last else f"on frames {first} to {last}"
    if problem.kind in (Kind.MISSING, Kind.SURPLUS):
        return Repair(
            f"find {animals} animals among the poses {frames}",
            lambda: counting.fix_count(store, animals, first, last, video),
        )
    if problem.kind is Kind.SWAP:
        a, b = tracks
        end = None if problem.onward else last
        where = f"from frame {first} to the end" if problem.onward else frames
        return Repair(
            f"swap animals {names[0]} and {names[1]} {where}",
            lambda: repair.swap(store, a, b, first, end, video),
        )
    track, name = tracks[0], names[0]
    if track < 0:
        return Repair(
            f"delete the pose on frame {problem.frame}",
            lambda: repair.delete_pose(store, problem.row, problem.slots[0]),
        )
    if problem.kind is Kind.JUMP and problem.onward:
        return Repair(
            f"let animal {name} be a new one from frame {first} on",
            lambda: repair.split(store, track, first, video),
        )
    if last - first < MOST_INTERPOLATED:
        wrong = problem.keypoints
        which = ", ".join(store.skeleton.keypoints[k] for k in wrong)
        return Repair(
            f"interpolate {f'{which} of ' if wrong else ''}animal {name} {frames}",
            lambda: _interpolated(store, track, first, last, video, wrong),
        )
    return Repair(
        f"delete animal {name} {frames}",
        lambda: repair.delete(store, track, first, last, video),
    )


def _interpolated(
    store: PoseStore, track: int, first: int, last: int, video: int, keypoints: tuple[int, ...]
) -> Change:
    """Interpolate what is wrong, or delete the animal where it is not seen before or after."""
    if keypoints:
        with suppress(LabelsError):  # not seen before or after, while others are
            return repair.interpolate_keypoints(store, track, keypoints, first, last, video)
    try:
        return repair.interpolate(store, track, first, last, video)
    except LabelsError:
        return repair.delete(store, track, first, last, video)


def _label_repair(store: PoseStore, problem: LabelProblem) -> Repair:
    """Return what is usually done about a label that is likely to be wrong."""
    row, slot = problem.row, problem.slots[0]
    names = store.skeleton.keypoints
    if problem.kind is Kind.SIDES:
        pairs = ", ".join(f"{names[a]} and {names[b]}" for a, b in problem.pairs)
        return Repair(
            f"exchange {pairs}",
            lambda: repair.exchange_keypoints(store, row, slot, problem.pairs),
        )
    if problem.kind is Kind.DUPLICATE:
        return Repair(
            "delete the one with fewer keypoints", lambda: repair.delete_pose(store, row, slot)
        )
    if problem.proposal:
        moved = ", ".join(names[k] for k, _, _ in problem.proposal)
        return Repair(
            f"take over the model's position of {moved}",
            lambda: repair.move_keypoints(store, row, slot, problem.proposal),
        )
    return Repair("move its points by hand", _by_hand)


def _by_hand() -> Change:
    raise LabelsError(
        "nothing says where its keypoints belong: drag them, or press F if they are right"
    )
