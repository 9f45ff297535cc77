"""Necklines, collars, lapels and hoods: what surrounds the neck opening of a top."""

from __future__ import annotations

import numpy as np

from garments.curves import Array, between, dip, parallel, points, shift, spline
from garments.garment import SIDES, Garment, Random, Stroke, buttons, chance

_NECKLINES = {
    "crew": ((0.22, 0.42), (0.8, 1.3)),
    "scoop": ((0.45, 0.85), (0.8, 1.4)),
    "v": ((0.5, 1.1), (0.0, 0.12)),
    "boat": ((0.1, 0.24), (0.8, 1.2)),
    "shirt": ((0.15, 0.4), (0.0, 0.6)),
    "turtle": ((0.1, 0.2), (0.8, 1.2)),
}
"""Ranges of depth and roundness by style."""


def neckline(rng: Random, garment: Garment, style: str, left: Array, right: Array) -> Array:
    """The front edge of the neck opening from left to right: (33, 2). Sews the back that is seen through it."""
    (shallow, deep), roundness = _NECKLINES[style]
    depth = rng.uniform(shallow, deep) * (0.75 + 0.4 * (right[0] - left[0]))
    front = dip(left, right, depth, rng.uniform(*roundness))
    back = dip(left, right, min(rng.uniform(-0.03, 0.2), depth * 0.6), 1.1)
    garment.sew(between(back, front), shade=rng.uniform(0.5, 0.78), folds=0.3)
    if style not in ("shirt", "turtle"):
        garment.band(back, parallel(back, rng.uniform(0.06, 0.1)))
    return front


def finish_neck(rng: Random, garment: Garment, style: str, front: Array) -> None:
    """Sew on the collar of the style, or a ribbed edge."""
    if style == "shirt":
        shirt_collar(rng, garment, front)
    elif style == "turtle":
        turtle_neck(rng, garment, front)
    elif chance(rng, 0.7):
        garment.band(front, parallel(front, rng.uniform(0.05, 0.13)))


def shirt_collar(rng: Random, garment: Garment, front: Array) -> None:
    """Two pointed leaves and the stand behind them. The neckline points are where the leaves leave the shoulder."""
    middle, left, right = front[len(front) // 2], front[0], front[-1]
    stand = rng.uniform(0.08, 0.26)
    top = dip(left * 0.85, right * 0.85, -stand * 0.3, 1.0) - (0, stand)
    garment.sew(np.vstack([left, top, right, front[::-1]]), shade=rng.uniform(0.6, 0.85), folds=0.2)
    cloth = "trim" if chance(rng, 0.2) else "main"
    for edge, s in ((left, -1.0), (right, 1.0)):
        tip = shift(middle, s * rng.uniform(0.16, 0.42), rng.uniform(0.12, 0.38))
        upper = edge * 0.85 - (0, stand * 0.9)
        outer = spline([tip, (tip + edge) / 2 + (s * 0.03, 0.02), edge])
        outline = np.vstack([spline([upper, middle]), outer])
        garment.sew(outline, cloth, grain=s * 0.5, lift=0.8, folds=0.2, strokes=[Stroke(outer, 0.015, -0.15)])


def placket(rng: Random, top: Array, bottom: float) -> list[Stroke]:
    """The button strip down the front from the middle of the neckline."""
    centre = points(top, (top[0], bottom))
    down = np.linspace(shift(top, 0, 0.14), (top[0], bottom - 0.18), max(2, round((bottom - top[1]) * 2.5)))
    edges = [Stroke(shift(centre, x, 0), 0.015, -0.2) for x in (-0.08, 0.08)]
    return [*edges, *buttons(down, float(rng.choice([-0.45, 0.35, 0.55])))]


def turtle_neck(rng: Random, garment: Garment, front: Array) -> None:
    """A tube that stands above the neckline."""
    garment.band(front * (rng.uniform(0.78, 0.95), 0.3) - (0, rng.uniform(0.25, 0.6)), front, "main", ribs=3)


def hood(rng: Random, garment: Garment, left: Array, right: Array, depth: float) -> Array:
    """Sews a hood lying above the neck, whose edge meets the shoulders at left and right.

    Returns the outline of its opening, which shows the lining and lies on top of the fronts.
    """
    high, lean = rng.uniform(0.85, 1.5), rng.normal(0, 0.12)
    wide = (right[0] - left[0]) / 2 * rng.uniform(0.85, 1.15)
    throat = np.array([0, depth])

    def arch(start: Array, end: Array, width: float, height: float) -> list[Array]:
        shape = ((-1, 0.5), (-0.62, 0.9), (0, 1), (0.62, 0.9), (1, 0.5))
        return [start, *(np.array([x * width + lean * y, -y * height]) for x, y in shape), end]

    garment.sew(spline([*arch(left, right, wide, high), shift(throat, 0, 0.05), left]), lift=0.4)
    return spline(arch(throat, throat, wide * 0.66, high * rng.uniform(0.4, 0.8)))


def lapels(rng: Random, garment: Garment, left: Array, right: Array, closing: Array) -> None:
    """Turned-back fronts from the neck to where they close, with a notched collar above them."""
    wide, notch = rng.uniform(0.22, 0.42), int(rng.integers(5, 8))
    for edge, s in zip((left, right), SIDES.values()):
        inner = spline([edge * (0.72, 1), edge * (0.5, 1) + (0, 0.4 * closing[1]), closing])
        at = inner[notch]
        corner = shift(at, s * wide, -0.02)
        outer = spline([corner, corner * 0.45 + closing * 0.55 + (s * 0.1, 0), closing])
        strokes = [Stroke(outer, 0.015, -0.1)]
        garment.sew(between(inner[notch - 1 :], outer), grain=s * 0.3, lift=0.7, folds=0.2, strokes=strokes)
        upper = spline([edge * (0.7, 1) - (0, 0.1), inner[3], at])
        garment.sew(np.vstack([upper, shift(at, s * wide * 0.7, -0.16), edge]), lift=0.6, folds=0.2)
