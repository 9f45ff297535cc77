"""The body of blouses, outwear and dresses: its proportions, its outline and the points at its corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from garments.curves import Array, points, spline
from garments.garment import Garment, Random, Stroke, chance, pick
from garments.sleeves import sew_sleeve, sleeve_cut

SIDES = (("left", -1.0), ("right", 1.0))


@dataclass(frozen=True)
class Body:
    """The corners of a top by side, its side edges from armpit to hem, and its hem from right to left."""

    neck: dict[str, Array]
    shoulder: dict[str, Array]
    pit: dict[str, Array]
    side: dict[str, Array]
    hem: Array
    waist_y: float


def _hem(rng: Random, left: Array, right: Array, curve: float) -> Array:
    """A hem from right to left, lower in the middle by curve, slightly uneven."""
    wave = rng.normal(0, 0.015, 3)
    t = (0.25, 0.5, 0.75)
    bent = [right + (left - right) * f + np.array([0.0, curve * (1 - (2 * f - 1) ** 2) + w]) for f, w in zip(t, wave)]
    return spline([right, *bent, left])


def proportions(rng: Random, category: str) -> Body:
    """The proportions of one top."""
    low, high = {"blouse": (0.33, 0.6), "dress": (0.38, 0.72), "outwear": (0.42, 0.7)}[category]
    neck_half = rng.uniform(low, high)
    widest = 1.02 if category == "blouse" else 1.12
    shoulder_half = rng.uniform(max(0.76, neck_half + 0.2), widest)
    drop = rng.uniform(0.06, 0.34)
    pit_y = drop + rng.uniform(0.65, 1.15)
    if category == "dress":
        waist_y = pit_y + rng.uniform(0.5, 1.0)
        length, flare = rng.uniform(3.2, 5.6), pick(rng, {"fitted": 0.25, "a": 0.45, "full": 0.3})
        waist = rng.uniform(0.8, 1.0)
        hem = {"fitted": (0.9, 1.2), "a": (1.2, 1.7), "full": (1.5, 2.2)}[flare]
    else:
        waist_y = pit_y + rng.uniform(0.6, 1.0)
        length = rng.uniform(2.5, 3.8) if chance(rng, 0.85) else rng.uniform(1.7, 2.4)
        if category == "outwear":
            length = rng.uniform(2.5, 3.4) if chance(rng, 0.85) else rng.uniform(3.4, 4.6)
        waist, hem = rng.uniform(0.84, 1.06), (0.92, 1.22)
    hem_half, lift = rng.uniform(*hem), 0.0
    if hem_half > 1.3:
        lift = (hem_half - 1.2) * rng.uniform(0.1, 0.35)
    neck, shoulder, pit, side = {}, {}, {}, {}
    for name, s in SIDES:
        neck[name] = np.array([s * neck_half * rng.uniform(0.94, 1.06), rng.normal(0, 0.025)])
        shoulder[name] = np.array([s * shoulder_half * rng.uniform(0.97, 1.03), drop + rng.normal(0, 0.03)])
        pit[name] = np.array([s * rng.uniform(0.97, 1.03), pit_y + rng.normal(0, 0.04)])
        corner = np.array([s * hem_half * rng.uniform(0.95, 1.05), length - lift + rng.normal(0, 0.05)])
        middle = np.array([s * waist * rng.uniform(0.97, 1.03), waist_y + rng.normal(0, 0.03)])
        through = [pit[name], middle, corner]
        if category == "dress" and hem_half < 1.25:
            through.insert(
                2, np.array([s * (0.5 * waist + 0.5 * max(1.05, hem_half)) * rng.uniform(1.0, 1.06), waist_y + 0.8])
            )
        side[name] = spline(through)
    curve = lift * rng.uniform(0.7, 1.1) + rng.uniform(-0.03, 0.1)
    if category != "dress" and chance(rng, 0.15):
        curve += rng.uniform(0.15, 0.35)
    return Body(neck, shoulder, pit, side, _hem(rng, side["left"][-1], side["right"][-1], curve), waist_y)


def armhole(rng: Random, body: Body, name: str, sleeved: bool) -> Array:
    """From the shoulder's tip down to the armpit: bare if there is no sleeve, else hidden under its root."""
    s = -1.0 if name == "left" else 1.0
    shoulder, pit = body.shoulder[name], body.pit[name]
    hollow = 0.04 if sleeved else rng.uniform(0.04, 0.2)
    middle = shoulder * 0.45 + pit * 0.55
    middle[0] = s * (min(abs(shoulder[0]), abs(pit[0])) - hollow)
    return spline([shoulder, middle, pit])


def body_outline(rng: Random, body: Body, front: Array, sleeved: bool) -> Array:
    """Closed outline from the neckline's left end down the front edge of the neck, round and back."""
    parts = [front]
    right = [body.neck["right"], (body.neck["right"] + body.shoulder["right"]) / 2 + (0, rng.normal(-0.01, 0.015))]
    parts.append(spline([*right, body.shoulder["right"]])[1:])
    parts.append(armhole(rng, body, "right", sleeved)[1:])
    parts.append(body.side["right"][1:])
    parts.append(body.hem[1:])
    parts.append(body.side["left"][::-1][1:])
    parts.append(armhole(rng, body, "left", sleeved)[::-1][1:])
    left = [body.shoulder["left"], (body.neck["left"] + body.shoulder["left"]) / 2 + (0, rng.normal(-0.01, 0.015))]
    parts.append(spline([*left, body.neck["left"]])[1:-1])
    return np.vstack(parts)


def mark_corners(garment: Garment, body: Body, hem: str) -> None:
    """State where neckline, shoulders, armpits and the two ends of the hem are; hem is the name of the latter."""
    for name, _ in SIDES:
        garment.mark(f"neckline_{name}", body.neck[name])
        garment.mark(f"shoulder_{name}", body.shoulder[name])
        garment.mark(f"armpit_{name}", body.pit[name])
        garment.mark(f"{hem}_{name}", body.side[name][-1])


def add_sleeves(rng: Random, garment: Garment, body: Body, kind: str, bulky: bool) -> None:
    """Sew on both sleeves, if kind names a sleeve, and mark their cuffs."""
    if kind not in ("short", "elbow", "long"):
        return
    cut = sleeve_cut(rng, kind, bulky)
    for name, _ in SIDES:
        sew_sleeve(rng, garment, cut, name, body.neck[name], body.shoulder[name], body.pit[name])


def sewn_on(rng: Random, body: Body, collar_y: float) -> list[Stroke]:
    """Pockets, yokes, side seams and hem stitches of a front."""
    strokes = [Stroke(body.hem - (0, rng.uniform(0.05, 0.12)), 0.015, -0.2, 0.05 if chance(rng, 0.5) else 0.0)]
    if chance(rng, 0.15):
        x, y, w = rng.uniform(0.3, 0.45), collar_y + rng.uniform(0.4, 0.7), rng.uniform(0.18, 0.26)
        box = [(x - w, y), (x + w, y), (x + w, y + 2 * w), (x, y + 2.4 * w), (x - w, y + 2 * w), (x - w, y)]
        strokes.append(Stroke(points(*box), 0.02, -0.25))
    if chance(rng, 0.08):
        y = float(body.pit["left"][1]) * 0.7
        strokes.append(Stroke(spline([(-0.9, y), (0, y + 0.05), (0.9, y)]), 0.02, -0.2))
    return strokes
