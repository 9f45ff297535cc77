"""Lay panels of cloth on a ground: pattern, folds, shadow, and what is sewn on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from garments.camera import Placing
from garments.cloth import SIDE, Cloth, weave
from garments.curves import Array
from garments.folds import relief
from garments.garment import Garment, Panel, Random
from garments.noise import Field, sample, slope

_OVER = 2
"""Shapes are drawn this many times larger and averaged down, which makes their edges smooth."""
_MIDDLE = 127
"""A tone that neither darkens nor lightens."""


class Canvas:
    """The picture while panels are laid on it: `field` (3, height, width) 0..255, changed in place."""

    def __init__(
        self, rng: Random, field: Field, garment: Garment, place: Placing, cloths: Mapping[str, Cloth]
    ) -> None:
        self.field, self.place, self.cloths = field, place, cloths
        self.sun, self.turn = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.06)
        self.edge, self.dark = rng.uniform(0.02, 0.2), rng.uniform(0.3, 1.1)
        self.u, self.v = place.inverse(*field.shape[1:])
        height = relief(rng, garment, place, self.u, self.v)
        self.shading = slope(height, self.sun) * np.float32(rng.uniform(0.5, 1.4))
        self.folds = height * np.float32(0.5 / place.scale)

    def lay(self, panel: Panel) -> None:
        """Draw one panel over all before it."""
        outline, unit = self.place(panel.outline), self.place.scale
        margin = round(0.1 * unit) + 2
        left, top = np.clip(np.floor(outline.min(axis=0)).astype(int) - margin, 0, None).tolist()
        right, bottom = np.ceil(outline.max(axis=0)).astype(int) + margin
        cut = slice(top, max(top, int(bottom))), slice(left, max(left, int(right)))
        below = self.field[:, cut[0], cut[1]]
        size = below.shape[2], below.shape[1]
        if 0 in size:
            return
        drawn = Image.new("L", (size[0] * _OVER, size[1] * _OVER))
        ImageDraw.Draw(drawn).polygon(_at(outline, (left, top)), fill=255)
        mask = drawn.reduce(_OVER)
        # One box will do: nobody sees the shape of its edge.
        soft = np.asarray(mask.filter(ImageFilter.BoxBlur(max(1.6, 0.05 * unit))), np.float32) * np.float32(1 / 255)
        if panel.lift:
            reach = max(1.0, 0.035 * unit * panel.lift)
            shadow = np.roll(soft, (-round(np.sin(self.sun) * reach), -round(np.cos(self.sun) * reach)), (0, 1))
            below *= 1 - shadow * np.float32((0.28 + 0.25 * panel.lift) * self.dark)
        painted = self._paint(panel, cut, soft)
        if panel.strokes:
            sewn = self._sewn(panel, (left, top), drawn.size)
            painted *= 1 + np.minimum(sewn, 0)
            painted += np.maximum(sewn, 0) * np.float32(100)
        painted -= below
        painted *= np.asarray(mask, np.float32) * np.float32(1 / 255)
        below += painted

    def _paint(self, panel: Panel, cut: tuple[slice, slice], soft: Field) -> Field:
        """Colours (3, h, w) of a panel's cloth in a part of the picture."""
        stuff, turn = self.cloths[panel.cloth], panel.grain + self.turn
        cos, sin, per = (np.float32(each) for each in (np.cos(turn), np.sin(turn), SIDE / stuff.repeat))
        u, v, folds = self.u[cut] + 50, self.v[cut] + 50, self.folds[cut]
        along, across = (cos * u + sin * v + folds) * per, (cos * v - sin * u + folds) * per
        raking = self.shading[cut] * np.float32(panel.folds)
        rounded = np.float32(1 - self.edge) + np.float32(self.edge) * np.clip(soft * 2 - 1, 0, 1)
        light = np.clip((1 + raking) * rounded * np.float32(panel.shade), 0.12, 1.9)
        painted = sample(stuff.pattern, along, across) * light
        painted += sample(weave(), along * np.float32(1.7), across * np.float32(1.7)) * np.float32(stuff.bump)
        return painted

    def _sewn(self, panel: Panel, origin: tuple[int, int], size: tuple[int, int]) -> Field:
        """How much strokes lighten a panel, -1..1."""
        image = Image.new("L", size, _MIDDLE)
        draw = ImageDraw.Draw(image)
        for stroke in panel.strokes:
            line, width = _at(self.place(stroke.line), origin), max(1, round(stroke.width * self.place.scale * _OVER))
            draw.line(line, fill=_MIDDLE + round(_MIDDLE * stroke.tone), width=width, joint="curve")
        return (np.asarray(image.reduce(_OVER), np.float32) - _MIDDLE) * np.float32(1 / _MIDDLE)


def _at(xy: Array, origin: tuple[int, int]) -> list[float]:
    """Continuous coordinates as Pillow counts in a part that starts at a pixel: whole numbers are pixel centres."""
    return list(((xy - origin) * _OVER - 0.5).ravel().tolist())
