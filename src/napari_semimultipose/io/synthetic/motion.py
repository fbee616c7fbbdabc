"""How the synthetic animals move: smooth random walks in a box, or independent postures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from napari_semimultipose.io.synthetic.species import Posture

Floats = NDArray[np.float64]

SPEED_PX = 2.2
"""Mean speed of a walking animal of 60 px, in px a frame."""


@dataclass(frozen=True)
class Motion:
    """Postures of A animals on T frames.

    Parameters
    ----------
    posture : Posture
        Arrays of the leading shape [T, A].
    alive : array [T, A] of bool
        Which animals are there.
    depth : array [T, A] of int
        Painting order in a frame: the animal of depth 0 lies lowest.
    """

    posture: Posture
    alive: NDArray[np.bool_]
    depth: NDArray[np.int64]

    def frame(self, i: int) -> Posture:
        """Return the postures [A] of one frame."""
        return Posture(**{name: value[i] for name, value in vars(self.posture).items()})


def walk(n_frames: int, lengths: Floats, size: tuple[int, int], rng: np.random.Generator) -> Motion:
    """Let animals walk: stop and go, smooth turns, steering back at the border of the image.

    The turning rate and the speed are Ornstein-Uhlenbeck processes (Uhlenbeck and Ornstein 1930);
    now and then an animal heads for the next one, and nothing keeps them apart, so that they pass
    over each other.

    Parameters
    ----------
    n_frames : int
    lengths : array [A]
        Body lengths in px.
    size : (int, int)
        Height and width of the image in px.
    """
    animals = len(lengths)
    height, width = size
    mean_length = float(lengths.mean()) if animals else 60.0
    scale = lengths / 60.0
    turn = 0.055 * _smooth_noise(rng, (n_frames, animals), 12.0)
    drive = _smooth_noise(rng, (n_frames, animals), 40.0)
    pace = np.clip(1.0 + 0.9 * drive, 0.0, 2.2) * (drive > -1.0) * SPEED_PX
    curious = 0.06 * (_smooth_noise(rng, (n_frames, animals), 40.0) > 0.5)
    centre = np.empty((n_frames, animals, 2))
    heading = np.empty((n_frames, animals))
    here = scattered(animals, size, mean_length, rng)
    angle = rng.uniform(-np.pi, np.pi, animals)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    room = np.maximum(middle - 0.35 * mean_length, 1.0)
    for t in range(n_frames):
        centre[t], heading[t] = here, angle
        step = (pace[t] * scale)[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        here = here + step
        # Beyond the inner box an animal turns towards the middle, the harder the further out.
        out = np.clip(np.abs(here - middle) / room - 0.74, 0.0, 0.6).max(-1)
        home = np.arctan2(middle[1] - here[:, 1], middle[0] - here[:, 0])
        other = np.roll(here, 1, axis=0) - here
        visit = np.arctan2(other[:, 1], other[:, 0])
        angle = angle + turn[t] + 0.7 * out * np.sin(home - angle)
        angle = angle + curious[t] * np.sin(visit - angle)
    turned = np.diff(np.unwrap(heading, axis=0), axis=0, prepend=heading[:1])
    bend = np.clip(lfilter([0.2], [1.0, -0.8], turned * 14.0, axis=0), -1.3, 1.3)
    posture = Posture(
        centre=centre,
        heading=heading,
        bend=bend,
        gait=rng.uniform(0, 2 * np.pi, animals) + np.cumsum(pace, 0) * 0.30,
        sway=np.clip(_smooth_noise(rng, (n_frames, animals, 2), 5.0), -1.3, 1.3),
        length=np.broadcast_to(lengths, (n_frames, animals)).copy(),
    )
    depth = np.broadcast_to(rng.permutation(animals), (n_frames, animals)).copy()
    return Motion(posture, np.ones((n_frames, animals), bool), depth)


def stills(
    counts: NDArray[np.int64], lengths: Floats, size: tuple[int, int], rng: np.random.Generator
) -> Motion:
    """Draw every frame on its own: other places, postures and numbers of animals.

    Parameters
    ----------
    counts : array [T] of int
        Animals on each image.
    lengths : array [T, A]
        Body lengths in px, A at least the largest count.
    size : (int, int)
        Height and width of the images in px.
    """
    n_frames, animals = lengths.shape
    posture = Posture(
        centre=np.stack(
            [
                scattered(animals, size, float(row.mean() if animals else 60.0), rng)
                for row in lengths
            ]
        ),
        heading=rng.uniform(-np.pi, np.pi, lengths.shape),
        bend=np.clip(0.5 * rng.standard_normal(lengths.shape), -1.3, 1.3),
        gait=rng.uniform(0, 4 * np.pi, lengths.shape),
        sway=np.clip(rng.standard_normal((n_frames, animals, 2)), -1.3, 1.3),
        length=lengths,
    )
    alive = np.arange(animals) < counts[:, None]
    depth = rng.permuted(np.broadcast_to(np.arange(animals), lengths.shape), axis=1)
    return Motion(posture, alive, depth)


def scattered(count: int, size: tuple[int, int], length: float, rng: np.random.Generator) -> Floats:
    """Return `count` places [count, 2] in an image that seldom lie on top of each other.

    Each place is the better of two candidates (Mitchell 1991, best-candidate sampling), so
    neighbours touch and overlap now and then.
    """
    height, width = size
    margin = min(0.3 * length, 0.45 * min(size))
    low, high = np.array([margin, margin]), np.array([width - 1 - margin, height - 1 - margin])
    places = np.empty((0, 2))
    for _ in range(count):
        candidates = rng.uniform(low, high, (2, 2))
        gap = np.linalg.norm(candidates[:, None] - places[None], axis=-1)
        best = int(np.argmax(gap.min(1))) if len(places) else 0
        places = np.concatenate([places, candidates[best : best + 1]])
    return places


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], time: float) -> Floats:
    """Return a stationary process of unit variance along axis 0, correlated over `time` frames.

    Twice the first-order low-pass of white noise; the start is dropped until it is stationary.
    """
    keep = np.exp(-1.0 / time)
    lead = int(8 * time)
    noise = rng.standard_normal((shape[0] + lead, *shape[1:]))
    for _ in range(2):
        noise = lfilter([1.0 - keep], [1.0, -keep], noise, axis=0)
    # The variance of two equal poles in series: (1 + r^2) (1 - r)^4 / (1 - r^2)^3.
    variance = (1 + keep**2) * (1 - keep) ** 4 / (1 - keep**2) ** 3
    return np.asarray(noise[lead:] / np.sqrt(variance))
