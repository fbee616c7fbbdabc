"""Predictions that are worth a look: a list of likely mistakes in tracked poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.labeling.alignment import all_frames
from napari_semimultipose.labeling.labelled_range import LabelledPlaces, LabelledPoses
from napari_semimultipose.labeling.shapes import ENOUGH_POSES, UsualShape, part_name, parts_of
from napari_semimultipose.labeling.sights import Sights, Steps
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses

# A movement of less than this share of the animals' length is never a jump, and never a swap.
_LEAST_MOVE = 0.25
# Quantile of all movements that counts as the usual fastest one.
_FAST = 0.95
# Two events of one kind within so many frames are an error that corrects itself.
_RETURN_FRAMES = 25


class Kind(StrEnum):
    """Kinds of problems."""

    SWAP = "swap"
    JUMP = "jump"
    MISSING = "missing"
    SURPLUS = "surplus"
    CONFIDENCE = "low confidence"
    SHAPE = "shape"
    POSE = "new pose"
    PLACE = "new place"
    SIDES = "left/right"
    DUPLICATE = "duplicate"
    MODEL = "other position"


@dataclass(frozen=True)
class Problem:
    """What is likely to be wrong on some frames.

    Parameters
    ----------
    kind : Kind
    first, last : int
        First and last frame.
    frame : int
        The worst frame: the one to look at.
    row : int
        Row of that frame in the table that was searched.
    slots : tuple of int
        The animals on that row; none for a wrong number of animals. Their tracks may change by
        repairs of other problems, their places in the table do not.
    value : float
        The figure that is out of its limit: for a swap, the way after the exchange as a share of
        the way before; for a jump, px a frame; for a number of animals, that number; for low
        confidence, a share of the usual one; for a shape, times the usual length; for a pose outside
        the labels, times the usual distance; for a place outside of them, px.
    severity : float
        How many times the limit is exceeded; larger is worse.
    text : str
        What is wrong, in words.
    onward : bool
        Whether it goes on from `first` to the end: animals that are swapped and not swapped back.
    keypoints : tuple of int
        The keypoints that are wrong, where the others of the animal are right.
    """

    kind: Kind
    first: int
    last: int
    frame: int
    row: int
    slots: tuple[int, ...]
    value: float
    severity: float
    text: str
    onward: bool = False
    keypoints: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, int, tuple[int, ...]]:
        """What the problem is recognised by when it is found again."""
        return self.kind.value, self.row, self.slots


def find_problems(
    poses: Poses,
    config: ReviewConfig | None = None,
    *,
    video: int = 0,
    usual: Poses | None = None,
    places: FloatArray | None = None,
) -> list[Problem]:
    """List likely mistakes in the poses of one video, by their first frame.

    Parameters
    ----------
    poses : Poses
        Predictions, best with tracks: jumps and swaps are looked for within tracks.
    config : ReviewConfig, optional
    video : int
    usual : Poses, optional
        Poses whose shapes are right, such as labels, of the same keypoints, in the order of time. Without
        them, or where they are few, the poses themselves say what is usual, and none is outside of the
        labels.
    places : array [M, 2], optional
        Where in this recording animals were labelled: their centres (x, y) in px.

    Returns
    -------
    list of Problem
        Frames of one kind and animal that lie close together are one problem.
    """
    config = config or ReviewConfig()
    sights = Sights.of(poses, video)
    if not len(sights.rows):
        return []
    steps = sights.steps(config.merge_frames + 1)
    swaps, explained = _swaps(sights, steps, config.swap)
    found = [
        *swaps,
        *_jumps(sights, steps, config, explained),
        *_counts(sights, config),
        *_confidence(sights, config),
        *_shapes(sights, config, usual),
        *_poses(sights, config, usual),
        *_places(sights, config, places),
    ]
    order = list(Kind)
    return sorted(found, key=lambda p: (p.first, order.index(p.kind), p.slots))


# ------------------------------------------------------------------------ swaps


def _swaps(sights: Sights, steps: Steps, limit: float) -> tuple[list[Problem], BoolArray]:
    """Pairs of tracks that would have shorter ways if they were exchanged.

    Returns
    -------
    problems : list
    explained : array [S] of bool
        Steps whose leap comes from a swap.
    """
    length = np.linalg.norm(steps.shift(sights), axis=1)
    far = np.flatnonzero(length > _LEAST_MOVE * sights.length_px)
    explained = np.zeros(len(length), np.bool_)
    if not len(far) or sights.track.shape[1] < 2:
        return [], explained
    row_a, row_b = sights.row[steps.a[far]], sights.row[steps.b[far]]
    slot_a, slot_b = sights.slot[steps.a[far]], sights.slot[steps.b[far]]
    # Every other animal that is on both rows: its slot there.
    before, after = sights.track[row_a], sights.track[row_b]
    same = (before[:, :, None] == after[:, None, :]) & (before[:, :, None] >= 0)
    same[np.arange(len(far)), slot_a] = False
    pair, other_a, other_b = np.nonzero(same)
    a0, b0 = (row_a[pair], slot_a[pair]), (row_b[pair], slot_b[pair])
    a1, b1 = (row_a[pair], other_a), (row_b[pair], other_b)
    kept = sights.distance(a0, b0) + sights.distance(a1, b1)
    exchanged = sights.distance(a0, b1) + sights.distance(a1, b0)
    with np.errstate(invalid="ignore"):
        share = exchanged / kept
        chosen = np.flatnonzero(share < limit)
    best: dict[tuple[int, int, int], int] = {}
    for i in chosen.tolist():
        tracks = sights.track[b0[0][i], b0[1][i]], sights.track[b1[0][i], b1[1][i]]
        key = (int(min(tracks)), int(max(tracks)), int(sights.frame[b0[0][i]]))
        if key not in best or share[i] < share[best[key]]:
            best[key] = i
    events: dict[tuple[int, int], list[int]] = {}
    for (low, high, _), i in sorted(best.items()):
        events.setdefault((low, high), []).append(i)
        for row, slot in ((b0[0][i], b0[1][i]), (b1[0][i], b1[1][i])):
            explained |= steps.b == sights.where[row, slot]
    problems = []
    for group in events.values():
        for start, back in _returns([int(sights.frame[b0[0][i]]) for i in group]):
            i = group[start]
            row = int(b0[0][i])
            first = int(sights.frame[row])
            last = first if back is None else int(sights.frame[b0[0][group[back]]]) - 1
            problems.append(
                Problem(
                    Kind.SWAP, first, last, first, int(sights.rows[row]),
                    (int(b0[1][i]), int(b1[1][i])), float(share[i]),
                    limit / max(float(share[i]), 0.01),
                    f"exchange places: {exchanged[i] / 2:.0f} px instead of {kept[i] / 2:.0f} px",
                    onward=back is None,
                )
            )  # fmt: skip
    return problems, explained


def _returns(frames: list[int]) -> list[tuple[int, int | None]]:
    """Pair events with the next one, which takes them back, when that comes soon; by index."""
    out: list[tuple[int, int | None]] = []
    i = 0
    while i < len(frames):
        soon = i + 1 < len(frames) and frames[i + 1] - frames[i] <= _RETURN_FRAMES
        out.append((i, i + 1 if soon else None))
        i += 2 if soon else 1
    return out


# ------------------------------------------------------------------------ jumps


def _jumps(
    sights: Sights, steps: Steps, config: ReviewConfig, explained: BoolArray
) -> list[Problem]:
    """Find steps that are too fast, of a whole animal or of one keypoint against the others."""
    if not len(steps.a):
        return []
    body, parts = steps.speeds(sights)
    least = _LEAST_MOVE * sights.length_px
    body_limit = max(config.jump * float(np.quantile(body, _FAST)), least)
    part_limit = np.maximum(config.jump * _quantiles(parts, _FAST), least)
    excess = np.nan_to_num(parts / part_limit)
    worst = excess.argmax(1)
    part_excess = excess.max(1)
    severity = np.maximum(body / body_limit, part_excess)
    flagged = np.flatnonzero((severity > 1) & ~explained)
    flagged = flagged[np.argsort(steps.b[flagged], kind="stable")]  # by track, then frame
    at = steps.b[flagged]
    frame, track = sights.frame[sights.row[at]], sights.tracks[at]
    problems = []
    for start, stop in _runs(track, frame, config.merge_frames):
        group = flagged[start:stop]
        i = int(group[severity[group].argmax()])
        first, end = int(frame[start]), int(frame[stop - 1])
        back = stop - start > 1
        whole = body[i] / body_limit >= part_excess[i]
        if whole:
            speed = float(body[i])
            text = f"jumps {speed:.0f} px a frame"
            wrong: list[int] = []
        else:
            # One that leaps moves the middle of the animal, from which the others then seem to move.
            alone = steps.select(group).from_median(sights)
            most = np.nanmax(alone, axis=1, keepdims=True)
            far = (excess[group] > 1) & (alone > most / 2)
            wrong = np.flatnonzero(far.any(0)).tolist()
            speed = float(parts[i, worst[i]])
            text = f"{sights.skeleton.keypoints[worst[i]]} jumps {speed:.0f} px a frame"
        row = int(sights.row[steps.b[group[0]]])
        problems.append(
            Problem(
                Kind.JUMP, first, max(first, end - 1) if back else first, first,
                int(sights.rows[row]), (int(sights.slot[steps.b[group[0]]]),), speed,
                float(severity[i]), text, onward=not back and bool(whole), keypoints=tuple(wrong),
            )
        )  # fmt: skip
    return problems


# ---------------------------------------------------------------------- numbers


def _counts(sights: Sights, config: ReviewConfig) -> list[Problem]:
    """Frames with more or less animals than there are."""
    if not config.animals:
        return []
    frame, row_of, count = _with_holes(sights)
    difference = count - config.animals
    problems = []
    for kind, sign in ((Kind.MISSING, -1), (Kind.SURPLUS, 1)):
        rows = np.flatnonzero(difference * sign > 0)
        for start, stop in _runs(np.zeros(len(rows)), frame[rows], config.merge_frames):
            group = rows[start:stop]
            row = int(group[np.abs(difference[group]).argmax()])
            problems.append(
                Problem(
                    kind, int(frame[group[0]]), int(frame[group[-1]]),
                    int(frame[row]), int(sights.rows[row_of[row]]), (), float(count[row]),
                    1.0 + abs(int(difference[row])) / config.animals,
                    f"{count[row]} of {config.animals} animals"
                    if sign < 0
                    else f"{count[row]} animals instead of {config.animals}",
                )
            )  # fmt: skip
    return problems


def _with_holes(sights: Sights) -> tuple[IntArray, IntArray, IntArray]:
    """Frames [F], row of each in the sights, and number of animals, with frames that the file left out as empty.

    Formats leave out frames on which nothing was found. They have the row before. Predictions of frames far from
    each other have no holes.
    """
    frame, count = sights.frame, sights.present.sum(1)
    every = all_frames(frame)
    row_of = np.searchsorted(frame, every, side="right") - 1
    return every, row_of, np.where(frame[row_of] == every, count[row_of], 0)


# ------------------------------------------------------------------- confidence


def _confidence(sights: Sights, config: ReviewConfig) -> list[Problem]:
    """Animals of whom the model was less sure than it usually is."""
    grade = sights.instance_score
    score = np.where(sights.seen, sights.score, np.nan)
    if not len(grade) or not config.confidence:
        return []
    share = grade / max(float(np.median(grade)), 1e-6)
    usual = _quantiles(score, 0.5)
    relative = np.minimum(score / np.maximum(usual, 1e-6), 1.0)
    count = np.maximum(sights.seen.sum(1), 1)
    share = np.minimum(share, np.where(sights.seen, relative, 0.0).sum(1) / count)
    lowest = np.where(sights.seen, relative, np.inf).argmin(1)

    def text(i: int) -> str:
        name = sights.skeleton.keypoints[lowest[i]]
        return (
            f"confidence {grade[i]:.2f}, {100 * share[i]:.0f} % of the usual; "
            f"{name} {sights.score[i, lowest[i]]:.2f}"
        )

    severity = config.confidence / np.maximum(share, 0.01)
    return _merged(sights, Kind.CONFIDENCE, share, severity, config, text)


# ----------------------------------------------------------------------- shapes


def _shapes(sights: Sights, config: ReviewConfig, usual: Poses | None) -> list[Problem]:
    """Poses with parts that are longer or shorter than parts usually are."""
    parts = parts_of(sights.skeleton)
    if not len(parts) or not len(sights.xy):
        return []
    examples = sights.xy
    if usual is not None and usual.n_instances >= ENOUGH_POSES:
        examples = usual.xy[usual.present]
    shape = UsualShape.of(examples, sights.length_px or 1.0)
    times, lengths = shape.excess(sights.xy, parts)
    worst = times.argmax(1)
    value = times.max(1)

    def text(i: int) -> str:
        part = parts[worst[i]]
        low, high = shape.usual_px(part)
        return (
            f"{part_name(sights.skeleton, part)} is {lengths[i, worst[i]]:.0f} px long, "
            f"usually {low:.0f} to {high:.0f} px"
        )

    return _merged(sights, Kind.SHAPE, value, value / config.shape, config, text)


def _poses(sights: Sights, config: ReviewConfig, usual: Poses | None) -> list[Problem]:
    """Poses that are unlike all labelled ones."""
    size = sights.length_px or 1.0
    known = None if usual is None else LabelledPoses.of(usual.xy[usual.present], size)
    if known is None or not len(sights.xy):
        return []
    times, keypoint = known.times(sights.xy)

    def text(i: int) -> str:
        name = sights.skeleton.keypoints[keypoint[i]]
        return f"unlike the labelled poses ({times[i]:.1f} times the usual distance), most of all {name}"

    return _merged(sights, Kind.POSE, times, times / config.pose, config, text)


def _places(sights: Sights, config: ReviewConfig, places: FloatArray | None) -> list[Problem]:
    """Animals in a part of the picture where none was labelled."""
    known = None if places is None else LabelledPlaces.of(places)
    if known is None or not len(sights.xy):
        return []
    beyond = known.beyond_px(sights.center)
    limit = max(config.place * sights.length_px, 1.0)

    def text(i: int) -> str:
        return f"{beyond[i]:.0f} px outside of where animals were labelled"

    return _merged(sights, Kind.PLACE, beyond, beyond / limit, config, text)


def _quantiles(values: FloatArray, quantile: float) -> FloatArray:
    """Quantile of each column; NaN where nothing is known."""
    out = np.full(values.shape[1], np.nan)
    for k in range(values.shape[1]):
        known = values[np.isfinite(values[:, k]), k]
        if len(known):
            out[k] = np.quantile(known, quantile)
    return out


# ---------------------------------------------------------------------- merging


def _merged(
    sights: Sights,
    kind: Kind,
    value: FloatArray,
    severity: FloatArray,
    config: ReviewConfig,
    text: Callable[[int], str],
) -> list[Problem]:
    """Join the animals with a severity above 1 to problems, one for each run of frames."""
    flagged = np.flatnonzero(severity > 1)
    track, frame = sights.tracks[flagged], sights.frame[sights.row[flagged]]
    order = np.lexsort((frame, track))
    flagged, track, frame = flagged[order], track[order], frame[order]
    problems = []
    for start, stop in _runs(track, frame, config.merge_frames):
        group = flagged[start:stop]
        i = int(group[severity[group].argmax()])
        row = int(sights.row[i])
        problems.append(
            Problem(
                kind, int(frame[start]), int(frame[stop - 1]), int(sights.frame[row]),
                int(sights.rows[row]), (int(sights.slot[i]),), float(value[i]), float(severity[i]),
                text(i),
            )
        )  # fmt: skip
    return problems


def _runs(track: NDArray, frame: IntArray, gap: int) -> list[tuple[int, int]]:
    """Start and end of runs of one track whose frames are at most `gap` frames apart."""
    if not len(frame):
        return []
    new = (np.diff(track) != 0) | (np.diff(frame) > gap + 1)
    starts = np.concatenate([[0], np.flatnonzero(new) + 1])
    ends = np.append(starts[1:], len(frame))
    return list(zip(starts.tolist(), ends.tolist(), strict=True))
