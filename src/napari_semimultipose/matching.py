"""How alike two poses are (OKS), and who is whom in two sets of poses.

Everything works on plain numpy arrays: a set of A poses of K keypoints is an array [A, K, 2] in px
with NaN where a keypoint is absent. Leading axes (frames, for example) are allowed and matched.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from napari_semimultipose.poses import BoolArray, FloatArray, IntArray

OksForm = Literal["coco", "sleap2020"]
# The two forms in use differ by the factor in front of `area * sigma^2`. 'coco' is pycocotools
# (k = 2 sigma) and SLEAP since 2023-07, 'sleap2020' is SLEAP from 2019-11 to 2023-07.
_FORM_FACTOR: dict[str, float] = {"coco": 8.0, "sleap2020": 2.0}


def present_keypoints(xy: ArrayLike) -> BoolArray:
    """Which keypoints [..., K] of poses [..., K, 2] have a finite position."""
    points = np.asarray(xy, dtype=np.float64)
    return np.isfinite(points[..., 0]) & np.isfinite(points[..., 1])


def pose_centers(xy: ArrayLike) -> FloatArray:
    """Mean [..., 2] in px of the present keypoints of poses [..., K, 2]; NaN where there is none."""
    points = np.asarray(xy, dtype=np.float64)
    seen = present_keypoints(points)
    count = seen.sum(-1, dtype=np.float64)
    total = np.where(seen[..., None], points, 0.0).sum(-2)
    return np.asarray(total / np.where(count > 0, count, np.nan)[..., None])


def pose_area(xy: ArrayLike, margin_px: float = 0.0) -> FloatArray:
    """Area of the box around the present keypoints, the size that OKS is scaled with.

    Parameters
    ----------
    xy : array [..., K, 2]
        Poses in px.
    margin_px : float
        Added on each of the four sides, so that an animal of one point has an area, too.

    Returns
    -------
    array [...]
        (width + 2 margin) (height + 2 margin) in px^2; NaN for a pose without a keypoint.
    """
    points = np.asarray(xy, dtype=np.float64)
    seen = present_keypoints(points)
    high = np.where(seen[..., None], points, -np.inf).max(-2, initial=-np.inf)
    low = np.where(seen[..., None], points, np.inf).min(-2, initial=np.inf)
    side = np.asarray(high - low) + 2.0 * margin_px
    return np.where(seen.any(-1), side[..., 0] * side[..., 1], np.nan)


def squared_distances(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Squared keypoint distances in px^2 [..., A, B, K] of poses [..., A, K, 2] and [..., B, K, 2].

    NaN where either keypoint is absent.
    """
    p = np.asarray(a, dtype=np.float64)[..., :, None, :, :]
    q = np.asarray(b, dtype=np.float64)[..., None, :, :, :]
    _check_poses(p, q)
    # Two subtractions of planes are several times quicker than one over a last axis of length 2.
    dx = p[..., 0] - q[..., 0]
    dy = p[..., 1] - q[..., 1]
    return np.asarray(dx * dx + dy * dy)


def oks(
    predicted: ArrayLike,
    reference: ArrayLike,
    area: ArrayLike,
    sigma: ArrayLike = 0.05,
    form: OksForm = "coco",
) -> FloatArray:
    """Object keypoint similarity of every predicted with every reference pose.

    The mean, over the keypoints k that the reference has, of ``exp(-d_k^2 / (c area sigma_k^2))``
    with c = 8 for the form 'coco' and c = 2 for 'sleap2020' (Ronchi & Perona 2017, section 3.2,
    with the scale s^2 = area). A keypoint that the prediction lacks counts as 0.

    Parameters
    ----------
    predicted : array [..., A, K, 2]
        Poses in px.
    reference : array [..., B, K, 2]
        Poses in px.
    area : array [..., B] or scalar
        Area of the reference animals in px^2, see `pose_area`.
    sigma : scalar or array [K]
        Tolerance as a share of the square root of the area.
    form : {'coco', 'sleap2020'}
        The factor c above.

    Returns
    -------
    array [..., A, B]
        Values in 0..1; 0 where the reference has no keypoint.
    """
    _check_poses(np.asarray(predicted), np.asarray(reference))
    wanted = present_keypoints(reference)[..., None, :, :]
    scale = _scale(_column(area, reference), sigma, form)[..., None, :, :]
    exponent = squared_distances(predicted, reference) / -scale
    # NaN in the exponent: one of the two is absent, and then the similarity is 0.
    likeness = np.where(np.isnan(exponent), 0.0, np.exp(exponent))
    return np.asarray(likeness.sum(-1) / np.maximum(wanted.sum(-1), 1))


def common_oks(
    a: ArrayLike,
    b: ArrayLike,
    area_a: ArrayLike,
    area_b: ArrayLike,
    sigma: ArrayLike = 0.05,
    form: OksForm = "coco",
) -> FloatArray:
    """Symmetric similarity [..., A, B] over the keypoints that both poses have.

    As `oks`, with the mean of the two areas and the mean over the common keypoints: no pose is the
    truth here, so an absent keypoint says nothing. 0 where no keypoint is common.

    Parameters
    ----------
    a, b : arrays [..., A, K, 2] and [..., B, K, 2]
        Poses in px.
    area_a, area_b : arrays [..., A] and [..., B], or scalars
        Areas in px^2.
    sigma, form
        As in `oks`.
    """
    area = (_column(area_a, a)[..., :, None] + _column(area_b, b)[..., None, :]) / 2.0
    exponent = squared_distances(a, b) / -_scale(area, sigma, form)
    common = ~np.isnan(exponent)
    likeness = np.where(common, np.exp(exponent), 0.0)
    return np.asarray(likeness.sum(-1) / np.maximum(common.sum(-1), 1))


