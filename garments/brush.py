"""Draw shapes with smooth edges: at twice the size, then averaged down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from garments.curves import Array
from garments.noise import Field

OVER = 2
"""Shapes are drawn this many times larger."""


@dataclass(frozen=True)
class Box:
    """A part of the picture, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def cut(self) -> tuple[slice, slice]:
        """Index of this part in an array of rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def box_around(xy: Array, width: int, height: int, margin: int) -> Box | None:
    """The box of some pixels with a margin, cut off at the picture's edges; None if nothing of it is in the picture."""
    low = np.floor(xy.min(axis=0)).astype(int) - margin
    high = np.ceil(xy.max(axis=0)).astype(int) + margin
    box = Box(max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1])))
    return box if box.right - box.left > 1 and box.bottom - box.top > 1 else None


class Brush:
    """Draws into a box; points are in continuous coordinates of the whole picture, tones 0 to 255."""

    def __init__(self, box: Box, ground: int = 0) -> None:
        self.box = box
        width, height = box.size
        self.image = Image.new("L", (width * OVER, height * OVER), ground)
        self.draw = ImageDraw.Draw(self.image)

    def _at(self, xy: Array) -> list[float]:
        # Pillow puts whole numbers at pixel centres.
        return list(((xy - (self.box.left, self.box.top)) * OVER - 0.5).ravel().tolist())

    def polygon(self, xy: Array) -> None:
        """Fill the inside of an outline (n, 2)."""
        self.draw.polygon(self._at(xy), fill=255)

    def line(self, xy: Array, width: float, dash: float, tone: int) -> None:
        """A line of this width through (n, 2), in dashes this long or unbroken, where that is 0."""
        thick = max(1, round(width * OVER))
        if dash <= 0:
            self.draw.line(self._at(xy), fill=tone, width=thick, joint="curve")
            return
        steps = np.linalg.norm(np.diff(xy, axis=0), axis=1)
        along = np.concatenate([[0], np.cumsum(steps)])
        at = np.arange(0, along[-1], max(dash, 1.0))
        dense = np.stack([np.interp(at, along, xy[:, 0]), np.interp(at, along, xy[:, 1])], axis=1)
        for i in range(0, len(dense) - 1, 2):
            self.draw.line(self._at(dense[i : i + 2]), fill=tone, width=thick)

    def disc(self, centre: Array, radius: float, tone: int) -> None:
        """A filled circle."""
        (x, y), r = self._at(centre), radius * OVER
        self.draw.ellipse([x - r, y - r, x + r, y + r], fill=tone)

    def drawn(self) -> Image.Image:
        """What was drawn, a pixel for each of the box."""
        return self.image.reduce(OVER)


def blurred(mask: Image.Image, radius: float) -> Field:
    """A mask, softened over about this many pixels: 0..1. One box will do: nobody sees the shape of its edge."""
    return np.asarray(mask.filter(ImageFilter.BoxBlur(radius * 1.6)), np.float32) * np.float32(1 / 255)
