"""Which animals were found well and which badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.evaluation.examples import (
    best,
    outcomes_of,
    worst,
)
from napari_semimultipose.evaluation.scores import evaluate
from napari_semimultipose.poses import Poses

from .crowds import BEE, crowd, detections, images


@pytest.mark.parametrize("swap", [(), (("Rant", "Lant"),)])
def test_every_animal_and_every_detection_has_one_outcome(swap: tuple) -> None:
    truth = crowd(0, frames=8)
    prediction = detections(truth, swapped=0.5)
    config = EvaluateConfig(swap=swap)
    found = outcomes_of(prediction, truth, config)
    animals = list(zip(found.row[found.animal >= 0], found.animal[found.animal >= 0], strict=True))
    assert sorted(animals) == [tuple(place) for place in np.argwhere(truth.present)]
    seen = found.detection >= 0
    assert seen.sum() == prediction.n_instances
    # The same pairs as those behind the scores, as far as they are alike at all.
    scores = evaluate(prediction, truth, replace_least(config))
    assert found.found.sum() == scores["matched"]
    errors = found.error_px[found.found]
    errors = errors[np.isfinite(errors)]
    assert np.median(errors) == pytest.approx(scores["median_error_px"])
    assert found.oks[found.found].mean() == pytest.approx(scores["mean_oks"])


def replace_least(config: EvaluateConfig) -> EvaluateConfig:
    return config.model_copy(update={"match_min_oks": 1e-3})


def test_the_best_and_the_worst_are_what_they_are_called() -> None:
    truth = crowd(1, frames=30, animals=2, missing=0)
    prediction = detections(truth, dropped=0.2, lacking=0)
    found = outcomes_of(prediction, truth)
    top = best(found, truth, 4)
    assert found.found[top].all()
    assert found.oks[top].min() >= np.median(found.oks[found.found])
    assert len(set(found.row[top].tolist())) == 4
    low = worst(found, prediction, truth, 9)
    kinds = [
        "missed" if found.detection[i] < 0 else "surplus" if found.animal[i] < 0 else "pair"
        for i in low
    ]
    assert kinds == ["missed"] * 3 + ["surplus"] * 3 + ["pair"] * 3
    pairs = np.flatnonzero(found.found)
    assert found.oks[low[6]] == found.oks[pairs].min()


def test_neighbouring_frames_come_last() -> None:
    count = 90
    truth = Poses(BEE, np.zeros((count, 1, 5, 2)) + np.arange(5)[:, None] * 10, np.arange(count))
    shift = np.linspace(0.1, 0.5, count)
    shift[10:14] = 3, 3.1, 3, 3  # one bad moment of four frames
    shift[30] = 2
    shift[60] = 1
    prediction = replace(truth, xy=truth.xy + shift[:, None, None, None])
    found = outcomes_of(prediction, truth)
    assert found.row[worst(found, prediction, truth, 3)].tolist() == [11, 30, 60]


def test_one_animal_keeps_its_detection_however_far_it_is() -> None:
    truth = Poses(BEE, np.random.default_rng(0).uniform(0, 50, (3, 1, 5, 2)), np.arange(3))
    found = outcomes_of(replace(truth, xy=truth.xy + 40), truth)
    assert found.found.tolist() == [True] * 3


def test_nothing_at_all() -> None:
    nothing = Poses.empty(BEE, (images(3),))
    found = outcomes_of(nothing, nothing)
    assert len(found.row) == 0
    assert best(found, nothing, 3) == []
    assert worst(found, nothing, nothing, 3) == []


def test_frames_without_predictions_have_missed_animals() -> None:
    truth = crowd(0, frames=6)
    found = outcomes_of(truth.select([0, 1, 2]), truth)
    late = found.row >= 3
    assert (found.detection[late] == -1).all()
    assert (found.partner[late] == -1).all()
    assert found.found[~late].all()
