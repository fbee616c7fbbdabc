"""The picture: textured background, shadows, animals, changing light and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_semimultipose.io.synthetic.species import Figure, Look

Floats = NDArray[np.float64]
Image = NDArray[np.floating]
"""Working pictures; float32 throughout, for speed."""

LOOKS = 12
"""Different individuals of a species (shade and pattern)."""

_TEXTURE = 48
_LIGHT = np.array([-0.6, -0.8], np.float32)
_SHADOW_PX = np.array([2.5, 3.5])


@dataclass(frozen=True)
class _Windows:
    """Square windows of one size cut from a padded canvas: their corners and pixel grids."""

    x0: NDArray[np.int64]
    y0: NDArray[np.int64]
    side: int
    x: Image
    y: Image

    @classmethod
    def around(cls, centre: Floats, reach: Floats) -> _Windows:
        """Make windows around points [M, 2] that hold everything within `reach` [M] px."""
        side = int(np.ceil(2 * reach.max())) + 4 if len(reach) else 0
        corner = np.round(centre).astype(np.int64) - side // 2
        grid = np.arange(side, dtype=np.float32)
        x = corner[:, 0, None].astype(np.float32) + grid
        y = corner[:, 1, None].astype(np.float32) + grid
        return cls(corner[:, 0], corner[:, 1], side, x[:, None, :], y[:, :, None])


class Canvas:
    """Painter of one recording.

    Parameters
    ----------
    size : (int, int)
        Height and width in px.
    channels : {1, 3}
        Grey or colour.
    look : Look
        Colours and patterns of the animals.
    noise : float
        Standard deviation of the pixel noise in grey levels.
    length_px : float
        Body length of the longest animal.
    rng : numpy.random.Generator
        Source of the background and the patterns.
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        look: Look,
        noise: float,
        length_px: float,
        rng: np.random.Generator,
    ) -> None:
        self.size = size
        self.channels = channels
        # No window is wider than this, so one that touches the image lies inside the padding.
        self.margin = int(0.75 * length_px) + 16
        padded = (size[0] + 2 * self.margin, size[1] + 2 * self.margin)
        # Channels come first while painting: numpy is slow where the last axis is short.
        self.background = _channels_first(self._grey(_ground(padded, rng)))
        self.n_ellipses = len(look.ellipse_colour)
        self.textures = _channels_first(self._grey(_textures(look, rng))).reshape(channels, -1)
        shade = rng.uniform(0.8, 1.2, (LOOKS, 1, 1)) * np.ones((1, len(look.segment_colour), 3))
        colour = np.asarray(look.segment_colour, np.float32)[None] * shade
        self.segment_colour = self._grey(colour.astype(np.float32))
        self.segment_width = np.asarray(look.segment_width)
        grain = rng.standard_normal((size[0] + 61, size[1] + 67), dtype=np.float32)
        self.grain = grain * np.float32(noise)
        self.drift = rng.uniform(0, 2 * np.pi, 3)

    def _grey(self, colour: Image) -> Image:
        """Turn (..., 3) into (..., channels) with the luma weights of ITU-R BT.601."""
        if self.channels == 3:
            return colour
        luma = colour @ np.array([0.299, 0.587, 0.114], np.float32)
        return luma[..., None]

    def paint(
        self, figure: Figure, looks: NDArray[np.int64], time: float, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Return the picture uint8 [H, W, C] of animals given from the lowest to the highest.

        Parameters
        ----------
        figure : Figure
            Shapes of A animals.
        looks : array [A] of int
            Which individual each one is.
        time : float
            Frame number: the light changes slowly with it.
        rng : numpy.random.Generator
            Source of the pixel noise of this frame.
        """
        height, width = self.size
        canvas = self.background.copy()
        if len(figure.ellipses):
            self._paint_animals(canvas, figure, looks)
        picture = canvas[:, self.margin :, self.margin :][:, :height, :width]
        a, b, c = np.sin(time * np.array([0.011, 0.0073, 0.0051]) + self.drift)
        column = np.linspace(-0.07 * a, 0.07 * a, width, dtype=np.float32)
        row = np.linspace(-0.07 * b, 0.07 * b, height, dtype=np.float32)
        light = row[:, None] + (column + np.float32(1.0 + 0.05 * c))
        picture = picture * light
        dy, dx = rng.integers(0, 61), rng.integers(0, 67)
        picture += self.grain[dy : dy + height, dx : dx + width]
        np.clip(picture, 0, 255, out=picture)
        return np.ascontiguousarray(np.moveaxis(picture.astype(np.uint8), 0, -1))

    def _paint_animals(self, canvas: Image, figure: Figure, looks: NDArray[np.int64]) -> None:
        animals, n_ellipses = figure.ellipses.shape[:2]
        n_segments = figure.segments.shape[1]
        shapes = figure.ellipses.reshape(-1, 5)
        windows = _Windows.around(shapes[:, :2], shapes[:, 3] + 1)
        alpha, colour = self._ellipses(shapes, windows, np.repeat(looks, n_ellipses))
        shaded = _Windows.around(shapes[:, :2] + _SHADOW_PX, shapes[:, 3] + 3)
        shadow = _shadow(shapes, shaded)
        ends = figure.segments.reshape(-1, 2, 2)
        scale = figure.ellipses[:, 0, 3] / figure.ellipses[:, 0, 3].mean()
        half = np.tile(self.segment_width, (animals, 1)) * np.repeat(scale, n_segments)[:, None]
        reach = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1) / 2 + half.max(-1) + 1
        lines = _Windows.around(ends.mean(1), reach)
        line_alpha = _capsules(ends, half, lines)
        line_colour = self.segment_colour[looks].reshape(-1, self.channels, 1, 1)
        for animal in range(animals):
            ellipses = range(animal * n_ellipses, (animal + 1) * n_ellipses)
            for i in ellipses:
                target = self._cut(canvas, shaded, i)
                if target is not None:
                    target *= shadow[i]
            for i in range(animal * n_segments, (animal + 1) * n_segments):
                target = self._cut(canvas, lines, i)
                if target is not None:
                    target += line_alpha[i] * (line_colour[i] - target)
            for i in ellipses:
                target = self._cut(canvas, windows, i)
                if target is not None:
                    target += alpha[i] * (colour[:, i] - target)

    def _cut(self, canvas: Image, windows: _Windows, i: int) -> Image | None:
        """Return the part of the padded canvas under a window, or None when it is out of sight."""
        x, y = int(windows.x0[i]) + self.margin, int(windows.y0[i]) + self.margin
        side = windows.side
        inside = x >= 0 and y >= 0 and y + side <= canvas.shape[1] and x + side <= canvas.shape[2]
        return canvas[:, y : y + side, x : x + side] if inside else None

    def _ellipses(
        self, shapes: Floats, windows: _Windows, looks: NDArray[np.int64]
    ) -> tuple[Image, Image]:
        """Opacity [M, P, P] and colour [C, M, P, P] of textured, domed ellipses."""
        u, v, radius, edge = _ellipse_coordinates(shapes, windows)
        alpha = np.clip((1 - radius) * edge + 0.5, 0, 1)
        place = np.float32(_TEXTURE / 2)
        column = np.clip((u + 1) * place, 0, _TEXTURE - 1).astype(np.intp)
        row = np.clip((v + 1) * place, 0, _TEXTURE - 1).astype(np.intp)
        kind = np.tile(np.arange(self.n_ellipses), len(shapes) // self.n_ellipses)
        texture = (looks * self.n_ellipses + kind)[:, None, None]
        colour = self.textures.take((texture * _TEXTURE + row) * _TEXTURE + column, axis=1)
        angle = shapes[:, 2].astype(np.float32)[:, None, None]
        cos, sin = np.cos(angle), np.sin(angle)
        lit = (u * cos - v * sin) * _LIGHT[0] + (u * sin + v * cos) * _LIGHT[1]
        dome = np.sqrt(np.clip(1 - radius * radius, 0, 1))
        gloss = np.clip(0.55 * lit + 0.85 * dome - 0.62, 0, 1)
        colour *= 0.55 + 0.40 * dome + 0.22 * lit
        colour += 170 * gloss * gloss
        return alpha, colour


def _channels_first(image: Image) -> Image:
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))


def _ellipse_coordinates(shapes: Floats, windows: _Windows) -> tuple[Image, Image, Image, Image]:
    """Pixel places in units of the half axes, their radius, and px per unit at the edge."""
    x, y, angle, a, b = (shapes[:, i].astype(np.float32)[:, None, None] for i in range(5))
    dx, dy = windows.x - x, windows.y - y
    cos, sin = np.cos(angle), np.sin(angle)
    u = (dx * cos + dy * sin) / a
    v = (dy * cos - dx * sin) / b
    return u, v, np.hypot(u, v), np.sqrt(a * b)


def _shadow(shapes: Floats, windows: _Windows) -> Image:
    """Factor [M, P, P] that darkens what lies under the shifted, soft ellipses."""
    moved = shapes.copy()
    moved[:, :2] += _SHADOW_PX
    _, _, radius, edge = _ellipse_coordinates(moved, windows)
    return 1 - np.float32(0.32) * np.clip((1 - radius) * edge / 5 + 0.5, 0, 1)


def _capsules(ends: Floats, half: Floats, windows: _Windows) -> Image:
    """Opacity [M, P, P] of thick lines whose half width changes along them."""
    x0, y0, x1, y1 = (ends[:, i, j].astype(np.float32) for i in (0, 1) for j in (0, 1))
    dx, dy = (x1 - x0)[:, None, None], (y1 - y0)[:, None, None]
    px, py = windows.x - x0[:, None, None], windows.y - y0[:, None, None]
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy + np.float32(1e-6)), 0, 1)
    gap_x, gap_y = px - along * dx, py - along * dy
    first, last = (half[:, i].astype(np.float32)[:, None, None] for i in (0, 1))
    thick = first + along * (last - first)
    alpha: Image = np.clip(thick + 0.5 - np.sqrt(gap_x * gap_x + gap_y * gap_y), 0, 1)
    return alpha


def _octaves(size: tuple[int, int], scales: dict[float, float], rng: np.random.Generator) -> Image:
    """Sum of noise smoothed at several scales (px), each with its own standard deviation."""
    total = np.zeros(size, np.float32)
    for scale, strength in scales.items():
        layer = gaussian_filter(rng.standard_normal(size, dtype=np.float32), scale, mode="wrap")
        total += layer * np.float32(strength / max(float(layer.std()), 1e-6))
    return total


def _ground(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Sandy ground [H, W, 3] with grains, patches, pebbles and fibres."""
    base = np.array([186, 172, 148], np.float32)
    relief = _octaves(size, {0.8: 5.0, 2.0: 5.0, 8.0: 6.0, 40.0: 9.0}, rng)
    warmth = _octaves(size, {30.0: 3.0}, rng)
    ground = base + relief[..., None] + warmth[..., None] * np.array([1, 0, -1], np.float32)
    area = size[0] * size[1]
    pebbles, fibres = int(area / 1500), int(area / 9000)
    pebble = np.zeros((pebbles, 5))
    pebble[:, :2] = rng.uniform(0, [size[1], size[0]], (pebbles, 2))
    pebble[:, 2] = rng.uniform(0, np.pi, pebbles)
    pebble[:, 3] = rng.gamma(2.0, 0.8, pebbles) + 0.8
    pebble[:, 4] = pebble[:, 3] * rng.uniform(0.6, 1.0, pebbles)
    tone = rng.uniform(-45, 40, (pebbles, 1)) + rng.uniform(-8, 8, (pebbles, 3))
    spots = _Windows.around(pebble[:, :2], pebble[:, 3] + 1)
    _, _, radius, edge = _ellipse_coordinates(pebble, spots)
    _add(ground, spots, np.clip((1 - radius) * edge + 0.5, 0, 1), tone)
    start = rng.uniform(0, [size[1], size[0]], (fibres, 2))
    angle, length = rng.uniform(0, 2 * np.pi, fibres), rng.uniform(6, 22, fibres)
    end = start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    ends = np.stack([start, end], 1)
    threads = _Windows.around(ends.mean(1), length / 2 + 2)
    tone = rng.uniform(-40, 25, (fibres, 1)) * np.ones((1, 3))
    _add(ground, threads, _capsules(ends, np.full((fibres, 2), 0.5), threads), tone)
    return ground


def _add(ground: Image, windows: _Windows, alpha: Image, tone: Floats) -> None:
    """Add tones [M, 3] to the ground, in windows that lie inside it."""
    for i in range(len(alpha)):
        x, y, side = int(windows.x0[i]), int(windows.y0[i]), windows.side
        if x >= 0 and y >= 0 and y + side <= ground.shape[0] and x + side <= ground.shape[1]:
            ground[y : y + side, x : x + side] += alpha[i][..., None] * tone[i].astype(np.float32)


def _textures(look: Look, rng: np.random.Generator) -> Image:
    """Colour [LOOKS, E, V, U, 3] of the ellipses; U runs from the tail side to the head side."""
    centre = (np.arange(_TEXTURE, dtype=np.float32) + 0.5) * (2 / _TEXTURE) - 1
    v, u = centre[:, None], centre[None, :]
    textures = np.empty((LOOKS, len(look.ellipse_colour), _TEXTURE, _TEXTURE, 3), np.float32)
    for individual in range(LOOKS):
        shade = rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
        for e, (colour, pattern) in enumerate(
            zip(look.ellipse_colour, look.ellipse_pattern, strict=True)
        ):
            tone = 1.0 + 0.06 * _octaves((_TEXTURE, _TEXTURE), {1.5: 1.0}, rng)
            if pattern == "seam":
                tone = tone * (1.0 + 0.28 * u) * (1 - 0.55 * np.exp(-((v / 0.05) ** 2)))
                tone = tone * (1 - 0.35 * np.exp(-((np.abs(v) - 0.45) ** 2) / 0.004))
                bands = 0.5 + 0.5 * np.sin(u * 11 + 6 * rng.uniform())
                tone = tone * (1 - 0.25 * (bands > 0.7))
            elif pattern == "spots":
                tone = tone + 0.16 * _octaves((_TEXTURE, _TEXTURE), {4.0: 1.0}, rng)
            elif pattern == "gradient":
                tone = tone * (1.0 - 0.30 * u)
            textures[individual, e] = np.asarray(colour) * shade * tone[..., None]
    return textures
