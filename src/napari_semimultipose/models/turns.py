"""Averaging a network over turned copies of its input (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from napari_semimultipose.models.directpose import LevelOutput, Output

_QUARTERS = {1: (0,), 2: (0, 2), 4: (0, 1, 2, 3)}
_EPSILON = 1e-6


def averaged_over_turns(network: Callable[[Tensor], Output], images: Tensor, turns: int) -> Output:
    """Predict turned copies of the images and average what is said about the same places.

    Class, quality and heat maps are averaged as probabilities, offsets as vectors. For networks that were
    trained with free rotation; the cost grows with the number of copies.

    Parameters
    ----------
    network : callable
        Maps images [B, C, H, W] to an `Output`; H and W are multiples of all strides.
    images : Tensor [B, C, H, W]
    turns : {1, 2, 4}
        Copies: as it is; and half a turn; and quarter turns.
    """
    return averaged([network(copy) for copy in turned_copies(images, turns)])


def turned_copies(images: Tensor, turns: int) -> list[Tensor]:
    """Return images, and turned copies of them; see `averaged_over_turns`."""
    return [_turned(images, q) for q in _QUARTERS[turns]]


def averaged(outputs: Sequence[Output]) -> Output:
    """Average what was said about the `turned_copies` of images."""
    if len(outputs) == 1:
        return outputs[0]
    quarters = _QUARTERS[len(outputs)]
    back = [_turned_back(one, q) for one, q in zip(outputs, quarters, strict=True)]
    levels = []
    for same in zip(*(output.levels for output in back), strict=True):
        levels.append(
            LevelOutput(
                same[0].stride,
                _mean_logit([v.cls for v in same]),
                _mean_logit([v.quality for v in same]),
                torch.stack([v.offsets for v in same]).mean(0),
                torch.stack([v.guesses for v in same]).mean(0),
            )
        )
    context = [one.context for one in outputs if one.context is not None]
    return Output(
        levels,
        _mean_logit([o.heat for o in back]),
        back[0].heat_stride,
        averaged(context) if context else None,
    )


def _mean_logit(logits: list[Tensor]) -> Tensor:
    return torch.logit(torch.stack(logits).sigmoid().mean(0), _EPSILON)


def _turned(images: Tensor, quarters: int) -> Tensor:
    """Turn by quarters, such that cells of the copy lie on cells of the original.

    The cells of stride s are at s i + s / 2. Reversing an axis of n px takes x to n - 1 - x; one px more
    takes cells to cells.
    """
    if quarters == 0:
        return images
    out = torch.rot90(images, quarters, (2, 3))
    if quarters in (1, 2):
        out = out.roll(1, 2)
    if quarters in (2, 3):
        out = out.roll(1, 3)
    return out


def _turned_back(output: Output, quarters: int) -> Output:
    if quarters == 0:
        return output

    def back(field: Tensor) -> Tensor:
        return torch.rot90(field, -quarters, (-2, -1))

    def vectors(field: Tensor) -> Tensor:
        dx, dy = back(field[:, :, 0]), back(field[:, :, 1])
        turned = {1: (-dy, dx), 2: (-dx, -dy), 3: (dy, -dx)}[quarters]
        return torch.stack(turned, 2)

    return Output(
        [
            LevelOutput(
                v.stride, back(v.cls), back(v.quality), vectors(v.offsets), vectors(v.guesses)
            )
            for v in output.levels
        ],
        back(output.heat),
        output.heat_stride,
    )
