"""One photo: a garment on its ground, with folds, shadows, hanger and light, and where its keypoints came to lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.dataset.synthetic.cloth import SIDE, Cloth, cloth
from pipeline.dataset.synthetic.curves import Array, points, shift, spline
from pipeline.dataset.synthetic.garment import Garment, Panel, Random, Stroke, chance
from pipeline.dataset.synthetic.noise import Field, creases, sample, slope, smooth, tile
from pipeline.dataset.synthetic.placing import Placing

OVER = 2
"""Outlines are drawn this many times larger and averaged down."""


@dataclass(frozen=True)
class Box:
    """The part of the picture, in pixels, that a panel touches."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top

    @property
    def cut(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def box_around(xy: Array, width: int, height: int, margin: int) -> Box | None:
    """The box of some pixels with a margin, cut off at the picture's edges; None if nothing of it is in the picture."""
    low = np.floor(xy.min(axis=0)).astype(int) - margin
    high = np.ceil(xy.max(axis=0)).astype(int) + margin
    box = Box(max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1])))
    return box if box.right - box.left > 1 and box.bottom - box.top > 1 else None


class Brush:
    """Draws shapes with smooth edges into a box, as coverage 0..1."""

    def __init__(self, box: Box) -> None:
        self.box = box
        width, height = box.size
        self.image = Image.new("L", (width * OVER, height * OVER))
        self.draw = ImageDraw.Draw(self.image)

    def _at(self, xy: Array) -> list[tuple[float, float]]:
        moved = (xy - (self.box.left, self.box.top)) * OVER - 0.5
        return [(float(x), float(y)) for x, y in moved]

    def polygon(self, xy: Array) -> None:
        self.draw.polygon(self._at(xy), fill=255)

    def line(self, xy: Array, width: float, dash: float = 0.0) -> None:
        """A line of this width in pixels, in dashes this long."""
        thick = max(1, round(width * OVER))
        if dash <= 0:
            self.draw.line(self._at(xy), fill=255, width=thick, joint="curve")
            return
        steps = np.linalg.norm(np.diff(xy, axis=0), axis=1)
        along = np.concatenate([[0], np.cumsum(steps)])
        at = np.arange(0, along[-1], max(dash, 1.0))
        dense = np.stack([np.interp(at, along, xy[:, 0]), np.interp(at, along, xy[:, 1])], axis=1)
        for i in range(0, len(dense) - 1, 2):
            self.draw.line(self._at(dense[i : i + 2]), fill=255, width=thick)

    def disc(self, centre: Array, radius: float) -> None:
        (x, y), r = self._at(centre[None])[0], radius * OVER
        self.draw.ellipse([x - r, y - r, x + r, y + r], fill=255)

    def coverage(self, blur: float = 0.0) -> Field:
        small = self.image.reduce(OVER)
        if blur:
            small = small.filter(ImageFilter.GaussianBlur(blur))
        return np.asarray(small, np.float32) / 255


def relief(rng: Random, garment: Garment, place: Placing, width: int, height: int, stiff: float, hung: bool) -> Field:
    """Folds and wrinkles as a height field (height, width), in pixels."""
    unit = place.scale
    cells = max(width, height) / unit
    stretch = rng.uniform(1, 3) if hung else rng.uniform(0.6, 1.6)
    field = smooth(rng, height, width, cells * rng.uniform(0.8, 1.6), stretch) * unit * rng.uniform(0.01, 0.035)
    fine = smooth(rng, height, width, cells * rng.uniform(3, 7), stretch)
    field = field + fine * unit * rng.uniform(0.001, 0.008) * (1.3 - stiff)
    field = field + _creases(rng, garment, place, width, height, stiff, hung) * unit * rng.uniform(0.01, 0.04)
    return np.asarray(field, np.float32)


def _creases(rng: Random, garment: Garment, place: Placing, width: int, height: int, stiff: float, hung: bool) -> Field:
    """Creases that run from where the cloth is pulled, and others that lie anywhere but mostly along one direction."""
    body = garment.panels[-1].outline if len(garment.panels) == 1 else np.vstack([p.outline for p in garment.panels])
    low, high = body.min(axis=0), body.max(axis=0)
    lay = np.pi / 2 if hung else rng.uniform(0, np.pi)
    starts = [(x, y, rng.uniform(0, 2 * np.pi)) for x, y in garment.stress for _ in range(int(rng.integers(1, 4)))]
    for _ in range(int(rng.integers(4, 50) * (1.4 - stiff))):
        starts.append((rng.uniform(low[0], high[0]), rng.uniform(low[1], high[1]), lay + rng.normal(0, 0.5)))
    lines = []
    for x, y, angle in starts:
        long = 0.12 * 9 ** rng.random()
        end = np.array([x + long * np.cos(angle), y + long * np.sin(angle)])
        middle = (end + (x, y)) / 2 + rng.normal(0, 0.12, 2) * long
        lines.append(place(spline([(x, y), middle, end], 4)))
    return creases(rng, height, width, lines)