def oks_nms(
    xy: ArrayLike,
    score: ArrayLike,
    threshold: float = 0.5,
    *,
    area: ArrayLike | None = None,
    sigma: ArrayLike = 0.1,
    form: OksForm = "coco",
    margin_px: float = 10.0,
) -> IntArray:
    """Remove duplicates of one frame: of poses that are alike only the one with the best score stays.

    Parameters
    ----------
    xy : array [N, K, 2]
        Poses in px.
    score : array [N]
        Confidence; equal scores keep the order of the input.
    threshold : float
        A pose goes when its `common_oks` with a better one is larger than this.
    area : array [N], optional
        Areas in px^2; by default `pose_area` with `margin_px`.
    sigma, form
        As in `oks`.
    margin_px : float
        Margin of the default area.

    Returns
    -------
    array of int
        Indices of the poses that stay, by falling score. Poses without a keypoint do not stay.
    """
    points = np.asarray(xy, dtype=np.float64)
    scores = np.asarray(score, dtype=np.float64).reshape(-1)
    if points.ndim != 3 or len(points) != len(scores):
        raise ValueError(
            f"expected poses [N, K, 2] and N scores, got {list(points.shape)} and {len(scores)}"
        )
    areas = (
        pose_area(points, margin_px)
        if area is None
        else np.broadcast_to(np.asarray(area, dtype=np.float64), (len(points),))
    )
    left = np.argsort(-scores, kind="stable")
    left = left[present_keypoints(points[left]).any(-1)]
    kept: list[int] = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        alike = common_oks(points[left], points[[best]], areas[left], areas[[best]], sigma, form)
        left = left[alike[:, 0] <= threshold]
    return np.array(kept, dtype=np.int64)


def assign(similarity: ArrayLike, floor: float = 0.0) -> tuple[IntArray, IntArray]:
    """Pair rows and columns one to one so that the summed similarity is largest (Kuhn 1955).

    Parameters
    ----------
    similarity : array [A, B]
        Non-negative; NaN means "never".
    floor : float
        Only pairs with a similarity above this are made.

    Returns
    -------
    rows, columns : arrays of int
        The pairs, by rising row.
    """
    gain = np.asarray(similarity, dtype=np.float64)
    if gain.ndim != 2:
        raise ValueError(f"similarity must have two axes, got the shape {list(gain.shape)}")
    gain = np.where(gain > floor, gain, 0.0)
    allowed = gain > 0.0
    if not allowed.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows = np.flatnonzero(allowed.any(1))
    columns = gain[rows].argmax(1)
    if np.unique(columns).size < columns.size:
        # Only when two rows want the same column is a search needed: otherwise every row has its
        # own maximum, and no assignment can be better.
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(gain, maximize=True)
        chosen = allowed[rows, columns]
        rows, columns = rows[chosen], columns[chosen]
    return rows.astype(np.int64), columns.astype(np.int64)


def greedy_match(similarity: ArrayLike, floor: float = 0.0) -> tuple[IntArray, IntArray]:
    """Pair rows and columns one to one, the most alike first.

    Parameters and results are those of `assign`, but the pairs come by falling similarity. Equal
    similarities are taken by row, then column.
    """
    gain = np.asarray(similarity, dtype=np.float64)
    if gain.ndim != 2:
        raise ValueError(f"similarity must have two axes, got the shape {list(gain.shape)}")
    row, column = np.nonzero(gain > floor)
    order = np.argsort(-gain[row, column], kind="stable")
    free_row, free_column = np.ones(gain.shape[0], bool), np.ones(gain.shape[1], bool)
    pairs: list[tuple[int, int]] = []
    for i, j in zip(row[order].tolist(), column[order].tolist(), strict=True):
        if free_row[i] and free_column[j]:
            free_row[i] = free_column[j] = False
            pairs.append((i, j))
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _scale(area: ArrayLike, sigma: ArrayLike, form: str) -> FloatArray:
    """Denominator [..., K or 1] of the OKS exponent for areas [...], in px^2."""
    if form not in _FORM_FACTOR:
        raise ValueError(f"unknown OKS form {form!r}; choose one of {', '.join(_FORM_FACTOR)}")
    tolerance = np.asarray(sigma, dtype=np.float64)
    if not (tolerance > 0).all():
        raise ValueError(f"sigma must be positive, got {tolerance}")
    # The smallest step at 1 keeps an area of 0 (one point, no margin) from dividing by zero.
    grown = np.asarray(area, dtype=np.float64)[..., None] + np.spacing(1)
    return np.asarray(_FORM_FACTOR[form] * np.square(tolerance) * grown)


def _column(area: ArrayLike, poses: ArrayLike) -> FloatArray:
    """Areas broadcast to one value a pose."""
    return np.broadcast_to(np.asarray(area, dtype=np.float64), np.asarray(poses).shape[:-2])


def _check_poses(a: np.ndarray, b: np.ndarray) -> None:
    if a.ndim < 3 or b.ndim < 3 or a.shape[-1] != 2 or a.shape[-2:] != b.shape[-2:]:
        raise ValueError(
            "expected two sets of poses [..., keypoints, 2] with the same keypoints, got "
            f"{list(a.shape)} and {list(b.shape)}"
        )
