"""Numbers that tell of predictions, without any truth, how plausible each keypoint is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from napari_semimultipose.poses import FloatArray, IntArray

TEMPORAL = "temporal_norm"
POSE = "pca_singleview_error"
VIEWS = "pca_multiview_error"

TITLES: Mapping[str, str] = {
    TEMPORAL: "way since the frame before",
    POSE: "distance from usual poses",
    VIEWS: "disagreement of the views",
}
"""The metrics, under the names that Lightning Pose gives their columns and files."""


@dataclass(frozen=True, eq=False)
class Metric:
    """One number for each keypoint of F frames, N slots and K keypoints.

    Attributes
    ----------
    px : array [F, N, K]
        What was measured, px; NaN where nothing is known.
    limit_px : array [F, N, K]
        What a plausible keypoint may have, px.
    """

    px: FloatArray
    limit_px: FloatArray

    @property
    def ratio(self) -> FloatArray:
        """What was measured as a share of what is plausible [F, N, K]: above 1 it is in excess."""
        return np.asarray(self.px / self.limit_px)

    def rows(self, index: IntArray) -> Metric:
        """Return the metric of some rows."""
        return Metric(self.px[index], self.limit_px[index])


Metrics = Mapping[str, Metric]
"""By the names of `TITLES`; those that could not be measured are not there."""
