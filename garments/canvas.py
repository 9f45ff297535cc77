"""Lay panels of cloth on a ground: pattern, folds, shadow, and what is sewn on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from garments.brush import Box, Brush, blurred, box_around
from garments.cloth import SIDE, Cloth
from garments.curves import points
from garments.folds import relief
from garments.garment import Garment, Panel, Random
from garments.noise import Field, Pixels, sample, slope
from garments.placing import Placing

MIDDLE = 127
"""A tone that neither darkens nor lightens."""


class Canvas:
    """The picture while panels are laid on it: `field` (3, height, width) 0..255, changed in place."""

    def __init__(
        self, rng: Random, field: Field, garment: Garment, place: Placing, cloths: Mapping[str, Cloth], hung: bool
    ) -> None:
        self.field, self.place, self.cloths = field, place, cloths
        self.height, self.width = field.shape[1:]
        self.sun = rng.uniform(0, 2 * np.pi)
        self.depth = rng.uniform(0.5, 1.4)
        self.edge = rng.uniform(0.02, 0.2)
        self.dark = rng.uniform(0.3, 1.1)
        self.turn = rng.normal(0, 0.06) if rng.random() < 0.9 else np.pi / 4
        self.u, self.v = self._garment_coordinates()
        height = relief(rng, garment, place, self.u, self.v, cloths["main"].stiff, hung)
        self.shading = slope(height, self.sun) * self.depth
        self.folds = height * np.float32(0.5 / place.scale)
        self.index = np.arange(self.height * self.width).reshape(self.height, self.width)

    def _garment_coordinates(self) -> tuple[Field, Field]:
        """Each pixel's place in the garment, but for the slight waves that only outlines follow."""
        r, s, t = self.place.matrix
        # The inverse but for a factor, which the division takes out; inv() would wake the threads of LAPACK.
        inverse = np.stack([np.cross(s, t), np.cross(t, r), np.cross(r, s)], axis=1).astype(np.float32)
        x = np.arange(0.5, self.width, dtype=np.float32)[None, :]
        y = np.arange(0.5, self.height, dtype=np.float32)[:, None]
        a, b, w = (inverse[i, 0] * x + inverse[i, 1] * y + inverse[i, 2] for i in range(3))
        return np.asarray(a / w, np.float32), np.asarray(b / w, np.float32)

    def lay(self, panel: Panel) -> None:
        """Draw one panel over all before it."""
        outline = self.place(panel.outline)
        box = box_around(outline, self.width, self.height, round(0.1 * self.place.scale) + 2)
        if box is None:
            return
        brush = Brush(box)
        brush.polygon(outline)
        mask = brush.drawn()
        soft = blurred(mask, max(1.0, 0.03 * self.place.scale))
        if panel.lift:
            self.field[:, box.cut[0], box.cut[1]] *= self._lit(soft, panel.lift)
        within = np.flatnonzero(np.asarray(mask))  # only these pixels are worked on
        if not within.size:
            return
        at = self.index[box.cut].ravel().take(within)
        paint, cover = self._paint(panel, box, at, within, mask, soft)
        for plane, painted in zip(self.field.reshape(3, -1), paint):
            below = plane.take(at)
            # In place: making and clearing arrays of this size takes longer than the sums.
            painted -= below
            painted *= cover
            painted += below
            plane[at] = painted

    def _lit(self, soft: Field, lift: float) -> Field:
        """How much light a panel leaves on what lies below: its softened mask, away from the light, takes some."""
        reach = max(1.0, 0.035 * self.place.scale * lift)
        dx, dy = -round(np.cos(self.sun) * reach), -round(np.sin(self.sun) * reach)
        shadow = np.roll(soft, (dy, dx), (0, 1))
        shadow *= np.float32((0.28 + 0.25 * lift) * self.dark)
        return np.subtract(1, shadow, out=shadow)

    def _paint(
        self, panel: Panel, box: Box, at: Pixels, within: Pixels, mask: Image.Image, soft: Field
    ) -> tuple[Field, Field]:
        """Colours (3, n) of a panel at n pixels, and how much it covers each (n,).

        at: their places in the picture, within: in the box, both counted row by row.
        """
        stuff, unit = self.cloths[panel.cloth], self.place.scale
        printed = stuff.alpha is not None
        turn = panel.grain + (0.0 if printed else self.turn)
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        folds = self.folds.ravel().take(at)
        u, v = self.u.ravel().take(at), self.v.ravel().take(at)
        u -= np.float32(panel.anchor[0])
        v -= np.float32(panel.anchor[1])
        per = np.float32(SIDE / (np.ptp(panel.outline[:, 0]) if printed else stuff.repeat))
        along, across = (cos * u + sin * v + folds) * per, (cos * v - sin * u + folds) * per
        colours = sample(stuff.pattern, along, across)
        rough = sample(stuff.weave, along * np.float32(1.7), across * np.float32(1.7))
        raking = self.shading.ravel().take(at) * np.float32(panel.folds)
        shine = np.maximum(raking, 0) ** 2 * np.float32(stuff.gloss * 220)
        light = 1 + raking
        if not printed:
            rounded = np.clip(soft.ravel().take(within) * 2 - 1, 0, 1)
            light *= np.float32(panel.shade) * np.float32(1 - self.edge) + np.float32(self.edge) * rounded
        add = rough * np.float32(stuff.bump) + shine
        if stuff.fade:
            middle = blurred(mask, 0.22 * unit).ravel().take(within)
            add += (middle - np.float32(0.6)) * np.float32(stuff.fade)
        if panel.strokes or panel.spots:
            sewn = self._sewn(panel, box).ravel().take(within)
            light += np.minimum(sewn, 0)
            add += np.maximum(sewn, 0) * np.float32(100)
        cover = np.asarray(mask).ravel().take(within) * np.float32(1 / 255)
        if stuff.alpha is not None:
            cover *= sample(stuff.alpha, along, across)
        painted = colours * np.clip(light, 0.12, 1.9)
        painted += add
        return painted, cover

    def _sewn(self, panel: Panel, box: Box) -> Field:
        """How much strokes and spots lighten a panel, -1..1 over the box."""
        brush, unit = Brush(box, MIDDLE), self.place.scale
        for stroke in panel.strokes:
            tone = MIDDLE + round(MIDDLE * stroke.tone)
            brush.line(self.place(stroke.line), stroke.width * unit, stroke.dash * unit, tone)
        for spot in panel.spots:
            tone = MIDDLE + round(MIDDLE * spot.tone)
            brush.disc(self.place(points(spot.centre))[0], spot.radius * unit, tone)
        return (np.asarray(brush.drawn(), np.float32) - MIDDLE) * np.float32(1 / MIDDLE)
