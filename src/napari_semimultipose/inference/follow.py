"""Predict a known number of animals by looking where they were a moment ago.

On most recordings animals cover a few per cent of the frame. Once all of them are found, the next
frames are searched in windows around them only. A frame on which the windows do not hold all of
them, whole and clearly, is predicted as a whole, and so is a frame now and then in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.matching import oks_nms, pose_area

_WINDOW = 2.0  # side of a window, in lengths of an animal
_ROOM = 0.4  # least room around an animal in its window, in lengths of an animal
_GRID = 32  # px of the network input
_SPEED_DECAY = 0.9  # share of the speed that lasts until the next frame
_CUT_PX = 8.0  # a keypoint this near to the border of a window may be cut off, px of the network


@dataclass(frozen=True)
class Animals:
    """Animals of one frame, px of the original frame: arrays [M, K, 2], [M, K], [M]."""

    xy: NDArray[np.float64]
    score: NDArray[np.float64]
    instance_score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.xy)

    def select(self, index: NDArray) -> Animals:
        """Return some of the animals."""
        return Animals(self.xy[index], self.score[index], self.instance_score[index])

    @staticmethod
    def join(parts: Sequence[Animals]) -> Animals:
        """Return the animals of several sets."""
        return Animals(
            np.concatenate([p.xy for p in parts]),
            np.concatenate([p.score for p in parts]),
            np.concatenate([p.instance_score for p in parts]),
        )


@dataclass(frozen=True)
class Window:
    """A square part of a frame: its first pixel and its side, px of the frame."""

    x: int
    y: int
    side: int


@dataclass
class Follower:
    """Where to look for the animals of the next frames.

    Parameters
    ----------
    count : int
        Number of animals.
    frame_size : (int, int)
        Height and width of the frames, px.
    scale : float
        Scale of the network input.
    animal_size_px : float
        Length of an animal in the frames, px.
    nms_threshold : float
        As `PredictConfig.nms_threshold`.
    """

    count: int
    frame_size: tuple[int, int]
    scale: float
    animal_size_px: float
    nms_threshold: float
    _last: Animals | None = None
    _speed: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))

    @property
    def input_side(self) -> int:
        """Side of the windows in px of the network input."""
        return int(np.ceil(_WINDOW * self.animal_size_px * self.scale / _GRID)) * _GRID

    @property
    def side(self) -> int:
        """Side of the windows in px of the frame."""
        return max(1, round(self.input_side / self.scale))

    @property
    def pays(self) -> bool:
        """Whether windows are much smaller than the frame."""
        return 2 * self.count * self.side**2 < self.frame_size[0] * self.frame_size[1] and (
            self.side < min(self.frame_size)
        )

    @property
    def lost(self) -> bool:
        """Whether it is not known where all animals are."""
        return self._last is None or len(self._last) < self.count

    def windows(self, ahead: int) -> list[Window]:
        """Return the windows of the frame that follows the last one by `ahead` (1, 2, ...)."""
        assert self._last is not None
        reach = sum(_SPEED_DECAY**i for i in range(ahead))
        shift = np.clip(self._speed * reach, -self.side / 3, self.side / 3)
        return self._around(self._last.xy + shift[:, None])

    def _around(self, xy: NDArray) -> list[Window]:
        """Return windows around animals [M, K, 2]; those that fit into one together share it."""
        low, high = np.nanmin(xy, 1), np.nanmax(xy, 1)
        room = _ROOM * self.animal_size_px
        boxes: list[NDArray] = []
        for box in np.concatenate([low - room, high + room], 1):
            for i, other in enumerate(boxes):
                both = np.concatenate(
                    [np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])]
                )
                if (both[2:] - both[:2]).max() <= self.side:
                    boxes[i] = both
                    break
            else:
                boxes.append(box)
        height, width = self.frame_size
        out = []
        for box in boxes:
            x, y = (box[:2] + box[2:]) / 2 - self.side / 2
            out.append(
                Window(
                    int(np.clip(round(x), 0, width - self.side)),
                    int(np.clip(round(y), 0, height - self.side)),
                    self.side,
                )
            )
        return out

    def gather(self, windows: Sequence[Window], found: Sequence[Animals]) -> Animals | None:
        """Join what was found in the windows of a frame; None unless the `count` best are whole animals."""
        animals, whole = self._best(windows, found)
        return animals if len(animals) == self.count and whole.all() else None

    def closer(self, windows: Sequence[Window], found: Sequence[Animals]) -> list[Window]:
        """Return windows around animals of which some were cut; none unless `count` were found."""
        animals, _ = self._best(windows, found)
        return self._around(animals.xy) if len(animals) == self.count else []

    def _best(
        self, windows: Sequence[Window], found: Sequence[Animals]
    ) -> tuple[Animals, NDArray[np.bool_]]:
        """Return the `count` best animals of several windows, and which are whole.

        A clear animal that is cut counts before a doubtful one that is whole: else that would take its place.
        """
        animals, whole = self._joined(windows, found)
        best = np.argsort(-animals.instance_score, kind="stable")[: self.count]
        return animals.select(best), whole[best]

    def _joined(
        self, windows: Sequence[Window], found: Sequence[Animals]
    ) -> tuple[Animals, NDArray[np.bool_]]:
        """Return the animals of several windows, each once, whole ones first, and which are whole."""
        whole = np.concatenate(
            [~self._cut(window, animals.xy) for window, animals in zip(windows, found, strict=True)]
        )
        animals = Animals.join(found)
        # Whole animals come first, so that they win over views of themselves that are cut.
        order = np.argsort(-(animals.instance_score + whole), kind="stable")
        animals, whole = animals.select(order), whole[order]
        if len(windows) > 1 and len(animals) > 1:
            rank = np.arange(len(animals), 0, -1.0)
            area = np.maximum(pose_area(animals.xy), (0.1 * self.animal_size_px) ** 2)
            kept = np.sort(oks_nms(animals.xy, rank, self.nms_threshold, area=area))
            animals, whole = animals.select(kept), whole[kept]
        return animals, whole

    def _cut(self, window: Window, xy: NDArray) -> NDArray[np.bool_]:
        """Which animals reach a border of the window that is not a border of the frame."""
        height, width = self.frame_size
        edge = _CUT_PX / self.scale
        low_x = window.x + edge if window.x > 0 else -np.inf
        low_y = window.y + edge if window.y > 0 else -np.inf
        high_x = window.x + window.side - 1 - edge if window.x + window.side < width else np.inf
        high_y = window.y + window.side - 1 - edge if window.y + window.side < height else np.inf
        x, y = xy[..., 0], xy[..., 1]
        out = (x < low_x) | (x > high_x) | (y < low_y) | (y > high_y)
        return np.asarray(out.any(1))

    def take(self, animals: Animals) -> None:
        """Take in the animals of the next frame."""
        speed = np.zeros((len(animals), 2))
        if self._last is not None and len(self._last) and len(animals):
            from scipy.optimize import linear_sum_assignment  # slow to import

            now, before = np.nanmean(animals.xy, 1), np.nanmean(self._last.xy, 1)
            away = np.sqrt(((now[:, None] - before[None]) ** 2).sum(-1))
            mine, theirs = linear_sum_assignment(away)
            near = away[mine, theirs] < self.animal_size_px
            speed[mine[near]] = now[mine[near]] - before[theirs[near]]
        self._last, self._speed = animals, speed