def _pleats(rng: Random, garment: Garment, place: Placing, u: Field, v: Field) -> Field:
    """Folds that fan out from the waist down: a height field in garment units."""
    below = np.clip((v - garment.waist) / 0.8, 0, 1)
    apex = garment.waist - rng.uniform(2.0, 6.0)
    fan = u * (garment.waist - apex) / np.maximum(v - apex, 0.1)
    phase = fan * garment.pleats * np.pi / 2 + 0.5 * np.sin(fan * 3.1 + rng.uniform(0, 6)) + 0.15 * v
    wave = np.sin(phase) + 0.4 * np.sin(1.7 * phase + 1.0)
    return np.asarray(wave * below * rng.uniform(0.25, 0.9) / max(garment.pleats, 3.0) * 0.5, np.float32)


class Canvas:
    """The picture while panels are laid on it."""

    def __init__(self, rng: Random, field: Field, garment: Garment, place: Placing, hung: bool) -> None:
        self.rng, self.field, self.garment, self.place = rng, field, garment, place
        self.height, self.width = field.shape[:2]
        denim = {"trousers": 0.3, "skirt": 0.2, "outwear": 0.12}.get(garment.category, 0.02)
        leather = {"outwear": 0.1, "skirt": 0.06}.get(garment.category, 0.0)
        main = cloth(
            rng, plain=garment.category in ("outwear", "trousers") and chance(rng, 0.6), denim=denim, leather=leather
        )
        other = cloth(rng, plain=chance(rng, 0.7))
        self.cloths: dict[str, Cloth] = {
            "main": main,
            "trim": other if chance(rng, 0.3) else main,
            "second": other,
            "lining": main if chance(rng, 0.55) else cloth(rng, plain=True),
            "label": replace(other, pattern=np.full_like(main.pattern, rng.choice([25.0, 235.0]))),
        }
        self.sun = rng.uniform(0, 2 * np.pi)
        self.depth = rng.uniform(0.5, 1.4)
        self.edge = rng.uniform(0.03, 0.2)
        self.lift = rng.uniform(0.4, 1.1)
        self.folds = relief(rng, garment, place, self.width, self.height, main.stiff, hung)
        self.turn = rng.normal(0, 0.06) if chance(rng, 0.9) else np.pi / 4
        inverse = np.linalg.inv(place.matrix)
        y, x = np.mgrid[0.5 : self.height, 0.5 : self.width].astype(np.float32)
        w = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
        self.u = np.asarray((inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) / w, np.float32)
        self.v = np.asarray((inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) / w, np.float32)
        if garment.quilt:
            rows = np.sqrt(np.abs(np.sin((self.v + garment.diamonds * self.u) * np.pi / garment.quilt)))
            if garment.diamonds:
                rows = rows + np.sqrt(np.abs(np.sin((self.v - garment.diamonds * self.u) * np.pi / garment.quilt)))
            self.folds = self.folds + rows * (place.scale * garment.quilt * rng.uniform(0.06, 0.16))
        if garment.pleats:
            self.folds = self.folds + _pleats(rng, garment, place, self.u, self.v) * place.scale
        self.shading = slope(self.folds, self.sun)
        self.covered = np.zeros((self.height, self.width), np.float32)

    def lay(self, panel: Panel) -> None:
        """Draw one panel over all before it."""
        outline = self.place(panel.outline)
        unit = self.place.scale
        box = box_around(outline, self.width, self.height, round(0.12 * unit) + 2)
        if box is None:
            return
        brush = Brush(box)
        brush.polygon(outline)
        mask = brush.coverage()
        here = self.field[box.cut]
        if panel.lift:
            here *= 1 - self._shadow(mask, panel.lift)[..., None]
        paint = self._paint(panel, box, mask)
        here += (paint - here) * mask[..., None]
        self.covered[box.cut] = np.maximum(self.covered[box.cut], mask)

    def _shadow(self, mask: Field, lift: float) -> Field:
        reach = max(1.0, 0.035 * self.place.scale * lift)
        image = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(reach))
        dx, dy = -round(np.cos(self.sun) * reach), -round(np.sin(self.sun) * reach)
        moved = np.roll(np.asarray(image, np.float32) / 255, (dy, dx), (0, 1))
        return moved * (0.28 + 0.25 * lift) * self.lift

    def _paint(self, panel: Panel, box: Box, mask: Field) -> Field:
        """Colours of a panel over its box: pattern, folds, the roundness of its edges, and what is sewn on it."""
        stuff, unit = self.cloths[panel.cloth], self.place.scale
        turn = panel.grain + self.turn
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        u, v, folds = self.u[box.cut], self.v[box.cut], self.folds[box.cut] / unit
        per = SIDE / stuff.repeat
        u, v = u - panel.anchor[0], v - panel.anchor[1]
        along = (cos * u + sin * v + 0.5 * folds) * per
        across = (-sin * u + cos * v + 0.5 * folds) * per
        colours = sample(stuff.pattern, along, across)
        rough = sample(stuff.weave, along * 1.7, across * 1.7)
        raking = self.shading[box.cut] * (panel.folds * self.depth)
        shine = np.maximum(raking, 0) ** 2 * stuff.gloss * 220
        inner = np.asarray(
            Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(max(1.0, 0.03 * unit))),
            np.float32,
        )
        round_off = np.clip(inner / 255 * 2 - 1, 0, 1)
        light = (1 + raking) * (1 - self.edge + self.edge * round_off) * panel.shade + self._sewn(panel, box)
        return np.asarray(
            colours * np.clip(light, 0.15, 1.9)[..., None] + (rough * stuff.bump + shine)[..., None], np.float32
        )

    def _sewn(self, panel: Panel, box: Box) -> Field:
        """How much strokes and spots lighten or darken a panel."""
        width, height = box.size
        change = np.zeros((height, width), np.float32)
        tones = sorted({stroke.tone for stroke in panel.strokes} | {spot.tone for spot in panel.spots})
        for dark in (True, False):
            group = [tone for tone in tones if (tone < 0) == dark]
            if not group:
                continue
            brush = Brush(box)
            for stroke in panel.strokes:
                if (stroke.tone < 0) == dark:
                    line = self.place(stroke.line)
                    brush.line(line, stroke.width * self.place.scale, stroke.dash * self.place.scale)
            for spot in panel.spots:
                if (spot.tone < 0) == dark:
                    brush.disc(self.place(points(spot.centre))[0], spot.radius * self.place.scale)
            change += brush.coverage(0.5) * float(np.mean(group))
        return change


