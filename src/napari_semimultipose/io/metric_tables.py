"""Metrics of predictions as Lightning Pose writes them: a CSV file each, with a column for each keypoint."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.io.deeplabcut import TableStyle, has_individuals, individuals
from napari_semimultipose.metrics import Metric, Metrics
from napari_semimultipose.poses import Poses


def metric_files(predictions: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the files that the metrics of a file of predictions go to: ``NAME_temporal_norm.csv``, ..."""
    return {name: predictions.with_name(f"{predictions.stem}_{name}.csv") for name in names}


def write_metrics(
    poses: Poses, metrics: Metrics, predictions: Path, sets: Sequence[str] | None = None
) -> list[Path]:
    """Write the metrics of poses beside the file that holds them.

    One animal: a header with the keypoints, then a row a frame (its number, or the name of the image). With
    several animals, or named tracks: two header rows, ``individuals`` and ``bodyparts``.

    Parameters
    ----------
    poses : Poses
        Of one video.
    metrics : mapping of str to Metric
        Of these poses.
    predictions : path
        File of the predictions; need not be there.
    sets : sequence of str, optional
        For each row, what part of the labels it belongs to; becomes the last column, ``set``.

    Returns
    -------
    list of Path
        The files, one for each metric.

    Raises
    ------
    LabelsError
        When the poses belong to several videos.
    """
    used = sorted(set(poses.video.tolist()))
    if len(used) > 1:
        raise LabelsError(
            f"a table of metrics holds one video, and these poses belong to {len(used)}: "
            "write those of each video by itself"
        )
    files = metric_files(predictions, list(metrics))
    for name, file in files.items():
        with replace_file(file) as fresh:
            _write(poses, metrics[name], fresh, sets)
    return list(files.values())


def _write(poses: Poses, metric: Metric, path: Path, sets: Sequence[str] | None) -> None:
    multi = has_individuals(poses)
    flat = poses.instances()
    names, who = individuals(poses, flat, TableStyle("Lightning Pose", multi, True))
    chosen = np.unique(who).tolist() or [0]
    k = len(poses.skeleton)
    values = np.full((len(poses), len(chosen), k), np.nan)
    values[flat["row"], np.searchsorted(chosen, who)] = metric.px[flat["row"], flat["slot"]]
    parts = list(poses.skeleton.keypoints) * len(chosen)
    more = [] if sets is None else ["set"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if multi:
            animals = [names[i] for i in chosen for _ in range(k)]
            writer.writerow(["individuals", *animals, *more])
            writer.writerow(["bodyparts", *parts, *([""] * len(more))])
        else:
            writer.writerow(["", *parts, *more])
        order = np.argsort(poses.frame, kind="stable").tolist()
        for row in order:
            image = poses.image_name(row)
            cells = ["" if v != v else f"{v:.4f}" for v in values[row].ravel().tolist()]
            last = [] if sets is None else [sets[row]]
            writer.writerow([int(poses.frame[row]) if image is None else image, *cells, *last])
