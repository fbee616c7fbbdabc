"""Scores as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ROWS = (
    ("AP (OKS .50:.95)", "ap", "{:.3f}"),
    ("AP50", "ap50", "{:.3f}"),
    ("AP75", "ap75", "{:.3f}"),
    ("recall (OKS .50)", "recall", "{:.3f}"),
    ("median error", "median_error_px", "{:.2f} px"),
    ("95th percentile error", "p95_error_px", "{:.2f} px"),
    ("PCK", "pck", "{:.3f}"),
    ("count error", "count_error", "{:.2f} animals a frame"),
)
_TRACK_ROWS = (
    ("IDF1", "idf1", "{:.3f}"),
    ("identity switches", "switches", "{}"),
)


def score_table(scores: Mapping[str, Any]) -> str:
    """Write the result of `evaluate` as a table for a terminal.

    Parameters
    ----------
    scores : mapping
        What `evaluation.scores.evaluate` returns.
    """
    settings = scores["settings"]
    head = (
        f"{scores['animals']} animals on {scores['frames']} frames, {scores['predictions']} predictions; "
        f"sigma {settings['sigma']:g}"
    )
    if scores["frames_without_prediction"]:
        head += f"; {scores['frames_without_prediction']} frames have no prediction"
    if scores.get("predictions_in_truth"):
        head += (
            f"; {scores['predictions_in_truth']} animals of TRUTH are predictions that nobody accepted, and are left "
            "out (`semimultipose convert TRUTH OUT --accept` makes them labels)"
        )
    rows = [(title, _number(scores.get(key), form)) for title, key, form in _ROWS]
    if scores.get("confidence"):
        rows.append(("calibration error (ECE)", _number(scores["confidence"]["ece"], "{:.3f}")))
    tracks = scores.get("tracks") or {}
    rows += [
        (title, _number(tracks.get(key), form)) for title, key, form in _TRACK_ROWS if key in tracks
    ]
    keypoints = [("keypoint", "median error px", "95 % px", "PCK", "labelled")] + [
        (
            name,
            _number(k["median_error_px"], "{:.2f}"),
            _number(k["p95_error_px"], "{:.2f}"),
            _number(k["pck"], "{:.3f}"),
            str(k["points"]),
        )
        for name, k in scores["per_keypoint"].items()
    ]
    return f"{head}\n\n{_aligned(rows)}\n\n{_aligned(keypoints)}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = row
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)
