"""Sleeves of every length and pose, with their cuffs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from garments.curves import Array, inside, points, shift, spline
from garments.garment import Garment, Panel, Random, Stroke, chance

LONG = 1.9
"""Sleeves longer than this have an elbow and a wrist."""


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


@dataclass(frozen=True)
class _Pose:
    """How one sleeve lies. upper and under: its edges from shoulder and armpit to the cuff."""

    angle: float
    """From straight down, outwards, radians; lower is that of the forearm."""
    lower: float
    upper: Array
    under: Array
    elbow: Array


def _pose(rng: Random, cut: SleeveCut, s: float, shoulder: Array, pit: Array) -> _Pose:
    """Lay a sleeve down: hanging, spread out, bent at the elbow or folded across the body."""
    angle = float(np.clip(cut.spread + rng.normal(0, 0.1), 0.06, 1.5))
    bend = rng.normal(0, 0.18)
    whim = rng.random()
    if cut.length > LONG and whim < 0.16:
        bend = rng.uniform(-1.5, -0.5) if angle > 0.2 else rng.uniform(0.2, 0.7)
    if cut.length > LONG and whim > 0.94:
        bend = -rng.uniform(1.6, 2.2)
    hides = angle < (0.45 if cut.bulky else 0.3) and chance(rng, 0.8)
    tuck = rng.uniform(0.06, 0.3) if hides else 0.0
    low = pit + np.array([-s * tuck, tuck * 0.4])
    lower = angle + bend
    bones = [(shoulder * 0.55 + low * 0.45) + (s * 0.1, 0.0)]
    for turn in (angle, angle, lower, lower):
        bones.append(bones[-1] + cut.length / 4 * np.array([s * np.sin(turn), np.cos(turn)]))
    turns = (angle, angle, (angle + lower) / 2, lower, lower)
    outward = [np.array([s * np.cos(turn), -np.sin(turn)]) for turn in turns]
    gather = 0.8 if cut.ribbed else 1.0
    widths = np.array([cut.upper, cut.upper, 0.45 * cut.upper + 0.55 * cut.cuff, cut.cuff * 1.12, cut.cuff])
    widths = widths * np.array([1, 1, 1, 1 / gather**0.7, gather]) if cut.length > LONG else widths
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
    return _Pose(angle, lower, spline([shoulder, *top[start:]]), spline([low, *under[max(start, 2) :]]), bones[2])


def sew_sleeve(
    rng: Random, garment: Garment, cut: SleeveCut, name: str, neck: Array, shoulder: Array, pit: Array
) -> None:
    """Add the sleeve of one side, mark its cuff, and call occluded what it hides or what hides it."""
    s = -1.0 if name == "left" else 1.0
    pose = _pose(rng, cut, s, shoulder, pit)
    low, cuff_out, cuff_in = pose.under[0], pose.upper[-1], pose.under[-1]
    along = np.array([s * np.sin(pose.lower), np.cos(pose.lower)])
    end = np.linspace(cuff_out, cuff_in, 9)
    end[1:-1] += along * rng.normal(0.0, 0.03)
    root_top = neck if cut.raglan else shoulder
    root = spline([low, (shoulder + low) / 2 - (s * rng.uniform(0.1, 0.2), 0), root_top])
    outline = np.vstack([pose.upper, end[1:-1], pose.under[::-1], root[1:]])
    height = cut.ribbed or rng.uniform(0.06, 0.14)
    dash = 0.0 if cut.ribbed or chance(rng, 0.5) else 0.05
    strokes = (Stroke(root, 0.03, -0.3), Stroke(end - along * height, 0.02, -0.25, dash))
    behind = cut.length > LONG and pose.angle < 0.35 and chance(rng, 0.08)
    grain = -s * pose.angle
    pieces = [Panel(outline, cut.cloth, grain=grain, shade=0.97, lift=0.15 if behind else 0.7, strokes=strokes)]
    if cut.ribbed:
        band = np.vstack([end, (end - along * height)[::-1]])
        ribs = tuple(Stroke(np.vstack([p, p - along * height]), 0.015, -0.12) for p in end[1:-1])
        pieces.append(Panel(band, "trim", grain=grain, folds=0.2, strokes=ribs))
    in_front = [panel.outline for panel in garment.panels] if behind else []
    if behind:
        garment.panels[0:0] = pieces
    else:
        garment.panels += pieces
        for other in set(garment.points) - {f"shoulder_{name}", f"armpit_{name}"}:
            cover(garment, other, outline)
        # The armpit is on the sleeve's own edge: it shows if a gap opens below it.
        if inside(shift(pit, -s * 0.02, 0.03), outline):
            garment.mark(f"armpit_{name}", pit, 0)
    for side, at in (("in", cuff_in), ("out", cuff_out)):
        garment.mark(f"cuff_{name}_{side}", at)
        for panel in in_front:
            cover(garment, f"cuff_{name}_{side}", panel)
    garment.stress += [(float(pit[0]), float(pit[1])), (float(pose.elbow[0]), float(pose.elbow[1]))]


def cover(garment: Garment, name: str, outline: Array) -> None:
    """A keypoint that a piece drawn later lies upon is occluded."""
    x, y, v = garment.points[name]
    if v == 1 and inside(points((x, y))[0], outline):
        garment.points[name] = (x, y, 0)
