"""Random fields that textures, folds and light are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.dataset.synthetic.garment import Random

Field = npt.NDArray[np.float32]
Pixels = npt.NDArray[Any]


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
    """The pattern, repeated for ever, at columns u and rows v (nearest pixel)."""
    rows, columns = pattern.shape[:2]
    flat = pattern.reshape(rows * columns, *pattern.shape[2:])
    index = np.mod(v.astype(np.int32), rows) * columns + np.mod(u.astype(np.int32), columns)
    return np.asarray(np.take(flat, index, axis=0), dtype=np.float32)


def slope(height: Field, direction: float) -> Field:
    """Derivative of a height field towards direction (radians): how a raking light from there sees it."""
    dy, dx = np.gradient(height)
    return np.asarray(np.cos(direction) * dx + np.sin(direction) * dy, dtype=np.float32)
