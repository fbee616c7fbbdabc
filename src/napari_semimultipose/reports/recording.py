"""The report of a recording: counts, tracks, paths, speeds, confidences, problems and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_semimultipose.config import EvaluateConfig, ReviewConfig
from napari_semimultipose.evaluation.examples import outcomes_of
from napari_semimultipose.evaluation.pairing import pair_frames
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.labeling.problems import Problem, find_problems
from napari_semimultipose.poses import Poses, Source
from napari_semimultipose.reports import plots
from napari_semimultipose.reports.comparison import (
    Compared,
    calibration_section,
    example_section,
    keypoint_section,
    place_name,
    score_section,
)
from napari_semimultipose.reports.courses import Courses, Track, spaced
from napari_semimultipose.reports.page import Image, Page, Section, number
from napari_semimultipose.reports.pictures import FrameReader, animals_on
from napari_semimultipose.reports.work import Work

_MOST_VIDEOS = 10
_MOST_TRACKS = 40
_LISTED_PROBLEMS = 20
_SHOWN_PROBLEMS = 8
_SURE, _UNSURE = 4, 8


@dataclass(frozen=True)
class _Part:
    """One video of the poses."""

    page: Page
    poses: Poses
    video: int
    title: str
    reader: FrameReader
    review: ReviewConfig
    usual: Poses | None

    def section(self, title: str) -> Section:
        return self.page.section(f"{title}: {self.title}" if self.title else title)

    @property
    def frames(self) -> Frames | None:
        return self.reader.frames(self.video)


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
        compared = Compared.of(poses, truth, scores)
        what = f"Against {truth.n_instances} true animals on {len(truth)} frames."
        if left_out:
            what += (
                f" {left_out} frames before the first or after the last predicted one are left out."
            )
        score_section(page, compared, what)
        keypoint_section(page, compared)
        outcomes = outcomes_of(poses, truth, compared.config)
        calibration_section(page, compared, outcomes)
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
        part = _Part(page, poses, video, title, reader, review or ReviewConfig(), usual)
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
    section.highlights(
        [
            ("frames", f"{len(poses)}"),
            ("animals", f"{poses.n_instances}"),
            ("animals a frame", number(count.mean() if len(count) else None, ".2f")),
            ("tracks", f"{len(tracks)}"),
            ("median confidence", number(float(np.median(known)) if len(known) else None, ".2f")),
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


def _video(part: _Part, work: Work) -> None:
    work.at(0, "following the animals")
    courses = Courses.of(part.poses, part.video)
    _counts(part, courses)
    if not len(courses.at):
        return
    work.at(0.2, "drawing tracks")
    _tracks(part, courses)
    _paths(part, courses)
    work.at(0.35, "drawing confidences")
    _confidence(part, courses)
    work.at(0.45, "looking for problems")
    problems = find_problems(part.poses, part.review, video=part.video, usual=part.usual)
    _problems(part, courses, problems, work.part(0.7, 0.85))
    _extremes(part, courses, work.part(0.85, 1.0))


def _counts(part: _Part, courses: Courses) -> None:
    section = part.section("Animals over time")
    if not len(courses.frame):
        section.note("There is no frame.")
        return
    count = courses.count
    first, last = int(courses.frame[0]), int(courses.frame[-1])
    facts = [("Frames", f"{len(count)}, from {first} to {last}")]
    fps = part.frames.fps if part.frames is not None else None
    if fps:
        facts.append(("Length", f"{(last - first + 1) / fps:.1f} s at {fps:g} frames a second"))
    values, frequency = np.unique(count, return_counts=True)
    usual = int(values[frequency.argmax()])
    facts.append(
        ("Usual number", f"{usual}, on {100 * frequency.max() / len(count):.1f} % of the frames")
    )
    if part.review.animals:
        n = part.review.animals
        facts.append((f"Frames with {n}", f"{100 * float((count == n).mean()):.1f} %"))
    section.facts(facts)
    section.plot(
        plots.count_figure(courses),
        "Number of animals: median, and least to most, over time; and how often each number occurs.",
    )


def _tracks(part: _Part, courses: Courses) -> None:
    section = part.section("Tracks")
    if not courses.tracks:
        section.note(
            "These poses have no tracks: nothing says who is who over time (semimultipose track)."
        )
        return
    shown = courses.tracks[:_MOST_TRACKS]
    rows, total = len(courses.frame), len(courses.tracks)
    frames = np.array([t.frames for t in courses.tracks])
    section.facts(
        [
            ("Tracks", f"{total}"),
            (
                "Frames of a track",
                f"median {np.median(frames):.0f}, from {frames.min()} to {frames.max()}",
            ),
            ("Animals without a track", f"{int((courses.sights.tracks < 0).sum())}"),
        ]
    )
    more = f" The {len(shown)} longest of {total}." if total > len(shown) else ""
    section.plot(
        plots.timeline_figure(courses, shown),
        "Who is seen when; paler where only on some of the frames." + more,
    )
    fps = part.frames.fps if part.frames is not None else None
    section.table(
        (
            "track", "first frame", "last frame", "frames", "% of all", "pieces", "path, px",
            "median speed, px a frame", "95th percentile",
            *(("median speed, px/s",) if fps else ()), "median confidence",
        ),
        [_track_row(t, rows, courses.stride, fps) for t in shown],
        "Pieces are runs of frames without a gap; paths and speeds are those of the mean of the keypoints."
        + more,
    )  # fmt: skip


def _track_row(t: Track, rows: int, stride: int, fps: float | None) -> tuple[str, ...]:
    return (
        t.name, str(t.first), str(t.last), str(t.frames), f"{100 * t.frames / rows:.1f}",
        str(t.pieces), f"{t.path_px:.0f}", number(t.speed_px, ".2f"), number(t.fast_px, ".2f"),
        *((number(t.speed_px * fps, ".1f"),) if fps else ()), number(t.confidence, ".2f"),
    )  # fmt: skip


def _paths(part: _Part, courses: Courses) -> None:
    section = part.section("Paths and speeds")
    shown = courses.tracks[:_MOST_TRACKS]
    picture = part.reader.read(part.video, int(courses.frame[0]))
    shape = part.poses.videos[part.video].shape
    if picture is not None:
        shape = picture.shape[0], picture.shape[1]
    if shape is None:
        points = part.poses.xy[part.poses.video == part.video]
        width, height = np.nanmax(points.reshape(-1, 2), axis=0).tolist()
        shape = max(int(np.ceil(height)) + 1, 1), max(int(np.ceil(width)) + 1, 1)
    paths = "Where animals are how often."
    if shown:
        upon = ", upon the first frame" if picture is not None else ""
        paths = f"Left: the paths of the animals{upon}. Right: where animals are how often."
    section.plot(plots.path_figure(courses, shown, shape, picture), paths)
    if len(courses.speed_px):
        by = (
            "of each animal"
            if len(shown) <= 8
            else "of all animals, with the 5th to 95th percentile"
        )
        section.plot(
            plots.speed_figure(courses, courses.tracks),
            f"Median speed over time, {by}; and how often speeds occur.",
        )


def _confidence(part: _Part, courses: Courses) -> None:
    section = part.section("Confidences")
    here = part.poses.video == part.video
    if not (part.poses.source[here][part.poses.present[here]] == Source.PREDICTED).any():
        section.note("These poses were not predicted: they have no confidences.")
        section.plot(
            plots.keypoint_confidence_figure(courses), "How often each keypoint is labelled."
        )
        return
    section.plot(
        plots.confidence_figure(courses),
        "Confidence of the animals over time: median, and 5th to 95th percentile.",
    )
    section.plot(
        plots.keypoint_confidence_figure(courses),
        "Confidence of the keypoints (median, quartiles, 5th to 95th percentile), and how often they are "
        "found.",
    )
    sights = courses.sights
    rows = []
    for k, name in enumerate(sights.skeleton.keypoints):
        value = sights.score[sights.seen[:, k], k]
        low, middle = np.quantile(value, (0.05, 0.5)) if len(value) else (None, None)
        share = 100 * float(sights.seen[:, k].mean())
        rows.append((name, number(middle, ".2f"), number(low, ".2f"), f"{share:.1f}"))
    section.table(
        ("keypoint", "median confidence", "5th percentile", "found, % of the animals"), rows
    )


def _problems(part: _Part, courses: Courses, problems: Sequence[Problem], work: Work) -> None:
    section = part.section("Likely problems")
    if not problems:
        section.text("Nothing that looks like a mistake was found.")
        return
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind.value, []).append(problem)
    rows = [
        (
            kind,
            str(len(found)),
            str(sum(p.last - p.first + 1 for p in found)),
            f"{max(p.severity for p in found):.1f}",
        )
        for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1]))
    ]
    section.table(
        ("kind", "how many", "frames", "worst, times the limit"),
        rows,
        "What the widget Review would list; a look tells whether it is a mistake.",
    )
    section.plot(
        plots.problem_figure(
            courses.edges, {kind: [(p.first, p.last) for p in kinds[kind]] for kind, *_ in rows}
        ),
        "When they are.",
    )
    worst = sorted(problems, key=lambda p: -p.severity)[:_LISTED_PROBLEMS]
    section.table(
        ("frames", "kind", "what", "times the limit"),
        [
            (
                str(p.first) if p.first == p.last else f"{p.first} to {p.last}",
                p.kind.value,
                p.text,
                f"{p.severity:.1f}",
            )
            for p in worst
        ],
        f"The worst {len(worst)} of {len(problems)}",
    )
    section.gallery(_problem_pictures(part, _varied(kinds), work))


def _varied(kinds: Mapping[str, Sequence[Problem]]) -> list[Problem]:
    """Return the worst problems, each kind in turn."""
    queues = [sorted(found, key=lambda p: -p.severity) for found in kinds.values()]
    turns = [queue[i] for i in range(_SHOWN_PROBLEMS) for queue in queues if i < len(queue)]
    return turns[:_SHOWN_PROBLEMS]


def _problem_pictures(part: _Part, problems: Sequence[Problem], work: Work) -> list[Image]:
    images = []
    for i, p in enumerate(sorted(problems, key=lambda p: p.frame)):
        work.at(i / len(problems), "drawing problems")
        picture = part.reader.read(part.video, p.frame)
        if picture is not None:
            shown = animals_on(picture, part.poses, p.row, p.slots or None)
            images.append(
                Image(shown, f"{place_name(part.poses, p.row)}: {p.kind.value}, {p.text}")
            )
    return images


def _extremes(part: _Part, courses: Courses, work: Work) -> None:
    """Show the frames on which the model is least and most sure."""
    if part.frames is None:
        return
    lowest, _ = courses.row_confidence()
    known = np.flatnonzero(np.isfinite(lowest))
    if not len(known) or np.ptp(lowest[known]) == 0:
        return
    order = known[np.argsort(lowest[known], kind="stable")]
    unsure = spaced(order, courses.frame, min(_UNSURE, (len(known) + 1) // 2))
    rest = order[::-1][~np.isin(order[::-1], unsure)]
    sure = spaced(rest, courses.frame, _SURE)
    section = part.section("Surest and least sure frames")
    total, done = max(len(unsure) + len(sure), 1), 0
    for title, rows in (("Least sure", unsure), ("Surest", sure)):
        images: dict[int, Image] = {}
        for row in sorted(rows):
            work.at(done / total, "drawing examples")
            done += 1
            place = int(courses.sights.rows[row])
            picture = part.reader.read(part.video, int(courses.frame[row]))
            if picture is not None:
                images[row] = Image(
                    animals_on(picture, part.poses, place),
                    f"{place_name(part.poses, place)}: lowest confidence {lowest[row]:.2f}",
                )
        if images:
            section.heading(title)
            section.gallery([images[row] for row in rows if row in images])
