"""Random fields that textures, folds and light are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from pipeline.dataset.synthetic.curves import Array
from pipeline.dataset.synthetic.garment import Random

Field = npt.NDArray[np.float32]
Pixels = npt.NDArray[Any]


def each_channel(change: np.ufunc, picture: Field, by: Pixels) -> None:
    """Add `by` (...) to `picture` (..., 3), or multiply it, in place.

    One channel after the other: NumPy takes ten times as long to broadcast over a last axis of three.
    """
    for channel in range(3):
        change(picture[..., channel], by, out=picture[..., channel])


def tinted(colour: Field, light: Pixels) -> Field:
    """One colour (3,) under an uneven light (...): (..., 3)."""
    picture = np.empty((*light.shape, 3), np.float32)
    for channel in range(3):
        np.multiply(light, colour[channel], out=picture[..., channel])
    return picture


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


def tile(rng: Random, side: int, cells: int, stretch: int = 1) -> Field:
    """Smooth noise that repeats seamlessly, (side, side)."""
    rows = max(2, cells // stretch)
    grid = np.pad(rng.standard_normal((rows, cells), dtype=np.float32), 2, mode="wrap")
    scale_y, scale_x = side / rows, side / cells
    image = Image.fromarray(grid)
    box = (2.0, 2.0, 2.0 + cells, 2.0 + rows)
    return np.asarray(image.resize((int(cells * scale_x), int(rows * scale_y)), Image.Resampling.BICUBIC, box=box))


def sample(pattern: Pixels, u: Field, v: Field) -> Field:
    """A square pattern, its side a power of two, repeated for ever: its nearest pixel at columns u and rows v."""
    side = pattern.shape[0]
    flat = pattern.reshape(side * side, *pattern.shape[2:])
    index = (v.astype(np.int32) & (side - 1)) * np.int32(side) + (u.astype(np.int32) & (side - 1))
    return np.asarray(np.take(flat, index, axis=0, mode="clip"), dtype=np.float32)


def soften(image: Image.Image, radius: float) -> Image.Image:
    """Blur by about a Gaussian of this standard deviation in pixels: two boxes come near it in a third of the time."""
    box = ImageFilter.BoxBlur(radius * 1.2)
    return image.filter(box).filter(box)


def creases(rng: Random, height: int, width: int, lines: list[Array]) -> Field:
    """Soft ridges and grooves along lines (n, 2) of pixels: a height field of about -1..1. Half of the resolution is
    enough for them."""
    size = (width // 2, height // 2)
    field = np.zeros(size[::-1], np.float32)
    for sharp in (True, False):
        image = Image.new("L", size, 128)
        draw = ImageDraw.Draw(image)
        for line in lines[0 if sharp else 1 :: 2]:
            height_there, thick = rng.uniform(25, 120) * rng.choice([-1, 1]), int(rng.integers(1, 4 if sharp else 6))
            xy = [(x, y) for x, y in (line / 2).tolist()]
            for i in range(len(xy) - 1):  # fades out at both ends
                tone = 128 + int(height_there * np.sin(np.pi * (i + 0.5) / (len(xy) - 1)))
                draw.line(xy[i : i + 2], fill=tone, width=thick)
        image = soften(image, rng.uniform(0.6, 1.2) if sharp else rng.uniform(1.3, 3.0))
        field += (np.asarray(image, np.float32) - 128) / (128 if sharp else 70)
    return resize(field, height, width)


def slope(height: Field, direction: float) -> Field:
    """Derivative of a height field towards direction (radians): how a raking light from there sees it."""
    dy, dx = np.gradient(height)
    return np.asarray(np.cos(direction) * dx + np.sin(direction) * dy, dtype=np.float32)
