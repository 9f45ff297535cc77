"""Sleeves of every length and pose, with their cuffs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.dataset.synthetic.curves import Array, inside, points, shift, spline
from pipeline.dataset.synthetic.garment import Garment, Panel, Random, Stroke, chance


@dataclass(frozen=True)
class SleeveCut:
    """What both sleeves of a garment have in common. length along the middle, widths across, in garment units."""

    length: float
    upper: float
    cuff: float
    spread: float
    """Mean angle from hanging straight down, radians."""
    ribbed: float
    """Height of the cuff's band, 0 for none."""
    raglan: bool
    bulky: bool
    cloth: str


def sleeve_cut(rng: Random, kind: str, bulky: bool) -> SleeveCut:
    """A cut for `kind` in short, elbow, long; bulky for outwear."""
    upper = rng.uniform(0.6, 0.85) + (0.08 if bulky else 0.0)
    if kind == "short":
        length, cuff, spread = rng.uniform(0.5, 1.15), upper * rng.uniform(0.78, 1.08), rng.uniform(0.3, 1.0)
    elif kind == "elbow":
        length, cuff, spread = rng.uniform(1.2, 1.75), upper * rng.uniform(0.62, 0.95), rng.uniform(0.2, 0.95)
    else:
        length, cuff = rng.uniform(2.15, 2.9), rng.uniform(0.34, 0.56) + (0.06 if bulky else 0.0)
        spread = rng.uniform(0.12, 0.3) if chance(rng, 0.5) else rng.uniform(0.25, 0.75)
    ribbed = rng.uniform(0.12, 0.34) if kind == "long" and chance(rng, 0.6) else 0.0
    cloth = "second" if chance(rng, 0.06) else "main"
    return SleeveCut(length, upper, cuff, spread, ribbed, chance(rng, 0.08), bulky, cloth)


def sew_sleeve(
    rng: Random, garment: Garment, cut: SleeveCut, name: str, neck: Array, shoulder: Array, pit: Array
) -> None:
    """Add the sleeve of one side, mark its cuff, and call occluded what it hides or what hides it."""
    s = -1.0 if name == "left" else 1.0
    angle = float(np.clip(cut.spread + rng.normal(0, 0.1), 0.06, 1.5))
    bend = rng.normal(0, 0.18)
    pose = rng.random()
    if cut.length > 1.9 and pose < 0.16:
        bend = rng.uniform(-1.5, -0.5) if angle > 0.2 else rng.uniform(0.2, 0.7)
    if cut.length > 1.9 and pose > 0.94:
        bend = -rng.uniform(1.6, 2.2)
    hides = angle < (0.45 if cut.bulky else 0.3) and chance(rng, 0.8)
    tuck = rng.uniform(0.06, 0.3) if hides else 0.0
    low = pit + np.array([-s * tuck, tuck * 0.4])
    step = cut.length / 2
    lower_angle = angle + bend
    bones = [(shoulder * 0.55 + low * 0.45) + (s * 0.1, 0.0)]
    for turn in (angle, angle, lower_angle, lower_angle):
        bones.append(bones[-1] + 0.5 * step * np.array([s * np.sin(turn), np.cos(turn)]))
    turns = (angle, angle, (angle + lower_angle) / 2, lower_angle, lower_angle)
    outward = [np.array([s * np.cos(turn), -np.sin(turn)]) for turn in turns]
    gather = 0.8 if cut.ribbed else 1.0
    widths = np.array([cut.upper, cut.upper, 0.45 * cut.upper + 0.55 * cut.cuff, cut.cuff * 1.12, cut.cuff])
    widths = widths * np.array([1, 1, 1, 1 / gather**0.7, gather]) if cut.length > 1.9 else widths
    top = [bone + out * width / 2 for bone, out, width in zip(bones, outward, widths)]
    under = [bone - out * width / 2 for bone, out, width in zip(bones, outward, widths)]
    if not hides:  # keep the underside clear of the armpit, so that the gap shows
        for i in (1, 2):
            straight = low + (under[4] - low) * (i / 4)
            under[i] = 0.5 * under[i] + 0.5 * straight if abs(bend) > 0.4 else 0.15 * under[i] + 0.85 * straight
    if abs(bend) < 0.4:  # the upper edge runs on from the shoulder, without a puff
        puff = rng.uniform(0.25, 0.6) if chance(rng, 0.85) else 1.0
        for i in (1, 2, 3):
            top[i] = puff * top[i] + (1 - puff) * (shoulder + (top[4] - shoulder) * (i / 4))
    start = 1 if cut.length > 1.1 else 2
    upper_line = spline([shoulder, *top[start:]])
    under_line = spline([low, *under[max(start, 2) :]])
    cuff_out, cuff_in = upper_line[-1], under_line[-1]
    end = np.linspace(cuff_out, cuff_in, 9)
    bow = np.array([np.sin(lower_angle) * s, np.cos(lower_angle)]) * rng.normal(0.0, 0.03)
    end[1:-1] += bow
    root_top = neck if cut.raglan else shoulder
    root = spline([low, (shoulder + low) / 2 - (s * rng.uniform(0.1, 0.2), 0), root_top])
    outline = np.vstack([upper_line, end[1:-1], under_line[::-1], root[1:]])
    strokes = [Stroke(root, 0.03, -0.3)]
    along = np.array([s * np.sin(lower_angle), np.cos(lower_angle)])
    height = cut.ribbed or rng.uniform(0.06, 0.14)
    strokes.append(Stroke(end - along * height, 0.02, -0.25, 0.0 if cut.ribbed or chance(rng, 0.5) else 0.05))
    behind = cut.length > 1.9 and angle < 0.35 and chance(rng, 0.08)
    grain = -s * angle
    sleeve = Panel(outline, cut.cloth, grain=grain, shade=0.97, lift=0.15 if behind else 0.7, strokes=tuple(strokes))
    pieces = [sleeve]
    if cut.ribbed:
        band = np.vstack([end, (end - along * height)[::-1]])
        lines = [Stroke(np.vstack([p, p - along * height]), 0.015, -0.12) for p in end[1:-1]]
        pieces.append(Panel(band, "trim", grain=grain, folds=0.2, strokes=tuple(lines)))
    if behind:
        body = [panel.outline for panel in garment.panels]
        garment.panels[0:0] = pieces
    else:
        body = []
        garment.panels += pieces
        for other in set(garment.points) - {f"shoulder_{name}", f"armpit_{name}"}:
            cover(garment, other, outline)
        # The armpit is on the sleeve's own edge: it shows if a gap opens below it.
        if inside(shift(pit, -s * 0.02, 0.03), outline):
            garment.mark(f"armpit_{name}", pit, 0)
    for end_name, at in (("in", cuff_in), ("out", cuff_out)):
        garment.mark(f"cuff_{name}_{end_name}", at)
        for panel in body:
            cover(garment, f"cuff_{name}_{end_name}", panel)
    garment.stress += [(float(pit[0]), float(pit[1])), (float(bones[2][0]), float(bones[2][1]))]


def cover(garment: Garment, name: str, outline: Array) -> None:
    """A keypoint that a piece drawn later lies upon is occluded."""
    x, y, v = garment.points[name]
    if v == 1 and inside(points((x, y))[0], outline):
        garment.points[name] = (x, y, 0)
