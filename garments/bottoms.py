"""Skirts and trousers: outlines, seams, pockets, and the keypoints of both."""

from __future__ import annotations

import numpy as np

from garments.curves import Array, between, dip, parallel, points, shift, spline
from garments.garment import SIDES, Garment, Random, Stroke, chance, near, pick

_LEGS = {"shorts": (0.1, 0.75), "knee": (0.8, 1.5), "long": (2.1, 3.7)}
"""Length of the inside of a leg."""


def _waist(rng: Random, garment: Garment) -> tuple[Array, float]:
    """The waistband's front edge from left to right, and its height. Sews the inside of the back that is seen."""
    ends = [near(rng, s, 0) for s in SIDES.values()]
    for name, end in zip(SIDES, ends):
        garment.mark(f"waistband_{name}", end)
    front = dip(ends[0], ends[1], rng.uniform(-0.02, 0.2), 1.0)
    back = dip(ends[0], ends[1], rng.uniform(-0.1, 0.0), 1.0)
    garment.sew(between(back, front), "lining", shade=0.62, folds=0.3)
    return front, rng.uniform(0.1, 0.32)


def _band(rng: Random, garment: Garment, top: Array, height: float) -> None:
    """The waistband as a piece of its own, sometimes elastic."""
    cloth = "trim" if chance(rng, 0.15) else "main"
    garment.band(top, shift(top, 0, height), cloth, ribs=1 if chance(rng, 0.4) else 0)


def _pockets(rng: Random, s: float, height: float) -> Stroke:
    return Stroke(spline([(s * 0.5, height), (s * rng.uniform(0.5, 0.7), 0.5), (s * 1.15, 0.7)]), 0.025, -0.3)


def skirt(rng: Random) -> Garment:
    """A skirt: pencil, straight, A-line, flared or pleated, short to long."""
    garment = Garment("skirt")
    hem_y, half = rng.uniform(1.3, 3.6), rng.uniform(1.05, 1.5) if chance(rng, 0.5) else rng.uniform(1.4, 2.6)
    hip = (1.25 if half < 1.5 else 1.1) * rng.uniform(0.96, 1.08)
    rise = 0.02 + 0.2 * max(0.0, half - 1.1) * rng.uniform(0.3, 1.4)
    front, height = _waist(rng, garment)
    edges = {}
    for (name, s), waist in zip(SIDES.items(), (front[0], front[-1])):
        corner = near(rng, s * half, hem_y - rise)
        middle = waist + rng.uniform(0.35, 0.5) * (corner - waist)
        middle[0] = s * max(abs(middle[0]), hip)
        edges[name] = spline([waist, middle, corner])
        garment.mark(f"hemline_{name}", corner)
    low = [near(rng, x * half, hem_y - abs(x) * 0.3 * rise) for x in (0.5, 0.0, -0.5)]
    hem = spline([edges["right"][-1], *low, edges["left"][-1]])
    if half > 1.4 and chance(rng, 0.75):
        garment.pleats = float(rng.integers(4, 26))
    garment.waist = height
    strokes = [Stroke(hem - (0, rng.uniform(0.06, 0.15)), 0.015, -0.2)]
    if chance(rng, 0.3):
        strokes.append(Stroke(points((0, height), (0, hem_y)), 0.02, -0.25))
    if chance(rng, 0.35):
        strokes += [_pockets(rng, s, height) for s in SIDES.values()]
    outline = np.vstack([front, edges["right"][1:], hem[1:-1], edges["left"][::-1][:-1]])
    garment.sew(outline, lift=0.5, strokes=strokes)
    if chance(rng, 0.25):
        garment.band(hem, shift(hem, 0, -rng.uniform(0.15, 0.5)))
    if chance(rng, 0.75):
        _band(rng, garment, front, height)
    return garment


def trousers(rng: Random) -> Garment:
    """Trousers: shorts, three-quarter or long; skinny, straight, flared or wide."""
    garment = Garment("trousers")
    kind = pick(rng, {"shorts": 0.36, "knee": 0.17, "long": 0.47})
    full = rng.uniform(1.0, 1.45)  # how much wider the hips are than the waist, which may be gathered
    crotch = np.array([rng.normal(0, 0.04), rng.uniform(1.0, 1.45) * full])
    inseam, hip = rng.uniform(*_LEGS[kind]) * full, rng.uniform(1.02, 1.12) * full
    cuff = (rng.uniform(0.38, 1.0) if kind == "long" else rng.uniform(0.7, 1.15)) * full
    lean = rng.uniform(0.02, 0.22) if kind == "long" else rng.uniform(0.1, 0.6)
    front, height = _waist(rng, garment)
    middle = front[len(front) // 2]
    pocketed = chance(rng, 0.75)
    seam = spline([crotch, middle])
    for name, s in SIDES.items():
        angle = s * float(np.clip(np.arctan(lean) + rng.normal(0, 0.05), 0, 0.7))
        down, across = np.array([np.sin(angle), np.cos(angle)]), s * np.array([np.cos(angle), -np.sin(angle)])
        inner = crotch + down * inseam * rng.uniform(0.96, 1.04) + (s * rng.uniform(0.02, 0.1), 0)
        outer = inner + (across - down * rng.normal(0.12 if kind == "shorts" else 0.0, 0.04)) * cuff
        top = front[len(front) // 2 :] if s > 0 else front[: len(front) // 2 + 1][::-1]
        through = [top[-1], top[-1] + (s * (hip - 1) * 0.7, crotch[1] * 0.5), outer]
        if kind == "long":
            thigh, knee = crotch + across * hip, (crotch + inner) / 2 + across * (0.45 * hip + 0.55 * cuff)
            through[2:2] = [thigh, knee]
        edge, inside = spline(through), spline([inner, (crotch + inner) / 2 + across * 0.03, crotch])
        hem = np.linspace(outer, inner, 9)
        up = -down * rng.uniform(0.08, 0.2)
        strokes = [Stroke(hem + up, 0.02, -0.22), Stroke(parallel(edge, -0.03 * s), 0.015, -0.15)]
        if pocketed:
            strokes.append(_pockets(rng, s, height))
        outline = np.vstack([top, edge[1:], hem[1:-1], inside, seam[1:-1]])
        garment.sew(outline, grain=angle, lift=0.4, strokes=[*strokes, Stroke(seam, 0.025, -0.3)])
        garment.mark(f"bottom_{name}_in", inner)
        garment.mark(f"bottom_{name}_out", outer)
    garment.mark("crotch", crotch)
    if chance(rng, 0.85):
        _band(rng, garment, front, height)
    return garment
