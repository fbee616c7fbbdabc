"""The part of a report that compares predictions with the truth: scores, keypoints, examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.config import EvaluateConfig
from napari_semimultipose.evaluation import confidence, examples, figures
from napari_semimultipose.evaluation.scores import evaluate
from napari_semimultipose.io.pairing import keypoint_index
from napari_semimultipose.poses import Poses
from napari_semimultipose.reports.page import Image, Page, Section, number
from napari_semimultipose.reports.pictures import COLOURS, FrameReader, comparison
from napari_semimultipose.reports.work import Work

_BEST, _WORST = 8, 12
_SWITCHES = 20
_FEW_KEYPOINTS = 20  # fewer say nothing about confidences


@dataclass(frozen=True)
class Compared:
    """Predictions, the truth on the same frames, and their scores.

    Attributes
    ----------
    prediction, truth : Poses
    scores : mapping
        Of `evaluation.scores.evaluate`.
    config : EvaluateConfig
    """

    prediction: Poses
    truth: Poses
    scores: Mapping[str, Any]
    config: EvaluateConfig

    @classmethod
    def of(cls, prediction: Poses, truth: Poses, config: EvaluateConfig | None = None) -> Compared:
        """Score predictions.

        Raises
        ------
        LabelsError
            When there is nothing to compare with, or nothing fits together.
        """
        config = config or EvaluateConfig()
        return cls(prediction, truth, evaluate(prediction, truth, config), config)


def highlights(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the scores that matter most, with their names."""
    tracks = scores.get("tracks") or {}
    rows = [
        ("AP (OKS .50:.95)", number(scores["ap"])),
        ("AP50", number(scores["ap50"])),
        ("AP75", number(scores["ap75"])),
        ("recall (OKS .50)", number(scores["recall"])),
        ("median error", number(scores["median_error_px"], ".2f", "px")),
        ("PCK", number(scores["pck"])),
    ]
    if tracks:
        rows += [
            ("IDF1", number(tracks["idf1"])),
            ("identity switches", number(tracks["switches"], "d")),
        ]
    return rows


def score_section(page: Page, compared: Compared, what: str) -> None:
    """Add scores, precision and recall, and the settings behind them.

    Parameters
    ----------
    page : Page
    compared : Compared
    what : str
        Which frames these are, as a sentence.
    """
    scores, section = compared.scores, page.section("Scores")
    section.text(what)
    section.highlights(highlights(scores))
    if not scores["predictions"]:
        section.note("Nothing was detected on these frames, at the least score of the prediction.")
    lacking = scores["frames_without_prediction"]
    if lacking:
        section.note(f"{lacking} of the {scores['frames']} frames have no prediction.")
    rows = [
        (label, number(scores.get(key), form)) for key, label, form in figures.SCORE_TABLE
        if key in scores
    ]  # fmt: skip
    rows += [(f"PCK within {limit} px", number(value)) for limit, value in scores["pck_px"].items()]
    tracks = scores.get("tracks") or {}
    if tracks:
        rows += [(label, number(tracks[key], form)) for key, label, form in figures.TRACK_TABLE]
        rows += [
            ("fragments", number(tracks["fragments"], "d")),
            ("true tracks", number(tracks["true_tracks"], "d")),
            ("predicted tracks", number(tracks["predicted_tracks"], "d")),
        ]
    with section.row():
        section.table(("score", "value"), rows)
        section.plot(
            figures.precision_recall_figure(scores),
            "Precision against recall of the detections, for several limits of the OKS.",
        )
    _switches(section, tracks.get("switch_events") or [], compared.truth)
    section.folded("Settings of the scores", json.dumps(scores["settings"], indent=1))


def _switches(section: Section, events: list[dict[str, int]], truth: Poses) -> None:
    if not events:
        return

    def animal(track: int) -> str:
        names = truth.track_names
        return names[track] if 0 <= track < len(names) else str(track)

    several = len(truth.videos) > 1
    rows = [
        (
            (f"{truth.videos[e['video']].name}: " if several else "") + str(e["frame"]),
            animal(e["animal"]),
            str(e["before"]),
            str(e["after"]),
        )
        for e in events[:_SWITCHES]
    ]
    more = len(events) - len(rows)
    section.table(
        ("frame", "true animal", "track before", "track after"),
        rows,
        "Identity switches" + (f", the first {len(rows)} of {len(events)}" if more else ""),
    )


