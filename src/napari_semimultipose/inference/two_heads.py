"""Animals that two heads have found on one frame: the head that is surer of a keypoint gives it."""

from __future__ import annotations

import numpy as np

from napari_semimultipose.inference.follow import Animals
from napari_semimultipose.matching import assign, common_oks, oks_nms, pose_area

_SIGMA = 0.1
_ALIKE = 0.2  # two poses may be one animal above this similarity
_MARGIN_PX = 10.0  # animals of one keypoint have no size of their own


def surer_animals(first: Animals, second: Animals, nms_threshold: float, limit: int) -> Animals:
    """Join what two heads have found on a frame.

    Animals are paired by pose similarity (OKS). Of a pair, each keypoint is taken from the head that is surer
    of it, and the score from the head that is surer of the animal. What one head alone has found stays,
    unless it resembles a better animal.

    Parameters
    ----------
    first, second : Animals
    nms_threshold : float
        An animal that resembles a better one more than this is removed.
    limit : int
        At most this many animals.
    """
    if not len(first) or not len(second):
        return second if not len(first) else first
    area_a, area_b = (pose_area(one.xy, _MARGIN_PX) for one in (first, second))
    i, j = assign(common_oks(first.xy, second.xy, area_a, area_b, _SIGMA), _ALIKE)
    better = second.score[j] > first.score[i]
    xy, score, animal = first.xy.copy(), first.score.copy(), first.instance_score.copy()
    xy[i] = np.where(better[..., None], second.xy[j], first.xy[i])
    score[i] = np.where(better, second.score[j], first.score[i])
    animal[i] = np.maximum(first.instance_score[i], second.instance_score[j])
    alone = np.setdiff1d(np.arange(len(second)), j)
    joined = Animals.join([Animals(xy, score, animal), second.select(alone)])
    kept = oks_nms(
        joined.xy, joined.instance_score, nms_threshold, sigma=_SIGMA, margin_px=_MARGIN_PX
    )
    return joined.select(kept[:limit])
