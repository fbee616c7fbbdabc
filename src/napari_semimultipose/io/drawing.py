"""Poses drawn into pictures: discs, thick lines and names, with smooth edges.

The shapes of one colour are computed together, pixel by pixel along each line, so that the cost
depends on the drawn pixels and not on the size of the picture.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.io.frames import Picture

Floats = NDArray[np.float64]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
_GOLDEN = 0.618033988749895


@lru_cache
def distinct_colour(number: int) -> Colour:
    """Return the colour of a number; neighbouring numbers differ much.

    Hues advance by the golden ratio of the colour circle, so that any first n of them are spread
    about evenly; brightness alternates.
    """
    hue = (0.58 + number * _GOLDEN) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.85, 0.6)[number % 5 == 3], 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_lines(
    picture: Picture,
    ends: Floats,
    width: float,
    colour: Colour,
    opacity: float | Floats = 1.0,
) -> None:
    """Draw lines with round ends; a line of length 0 is a disc.

    Where lines overlap, the more opaque one counts, so that joints do not show.

    Parameters
    ----------
    picture : array uint8 [H, W, 3]
        Is changed.
    ends : array [M, 2, 2]
        Both ends (x, y) of each line in px; lines with NaN are left out.
    width : float
        In px.
    colour : (int, int, int)
    opacity : float or array [M]
        0..1.
    """
    known = np.isfinite(ends).all((1, 2))
    lines = ends[known]
    strength = np.broadcast_to(np.asarray(opacity, np.float64), known.shape)[known]
    if not len(lines):
        return
    x, y = _pixels(lines, width / 2)
    cover = np.clip(width / 2 + 0.5 - _distance(lines, x, y), 0, 1) * strength[:, None]
    _blend(picture, x, y, cover, np.broadcast_to(np.array(colour), (len(lines), 3)))


def draw_points(
    picture: Picture,
    points: Floats,
    radius: float,
    colours: NDArray[np.integer],
    hollow: NDArray[np.bool_],
) -> None:
    """Draw discs with a dark rim, or rings.

    Parameters
    ----------
    picture : array uint8 [H, W, 3]
        Is changed.
    points : array [M, 2]
        Centres (x, y) in px; points with NaN are left out.
    radius : float
        In px.
    colours : array [M, 3]
    hollow : array [M] of bool
        Which points become rings.
    """
    known = np.isfinite(points).all(-1)
    ends = np.repeat(points[known][:, None], 2, 1)
    if not len(ends):
        return
    rim = max(1.0, 0.3 * radius)
    x, y = _pixels(ends, radius + rim)
    distance = _distance(ends, x, y)
    dark = np.zeros((len(ends), 3))
    outside = np.clip(radius + rim + 0.5 - distance, 0, 1)
    inner = np.where(hollow[known], radius - 1.6 * rim, -1.0)[:, None]
    ring = outside * np.clip(distance - inner + rim + 0.5, 0, 1)
    _blend(picture, x, y, 0.65 * ring, dark)
    filled = np.clip(radius + 0.5 - distance, 0, 1) * np.clip(distance - inner + 0.5, 0, 1)
    _blend(picture, x, y, filled, colours[known])


def draw_name(
    picture: Picture, name: str, place: tuple[float, float], size: int, colour: Colour
) -> None:
    """Write a name with a dark outline, its lower middle at `place` (x, y) and inside the picture."""
    text, outline = _letters(name, size)
    height, width = text.shape
    if height > picture.shape[0] or width > picture.shape[1]:
        return
    x = int(np.clip(round(place[0] - width / 2), 0, picture.shape[1] - width))
    y = int(np.clip(round(place[1] - height), 0, picture.shape[0] - height))
    target = picture[y : y + height, x : x + width]
    mixed = target * (1 - 0.7 * outline[..., None])
    mixed += text[..., None] * (np.array(colour) - mixed)
    target[:] = np.rint(mixed)


@lru_cache(maxsize=512)
def _letters(name: str, size: int) -> tuple[Floats, Floats]:
    """Opacity [h, w] of a name and of its outline."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    edge = max(1, size // 8)
    left, top, right, bottom = font.getbbox(name, stroke_width=edge)
    extent = (max(1, int(np.ceil(right - left))), max(1, int(np.ceil(bottom - top))))
    masks = []
    for stroke in (0, edge):
        image = Image.new("L", extent)
        ImageDraw.Draw(image).text(
            (-left, -top), name, fill=255, font=font, stroke_width=stroke, stroke_fill=255
        )
        masks.append(np.asarray(image) / 255)
    return masks[0], masks[1]


def _pixels(lines: Floats, half: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels [M, P] that lines of a half width may touch, along the longer side of each."""
    start, end = lines[:, 0], lines[:, 1]
    steep = np.abs(end - start)[:, 1] > np.abs(end - start)[:, 0]
    # Swap x and y of steep lines, so that each step along the line is one pixel along x.
    first = np.where(steep[:, None], start[:, ::-1], start)
    last = np.where(steep[:, None], end[:, ::-1], end)
    reach = int(np.ceil(half * np.sqrt(2) + 1))
    low = np.floor(np.minimum(first[:, 0], last[:, 0])).astype(np.int64) - reach
    high = np.ceil(np.maximum(first[:, 0], last[:, 0])).astype(np.int64) + reach
    along = low[:, None] + np.arange(int((high - low).max()) + 1)
    run = last[:, 0] - first[:, 0]
    slope = np.divide(last[:, 1] - first[:, 1], run, out=np.zeros(len(run)), where=run != 0)
    clipped = np.clip(along, *np.sort(np.stack([first[:, 0], last[:, 0]]), axis=0)[..., None])
    middle = first[:, 1, None] + slope[:, None] * (clipped - first[:, 0, None])
    across = np.rint(middle).astype(np.int64)[..., None] + np.arange(-reach, reach + 1)
    along = np.broadcast_to(along[..., None], across.shape)
    x = np.where(steep[:, None, None], across, along).reshape(len(lines), -1)
    y = np.where(steep[:, None, None], along, across).reshape(len(lines), -1)
    return x, y


def _distance(lines: Floats, x: NDArray[np.int64], y: NDArray[np.int64]) -> Floats:
    """Distance [M, P] in px of pixels from their line."""
    (x0, y0), (x1, y1) = lines[:, 0].T[..., None], lines[:, 1].T[..., None]
    dx, dy = x1 - x0, y1 - y0
    px, py = x - x0, y - y0
    along = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0, 1)
    return np.asarray(np.hypot(px - along * dx, py - along * dy))


def _blend(
    picture: Picture,
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    cover: Floats,
    colours: NDArray,
) -> None:
    """Mix colours [M, 3] into pixels [M, P]; where several meet, the most opaque one counts."""
    height, width = picture.shape[:2]
    wanted = (cover > 0) & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    shape = np.broadcast_to(np.arange(len(x))[:, None], x.shape)[wanted]
    flat, strength = (y * width + x)[wanted], cover[wanted]
    # Of equal indices the last write stays: sort the most opaque to the end.
    order = np.argsort(strength)
    flat, strength, shape = flat[order], strength[order], shape[order]
    pixels = picture.reshape(-1, 3)
    old = pixels[flat].astype(np.float64)
    pixels[flat] = np.rint(old + strength[:, None] * (colours[shape] - old)).astype(np.uint8)
