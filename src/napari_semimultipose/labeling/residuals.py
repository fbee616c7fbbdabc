"""Doubt about poses that are unlike labelled ones, and about views that contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

import numpy as np

from napari_semimultipose.labeling.measure import NORMAL, Measure, excess, largest
from napari_semimultipose.metrics import POSE, VIEWS, Metric
from napari_semimultipose.poses import Poses

Judge = Callable[[Poses], Generator[float, None, Mapping[str, Metric]]]
"""Measures predictions; see `plausibility`, which labelling must not know."""

_KINDS = {
    POSE: ("pose", "unlike the labelled poses: '{name}' is {px:.0f} px off"),
    VIEWS: ("views", "the views disagree by {px:.0f} px on '{name}'"),
}


def residuals_of(poses: Poses, judge: Judge) -> Generator[float, None, list[Measure]]:
    """Distances from what labels allow; within their tolerance nothing is doubtful."""
    metrics = yield from judge(poses)
    return [
        _beyond(poses, metrics[name], *words)
        for name, words in _KINDS.items()
        if name in metrics and poses.xy.shape[1]
    ]


def _beyond(poses: Poses, metric: Metric, kind: str, words: str) -> Measure:
    names = poses.skeleton.keypoints
    ratio, keypoint = largest(metric.ratio)
    place = np.nan_to_num(metric.ratio, nan=-np.inf).reshape(len(poses), -1).argmax(1)
    px = np.take_along_axis(metric.px.reshape(len(poses), -1), place[:, None], 1)[:, 0]
    found = excess(ratio, 0.25)
    found = np.where(ratio > 1, found, np.minimum(found, NORMAL))

    def describe(row: int) -> str:
        text = words.format(name=names[keypoint[row]], px=px[row])
        return f"{text}, {ratio[row]:.1f} times what labels allow"

    return Measure(kind, px, found, describe)
