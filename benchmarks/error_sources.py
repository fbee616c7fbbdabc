"""What each kind of error costs: scores of predictions of which one thing after the other is made true.

    python benchmarks/error_sources.py PREDICTION TRUTH [--frames-list LIST] [--swap A,B ...] [--out FILE.json]

Predicted and true animals are paired one to one (largest summed OKS, sigma .1). Then AP at sigma .05 and .1 of the
predictions as they are; with the best order of their scores; without those that belong to no animal; with the
animals that nobody found; with the true positions of all keypoints, or of one keypoint alone; and with pairs of
keypoints exchanged where that is better (``--swap``). The largest difference is what is worth working on.
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
from napari_semimultipose.evaluation.pairing import pair_frames
from napari_semimultipose.evaluation.scores import animal_areas
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


def variants(
    prediction: Poses, truth: Poses, swaps: Sequence[tuple[int, int]]
) -> tuple[dict[str, Poses], NDArray]:
    """Return predictions with one thing made true each, and the pixel errors [M, K] of the matched pairs."""
    score = prediction.instance_score
    area = animal_areas(truth, EvaluateConfig())
    similarity = oks(prediction.xy, truth.xy, area, 0.1)
    possible = prediction.present[:, :, None] & truth.present[:, None]
    similarity = np.where(possible, similarity, -1.0)
    frame, found, animal = match_one_to_one(similarity, LEAST)
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
        for i, j in swaps:
            pair, other = xy[frame, found][:, [i, j]], truth.xy[frame, animal][:, [i, j]]
            straight = np.linalg.norm(pair - other, axis=-1)
            crossed = np.linalg.norm(pair[:, ::-1] - other, axis=-1)
            turn = np.nansum(crossed, 1) < np.nansum(straight, 1)
            xy[frame[turn], found[turn], i], xy[frame[turn], found[turn], j] = (
                pair[turn, 1],
                pair[turn, 0],
            )
        made["with pairs the right way round"] = on_frames_of(truth, xy, score)
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
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    truth = api.read_poses(given.truth)
    if given.frames_list is not None:
        truth = truth.select(rows_named(truth, given.frames_list, "the list of frames"))
    prediction = slots(api.read_poses(given.prediction), truth)
    names = truth.skeleton.keypoints
    swaps = [(names.index(a), names.index(b)) for a, b in (s.split(",") for s in given.swap)]
    made, error = variants(prediction, truth, swaps)
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
    if given.out is not None:
        quantiles = dict(zip(names, shares.round(2).tolist(), strict=True))
        text = json.dumps({"ap": rows, "error_px": quantiles}, indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
