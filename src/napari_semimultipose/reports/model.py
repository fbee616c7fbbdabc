"""The report of a model: what it is, how it learned, how well it does, best and worst examples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.config import Config, EvaluateConfig
from napari_semimultipose.errors import FramesError, LabelsError, SemiMultiPoseError
from napari_semimultipose.evaluation.examples import outcomes_of
from napari_semimultipose.evaluation.figures import learning_figure
from napari_semimultipose.evaluation.scores import true_poses
from napari_semimultipose.models.checkpoint import LABELS, LOG, describe_model, read_info
from napari_semimultipose.models.ensemble import is_ensemble, member_folders
from napari_semimultipose.poses import Poses
from napari_semimultipose.reports.comparison import (
    Compared,
    calibration_section,
    example_section,
    keypoint_section,
    score_section,
)
from napari_semimultipose.reports.page import Page, number
from napari_semimultipose.reports.unseen import (
    Split,
    Unseen,
    learned_from,
    open_unseen,
    predict_unseen,
    read_split,
    validation_rows,
)
from napari_semimultipose.reports.work import Work

_METHODS = {
    "directpose": "labelled frames",
    "labeled": "labelled frames, with the fusion loss",
    "semimultipose": "labelled and unlabelled frames (SemiMultiPose)",
}


@dataclass(frozen=True)
class _Model:
    """A model folder, or the members of an ensemble."""

    path: Path
    folders: Sequence[Path]
    splits: Sequence[Split | None]
    labels: Poses | None

    @classmethod
    def read(cls, path: Path) -> _Model:
        folders = member_folders(path) if is_ensemble(path) else [path]
        file = folders[0] / LABELS
        labels = None
        if file.is_file():
            from napari_semimultipose.io.labels import read_poses

            labels = read_poses(file)
        return cls(path, folders, [read_split(folder) for folder in folders], labels)


def model_report(
    folder: str | os.PathLike[str],
    *,
    truth: Poses | None = None,
    truth_path: str | os.PathLike[str] | None = None,
    frames: Any = None,
    config: Config | None = None,
    scores: EvaluateConfig | None = None,
    work: Work | None = None,
) -> Page:
    """Make the report of a model folder or of an ensemble.

    Parameters
    ----------
    folder : path
    truth : Poses, optional
        Labels of frames to score; those that the model has learned from are left out. By default its
        validation frames; of an ensemble, each is predicted by the members that have not learned from it.
    truth_path : path, optional
        File of these labels; their frames are looked for around it.
    frames : path, Frames, array or mapping of int to Frames, optional
        As in `unseen.open_unseen`.
    config : Config, optional
        Of which the group ``predict`` is used; those of the model by default.
    scores : EvaluateConfig, optional
        Definition of the scores.
    work : Work, optional
        Progress, and whether to go on.

    Returns
    -------
    Page

    Raises
    ------
    ModelError
        When the folder is no usable model.
    LabelsError, FramesError
        When labels or frames that were given cannot be used.
    """
    work = work or Work()
    work.at(0, "reading the model")
    predicted = 0
    if truth is not None:
        truth, predicted = true_poses(truth)
    model = _Model.read(Path(folder))
    info = read_info(model.path)
    place = model.path.absolute()
    page = Page(
        f"Report of the model {place.parent.name}/{place.name}",
        f"{len(info.skeleton)} keypoints of {info.skeleton.name}, {info.iteration} training steps",
    )
    _about(page, model)
    _labels(page, model)
    _learning(page, model)
    with ExitStack() as opened:
        unseen, what = _unseen(page, model, opened, truth, truth_path, frames)
        if unseen is not None:
            settings = (config or info.config).predict
            if unseen.left_out:
                what += f" {unseen.left_out} others are left out: their recordings are not open."
            if predicted:
                what += (
                    f" {predicted} animals are predictions that nobody accepted, and are left out."
                )
            prediction = predict_unseen(model.folders, unseen, settings, work.part(0.05, 0.8))
            work.at(0.8, "scoring")
            compared = Compared.of(prediction, unseen.truth, scores)
            score_section(page, compared, what)
            keypoint_section(page, compared)
            outcomes = outcomes_of(prediction, unseen.truth, compared.config)
            calibration_section(page, compared)
            example_section(page, compared, outcomes, unseen.reader, work.part(0.85, 0.98))
    section = page.section("Settings")
    section.folded("Settings of the model (config.yaml)", info.config.to_yaml())
    if config is not None:
        section.folded("Settings of the prediction", _predict_settings(config))
    work.at(1, "writing")
    return page


def _predict_settings(config: Config) -> str:
    return "\n".join(f"{k}: {v}" for k, v in config.predict.model_dump(mode="json").items())


def _about(page: Page, model: _Model) -> None:
    about, config = describe_model(model.path), read_info(model.path).config
    section = page.section("Model")
    heat = about["kind"] == "heatmap"
    losses = ", ".join(config.video.losses)
    skeleton = read_info(model.path).skeleton
    facts = [
        ("Network", "heat maps of one animal" if heat else "DirectPose, several animals"),
        ("Backbone", _backbone(config)),
        ("Preset", about["preset"]),
    ]
    if not heat:
        facts.append(("Learns from", _METHODS.get(about["method"], about["method"])))
    if losses:
        facts.append(("Losses on videos", losses))
    facts += [
        ("Keypoints", f"{len(skeleton)}: {', '.join(skeleton.keypoints)}"),
        ("Animals", f"{skeleton.name}, median size {number(about['animal_size_px'], '.0f', 'px')}"),
    ]
    if not heat:
        scale = about["scale"]
        facts.append(("Working scale", number(scale, ".2f") if scale else "by the shorter side"))
    if len(model.folders) > 1:
        facts.append(("Members", str(len(model.folders))))
    section.facts(facts)


def _backbone(config: Config) -> str:
    known = config.model.pretrained
    return f"{config.model.backbone}, from {'ImageNet weights' if known else 'random weights'}"


def _labels(page: Page, model: _Model) -> None:
    section = page.section("Data")
    head = ("member", "training", "validation", "without labels", "steps", "minutes")
    rows = []
    for number_, (folder, split) in enumerate(zip(model.folders, model.splits, strict=True)):
        counts = (
            ("–",) * 3
            if split is None
            else (str(len(split.train)), str(len(split.validation)), str(split.unlabeled))
        )
        rows.append(
            (str(number_), *counts, str(read_info(folder).iteration), _minutes(folder / LOG))
        )
    if len(rows) > 1:
        section.table(head, rows, "Frames, and length of the training")
    else:
        names = ("Training frames", "Validation frames", "Frames without labels", "Training steps",
                 "Training time, minutes")  # fmt: skip
        section.facts(list(zip(names, rows[0][1:], strict=True)))
    labels = model.labels
    if labels is None:
        section.note("labels.slp is missing in the model folder: its labels are not described.")
        return
    present, per_frame = labels.present, labels.present.sum(1)
    if not present.any():
        section.note("labels.slp holds no animal.")
        return
    section.text(
        f"{labels.n_instances} labelled animals on {len(labels)} frames of {_sources(labels)}; "
        f"{per_frame.mean():.1f} animals a frame ({per_frame.min()} to {per_frame.max()})."
    )
    visible = labels.visible[present]
    section.table(
        ("keypoint", "visible", "occluded", "not labelled"),
        [
            (name, *(f"{100 * (visible[:, k] == kind).mean():.1f} %" for kind in (2, 1, 0)))
            for k, name in enumerate(labels.skeleton.keypoints)
        ],
        "Labelled keypoints, share of the animals",
    )


def _sources(labels: Poses) -> str:
    videos = [labels.videos[v] for v in np.unique(labels.video).tolist()]
    images = sum(bool(video.images) for video in videos)
    counts = ((images, "list of images"), (len(videos) - images, "recording"))
    names = {"list of images": "lists of images", "recording": "recordings"}
    return " and ".join(f"{n} {name if n == 1 else names[name]}" for n, name in counts if n)


def _minutes(log: Path) -> str:
    """Return how long a training took: the time of the last line of its log."""
    try:
        with log.open(encoding="utf-8") as file:
            last = ""
            for line in file:
                last = line
        return f"{float(last.split(',')[1]) / 60:.1f}"
    except (OSError, ValueError, IndexError):
        return "–"


def _learning(page: Page, model: _Model) -> None:
    section = page.section("Learning curves")
    for member, folder in enumerate(model.folders):
        if len(model.folders) > 1:
            section.heading(f"Member {member}")
        try:
            figure = learning_figure(folder / LOG, columns=2)
        except SemiMultiPoseError as error:
            section.note(f"There are no learning curves: {error}")
            continue
        section.plot(
            figure,
            "Losses, scores and errors on the validation frames, and the learning rate, against the steps "
            "of the training.",
        )
        saved = _known(read_info(folder).scores)
        if saved:
            section.text(
                "The weights that were kept scored "
                + ", ".join(f"{name} {value}" for name, value in saved)
                + " during the training, on its validation frames with all detections above the score 0.01."
            )


def _known(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    names = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "recall": "recall"}
    rows = [(title, number(scores.get(key))) for key, title in names.items()]
    rows.append(("median error", number(scores.get("median_error_px"), ".2f", "px")))
    return [(name, value) for name, value in rows if value != "–"]


def _unseen(
    page: Page,
    model: _Model,
    opened: ExitStack,
    truth: Poses | None,
    truth_path: str | os.PathLike[str] | None,
    frames: Any,
) -> tuple[Unseen | None, str]:
    """Open the frames to score, and say which they are; None, and a note, where there are none."""
    if truth is not None:
        seen = learned_from(truth, model.splits) if len(truth) else np.zeros(0, bool)
        rows = np.flatnonzero(~seen).tolist()
        if not rows:
            raise LabelsError(
                "the model has learned from all frames of these labels: give labels of other frames, or "
                "none, to score its validation frames"
                if len(truth)
                else "these labels hold no frame: there is nothing to score"
            )
        groups = {tuple(range(len(model.folders))): rows}
        what = f"On {len(rows)} frames whose labels the model has not learned from."
        if seen.any():
            what += f" {int(seen.sum())} others, from whose labels it has learned, are left out."
        return open_unseen(truth, groups, opened, truth_path, frames), what
    section = page.section("Scores")
    if model.labels is None:
        section.note("There are no scores: labels.slp is missing in the model folder.")
        return None, ""
    found = validation_rows(model.labels, model.splits)
    rows = [row for part in found.values() for row in part]
    if not model.labels.select(rows).n_instances:
        section.note(
            "There are no scores: no labelled frame was kept apart from the training. Score the model on "
            "labels of other frames (--truth)."
        )
        return None, ""
    # A model lies beside its recording more often than with it.
    file = model.folders[0] / LABELS
    places = [frames] if frames is not None else [None, model.path.absolute().parent]
    for place in places:
        try:
            unseen = open_unseen(model.labels, found, opened, file, place)
            break
        except (FramesError, LabelsError) as error:
            if frames is not None:
                raise
            problem = str(error)
    else:
        section.note(f"There are no scores of the saved model and no examples: {problem}")
        return None, ""
    what = f"On the {len(rows)} validation frames, from which the model has not learned."
    if len(model.folders) > 1:
        what = (
            f"On {len(rows)} frames that validated members. Each is predicted by the members that have not "
            "learned from it, joined."
        )
    return unseen, what
