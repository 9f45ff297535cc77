"""Random fields that textures, folds and light are made of.

Fields are (height, width), pictures (3, height, width): NumPy works faster on whole planes than on pixels of three.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from garments.curves import BOW, Array
from garments.garment import Random

Field = npt.NDArray[np.float32]
Pixels = npt.NDArray[Any]


def planes(image: Image.Image) -> Field:
    """The bands of an image, (bands, height, width)."""
    return np.asarray([np.asarray(band) for band in image.split()], np.float32)


def plain(colour: Field) -> Field:
    """One colour (3,) as a picture of one pixel, (3, 1, 1), to be multiplied by a field."""
    return colour[:, None, None]


def resize(field: Pixels, height: int, width: int) -> Field:
    """A field (h, w) interpolated to another size."""
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def smooth(rng: Random, height: int, width: int, cells: float, stretch: float = 1.0) -> Field:
    """Smooth noise of unit variance with about this many bumps along the longer side; stretch > 1 draws it out in y."""
    side = max(height, width)
    rows = max(2, int(np.ceil(cells * height / side / stretch)) + 1)
    columns = max(2, int(np.ceil(cells * width / side)) + 1)
    return resize(rng.standard_normal((rows, columns), dtype=np.float32), height, width)


@cache
def _static() -> Field:
    return np.random.default_rng(0).standard_normal((1024, 1024), dtype=np.float32)


def static(rng: Random, height: int, width: int) -> Field:
    """White noise of unit variance, not to be written into: a part of one sheet, since making it anew takes longer than
    anything else here."""
    sheet = _static()
    top, left = (int(rng.integers(0, room + 1)) for room in (len(sheet) - height, len(sheet) - width))
    return sheet[top : top + height, left : left + width]


def tile(rng: Random, side: int, cells: int, stretch: int = 1) -> Field:
    """Smooth noise that repeats seamlessly, (side, side)."""
    rows = max(2, cells // stretch)
    grid = np.pad(rng.standard_normal((rows, cells), dtype=np.float32), 2, mode="wrap")
    scale_y, scale_x = side / rows, side / cells
    image = Image.fromarray(grid)
    box = (2.0, 2.0, 2.0 + cells, 2.0 + rows)
    return np.asarray(image.resize((int(cells * scale_x), int(rows * scale_y)), Image.Resampling.BICUBIC, box=box))


def sample(pattern: Field, u: Field, v: Field) -> Field:
    """A square pattern (..., side, side), its side a power of two, repeated for ever: its nearest pixels at columns u
    and rows v, (..., *u.shape), not to be written into."""
    side = pattern.shape[-1]
    flat = pattern.reshape(*pattern.shape[:-2], side * side)
    if side == 1:
        return np.broadcast_to(flat.reshape(*flat.shape[:-1], *(1 for _ in u.shape)), (*flat.shape[:-1], *u.shape))
    index = (v.astype(np.int32) & (side - 1)) * np.int32(side) + (u.astype(np.int32) & (side - 1))
    return np.take(flat, index, axis=-1, mode="clip")


def soften(image: Image.Image, radius: float) -> Image.Image:
    """Blur by about a Gaussian of this standard deviation in pixels: two boxes come near it in a third of the time."""
    box = ImageFilter.BoxBlur(radius * 1.2)
    return image.filter(box).filter(box)


FADE = np.sin(np.pi * (np.arange(BOW - 1) + 0.5) / (BOW - 1)).tolist()
"""How high a crease is along its line: nothing at both ends."""


def creases(rng: Random, height: int, width: int, lines: Array) -> Field:
    """Soft ridges and grooves along lines (n, BOW, 2) of pixels: a height field of about -1..1."""
    field = np.zeros((height, width), np.float32)
    heights = (rng.uniform(25, 120, len(lines)) * rng.choice([-1, 1], len(lines))).tolist()
    for sharp in (True, False):
        image = Image.new("L", (width, height), 128)
        draw = ImageDraw.Draw(image)
        half = slice(0 if sharp else 1, None, 2)
        thick = rng.integers(1, 4 if sharp else 6, len(lines)).tolist()
        for line, most, pixels in zip(lines[half].tolist(), heights[half], thick):
            for start, end, fade in zip(line, line[1:], FADE):
                draw.line((*start, *end), fill=128 + int(most * fade), width=pixels)
        image = soften(image, rng.uniform(0.6, 1.2) if sharp else rng.uniform(1.3, 3.0))
        field += (np.asarray(image, np.float32) - 128) / (128 if sharp else 70)
    return field


def slope(height: Field, direction: float) -> Field:
    """Derivative of a height field towards direction (radians): how a raking light from there sees it."""
    dy, dx = np.gradient(height)
    return np.asarray(np.cos(direction) * dx + np.sin(direction) * dy, dtype=np.float32)
