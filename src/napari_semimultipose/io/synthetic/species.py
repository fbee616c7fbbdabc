"""Body plans of the synthetic animals: from a posture to shapes in the image and keypoints.

An animal is a few textured ellipses (body, head, ears) and thin limbs made of straight segments
(legs, antennae, tail). All lengths below are shares of the body length; angles are in radians,
clockwise on the screen because y points down, so the left side of an animal is at negative y of
its own frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.poses import Skeleton

Floats = NDArray[np.float64]

LEFT, RIGHT = -1.0, 1.0


@dataclass(frozen=True)
class Posture:
    """State of animals, arrays of any common leading shape [...].

    Parameters
    ----------
    centre : array [..., 2]
        Position (x, y) of the middle of the body in px.
    heading : array [...]
        Direction of the body in radians.
    bend : array [...]
        Sideways bend of the body, about -1..1, positive to the right.
    gait : array [...]
        Phase of the steps in radians.
    sway : array [..., 2]
        Opening of the left and right antenna, about -1..1.
    length : array [...]
        Body length in px.
    """

    centre: Floats
    heading: Floats
    bend: Floats
    gait: Floats
    sway: Floats
    length: Floats


@dataclass(frozen=True)
class Figure:
    """Shapes and keypoints of animals in image coordinates (px).

    Parameters
    ----------
    ellipses : array [..., E, 5]
        Centre x, y, angle of the long axis, half length and half width, in painting order.
    segments : array [..., S, 2, 2]
        Ends (x, y) of the limb segments.
    keypoints : array [..., K, 2]
        Positions (x, y).
    """

    ellipses: Floats
    segments: Floats
    keypoints: Floats


@dataclass(frozen=True)
class Look:
    """Colours and patterns of a species, the same order as the shapes of its figure.

    Parameters
    ----------
    ellipse_colour, segment_colour : tuples of (red, green, blue) in 0..255
    ellipse_pattern : tuple of str
        ``"seam"``, ``"spots"``, ``"gradient"`` or ``"plain"``.
    segment_width : tuple of (float, float)
        Half width in px at both ends of each segment, for a body of 60 px.
    """

    ellipse_colour: tuple[tuple[int, int, int], ...]
    ellipse_pattern: tuple[str, ...]
    segment_colour: tuple[tuple[int, int, int], ...]
    segment_width: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Species:
    """A kind of synthetic animal: its skeleton, its look and its body plan."""

    skeleton: Skeleton
    look: Look
    articulate: Callable[[Posture], Figure]


class _Body:
    """Placement of points in rotated frames of one batch of animals."""

    def __init__(self, length: Floats) -> None:
        self.length = length

    def at(self, origin: Floats, angle: Floats, x: float, y: float = 0.0) -> Floats:
        """Return the point (x, y) body lengths from `origin` in a frame turned by `angle`."""
        cos, sin = np.cos(angle), np.sin(angle)
        shift = np.stack([x * cos - y * sin, x * sin + y * cos], -1)
        return np.asarray(origin + shift * self.length[..., None])

    def ellipse(self, centre: Floats, angle: Floats, half: float, width: float) -> Floats:
        """Return one ellipse [..., 5] with half axes in body lengths."""
        return np.stack(
            [centre[..., 0], centre[..., 1], angle, half * self.length, width * self.length], -1
        )


def _beetle(posture: Posture) -> Figure:
    """Return head, thorax and abdomen, two antennae of two segments, six legs of two segments."""
    body = _Body(posture.length)
    heading, bend = posture.heading, posture.bend
    head_angle, tail_angle = heading + 0.35 * bend, heading - 0.35 * bend
    neck = body.at(posture.centre, heading, 0.12)
    waist = body.at(posture.centre, heading, -0.10)
    segments: list[tuple[Floats, Floats]] = []
    tips: dict[tuple[str, float], Floats] = {}
    # The three legs of a tripod (front and hind of one side, middle of the other) step together.
    for name, x, y, thigh, shin, phase in (
        ("front", 0.08, 0.11, 0.95, 0.55, 0.0),
        ("middle", 0.0, 0.13, 1.60, 1.85, np.pi),
        ("hind", -0.09, 0.12, 2.25, 2.65, 0.0),
    ):
        for side in (LEFT, RIGHT):
            swing = 0.28 * np.sin(posture.gait + phase + (np.pi if side == LEFT else 0.0))
            coxa = body.at(posture.centre, heading, x, side * y)
            knee = body.at(coxa, heading + side * (thigh + swing), 0.19)
            foot = body.at(knee, heading + side * (shin + 1.3 * swing), 0.20)
            segments += [(coxa, knee), (knee, foot)]
            tips[name, side] = foot
    for i, side in enumerate((LEFT, RIGHT)):
        sway = posture.sway[..., i]
        base = body.at(neck, head_angle, 0.13, side * 0.05)
        elbow = body.at(base, head_angle + side * (0.55 + 0.2 * sway), 0.15)
        tip = body.at(elbow, head_angle + side * (0.70 + 0.45 * sway), 0.19)
        segments += [(base, elbow), (elbow, tip)]
        tips["antenna", side] = tip
    ellipses = [
        body.ellipse(body.at(waist, tail_angle, -0.22), tail_angle, 0.31, 0.20),
        body.ellipse(body.at(neck, head_angle, 0.08), head_angle, 0.12, 0.11),
        body.ellipse(posture.centre, heading, 0.15, 0.165),
    ]
    keypoints = [
        body.at(neck, head_angle, 0.19),
        posture.centre,
        body.at(waist, tail_angle, -0.51),
        tips["antenna", LEFT],
        tips["antenna", RIGHT],
        tips["hind", LEFT],
        tips["hind", RIGHT],
    ]
    return _figure(ellipses, segments, keypoints)


def _mouse(posture: Posture) -> Figure:
    """Return rump, chest, head and two ears, and a tail of five segments."""
    body = _Body(posture.length)
    heading, bend = posture.heading, posture.bend
    head_angle, rump_angle = heading + 0.55 * bend, heading - 0.5 * bend
    neck = body.at(posture.centre, heading, 0.15)
    waist = body.at(posture.centre, heading, -0.10)
    tail_base = body.at(waist, rump_angle, -0.42)
    joints = [tail_base]
    angle = rump_angle + np.pi
    for j in range(5):
        angle = angle - 0.12 * bend + 0.25 * np.sin(0.5 * posture.gait - 1.0 * j)
        joints.append(body.at(joints[-1], angle, 0.15))
    ears = [body.at(neck, head_angle, 0.05, side * 0.105) for side in (LEFT, RIGHT)]
    ellipses = [
        body.ellipse(body.at(waist, rump_angle, -0.15), rump_angle, 0.29, 0.20),
        body.ellipse(posture.centre, heading, 0.25, 0.155),
        body.ellipse(body.at(neck, head_angle, 0.10), head_angle, 0.18, 0.105),
        *(
            body.ellipse(ear, head_angle + side * 0.9, 0.075, 0.060)
            for ear, side in zip(ears, (LEFT, RIGHT), strict=True)
        ),
    ]
    keypoints = [
        body.at(neck, head_angle, 0.27),
        *ears,
        posture.centre,
        tail_base,
        joints[3],
        joints[5],
    ]
    return _figure(ellipses, list(pairwise(joints)), keypoints)


def _figure(
    ellipses: list[Floats], segments: list[tuple[Floats, Floats]], keypoints: list[Floats]
) -> Figure:
    return Figure(
        np.stack(ellipses, -2),
        np.stack([np.stack(ends, -2) for ends in segments], -3),
        np.stack(keypoints, -2),
    )


_LEG = ((88, 62, 40), (64, 44, 30))
_ANTENNA = ((74, 48, 32), (44, 28, 22))
_TAIL = (204, 158, 148)

SPECIES: dict[str, Species] = {
    "beetle": Species(
        Skeleton(
            ("head", "thorax", "abdomen", "antennaL", "antennaR", "legL", "legR"),
            edges=((0, 1), (1, 2), (0, 3), (0, 4), (1, 5), (1, 6)),
            symmetry=((3, 4), (5, 6)),
            name="beetle",
        ),
        Look(
            ellipse_colour=((148, 74, 34), (58, 38, 32), (104, 82, 40)),
            ellipse_pattern=("seam", "plain", "spots"),
            segment_colour=_LEG * 6 + _ANTENNA * 2,
            segment_width=((1.9, 1.4), (1.3, 0.9)) * 6 + ((1.0, 0.9), (0.9, 1.5)) * 2,
        ),
        _beetle,
    ),
    "mouse": Species(
        Skeleton(
            ("snout", "earL", "earR", "back", "tailbase", "tailmid", "tailtip"),
            edges=((0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (4, 5), (5, 6)),
            symmetry=((1, 2),),
            name="mouse",
        ),
        Look(
            ellipse_colour=(
                (126, 112, 100),
                (116, 102, 92),
                (108, 94, 86),
                (196, 148, 138),
                (196, 148, 138),
            ),
            ellipse_pattern=("spots", "spots", "gradient", "plain", "plain"),
            segment_colour=(_TAIL,) * 5,
            segment_width=((2.2, 1.9), (1.9, 1.7), (1.7, 1.4), (1.4, 1.2), (1.2, 0.9)),
        ),
        _mouse,
    ),
}
"""The synthetic animals by name."""
