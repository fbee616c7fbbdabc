"""The parts of a report about what may be wrong: likely problems, and the least sure frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_semimultipose.labeling.problems import Problem
from napari_semimultipose.reports import plots
from napari_semimultipose.reports.comparison import place_name
from napari_semimultipose.reports.courses import Courses, spaced
from napari_semimultipose.reports.over_time import Part
from napari_semimultipose.reports.page import Image
from napari_semimultipose.reports.pictures import animals_on
from napari_semimultipose.reports.work import Work

_LISTED_PROBLEMS = 20
_SHOWN_PROBLEMS = 8
_SURE, _UNSURE = 4, 8


def problems_section(part: Part, courses: Courses, problems: Sequence[Problem], work: Work) -> None:
    """Add which problems there are and when, and pictures of the worst ones."""
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


def _problem_pictures(part: Part, problems: Sequence[Problem], work: Work) -> list[Image]:
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


def extremes_section(part: Part, courses: Courses, work: Work) -> None:
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
