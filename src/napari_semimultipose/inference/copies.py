"""Mirrored and turned copies of frames, and the way back: a second opinion of one model.

Where a network is sure, it finds the same animals in all directions that it was trained for; where it only
guesses, it guesses differently (the disagreement of test-time augmentation, e.g. Wang et al. 2019,
doi:10.1016/j.neucom.2019.01.103).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from napari_semimultipose.config import Config
from napari_semimultipose.errors import ConfigError
from napari_semimultipose.inference.members import predict_stream
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.io.frames import Frames, Picture
from napari_semimultipose.poses import FloatArray, Poses

HALF_TURN = 180.0


@dataclass(frozen=True)
class View:
    """A copy of a picture, of the same size.

    Parameters
    ----------
    mirrored : bool
        Left and right are exchanged.
    angle_deg : float
        Then it is turned about its centre, clockwise.
    """

    mirrored: bool = False
    angle_deg: float = 0.0

    def picture(self, picture: Picture) -> Picture:
        """Return the copy of a picture [H, W, C]; black where it shows what lies outside."""
        out = picture[:, ::-1] if self.mirrored else picture
        if self.angle_deg == HALF_TURN:
            out = out[::-1, ::-1]
        elif self.angle_deg:
            out = _turned(out, self.angle_deg)
        return np.ascontiguousarray(out)

    def back(self, xy: FloatArray, size: tuple[int, int]) -> FloatArray:
        """Take positions [..., 2] in the copy, px, to the picture of (height, width) `size`."""
        middle = np.array([size[1] - 1, size[0] - 1]) / 2
        out = (np.asarray(xy) - middle) @ _rotation(self.angle_deg)
        if self.mirrored:
            out = out * [-1, 1]
        return np.asarray(out + middle)


def views_of(config: Config) -> tuple[View, ...]:
    """Return the copies of pictures on which a model should find what it finds on the pictures.

    Those that it was trained with: mirrored, turned by half a turn, or by the largest angle of its training
    to both sides.

    Raises
    ------
    ConfigError
        When there are none.
    """
    if config.model.kind == "heatmap":
        free = config.heatmap.posture == "free"
        angle, mirrors = HALF_TURN if free else config.heatmap.rotate_deg, False
    else:
        angle, mirrors = config.augment.rotate_deg, config.augment.flip > 0
    out = [View(mirrored=True)] if mirrors else []
    if angle == HALF_TURN:
        out.append(View(angle_deg=angle))
    elif angle:
        out += [View(angle_deg=angle), View(angle_deg=-angle)]
    if not out:
        raise ConfigError(
            "this model was trained with pictures that were neither mirrored nor turned, so that copies "
            "of frames say nothing about it: use the disagreement of several models instead"
        )
    return tuple(out)


def predict_copies(
    predictor: Predictor,
    frames: Frames,
    view: View,
    indices: Sequence[int],
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Poses]:
    """Predict a copy of some frames.

    Parameters
    ----------
    predictor : Predictor
    frames : Frames
    view : View
    indices : sequence of int
        The frames.
    should_stop : callable
        Asked between batches.

    Yields
    ------
    Poses
        The animals of some of the frames, where they are in the frames themselves.
    """
    for chunk in predict_stream(
        predictor,
        _Copies(frames, view),
        frame_range=indices,
        follow=False,
        should_stop=should_stop,
    ):
        yield _back(chunk.poses, frames, view)


def _back(poses: Poses, frames: Frames, view: View) -> Poses:
    xy = np.stack(
        [
            view.back(row, frames.frame_shape(i))
            for row, i in zip(poses.xy, poses.frame.tolist(), strict=True)
        ]
    )
    side = poses.skeleton.mirror_index if view.mirrored else np.arange(len(poses.skeleton))
    return replace(
        poses,
        xy=xy[:, :, side],
        score=poses.score[:, :, side],
        visible=poses.visible[:, :, side],
        spread=None,
    )


class _Copies(Frames):
    """Frames that are all seen in another way."""

    def __init__(self, frames: Frames, view: View) -> None:
        super().__init__(
            frames.shape,
            source=None,
            path=frames.path,
            names=frames.names,
            fps=frames.fps,
            stored=frames.stored,
        )
        self._frames, self._view = frames, view

    @override
    def _read(self, i: int) -> Picture:
        return self._view.picture(self._frames[i])

    @override
    def frame_shape(self, i: int) -> tuple[int, int]:
        return self._frames.frame_shape(i)


def _rotation(angle_deg: float) -> FloatArray:
    """Matrix [2, 2] that turns (x, y), with y down, clockwise: positions are ``xy @ matrix.T``."""
    angle = np.deg2rad(angle_deg)
    c, s = (-1.0, 0.0) if angle_deg == HALF_TURN else (np.cos(angle), np.sin(angle))
    return np.array([[c, -s], [s, c]])


def _turned(picture: Picture, angle_deg: float) -> Picture:
    from scipy.ndimage import affine_transform

    # The place in the picture of each place of the copy, in the order (row, column).
    matrix = _rotation(angle_deg).T[::-1, ::-1]
    middle = (np.array(picture.shape[:2]) - 1) / 2
    out = np.empty_like(picture)
    for channel in range(picture.shape[2]):
        affine_transform(
            picture[..., channel],
            matrix,
            middle - matrix @ middle,
            output=out[..., channel],
            order=1,
        )
    return out