def hanger(rng: Random, garment: Garment) -> list[Panel]:
    """A hanger's shoulders and hook, to be drawn before the garment."""
    if garment.category in ("skirt", "trousers"):
        left, right = garment.points["waistband_left"], garment.points["waistband_right"]
        y = min(left[1], right[1]) - rng.uniform(0.05, 0.15)
        bar = spline([(left[0] * 1.02, y), (right[0] * 1.02, y)])
        hook_at = y
    else:
        left, right = garment.points["shoulder_left"], garment.points["shoulder_right"]
        y = rng.uniform(-0.1, 0.12)
        bar = spline(
            [
                (left[0] * 0.97, left[1] + 0.06),
                (left[0] * 0.3, y),
                (0, y - 0.06),
                (right[0] * 0.3, y),
                (right[0] * 0.97, right[1] + 0.06),
            ]
        )
        hook_at = y
    thick = rng.uniform(0.02, 0.07)
    top = hook_at - rng.uniform(0.35, 0.6)
    hook = spline([(0, hook_at), (0, hook_at - 0.15), (0.1, top + 0.1), (0.02, top), (-0.1, top + 0.06)])
    pieces = []
    for line, half in ((bar, thick), (hook, 0.02)):
        side = shift(line, 0, half) if line is bar else shift(line, half, 0)
        other = line - (0, half) if line is bar else line - (half, 0)
        pieces.append(
            Panel(np.vstack([side, other[::-1]]), "hanger", folds=0.0, lift=0.25, strokes=(Stroke(line, half, 0.2),))
        )
    return pieces


def hanger_cloth(rng: Random) -> Cloth:
    """Plastic, wire or wood."""
    tone = {0: (25, 25, 28), 1: (235, 235, 235), 2: (170, 125, 75), 3: (150, 155, 165)}[int(rng.integers(0, 4))]
    pattern = np.broadcast_to(np.asarray(tone, np.float32), (SIDE, SIDE, 3)).astype(np.float32)
    return Cloth(pattern, 1.0, tile(rng, SIDE, 16), 1.0, 0.3, 1.0)
