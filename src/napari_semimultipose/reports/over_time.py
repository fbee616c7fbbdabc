"""The parts of a report about a recording as a whole: counts, tracks, paths, speeds, confidences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.poses import Poses
from napari_semimultipose.reports import plots
from napari_semimultipose.reports.courses import Courses, Track
from napari_semimultipose.reports.page import Page, Section, number
from napari_semimultipose.reports.pictures import FrameReader

_MOST_TRACKS = 40


@dataclass(frozen=True)
class Part:
    """One video of the poses of a report.

    Attributes
    ----------
    page : Page
    poses : Poses
    video : int
        Index into its videos.
    title : str
        Name of the video, where there are several.
    reader : FrameReader
    review : ReviewConfig
    usual : Poses, optional
        Poses whose shapes are right.
    """

    page: Page
    poses: Poses
    video: int
    title: str
    reader: FrameReader
    review: ReviewConfig
    usual: Poses | None

    def section(self, title: str) -> Section:
        """Begin a section about this video."""
        return self.page.section(f"{title}: {self.title}" if self.title else title)

    @property
    def frames(self) -> Frames | None:
        """Its recording, where it is known."""
        return self.reader.frames(self.video)


def counts_section(part: Part, courses: Courses) -> None:
    """Add how many animals there are when."""
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


def tracks_section(part: Part, courses: Courses) -> None:
    """Add who is seen when, and what is known of each track."""
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
            *(("median speed, px/s",) if fps else ()),
            *(("median confidence",) if courses.judged else ()),
        ),
        [_track_row(t, rows, fps, courses.judged) for t in shown],
        "Pieces are runs of frames without a gap; paths and speeds are those of the mean of the keypoints."
        + more,
    )  # fmt: skip


def _track_row(t: Track, rows: int, fps: float | None, judged: bool) -> tuple[str, ...]:
    return (
        t.name, str(t.first), str(t.last), str(t.frames), f"{100 * t.frames / rows:.1f}",
        str(t.pieces), f"{t.path_px:.0f}", number(t.speed_px, ".2f"), number(t.fast_px, ".2f"),
        *((number(t.speed_px * fps, ".1f"),) if fps else ()),
        *((number(t.confidence, ".2f"),) if judged else ()),
    )  # fmt: skip


def paths_section(part: Part, courses: Courses) -> None:
    """Add where the animals are, their paths and their speeds."""
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


def confidence_section(part: Part, courses: Courses) -> None:
    """Add how sure the model was, over time and of each keypoint."""
    section = part.section("Confidences")
    if not courses.judged:
        section.note("There are no confidences: all are 1.")
        section.plot(plots.keypoint_confidence_figure(courses), "How often each keypoint is there.")
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
