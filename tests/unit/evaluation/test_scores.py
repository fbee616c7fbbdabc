"""Average precision, pixel errors, PCK and counts."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semimultipose import api
from napari_semimultipose.cli.tables import score_table
from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.evaluation.scores import evaluate
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

from .crowds import BEE, coco_results, coco_truth, crowd, detections

PAIR = Skeleton(("front", "back"))
LENGTH = 100.0


def row_of(xs: list[float], *, score: list[float] | None = None) -> Poses:
    """One frame with animals of length 100 px that stand upright at the given x."""
    xy = np.array([[[x, 0.0], [x, LENGTH]] for x in xs], float).reshape(1, len(xs), 2, 2)
    return Poses(PAIR, xy, [0], instance_score=None if score is None else [score])


# --------------------------------------------------------------- against other implementations


@pytest.fixture(scope="module")
def peer(shared_data: Path) -> ModuleType:
    path = shared_data.parent / "peers" / "score.py"
    if not path.is_file():
        pytest.skip("the independent scorer (../shared/peers/score.py) is not on this machine")
    spec = importlib.util.spec_from_file_location("peer_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = {
    "images": "frames",
    "gt": "animals",
    "predictions": "predictions",
    "AP": "ap",
    "AP50": "ap50",
    "AP75": "ap75",
    "AR": "ar",
    "recall_oks50": "recall",
    "matched": "matched",
    "points": "points",
    "points_missed": "points_missed",
    "err_median": "median_error_px",
    "err_p95": "p95_error_px",
    "err_median_found": "median_error_found_px",
    "err_p95_found": "p95_error_found_px",
    "mean_oks_matched": "mean_oks",
    "ref_px": "size_px",
    "pck_matched": "pck",
    "pck_all": "pck_all",
    "precision_oks50": "precision",
    "recall_at_thr": "recall_at_score",
}


def agree(peer: ModuleType, prediction: Poses, truth: Poses, config: EvaluateConfig) -> None:
    """Every number that the independent scorer prints is ours."""
    assert config.area == "extent"
    index = truth.skeleton.keypoints.index
    reference = config.pck_reference
    theirs = peer.score(
        coco_truth(truth),
        coco_results(prediction, truth),
        sigma=config.sigma if config.oks_form == "coco" else config.sigma / 2,
        area_rule="extent",
        swaps=[(index(a), index(b)) for a, b in config.swap],
        ref=None if reference is None else [index(name) for name in reference],
        pck=config.pck,
        thr=config.score_threshold,
        match=config.match_min_oks,
    )
    ours = evaluate(prediction, truth, config)
    for their_name, value in theirs.items():
        if their_name == "err_median_per_keypoint":
            mine = [entry["median_error_px"] for entry in ours["per_keypoint"].values()]
            assert mine == pytest.approx(value, abs=0.0051), their_name
        elif their_name == "score_thr":
            assert value == config.score_threshold
        else:
            assert ours[NAMES[their_name]] == pytest.approx(value, abs=1e-9), their_name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "config",
    [
        EvaluateConfig(pck_reference=("Tail", "Head")),
        EvaluateConfig(sigma=0.1, score_threshold=0.5, pck_reference=("Tail", "Head"), pck=0.05),
        EvaluateConfig(sigma=0.1, oks_form="sleap2020", match_min_oks=0.3),
        EvaluateConfig(swap=(("Rant", "Lant"),)),
        EvaluateConfig(sigma=0.1, swap=(("Rant", "Lant"), ("Head", "Tail"))),
    ],
    ids=["plain", "threshold", "sleap2020", "swap", "two swaps"],
)
def test_agrees_with_the_independent_scorer(
    peer: ModuleType, seed: int, config: EvaluateConfig
) -> None:
    truth = crowd(seed, frames=8, animals=25 if seed == 3 else 6)
    prediction = detections(truth, seed + 10, swapped=0.3 if config.swap else 0.0)
    agree(peer, prediction, truth, config)


def test_agrees_with_the_independent_scorer_without_any_prediction(peer: ModuleType) -> None:
    truth = crowd(0)
    agree(peer, truth.keep(np.zeros_like(truth.present)), truth, EvaluateConfig())


def library_ap(prediction: Poses, truth: Poses, sigma: float) -> dict[str, float]:
    """AP of faster-coco-eval with its limits on detections and areas lifted."""
    library = pytest.importorskip("faster_coco_eval")
    results = coco_results(prediction, truth)
    for result in results:
        points = np.array(result["keypoints"]).reshape(-1, 3)
        points[points[:, 2] == 0, :2] = -1e6
        result["keypoints"] = points.ravel().tolist()
    with contextlib.redirect_stdout(io.StringIO()):
        true = library.COCO({"info": {}, **coco_truth(truth)})
        run = library.COCOeval_faster(true, true.loadRes(results), "keypoints")
        run.params.kpt_oks_sigmas = np.full(len(truth.skeleton), sigma)
        run.params.maxDets = [10**6]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e15]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = np.asarray(run.eval["precision"])[:, :, 0, 0, 0]
    return {
        "ap": precision.mean(),
        "ap50": precision[0].mean(),
        "ap75": precision[5].mean(),
        "ar": np.asarray(run.eval["recall"])[:, 0, 0, 0].mean(),
    }


@pytest.mark.parametrize("sigma", [0.05, 0.1])
@pytest.mark.parametrize(("seed", "animals", "levels"), [(0, 6, 0), (1, 30, 0), (2, 8, 4)])
def test_average_precision_agrees_with_faster_coco_eval(
    seed: int, animals: int, levels: int, sigma: float
) -> None:
    truth = crowd(seed, frames=10, animals=animals)
    prediction = detections(truth, seed + 10, levels=levels)
    ours = evaluate(prediction, truth, EvaluateConfig(sigma=sigma))
    for name, value in library_ap(prediction, truth, sigma).items():
        assert ours[name] == pytest.approx(value, abs=1e-6), name
    assert 0.05 < ours["ap"] < 0.95


def test_the_forms_of_the_oks_differ_by_a_factor_of_two_in_sigma() -> None:
    truth = crowd(0)
    prediction = detections(truth)
    coco = evaluate(prediction, truth, EvaluateConfig(sigma=0.05))
    sleap = evaluate(prediction, truth, EvaluateConfig(sigma=0.1, oks_form="sleap2020"))
    assert coco["ap"] == sleap["ap"]
    assert coco["mean_oks"] == pytest.approx(sleap["mean_oks"])


# -------------------------------------------------------------------------- cases done by hand


def test_perfect_predictions() -> None:
    truth = crowd(0, frames=20)
    result = evaluate(truth, truth)
    for name in ("ap", "ap50", "ap75", "ar", "recall", "precision", "pck", "pck_all", "mean_oks"):
        assert result[name] == 1.0, name
    assert result["median_error_px"] == result["p95_error_px"] == 0.0
    assert result["count_error"] == result["count_bias"] == 0.0
    assert result["frames_without_prediction"] == 0


def test_average_precision_of_a_hand_made_ranking() -> None:
    # By falling score: right, wrong, right, wrong; four animals. Recall .25 at precision 1, .5 at
    # 2/3: of the 101 recall points, 0-.25 (26) have 1, .26-.50 (25) have 2/3, and the rest 0.
    truth = row_of([0, 1000, 2000, 3000])
    prediction = row_of([0, 5000, 1000, 6000], score=[0.9, 0.8, 0.7, 0.6])
    result = evaluate(prediction, truth)
    assert result["ap50"] == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert result["ap"] == pytest.approx(result["ap50"])
    assert result["ar"] == result["recall"] == 0.5
    assert result["precision"] == 0.5
    assert result["best_f1"] == pytest.approx(
        {"score": 0.7, "precision": 2 / 3, "recall": 0.5, "f1": 4 / 7}
    )


def test_a_detection_takes_the_most_similar_free_animal() -> None:
    # The surest detection takes the animal at 0, so that the second one, also near 0, is wrong.
    truth = row_of([0, 200])
    prediction = row_of([1, 0, 200], score=[0.9, 0.8, 0.7])
    result = evaluate(prediction, truth)
    # Ranking right, wrong, right of two animals: 51 points at 1, 50 at 2/3.
    assert result["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result["count_error"] == result["count_bias"] == 1.0


def test_more_than_twenty_and_more_than_a_hundred_animals_a_frame() -> None:
    xs = [300.0 * i for i in range(130)]
    result = evaluate(row_of(xs, score=list(np.linspace(1, 0.5, 130))), row_of(xs))
    assert result["ap"] == result["recall"] == 1.0


def test_threshold_of_average_precision_is_where_the_formula_puts_it() -> None:
    # extent + 10 px: area 20 * 120; OKS = exp(-d^2 / (8 area sigma^2)) passes .75 but not .80 here.
    d = np.sqrt(-8 * 20 * 120 * 0.05**2 * np.log(0.77))
    result = evaluate(row_of([d]), row_of([0]))
    precision = result["curves"]["precision"]
    assert result["ap50"] == result["ap75"] == 1.0
    assert result["ap"] == pytest.approx(0.6)
    assert set(precision["0.75"]) == {1.0}
    assert set(precision["0.90"]) == {0.0}
    assert result["median_error_px"] == pytest.approx(d)
    assert result["mean_oks"] == pytest.approx(0.77)


@pytest.mark.parametrize(
    ("area", "expected"), [("extent", 20 * 120.0), ("constant", 2500.0), ("box", 0.0)]
)
def test_sources_of_the_area(area: str, expected: float) -> None:
    config = EvaluateConfig(area=area, area_px2=2500.0)
    result = evaluate(row_of([3.0]), row_of([0.0]), config)
    if expected:
        assert result["mean_oks"] == pytest.approx(np.exp(-9 / (8 * expected * 0.05**2)))
    else:  # upright animals have a box without any width
        assert result["matched"] == 0
        assert result["ap"] == 0.0


def test_negative_frames_only_add_false_positives() -> None:
    truth = Poses(PAIR, np.concatenate([row_of([0]).xy, np.full((1, 1, 2, 2), np.nan)]), [0, 1])
    sure = np.concatenate([row_of([0]).xy, row_of([500]).xy])
    wrong_first = Poses(PAIR, sure, [0, 1], instance_score=[[0.5], [0.9]])
    wrong_last = Poses(PAIR, sure, [0, 1], instance_score=[[0.9], [0.5]])
    assert evaluate(wrong_first, truth)["ap"] == pytest.approx(0.5)
    assert evaluate(wrong_last, truth)["ap"] == 1.0
    assert evaluate(wrong_last, truth)["precision"] == 0.5
    assert evaluate(wrong_last, truth)["count_error"] == 0.5


def test_frames_without_predictions_count_and_frames_without_truth_do_not() -> None:
    truth = Poses(PAIR, np.concatenate([row_of([0]).xy] * 2), [3, 5])
    prediction = Poses(PAIR, np.concatenate([row_of([0]).xy] * 2), [5, 7])
    result = evaluate(prediction, truth)
    assert result["frames"] == 2
    assert result["frames_without_prediction"] == 1
    assert result["predictions"] == 1
    assert result["ap50"] == pytest.approx(51 / 101)
    assert result["recall"] == 0.5
    assert result["count_bias"] == -0.5


def test_counts_and_precision_leave_out_low_scores() -> None:
    truth = row_of([0, 300])
    prediction = row_of([0, 300, 600, 900], score=[0.9, 0.35, 0.3, 0.1])
    result = evaluate(prediction, truth, EvaluateConfig(score_threshold=0.3))
    assert result["precision"] == pytest.approx(2 / 3)
    assert result["count_error"] == result["count_bias"] == 1.0
    assert result["ap"] == evaluate(prediction, truth)["ap"] == 1.0
    half = next(entry for entry in result["by_score"] if entry["score"] == 0.5)
    assert half == {"score": 0.5, "precision": 1.0, "recall_at_score": 0.5}


def test_errors_and_pck_of_known_distances() -> None:
    truth = row_of([0, 1000])
    xy = truth.xy.copy()
    xy[0, 0] += [[3, 4], [6, 8]]  # 5 and 10 px
    xy[0, 1, 0] += [20, 0]
    xy[0, 1, 1] = np.nan
    config = EvaluateConfig(sigma=0.2, pck=0.1, pck_px=(4, 5, 50))
    result = evaluate(Poses(PAIR, xy, [0]), truth, config)
    assert result["points"] == 4
    assert result["points_missed"] == 1
    assert result["median_error_px"] == 10.0
    assert result["p95_error_px"] == pytest.approx(np.percentile([5, 10, 20], 95))
    assert result["size_px"] == LENGTH
    assert result["pck"] == result["pck_all"] == 0.5
    assert result["pck_px"] == {"4": 0.0, "5": 0.25, "50": 0.75}
    assert result["per_keypoint"]["front"]["median_error_px"] == 12.5
    assert result["per_keypoint"]["back"]["median_error_px"] == 10.0
    assert result["per_keypoint"]["back"]["points_missed"] == 1
    assert result["per_keypoint"]["back"]["pck"] == 0.5


def test_animals_that_are_not_found_count_in_pck_all_only() -> None:
    result = evaluate(row_of([0]), row_of([0, 1000]))
    assert result["pck"] == 1.0
    assert result["pck_all"] == 0.5


def test_errors_by_visibility() -> None:
    truth = replace(row_of([0, 1000]), visible=np.array([[[2, 1], [2, 1]]]))
    xy = truth.xy + np.array([[1, 0], [4, 0]])
    result = evaluate(Poses(PAIR, xy, [0]), truth)["by_visibility"]
    assert result["visible"]["median_error_px"] == 1.0
    assert result["occluded"]["median_error_px"] == 4.0
    assert result["occluded"]["points"] == 2


def test_a_swap_is_forgiven_only_where_it_is_asked_for_and_only_as_a_whole() -> None:
    truth = crowd(5, frames=30, missing=0.0)
    xy = truth.xy[:, :, [0, 1, 2, 4, 3]]
    swapped = Poses(BEE, xy, truth.frame, videos=truth.videos)
    strict = evaluate(swapped, truth)
    tolerant = evaluate(swapped, truth, EvaluateConfig(swap=(("Rant", "Lant"),)))
    assert tolerant["ap"] == 1.0
    assert tolerant["p95_error_px"] == 0.0
    assert strict["ap"] < 0.7
    # Both antennae on the same spot are no swap.
    xy = truth.xy[:, :, [0, 1, 2, 3, 3]]
    doubled = Poses(BEE, xy, truth.frame, videos=truth.videos)
    tolerant = evaluate(doubled, truth, EvaluateConfig(swap=(("Rant", "Lant"),)))
    assert tolerant["per_keypoint"]["Lant"]["median_error_px"] == pytest.approx(30.0)


# ------------------------------------------------------------------------------- laws


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(-500, 500), st.floats(-500, 500))
def test_scores_do_not_depend_on_slots_or_the_origin(seed: int, x: float, y: float) -> None:
    random = np.random.default_rng(seed)
    truth = crowd(seed, frames=4, animals=4)
    prediction = detections(truth, seed + 1)
    config = EvaluateConfig(sigma=0.1, swap=(("Rant", "Lant"),), match_min_oks=0.001)
    before = evaluate(prediction, truth, config)

    def moved(poses: Poses) -> Poses:
        order = random.permutation(poses.xy.shape[1])
        return replace(
            poses,
            xy=poses.xy[:, order] + [x, y],
            visible=poses.visible[:, order],
            instance_score=poses.instance_score[:, order],
        )

    after = evaluate(moved(prediction), moved(truth), config)
    for name in ("ap", "ap50", "recall", "precision", "matched", "median_error_px", "pck"):
        assert after[name] == pytest.approx(before[name], abs=1e-9), name


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_surplus_detections_with_low_scores_do_not_lower_the_average_precision(seed: int) -> None:
    truth = crowd(seed, frames=4, animals=4)
    prediction = detections(truth, seed + 1, surplus=0)
    prediction = replace(prediction, instance_score=0.5 + prediction.instance_score / 2)
    junk = np.random.default_rng(seed).uniform(5000, 6000, (4, 3, 5, 2))
    more = replace(
        prediction,
        xy=np.concatenate([prediction.xy, junk], 1),
        score=None,
        visible=None,
        track=None,
        source=None,
        instance_score=np.concatenate([prediction.instance_score, np.full((4, 3), 0.1)], 1),
    )
    assert evaluate(more, truth)["ap"] == evaluate(prediction, truth)["ap"]


# -------------------------------------------------------------------------- odd input


def test_no_predictions_at_all() -> None:
    truth = crowd(0)
    for nothing in (
        Poses.empty(BEE, truth.videos),
        Poses(BEE, np.full((6, 3, 5, 2), np.nan), truth.frame, videos=truth.videos),
    ):
        result = evaluate(nothing, truth)
        assert result["ap"] == result["ar"] == result["recall"] == result["pck_all"] == 0.0
        assert result["precision"] is None
        assert result["median_error_px"] is None
        assert result["best_f1"] is None
        assert result["count_bias"] == -truth.n_instances / len(truth)


def test_no_truth_is_an_error() -> None:
    truth = crowd(0)
    nothing = Poses(BEE, np.full((6, 3, 5, 2), np.nan), truth.frame, videos=truth.videos)
    for poses in (Poses.empty(BEE), nothing, truth.select([])):
        with pytest.raises(LabelsError, match="nothing to compare with"):
            evaluate(truth, poses)
    with pytest.raises(LabelsError, match="nothing to compare with"):
        evaluate(truth, truth, rows=[])


def test_one_keypoint() -> None:
    point = Skeleton(("centroid",))
    truth = Poses(point, [[[[10.0, 10.0]], [[500.0, 10.0]]]], [0])
    prediction = Poses(point, [[[[12.0, 10.0]], [[500.0, 10.0]]]], [0])
    result = evaluate(prediction, truth)
    # Without an extent the margin makes the area: 20 x 20 px.
    assert result["mean_oks"] == pytest.approx((1 + np.exp(-4 / (8 * 400 * 0.05**2))) / 2)
    assert result["pck"] is None
    assert result["size_px"] is None
    assert result["pck_px"]["5"] == 1.0
    large = evaluate(prediction, truth, EvaluateConfig(area="constant", area_px2=80.0**2))
    assert large["ap"] == 1.0


def test_scores_that_are_not_numbers_rank_last() -> None:
    prediction = row_of([0, 700], score=[0.5, float("nan")])
    assert evaluate(prediction, row_of([0]))["ap"] == 1.0


def test_equal_scores_keep_the_order_of_the_slots() -> None:
    right_first = row_of([0, 700], score=[0.5, 0.5])
    wrong_first = row_of([700, 0], score=[0.5, 0.5])
    assert evaluate(right_first, row_of([0]))["ap"] == 1.0
    assert evaluate(wrong_first, row_of([0]))["ap"] == pytest.approx(0.5)


def test_result_is_json() -> None:
    truth = crowd(0)
    result = evaluate(detections(truth), truth)
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text) == result
    assert result["settings"]["sigma"] == 0.05


def test_rows_select_frames_of_the_truth() -> None:
    truth = crowd(0)
    prediction = detections(truth)
    mask = np.arange(6) % 2 == 0
    chosen = evaluate(prediction, truth, rows=mask)
    assert chosen == evaluate(prediction, truth.select([0, 2, 4]))
    assert chosen == evaluate(prediction, truth, rows=[0, 2, 4])
    assert chosen["frames"] == 3


def test_keypoints_are_paired_by_name() -> None:
    truth = crowd(0, missing=0.0)
    order = [3, 0, 4, 1]
    fewer = Skeleton(tuple(BEE.keypoints[k] for k in order))
    prediction = Poses(fewer, truth.xy[:, :, order], truth.frame, videos=truth.videos)
    result = evaluate(prediction, truth)
    assert result["median_error_px"] == result["p95_error_px"] == 0.0
    thorax = result["per_keypoint"]["Thorax"]
    assert thorax["points"] == thorax["points_missed"] > 0
    more = Skeleton((*BEE.keypoints, "Wing"))
    xy = np.concatenate([truth.xy, np.full((6, 5, 1, 2), 7.0)], 2)
    assert evaluate(Poses(more, xy, truth.frame, videos=truth.videos), truth)["ap"] < 1.0
    with pytest.raises(LabelsError, match="no keypoint in common"):
        evaluate(Poses(PAIR, xy[:, :, :2], truth.frame, videos=truth.videos), truth)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"swap": (("Rant", "Nose"),)}, "no keypoint 'Nose'"),
        ({"swap": (("Rant", "Lant"), ("Lant", "Head"))}, "one pair only"),
        ({"swap": (("Rant", "Rant"),)}, "one pair only"),
        ({"pck_reference": ("Tail", "Nose")}, "no keypoint 'Nose'"),
    ],
)
def test_settings_that_do_not_fit_the_skeleton(change: dict[str, Any], message: str) -> None:
    truth = crowd(0)
    with pytest.raises(ConfigError, match=message):
        evaluate(truth, truth, EvaluateConfig(**change))


def test_blocks_do_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = crowd(0, frames=1350, animals=2)
    prediction = detections(truth)
    whole = evaluate(prediction, truth)
    monkeypatch.setattr("napari_semimultipose.evaluation.scores._BLOCK", 1000)
    assert evaluate(prediction, truth) == whole


def test_tracks_are_scored_when_both_sides_have_them() -> None:
    truth = row_of([0, 300])
    assert "tracks" not in evaluate(truth, truth)
    tracked = replace(truth, track=np.array([[0, 1]]))
    assert "tracks" not in evaluate(truth, tracked)
    assert evaluate(tracked, tracked)["tracks"]["idf1"] == 1.0


def test_frames_are_matched_by_name_for_images() -> None:
    truth = crowd(0)
    backwards = truth.select(np.arange(6)[::-1])
    renamed = replace(
        backwards, frame=np.arange(6), videos=(Video("elsewhere", truth.videos[0].images[::-1]),)
    )
    assert evaluate(renamed, truth)["ap"] == 1.0


# ----------------------------------------------------------------------- real recordings


def test_real_bees_agree_with_the_independent_scorer(peer: ModuleType, shared_data: Path) -> None:
    from napari_semimultipose.io.labels import read_poses

    folder = shared_data / "honeybee"
    raw = json.loads((folder / "annotations_labeled.json").read_text())
    bees = read_poses(folder / "annotations_labeled.json")
    random = np.random.default_rng(0)
    xy = bees.xy + random.normal(size=bees.xy.shape) * 4
    xy[random.random(bees.present.shape) < 0.1] = np.nan
    prediction = replace(bees, xy=xy, instance_score=random.random(bees.present.shape))
    prediction = prediction.select(random.permutation(len(bees)))
    image_id = {entry["file_name"]: entry["id"] for entry in raw["images"]}
    results = []
    for row, slot in np.argwhere(prediction.present).tolist():
        points = np.nan_to_num(np.c_[prediction.xy[row, slot], prediction.visible[row, slot]])
        results.append(
            {
                "image_id": image_id[prediction.image_name(row)],
                "keypoints": points.ravel().tolist(),
                "score": float(prediction.instance_score[row, slot]),
            }
        )
    names = bees.skeleton.keypoints
    swap = (("Rant", "Lant"),)
    config = EvaluateConfig(swap=swap, pck_reference=("Tail", "Head"), score_threshold=0.5)
    # The areas in the file are extents with a margin, too, but cut off at the image's border.
    theirs = peer.score(
        raw,
        results,
        area_rule="extent",
        swaps=[tuple(names.index(name) for name in pair) for pair in swap],
        ref=[names.index("Tail"), names.index("Head")],
    )
    ours = evaluate(prediction, bees, config)
    for their_name, name in NAMES.items():
        assert ours[name] == pytest.approx(theirs[their_name], abs=1e-9), their_name
    assert ours["frames"] == 135
    assert ours["animals"] == 1614


def test_predictions_beside_labels_are_no_truth() -> None:
    """A project that is being corrected: frame 0 has a label and an old prediction, frame 1 predictions alone, 2 nothing."""
    xy = np.zeros((3, 2, 2, 2))
    xy[:, 0], xy[:, 1] = [[0, 0], [0, LENGTH]], [[500, 0], [500, LENGTH]]
    xy[2] = np.nan
    source = np.full((3, 2), Source.PREDICTED)
    source[0, 0] = Source.HUMAN
    mixed = Poses(PAIR, xy, np.arange(3), source=source)
    found = Poses(PAIR, xy[:, :1], np.arange(3), source=source[1:, :1].repeat(3, 0)[:3])
    scores = api.evaluate(found, mixed)
    assert (scores["frames"], scores["animals"], scores["predictions_in_truth"]) == (1, 1, 3)
    assert (scores["ap"], scores["recall"], scores["count_error"]) == (1, 1, 0)
    assert "3 animals of TRUTH are predictions" in score_table(scores)
    alone = replace(mixed, source=np.full((3, 2), Source.PREDICTED))
    scores = api.evaluate(found, alone)
    assert (scores["frames"], scores["animals"], scores["predictions_in_truth"]) == (3, 4, 0)
