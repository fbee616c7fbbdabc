"""What each kind of error costs: scores of predictions of which one thing after the other is made true.

    python benchmarks/error_sources.py PREDICTION TRUTH [--frames-list LIST] [--swap A,B ...] [--axis TAIL,HEAD]
        [--others PREDICTION ...] [--out FILE.json]

Predicted and true animals are paired one to one (largest summed OKS, sigma .1). Then AP at sigma .05 and .1 of the
predictions as they are; with the best order of their scores; without those that belong to no animal; with the
animals that nobody found; with the true positions of all keypoints, or of one keypoint alone; and with pairs of
keypoints exchanged where that is better (``--swap``). The largest difference is what is worth working on.

Two things tell what a network does not know from what its labels do not say. ``--others``: predictions of networks that
learned from the same labels from other random weights; how far they lie from PREDICTION, beside the errors (exchanged pairs put
right in both). ``--axis``: the median offset of each keypoint from the truth, in the frame of the body, taken away.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tables import markdown

from napari_semimultipose import api
from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.evaluation.detection import match_one_to_one
from napari_semimultipose.evaluation.scores import animal_areas
from napari_semimultipose.io.pairing import pair_frames
from napari_semimultipose.matching import oks
from napari_semimultipose.poses import Poses
from napari_semimultipose.sources import rows_named

LEAST = 0.1  # OKS of a pair, sigma .1


def slots(prediction: Poses, truth: Poses) -> Poses:
    """Return the predictions on the frames of the truth, with as many more free slots as it has animals."""
    partner = pair_frames(prediction, truth)
    frames, animals, k = truth.xy.shape[:3]
    most = prediction.xy.shape[1]
    xy = np.full((frames, most + animals, k, 2), np.nan)
    score = np.full((frames, most + animals), np.nan)
    has = partner >= 0
    xy[has, :most] = prediction.xy[partner[has]]
    score[has, :most] = prediction.instance_score[partner[has]]
    return on_frames_of(truth, xy, score)


def on_frames_of(truth: Poses, xy: NDArray, score: NDArray) -> Poses:
    """Return animals [F, I, K, 2] with scores [F, I] on the frames of the truth."""
    return Poses(
        truth.skeleton,
        xy,
        truth.frame,
        instance_score=score,
        video=truth.video,
        videos=truth.videos,
    )


def paired(prediction: Poses, truth: Poses) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return the similarity [F, I, J], and frame, predicted and true animal of each pair."""
    similarity = oks(prediction.xy, truth.xy, animal_areas(truth, EvaluateConfig()), 0.1)
    possible = prediction.present[:, :, None] & truth.present[:, None]
    similarity = np.where(possible, similarity, -1.0)
    return similarity, *match_one_to_one(similarity, LEAST)


def straightened(xy: NDArray, true: NDArray, swaps: Sequence[tuple[int, int]]) -> NDArray:
    """Return poses [M, K, 2] with pairs of keypoints exchanged where they are nearer to the true ones then."""
    xy = xy.copy()
    for i, j in swaps:
        straight = np.linalg.norm(xy[:, [i, j]] - true[:, [i, j]], axis=-1)
        crossed = np.linalg.norm(xy[:, [j, i]] - true[:, [i, j]], axis=-1)
        turn = np.nansum(crossed, 1) < np.nansum(straight, 1)
        xy[turn, i], xy[turn, j] = xy[turn, j].copy(), xy[turn, i].copy()
    return xy


def without_offsets(
    xy: NDArray, frame: NDArray, found: NDArray, true: NDArray, axis: tuple[int, int]
) -> NDArray:
    """Return poses [F, I, K, 2] without each keypoint's median offset from the true ones [M, K, 2], in lengths of the body axis."""
    along = xy[:, :, axis[1]] - xy[:, :, axis[0]]
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    square = np.maximum((along**2).sum(-1), 1e-9)[frame, found, None]
    missing = true - xy[frame, found]
    out = xy.copy()
    for way in (along, across):
        share = np.nanmedian((missing * way[frame, found][:, None]).sum(-1) / square, 0)
        out += share[:, None] * way[:, :, None]
    return out


def between_networks(
    prediction: Poses, others: Sequence[Poses], truth: Poses, swaps: Sequence[tuple[int, int]]
) -> tuple[NDArray, NDArray]:
    """Return the errors [N, K] of a prediction, and how far other networks are from it, of animals that all found, px."""
    placed = []
    for poses in (prediction, *others):
        _, frame, found, animal = paired(poses, truth)
        at = np.full(truth.xy.shape, np.nan)
        at[frame, animal] = straightened(poses.xy[frame, found], truth.xy[frame, animal], swaps)
        placed.append(at)
    here = np.isfinite(placed).all((0, 3, 4))
    first = placed[0][here]
    apart = [np.linalg.norm(at[here] - first, axis=-1) for at in placed[1:]]
    return np.linalg.norm(first - truth.xy[here], axis=-1), np.concatenate(apart)


