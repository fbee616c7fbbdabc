"""Joining pieces of tracks over gaps, all at once, from their first and last sights alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from napari_semimultipose.config import TrackConfig
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray
from napari_semimultipose.tracking.motion import Animals, paired_similarity, widening

# An end and a beginning are known from both sides: twice the tolerance of a single step.
_PATIENCE = 2.0
# Prices, in detections: of a join of poses that are not alike at all - a detour must bring as many -,
# and of a further animal, where their number is not known.
_LEAP = 2.0
_BIRTH = 5.0
# With a fixed number of animals: so many pieces are joined at once, else so many in a window.
_MOST_PIECES = 1500
_WINDOW = 800
# Share of the price of a join that a chain pays at the end of a window for having left its place.
_WAY_BACK = 0.5
# Pairs of pieces that are compared at once.
_BLOCK = 100_000
# Costs are multiples of one part in so many, which sums of them keep.
_GRID = 2.0**20


@dataclass(frozen=True)
class Scale:
    """What a video's distances in time and space are measured with.

    Parameters
    ----------
    step : int
        Frames from one tracked frame to the next.
    tolerance_px2 : float
        Denominator of the pose similarity.
    """

    step: int
    tolerance_px2: float


def final_tracks(pieces: Animals, scales: Mapping[int, Scale], config: TrackConfig) -> IntArray:
    """Join pieces of tracks to the chains that hold the most, at the least price.

    A chain holds the scores of its detections, and pays for every join the more the less alike the
    poses are that the motion from both sides predicts. With a fixed number of animals N, the best
    N chains are taken, and a gap may have any length. Else a chain has a price, too, a gap is at
    most `max_gap_frames` long, and pieces that no chain wants are tracks of their own. Both are
    minimum-cost flows (Zhang, Li & Nevatia 2008), solved as assignments of ends to beginnings (as
    Jaqaman et al. 2008 do): exact, and all pieces at once.

    Parameters
    ----------
    pieces : Animals
        Each with its own `track`, 0 to T - 1.
    scales : mapping from video to Scale
    config : TrackConfig

    Returns
    -------
    array [T] of int
        Final track of each piece, numbered by first appearance, then from left to right; -1 for
        pieces of tracks with less than `min_length_frames` detections, or that are surplus.
    """
    pieces = pieces.take(np.argsort(pieces.track))
    successor = np.full(len(pieces), -1, np.int64)
    dropped = np.zeros(len(pieces), bool)
    free = pieces.host < 0
    for video in np.unique(pieces.video).tolist():
        member = np.flatnonzero(free & (pieces.video == video))
        some = pieces.take(member)
        if config.animals:
            after, surplus = _fixed_number(some, scales[video], config)
            dropped[member[surplus]] = True
        else:
            after = _any_number(some, scales[video], config)
        has = after >= 0
        successor[member[has]] = member[after[has]]
    # What lies in a hole of another piece goes where that one goes.
    chain = _chains(np.where(free, successor, pieces.host))
    sights = np.bincount(chain, pieces.sights, len(pieces))
    gone = sights[chain] < _least_sights(pieces, scales, config)
    lost = np.zeros(len(pieces), bool)
    lost[chain[dropped | gone]] = True
    return _numbered(pieces, chain, lost[chain])


def _least_sights(pieces: Animals, scales: Mapping[int, Scale], config: TrackConfig) -> IntArray:
    """Fewest detections of a track for each piece: not more than its video has frames, where these are two or more."""
    least = np.zeros(len(pieces), np.int64)
    for video in np.unique(pieces.video).tolist():
        of = pieces.video == video
        frames = int(pieces.end[of].max() - pieces.begin[of].min()) // scales[video].step + 1
        least[of] = min(config.min_length_frames, max(frames, 2))
    return least


def _any_number(pieces: Animals, scale: Scale, config: TrackConfig) -> IntArray:
    """Successor [T] of each piece, or -1, when the number of animals is not known.

    The assignment has a row for the end of each piece and for its being the first of a chain, and a
    column for its beginning and for its being the last. A piece whose end is assigned to its own
    beginning is not used; the fourth quarter takes up what is left, at no cost.
    """
    t = len(pieces)
    longest = (config.max_gap_frames + 1) * scale.step
    before, after, price = _joins(pieces, scale, longest, config.min_similarity)
    successor = np.full(t, -1, np.int64)
    if not len(before):
        return successor
    value = _values(pieces)
    each = np.arange(t)
    rows = np.concatenate([before, each, t + each, each, t + after, t + each])
    columns = np.concatenate([after, each, each, t + each, t + before, t + each])
    cost = np.concatenate(
        [
            price - value[after],
            np.zeros(t),
            _BIRTH - value,
            np.zeros(t + len(before) + t),
        ]
    )
    # The same for every entry of a full assignment, and the solver needs entries above 0.
    cost += 1.0 - cost.min()
    # SciPy's solver does not come back from some matrices whose sums of costs are rounded.
    cost = np.round(cost * _GRID) / _GRID
    matrix = csr_array((cost, (rows, columns)), shape=(2 * t, 2 * t))
    i, j = min_weight_full_bipartite_matching(matrix)
    joined = (i < t) & (j < t) & (i != j)
    successor[i[joined]] = j[joined]
    return successor


def _fixed_number(pieces: Animals, scale: Scale, config: TrackConfig) -> tuple[IntArray, IntArray]:
    """Successor [T] of each piece, and the pieces outside of the N best chains.

    Many pieces are joined in windows of time: of each the first half is settled, and the chains that lead out of it
    go on in the next.
    """
    total = len(pieces)
    order = np.argsort(pieces.begin, kind="stable")
    successor = np.full(total, -1, np.int64)
    surplus = np.zeros(total, bool)
    heads = np.zeros(0, np.int64)
    start = 0
    while start < total:
        whole = total - start <= _MOST_PIECES
        window = order[start : start + (_MOST_PIECES if whole else _WINDOW)]
        used = np.concatenate([heads, window])
        after, alone = _best_chains(
            pieces.take(used), len(heads), scale, config.animals, goes_on=not whole
        )
        settled = np.zeros(len(used), bool)
        settled[: len(used) if whole else len(heads) + len(window) // 2] = True
        follows = (after >= 0) & settled[after]
        inner = settled & follows
        successor[used[inner]] = used[after[inner]]
        surplus[used[settled & alone]] = True
        heads = used[settled & ~follows & ~alone]
        start += int(settled.sum()) - (len(used) - len(window))
    return successor, np.flatnonzero(surplus)


def _best_chains(
    pieces: Animals, heads: int, scale: Scale, animals: int, *, goes_on: bool
) -> tuple[IntArray, BoolArray]:
    """Successor [T] of each piece, and which are in none of the N best chains.

    Each of the first pieces, the heads, begins a chain. Where time goes on, a chain that ends far from all heads pays
    a part of the way back: else an animal that is hidden would rather be a stray than nothing.

    The assignment has a row for the end of each piece and for each of N sources, and a column for
    the beginning of each piece and for each of N drains.
    """
    t = len(pieces)
    value = _values(pieces)
    value[:heads] = value.sum() + 1.0
    before, after, price = _joins(pieces, scale, None, 0.0)
    cost = np.full((t + animals, t + animals), np.inf)
    joins = after >= heads
    cost[before[joins], after[joins]] = (price - value[after])[joins]
    cost[np.arange(t), np.arange(t)] = 0.0
    cost[t:, :t] = -value
    cost[:, t:] = 0.0
    if goes_on and heads:
        way = np.full((heads, t), _LEAP)
        first = before < heads
        way[before[first], after[first]] = price[first]
        cost[heads:t, t:] = _WAY_BACK * way.min(0)[heads:, None]
    i, j = linear_sum_assignment(cost)
    successor = np.full(t, -1, np.int64)
    joined = (i < t) & (j < t) & (i != j)
    successor[i[joined]] = j[joined]
    alone = np.zeros(t, bool)
    alone[i[(i < t) & (i == j)]] = True
    return successor, alone


def _values(pieces: Animals) -> FloatArray:
    """Count the detections [T] of each piece, weighted with their scores; 1 is a usual detection."""
    mean = pieces.weight.sum() / pieces.sights.sum()
    return pieces.weight / mean if mean > 0 else pieces.sights.astype(np.float64)


def _joins(
    pieces: Animals,
    scale: Scale,
    longest: int | None,
    least: float,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of a piece and a later one, and the price of joining them.

    Parameters
    ----------
    longest : int, optional
        Most frames between the end and the beginning; any by default.
    least : float
        Pairs that are less similar are left out.
    """
    order = np.argsort(pieces.begin, kind="stable")
    begins = pieces.begin[order]
    low = np.searchsorted(begins, pieces.end, side="right")
    high = np.full(len(pieces), len(pieces))
    if longest is not None:
        high = np.searchsorted(begins, pieces.end + longest, side="right")
    count = np.maximum(high - low, 0)
    before = np.repeat(np.arange(len(pieces)), count)
    offset = np.arange(len(before)) - np.repeat(np.cumsum(count) - count, count)
    after = order[np.repeat(low, count) + offset]
    kept = np.ones(len(before), bool)
    price = np.zeros(len(before))
    for start in range(0, len(before), _BLOCK):
        part = slice(start, start + _BLOCK)
        a, b = pieces.take(before[part]), pieces.take(after[part])
        steps = (b.begin - a.end) / scale.step
        wide = widening(steps)
        tolerance = _PATIENCE**2 * scale.tolerance_px2 * wide * wide
        forth = paired_similarity(a.expected(steps), b.first, tolerance)
        back = paired_similarity(a.now, b.expected_before(steps), tolerance)
        fit = (forth + back) / 2.0
        kept[part] = fit >= least
        price[part] = _LEAP * (1.0 - fit / wide)
    return before[kept], after[kept], price[kept]


def _chains(link: IntArray) -> IntArray:
    """Label [T] of the pieces that hang together by links (-1: none)."""
    has = np.flatnonzero(link >= 0)
    size = len(link)
    graph = coo_array((np.ones(len(has)), (has, link[has])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component, np.int64)


def _numbered(pieces: Animals, chain: IntArray, dropped: BoolArray) -> IntArray:
    """Give the chains that stay their numbers, by first sight: video, frame, then x and y."""
    seen = np.maximum(pieces.first.seen.sum(1), 1.0)
    x = (pieces.first.x * pieces.first.seen).sum(1) / seen
    y = (pieces.first.y * pieces.first.seen).sum(1) / seen
    number: dict[int, int] = {}
    for i in np.lexsort((y, x, pieces.begin, pieces.video)).tolist():
        if not dropped[i]:
            number.setdefault(int(chain[i]), len(number))
    return np.array(
        [-1 if gone else number[int(c)] for c, gone in zip(chain, dropped, strict=True)], np.int64
    )