def keypoint_section(page: Page, compared: Compared) -> None:
    """Add the error of each keypoint, as a figure and as a table, and what confidences mean."""
    scores, section = compared.scores, page.section("Keypoints")
    if not scores["matched"]:
        section.note("There are no errors to show: no detection is near an animal.")
        return
    section.plot(
        figures.keypoint_figure(scores),
        "Distances between predicted and true keypoints of matched animals: median, quartiles, and 5th "
        "to 95th percentile.",
    )
    head = ("keypoint", "median error, px", "95th percentile, px", "PCK", "labelled", "lacking")

    def row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
        return (
            name,
            number(entry["median_error_px"], ".2f"),
            number(entry["p95_error_px"], ".2f"),
            number(entry["pck"]),
            str(entry["points"]),
            str(entry["points_missed"]),
        )

    section.table(head, [row(name, entry) for name, entry in scores["per_keypoint"].items()])
    seen = {n: e for n, e in scores["by_visibility"].items() if e["points"]}
    if len(seen) > 1:
        section.table(("labelled as", *head[1:]), [row(n, e) for n, e in seen.items()])


def calibration_section(page: Page, compared: Compared) -> None:
    """Add how often keypoints of a confidence are right, and the detections at limits of the score."""
    section = page.section("Calibration")
    sure = compared.scores.get("confidence")
    rows = [
        (f"{entry['score']:.1f}", number(entry["precision"]), number(entry["recall_at_score"]))
        for entry in compared.scores["by_score"]
    ]
    best = compared.scores["best_f1"]
    with section.row():
        if sure and sure["points"] >= _FEW_KEYPOINTS:
            section.plot(
                figures.reliability_figure(sure),
                f"How often a keypoint is right, by its confidence ({sure['points']} keypoints; right: off "
                f"by at most {confidence.RIGHT:.0%} of the animals' size). On the dashed line confidences "
                f"are probabilities; the expected calibration error is {sure['ece']:.3f}.",
            )
        section.table(
            ("least score", "precision", "recall"),
            rows,
            "Detections with at least a score (OKS .50)",
        )
    if best:
        section.text(
            f"The best balance of precision and recall, F1 {best['f1']:.3f}, is at the score "
            f"{best['score']:.2f}."
        )


def example_section(
    page: Page, compared: Compared, outcomes: examples.Outcomes, reader: FrameReader, work: Work
) -> None:
    """Add pictures of the animals that were found best and worst."""
    truth, prediction = compared.truth, compared.prediction
    section = page.section("Examples")
    if not reader:
        section.note("There are no pictures, because the frames were not found.")
        return
    keypoints = keypoint_index(prediction, truth)
    chosen = {
        "Worst": examples.worst(outcomes, prediction, truth, _WORST),
        "Best": examples.best(outcomes, truth, _BEST),
    }
    total, done = max(sum(map(len, chosen.values())), 1), 0
    shown: dict[str, list[Image]] = {}
    for title, places in chosen.items():
        # Ascending frames are what a video decoder likes.
        order = sorted(
            places, key=lambda i: (truth.video[outcomes.row[i]], truth.frame[outcomes.row[i]])
        )
        images: dict[int, Image] = {}
        for i in order:
            work.at(done / total, "drawing examples")
            done += 1
            row = int(outcomes.row[i])
            picture = reader.read(int(truth.video[row]), int(truth.frame[row]))
            if picture is None:
                continue
            rows = row, int(outcomes.partner[i])
            slots = int(outcomes.animal[i]), int(outcomes.detection[i])
            images[i] = Image(
                comparison(picture, truth, prediction, rows, slots, keypoints),
                f"{place_name(truth, row)}: {_verdict(outcomes, i, prediction)}",
            )
        shown[title] = [images[i] for i in places if i in images]
    if not any(shown.values()):
        section.note("There are no pictures, because the frames cannot be read.")
        return
    section.key(COLOURS)
    for title, gallery in shown.items():
        if gallery:
            section.heading(title)
            section.gallery(gallery)


def _verdict(outcomes: examples.Outcomes, i: int, prediction: Poses) -> str:
    if outcomes.detection[i] < 0:
        return "an animal was missed"
    score = prediction.instance_score[outcomes.partner[i], outcomes.detection[i]]
    if outcomes.animal[i] < 0:
        return f"there is no labelled animal, score {score:.2f}"
    error = outcomes.median_error_px(i)
    text = f"OKS {outcomes.oks[i]:.2f}, score {score:.2f}"
    return text + (f", median error {error:.1f} px" if np.isfinite(error) else "")


def place_name(poses: Poses, row: int) -> str:
    """Name the frame of a row: its image, or its number, with its video where there are several."""
    image = poses.image_name(row)
    if image is not None:
        return Path(image).name
    several = len(poses.videos) > 1
    video = f"{poses.videos[poses.video[row]].name} " if several else ""
    return f"{video}frame {poses.frame[row]}"