def variants(
    prediction: Poses,
    truth: Poses,
    swaps: Sequence[tuple[int, int]],
    axis: tuple[int, int] | None = None,
) -> tuple[dict[str, Poses], NDArray]:
    """Return predictions with one thing made true each, and the pixel errors [M, K] of the matched pairs."""
    score = prediction.instance_score
    similarity, frame, found, animal = paired(prediction, truth)
    error = np.linalg.norm(prediction.xy[frame, found] - truth.xy[frame, animal], axis=-1)

    def moved(keypoints: Sequence[int]) -> Poses:
        xy = prediction.xy.copy()
        for k in keypoints:
            true = truth.xy[frame, animal, k]
            xy[frame, found, k] = np.where(np.isnan(true), xy[frame, found, k], true)
        return on_frames_of(truth, xy, score)

    best = np.where(prediction.present, similarity.max(-1).clip(0), np.nan)
    matched = np.zeros(prediction.present.shape, bool)
    matched[frame, found] = True
    alone = on_frames_of(
        truth,
        np.where(matched[..., None, None], prediction.xy, np.nan),
        np.where(matched, score, np.nan),
    )
    missed = truth.present.copy()
    missed[frame, animal] = False
    xy, all_scores = prediction.xy.copy(), score.copy()
    for f, a in zip(*np.nonzero(missed), strict=True):
        free = int(np.flatnonzero(~prediction.present[f])[a - truth.xy.shape[1]])
        xy[f, free], all_scores[f, free] = truth.xy[f, a], 0.5
    made = {
        "as they are": prediction,
        "best order of the scores": on_frames_of(truth, prediction.xy, best),
        "without animals that are none": alone,
        "with those that nobody found": on_frames_of(truth, xy, all_scores),
    }
    if swaps:
        xy = prediction.xy.copy()
        xy[frame, found] = straightened(xy[frame, found], truth.xy[frame, animal], swaps)
        made["with pairs the right way round"] = on_frames_of(truth, xy, score)
    if axis is not None:
        xy = without_offsets(prediction.xy, frame, found, truth.xy[frame, animal], axis)
        made["without the offset of each keypoint"] = on_frames_of(truth, xy, score)
    for k, name in enumerate(truth.skeleton.keypoints):
        made[f"true {name}"] = moved([k])
    made["true positions"] = moved(range(len(truth.skeleton)))
    return made, error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prediction", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--frames-list", type=Path)
    parser.add_argument("--swap", nargs="+", default=[], help="pairs of keypoints: A,B")
    parser.add_argument("--axis", default="", help="keypoints at the ends of the body: A,B")
    parser.add_argument("--others", nargs="+", type=Path, default=[])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    truth = api.read_poses(given.truth)
    if given.frames_list is not None:
        truth = truth.select(rows_named(truth, given.frames_list, "the list of frames"))
    prediction, *others = (
        slots(api.read_poses(p), truth) for p in (given.prediction, *given.others)
    )
    names = truth.skeleton.keypoints
    swaps = [(names.index(a), names.index(b)) for a, b in (s.split(",") for s in given.swap)]
    ends = [names.index(name) for name in given.axis.split(",")] if given.axis else []
    made, error = variants(prediction, truth, swaps, (ends[0], ends[1]) if ends else None)
    rows = {}
    for name, poses in made.items():
        rows[name] = [
            api.evaluate(poses, truth, config=EvaluateConfig(sigma=s))["ap"] for s in (0.05, 0.1)
        ]
    shares = np.nanquantile(error, [0.5, 0.75, 0.9], axis=0).T
    cells = [[name, *(f"{value:.3f}" for value in row)] for name, row in rows.items()]
    print(markdown(["predictions", "AP .05", "AP .1"], cells))
    print(
        markdown(
            ["keypoint", "median px", "75 %", "90 %"],
            [[n, *(f"{v:.1f}" for v in s)] for n, s in zip(names, shares, strict=True)],
        )
    )
    found_by_all = {}
    if others:
        own, apart = between_networks(prediction, others, truth, swaps)
        found_by_all = {
            name: np.nanmedian(px, 0).round(2).tolist()
            for name, px in (("error", own), ("apart", apart))
        }
        lines = zip(names, found_by_all["error"], found_by_all["apart"], strict=True)
        print(
            markdown(
                ["keypoint of animals that all found", "median error px", "networks apart px"],
                [*map(list, lines)],
            )
        )
    if given.out is not None:
        quantiles = dict(zip(names, shares.round(2).tolist(), strict=True))
        text = json.dumps(
            {"ap": rows, "error_px": quantiles, "found_by_all_px": found_by_all}, indent=1
        )
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
