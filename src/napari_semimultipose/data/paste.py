"""Paste labelled animals from one view into another: more animals, closer together, than were labelled.

After "simple copy-paste" (Ghiasi et al. 2021, arXiv:2012.07177), with a soft region around the
skeleton of an animal in place of a segmentation mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MOST = 3  # animals pasted at once
_REACH = (0.15, 0.25)  # width of the region on each side of the skeleton, in lengths of the animal
_SOFT = 0.06  # width of its border, in lengths of the animal
_COVERED = 0.5  # share of the keypoints under pasted animals above which an animal is gone


@dataclass
class LabeledView:
    """A view and its labels.

    Attributes
    ----------
    image : Tensor [3, S, S]
        0..1.
    xy : array [I, K, 2]
        Labels in px of the view; also those outside it.
    known : array [I, K] of bool
        Which keypoints have a label.
    inside : array [I, K] of bool
        Which have a label inside the view.
    around : list of Tensor [3, S, S]
        The frames before and after it in the same view, where these are wanted.
    """

    image: Tensor
    xy: NDArray[np.float64]
    known: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    around: list[Tensor] = field(default_factory=list)


def paste(
    onto: LabeledView,
    source: LabeledView,
    edges: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> LabeledView:
    """Paste some animals of `source` into `onto`.

    Animals that lie partly outside of their view are not pasted, nor those entangled with such an
    animal. Keypoints of `onto` that get covered lose their label; an animal most of which is covered
    loses all.

    Parameters
    ----------
    onto, source : LabeledView
        Of one size.
    edges : sequence of (int, int)
        Lines of the skeleton.
    rng : Generator
    """
    whole = (source.known == source.inside).all(1) & (source.known.sum(1) > 1)
    candidates = np.flatnonzero(whole)
    if not len(candidates):
        return onto
    count = int(rng.integers(1, min(_MOST, len(candidates)) + 1))
    chosen = set(rng.permutation(candidates)[:count].tolist())
    reach = float(rng.uniform(*_REACH))
    side = source.image.shape[-1]
    regions: dict[int, NDArray[np.float32]] = {}
    while True:
        for i in chosen - regions.keys():
            regions[i] = _region(
                source.xy[i][source.known[i]], _lines(source, i, edges), side, reach
            )
        alpha = np.max(list(regions.values()), 0)
        # Whoever reaches into the region of a pasted animal comes along.
        touched = (source.inside & _covered(source.xy, alpha)).any(1)
        more = set(np.flatnonzero(touched).tolist()) - chosen
        if not more:
            break
        chosen |= more
    if not whole[sorted(chosen)].all():
        return onto
    blend = torch.from_numpy(alpha)
    image = torch.lerp(onto.image, source.image, blend)
    covered = onto.inside & _covered(onto.xy, alpha)
    labels = np.maximum(onto.inside.sum(1), 1)
    gone = covered.sum(1) / labels > _COVERED
    keep = ~covered & ~gone[:, None]
    index = sorted(chosen)
    return LabeledView(
        image,
        np.concatenate([onto.xy, source.xy[index]]),
        np.concatenate([onto.known & keep, source.known[index]]),
        np.concatenate([onto.inside & keep, source.inside[index]]),
        # Animals move little in two frames, and their regions are wider than they.
        [torch.lerp(a, b, blend) for a, b in zip(onto.around, source.around, strict=True)]
        if onto.around
        else [],
    )


def _lines(view: LabeledView, i: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Lines [L, 2, 2] that fill an animal: its skeleton, and from its middle to each keypoint."""
    xy, known = view.xy[i], view.known[i]
    points = xy[known]
    middle = points.mean(0)
    lines = [(middle, point) for point in points]
    lines += [(xy[a], xy[b]) for a, b in edges if known[a] and known[b]]
    return np.array(lines)


def _region(
    points: NDArray[np.float64], lines: NDArray[np.float64], side: int, reach: float
) -> NDArray[np.float32]:
    """Weight [S, S] of an animal: 1 within `reach` of its lines, soft at the border."""
    low, high = points.min(0), points.max(0)
    length = max(float((high - low).max()), 4.0)
    radius, soft = reach * length, max(_SOFT * length, 1.0)
    x0, y0 = np.clip(np.floor(low - radius - soft), 0, side).astype(int)
    x1, y1 = np.clip(np.ceil(high + radius + soft) + 1, 0, side).astype(int)
    alpha = np.zeros((side, side), np.float32)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    nearest = np.full(x.shape, np.inf, np.float32)
    for start, end in lines.astype(np.float32):
        step = end - start
        share = ((x - start[0]) * step[0] + (y - start[1]) * step[1]) / max(step @ step, 1e-6)
        share = np.clip(share, 0, 1)
        away = (x - start[0] - share * step[0]) ** 2 + (y - start[1] - share * step[1]) ** 2
        nearest = np.minimum(nearest, away)
    alpha[y0:y1, x0:x1] = np.clip((radius - np.sqrt(nearest)) / soft + 0.5, 0, 1)
    return alpha


def _covered(xy: NDArray[np.float64], alpha: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which positions [I, K, 2] lie in the region."""
    last = alpha.shape[0] - 1
    cell = np.clip(np.nan_to_num(np.rint(xy)), 0, last).astype(int)
    return np.asarray(alpha[cell[..., 1], cell[..., 0]] > 0.5)
