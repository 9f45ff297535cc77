"""Random fields that textures, folds and light are made of.

Fields are (height, width), pictures (3, height, width): NumPy works faster on whole planes than on pixels of three.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from garments.garment import Random

Field = npt.NDArray[np.float32]


def resize(field: Field, height: int, width: int) -> Field:
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
def _sheet() -> Field:
    return np.random.default_rng(0).standard_normal((1024, 1024), dtype=np.float32)


def static(rng: Random, height: int, width: int) -> Field:
    """White noise of unit variance, not to be written into: a part of one sheet, since making it anew takes longer than
    anything else here."""
    top, left = (int(rng.integers(0, len(_sheet()) - side + 1)) for side in (height, width))
    return _sheet()[top : top + height, left : left + width]


def tile(rng: Random, side: int, cells: int, stretch: int = 1) -> Field:
    """Smooth noise that repeats seamlessly, (side, side)."""
    rows = max(2, cells // stretch)
    grid = np.pad(rng.standard_normal((rows, cells), dtype=np.float32), 2, mode="wrap")
    box = (2.0, 2.0, 2.0 + cells, 2.0 + rows)
    return np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC, box=box))


def sample(pattern: Field, u: Field, v: Field) -> Field:
    """A square pattern (..., side, side), its side a power of two, repeated for ever: its nearest pixels at columns u
    and rows v, (..., *u.shape). A pattern of one pixel stays one."""
    side = pattern.shape[-1]
    if side == 1:
        return pattern
    index = (v.astype(np.int32) & (side - 1)) * np.int32(side) + (u.astype(np.int32) & (side - 1))
    return np.take(pattern.reshape(*pattern.shape[:-2], side * side), index, axis=-1, mode="clip")


def slope(height: Field, direction: float) -> Field:
    """Derivative of a height field towards direction (radians): how a raking light from there sees it."""
    dy, dx = np.gradient(height)
    return np.asarray(np.cos(direction) * dx + np.sin(direction) * dy, dtype=np.float32)
