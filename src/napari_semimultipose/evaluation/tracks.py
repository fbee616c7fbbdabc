"""How well predicted tracks follow true animals: identity switches, IDF1 and CLEAR-MOT numbers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.pairing import keypoint_index, pair_frames
from napari_semimultipose.matching import assign, oks, pose_area, squared_distances
from napari_semimultipose.poses import FloatArray, IntArray, Poses


def track_scores(
    prediction: Poses, truth: Poses, config: EvaluateConfig | None = None
) -> dict[str, Any]:
    """Compare predicted with true identities on the frames of the truth.

    A detection follows an animal when their OKS (sigma `track_sigma`) is at least `track_min_oks`,
    or when `track_distance_px` is set, when their mean keypoint distance is at most that.
    Identities of different videos are different. Detections without a track are left out; animals
    without a known identity ask for nothing, and detections of them are no error.

    Parameters
    ----------
    prediction, truth : Poses
        Frames and keypoints are paired as in `scores.evaluate`.
    config : EvaluateConfig, optional

    Returns
    -------
    dict
        ``switches``: a true animal is followed by another track than the last time it was
        followed; ``fragments``: it is followed again after it was lost; ``mota`` = 1 - (misses +
        false positives + switches) / animals (Bernardin & Stiefelhagen 2008; a pair of the past is
        kept while it holds); ``idf1``, ``idp``, ``idr``: F1, precision and recall of identities
        under the best one-to-one map of true to predicted tracks of the whole recording (Ristani
        et al. 2016). ``animals``, ``misses``, ``false_positives`` count instances,
        ``true_tracks``, ``predicted_tracks`` identities. ``switch_events``: where they happen.

    Raises
    ------
    LabelsError
        When the truth has no tracks, or frames or keypoints do not fit.
    """
    config = config or EvaluateConfig()
    if not (truth.track >= 0).any():
        raise LabelsError("the true poses have no tracks: identities cannot be scored")
    partner = pair_frames(prediction, truth)
    keypoints = keypoint_index(prediction, truth)
    ledgers: dict[int, _Ledger] = defaultdict(_Ledger)
    for row in np.lexsort((truth.frame, truth.video)).tolist():
        other = int(partner[row])
        animals = np.flatnonzero(truth.present[row])
        tracked = np.flatnonzero(prediction.track[other] >= 0) if other >= 0 else np.zeros(0, int)
        similarity = _similarity(
            np.where((keypoints >= 0)[:, None], prediction.xy[other][tracked][:, keypoints], np.nan)
            if tracked.size
            else np.zeros((0, len(keypoints), 2)),
            truth.xy[row, animals],
            config,
        )
        ledgers[int(truth.video[row])].add(
            int(truth.frame[row]),
            similarity,
            prediction.track[other][tracked] if tracked.size else np.zeros(0, np.int64),
            truth.track[row, animals],
        )
    return _summary(ledgers)


def _similarity(xy: FloatArray, truth: FloatArray, config: EvaluateConfig) -> FloatArray:
    """Similarity [D, G], above 0 exactly where the detection may follow the animal."""
    if config.track_distance_px > 0:
        limit = config.track_distance_px
        distance = np.sqrt(squared_distances(xy, truth))
        common = np.isfinite(distance)
        mean = np.where(common, distance, 0.0).sum(-1) / np.maximum(common.sum(-1), 1)
        near = common.any(-1) & (mean <= limit)
        return np.where(near, 1.0 - mean / (2 * limit), 0.0)
    area = (
        np.full(len(truth), config.area_px2)
        if config.area == "constant"
        else pose_area(truth, config.area_margin_px if config.area == "extent" else 0.0)
    )
    value = oks(xy, truth, area, config.track_sigma, config.oks_form)
    return np.where(value >= config.track_min_oks, value, 0.0)


@dataclass
class _Ledger:
    """What happened to the animals of one video, frame after frame."""

    follower: dict[int, int] = field(default_factory=dict)  # animal -> last track
    lost: set[int] = field(
        default_factory=set
    )  # animals followed before, but not in the last frame
    events: list[dict[str, int]] = field(default_factory=list)
    overlap: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    true_ids: set[int] = field(default_factory=set)
    predicted_ids: set[int] = field(default_factory=set)
    animals: int = 0
    detections: int = 0
    matches: int = 0
    fragments: int = 0

    def add(self, frame: int, similarity: FloatArray, track: IntArray, animal: IntArray) -> None:
        """Take the next frame: similarities [D, G] of detections with `track`, of `animal` or -1."""
        pair = self._correspondence(similarity, track, animal)
        known = [g for g, a in enumerate(animal.tolist()) if a >= 0]
        # A detection of an animal whose identity nobody knows is neither right nor wrong.
        free = [d for d in range(len(track)) if d not in {pair[g] for g in pair if g not in known}]
        self.animals += len(known)
        self.detections += len(free)
        self.true_ids.update(int(animal[g]) for g in known)
        self.predicted_ids.update(int(track[d]) for d in free)
        for d in free:
            for g in known:
                if similarity[d, g] > 0:
                    self.overlap[int(animal[g]), int(track[d])] += 1
        for g in known:
            a = int(animal[g])
            if g not in pair:
                if a in self.follower:
                    self.lost.add(a)
                continue
            t = int(track[pair[g]])
            self.matches += 1
            if a in self.lost:
                self.fragments += 1
                self.lost.discard(a)
            before = self.follower.get(a, t)
            if before != t:
                self.events.append({"frame": frame, "animal": a, "before": before, "after": t})
            self.follower[a] = t

    def _correspondence(
        self, similarity: FloatArray, track: IntArray, animal: IntArray
    ) -> dict[int, int]:
        """Find the detection of each animal: pairs of the past stay while they hold."""
        where = {t: d for d, t in enumerate(track.tolist())}
        pair: dict[int, int] = {}
        taken: set[int] = set()
        for g, a in enumerate(animal.tolist()):
            d = where.get(self.follower.get(a, -1))
            if d is not None and d not in taken and similarity[d, g] > 0:
                pair[g] = d
                taken.add(d)
        if len(pair) < min(similarity.shape):
            rest = similarity.copy()
            rest[sorted(taken)] = 0.0
            rest[:, sorted(pair)] = 0.0
            pair |= {g: d for d, g in zip(*map(NDArray.tolist, assign(rest)), strict=True)}
        return pair


def _summary(ledgers: dict[int, _Ledger]) -> dict[str, Any]:
    animals = sum(v.animals for v in ledgers.values())
    detections = sum(v.detections for v in ledgers.values())
    matches = sum(v.matches for v in ledgers.values())
    events = [{"video": v, **event} for v in ledgers for event in ledgers[v].events]
    right = sum(_identity_matches(v) for v in ledgers.values())
    misses, false_positives = animals - matches, detections - matches
    return {
        "switches": len(events),
        "fragments": sum(v.fragments for v in ledgers.values()),
        "idf1": 2 * right / (animals + detections),
        "idp": right / detections if detections else None,
        "idr": right / animals,
        "mota": 1 - (misses + false_positives + len(events)) / animals,
        "misses": misses,
        "false_positives": false_positives,
        "animals": animals,
        "true_tracks": sum(len(v.true_ids) for v in ledgers.values()),
        "predicted_tracks": sum(len(v.predicted_ids) for v in ledgers.values()),
        "switch_events": events,
    }


def _identity_matches(ledger: _Ledger) -> int:
    """Instances that carry the right identity under the best map of true to predicted tracks."""
    if not ledger.overlap:
        return 0
    rows = {a: i for i, a in enumerate(sorted(ledger.true_ids))}
    columns = {t: i for i, t in enumerate(sorted(ledger.predicted_ids))}
    count = np.zeros((len(rows), len(columns)))
    for (a, t), n in ledger.overlap.items():
        count[rows[a], columns[t]] = n
    return int(count[assign(count)].sum())
