"""The report of a recording: counts, tracks, paths, speeds, confidences, problems and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from napari_semimultipose.config import EvaluateConfig, ReviewConfig
from napari_semimultipose.evaluation.examples import outcomes_of
from napari_semimultipose.evaluation.scores import true_poses
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.pairing import pair_frames
from napari_semimultipose.labeling.problems import find_problems
from napari_semimultipose.poses import Poses, Source
from napari_semimultipose.reports.comparison import (
    Compared,
    calibration_section,
    example_section,
    keypoint_section,
    score_section,
)
from napari_semimultipose.reports.courses import Courses
from napari_semimultipose.reports.doubts import extremes_section, problems_section
from napari_semimultipose.reports.over_time import (
    Part,
    confidence_section,
    counts_section,
    paths_section,
    tracks_section,
)
from napari_semimultipose.reports.page import Page, number
from napari_semimultipose.reports.pictures import FrameReader
from napari_semimultipose.reports.work import Work

_MOST_VIDEOS = 10


def recording_report(
    poses: Poses,
    *,
    name: str = "poses",
    frames: Mapping[int, Frames] | None = None,
    truth: Poses | None = None,
    review: ReviewConfig | None = None,
    scores: EvaluateConfig | None = None,
    work: Work | None = None,
) -> Page:
    """Make the report of the poses of a recording, or of several.

    Parameters
    ----------
    poses : Poses
    name : str
        What the poses are called.
    frames : mapping of int to Frames, optional
        The recording of each index into the videos of the poses; without one there are no pictures of it.
    truth : Poses, optional
        True poses to compare with.
    review : ReviewConfig, optional
        What counts as a problem, and how many animals there are.
    scores : EvaluateConfig, optional
        Definition of the scores.
    work : Work, optional
        Progress, and whether to go on.

    Returns
    -------
    Page

    Raises
    ------
    LabelsError
        When poses and truth do not fit together.
    """
    work = work or Work()
    work.at(0, "looking at the poses")
    page = Page(f"Report of the poses {name}", f"{len(poses)} frames, {poses.n_instances} animals")
    reader = FrameReader(frames or {})
    _overview(page, poses, reader)
    if truth is not None:
        work.at(0.02, "scoring")
        truth, left_out = _predicted_span(poses, truth)
        truth, predicted = true_poses(truth)
        compared = Compared.of(poses, truth, scores)
        what = f"Against {truth.n_instances} true animals on {len(truth)} frames."
        if predicted:
            what += f" {predicted} others are predictions that nobody accepted, and are left out."
        if left_out:
            what += (
                f" {left_out} frames before the first or after the last predicted one are left out."
            )
        score_section(page, compared, what)
        keypoint_section(page, compared)
        outcomes = outcomes_of(poses, truth, compared.config)
        calibration_section(page, compared)
        example_section(
            page, compared, outcomes, _of_truth(reader, poses, truth), work.part(0.2, 0.3)
        )
    videos = np.unique(poses.video).tolist()
    # True shapes say what is usual, where there are some.
    fits = truth is not None and truth.skeleton.keypoints == poses.skeleton.keypoints
    usual = truth if fits else None
    for i, video in enumerate(videos[:_MOST_VIDEOS]):
        shown = len(videos[:_MOST_VIDEOS])
        title = (poses.videos[video].name or f"video {video}") if len(videos) > 1 else ""
        part = Part(page, poses, video, title, reader, review or ReviewConfig(), usual)
        _video(part, work.part(0.3 + 0.68 * i / shown, 0.3 + 0.68 * (i + 1) / shown))
    work.at(1, "writing")
    return page


def _predicted_span(poses: Poses, truth: Poses) -> tuple[Poses, int]:
    """Leave out the frames of recordings beyond those that were predicted; and say how many.

    Frames between, which have no prediction, stay: animals on them were missed.
    """
    partner = pair_frames(poses, truth)
    kept = np.ones(len(truth), bool)
    for video in np.unique(truth.video[partner >= 0]).tolist():
        if truth.videos[video].images:
            continue
        here = truth.video == video
        frames = truth.frame[here & (partner >= 0)]
        kept &= ~here | ((truth.frame >= frames.min()) & (truth.frame <= frames.max()))
    return truth.select(kept), int((~kept).sum())


def _of_truth(reader: FrameReader, poses: Poses, truth: Poses) -> FrameReader:
    """Return the frames of the poses by the videos of the truth."""
    partner = pair_frames(poses, truth)
    out: dict[int, Frames] = {}
    for video in np.unique(truth.video).tolist():
        rows = np.flatnonzero((truth.video == video) & (partner >= 0))
        if len(rows) and (frames := reader.frames(int(poses.video[partner[rows[0]]]))) is not None:
            out[video] = frames
    return FrameReader(out)


def _overview(page: Page, poses: Poses, reader: FrameReader) -> None:
    section = page.section("Overview")
    count = poses.present.sum(1)
    tracks = {(v, t) for v, t in _identities(poses)}
    known = poses.instance_score[poses.present]
    judged = bool((known != 1).any())
    section.highlights(
        [
            ("frames", f"{len(poses)}"),
            ("animals", f"{poses.n_instances}"),
            ("animals a frame", number(count.mean() if len(count) else None, ".2f")),
            ("tracks", f"{len(tracks)}"),
            *([("median confidence", number(float(np.median(known)), ".2f"))] if judged else []),
            ("animal size", number(poses.animal_size_px, ".0f", "px")),
        ]
    )
    sources = Counter(poses.source[poses.present].tolist())
    kinds = {
        Source.HUMAN: "labelled",
        Source.PREDICTED: "predicted",
        Source.PROPAGATED: "propagated",
    }
    section.facts(
        [
            ("Recordings", _listed([v.name or f"video {i}" for i, v in enumerate(poses.videos)])),
            ("Keypoints", f"{len(poses.skeleton)}: {', '.join(poses.skeleton.keypoints)}"),
            ("Animals", ", ".join(f"{n} {kinds[Source(s)]}" for s, n in sorted(sources.items()))),
            ("Animals on a frame", f"{count.min()} to {count.max()}" if len(count) else "none"),
        ]
    )
    if not poses.n_instances:
        section.note("There is no animal in these poses.")
    videos = len(np.unique(poses.video))
    if videos > _MOST_VIDEOS:
        section.note(f"Of the {videos} recordings the first {_MOST_VIDEOS} are shown below.")
    if not reader and len(poses):
        section.note("There are no pictures, because the frames were not found (--frames).")


def _listed(names: Sequence[str], limit: int = 5) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def _identities(poses: Poses) -> list[tuple[int, int]]:
    row, slot = np.nonzero(poses.track >= 0)
    pairs = np.stack([poses.video[row], poses.track[row, slot]], 1)
    return [(int(v), int(t)) for v, t in np.unique(pairs, axis=0)]


def _video(part: Part, work: Work) -> None:
    work.at(0, "following the animals")
    courses = Courses.of(part.poses, part.video)
    counts_section(part, courses)
    if not len(courses.at):
        return
    work.at(0.2, "drawing tracks")
    tracks_section(part, courses)
    paths_section(part, courses)
    work.at(0.35, "drawing confidences")
    confidence_section(part, courses)
    work.at(0.45, "looking for problems")
    problems = find_problems(part.poses, part.review, video=part.video, usual=part.usual)
    problems_section(part, courses, problems, work.part(0.7, 0.85))
    extremes_section(part, courses, work.part(0.85, 1.0))
