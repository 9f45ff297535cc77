"""Necklines, collars, lapels and hoods: what surrounds the neck opening of a top."""

from __future__ import annotations

import numpy as np

from garments.curves import Array, dip, offset, points, shift, spline
from garments.garment import Garment, Panel, Random, Spot, Stroke, chance


def neckline(rng: Random, style: str, left: Array, right: Array) -> Array:
    """The front edge of the neck opening from left to right, lowest in the middle: (33, 2)."""
    wide = float(right[0] - left[0])
    depth, roundness = {
        "crew": (rng.uniform(0.22, 0.42), rng.uniform(0.8, 1.3)),
        "scoop": (rng.uniform(0.45, 0.85), rng.uniform(0.8, 1.4)),
        "v": (rng.uniform(0.5, 1.1), rng.uniform(0.0, 0.12)),
        "boat": (rng.uniform(0.1, 0.24), rng.uniform(0.8, 1.2)),
        "square": (rng.uniform(0.35, 0.7), rng.uniform(3.0, 5.0)),
        "polo": (rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.7)),
        "shirt": (rng.uniform(0.15, 0.4), rng.uniform(0.0, 0.5)),
        "turtle": (rng.uniform(0.1, 0.2), rng.uniform(0.8, 1.2)),
    }[style]
    depth *= 0.75 + 0.4 * wide
    bottom = (left + right) / 2 + np.array([rng.normal(0, 0.02), depth])
    return dip(left, right, bottom, roundness)


def back_of_neck(rng: Random, garment: Garment, front: Array, style: str) -> None:
    """The inside of the back, seen through the neck opening, with its label."""
    left, right = front[0], front[-1]
    limit = float(front[len(front) // 2, 1]) - float((left[1] + right[1]) / 2)
    rise = rng.uniform(-0.06, 0.1) if style in ("polo", "shirt", "turtle") else min(rng.uniform(0.03, 0.2), limit * 0.6)
    back = dip(left, right, (left + right) / 2 + np.array([0.0, rise]), 1.1)
    middle = back[len(back) // 2]
    panel = Panel(np.vstack([back, front[::-1]]), "main", shade=rng.uniform(0.5, 0.78), folds=0.3)
    garment.panels.append(panel)
    if chance(rng, 0.6):
        half, high = rng.uniform(0.07, 0.14), rng.uniform(0.07, 0.16)
        corners = points((-half, 0.02), (half, 0.02), (half, 0.02 + high), (-half, 0.02 + high))
        if rise + high < limit:
            garment.panels.append(Panel(middle + corners, "label", folds=0.1))
    if style in ("crew", "scoop", "v", "boat"):
        rim = np.vstack([back, offset(back, rng.uniform(0.06, 0.1))[::-1]])
        garment.panels.append(Panel(rim, "trim", shade=0.85, folds=0.2))


def rim(rng: Random, garment: Garment, front: Array) -> None:
    """The ribbed or folded edge of a round or pointed neckline."""
    width = rng.uniform(0.05, 0.13)
    strip = np.vstack([front, offset(front, width)[::-1]])
    strokes = (Stroke(offset(front, width), 0.02, -0.22),)
    garment.panels.append(Panel(strip, "trim", folds=0.2, strokes=strokes))


def shirt_collar(rng: Random, garment: Garment, front: Array, large: float = 1.0) -> None:
    """Two pointed leaves and the stand behind them. The neckline points are where the leaves leave the shoulder."""
    middle, size = front[len(front) // 2], rng.uniform(0.8, 1.2) * large
    left, right = front[0], front[-1]
    stand = rng.uniform(0.08, 0.26)
    top = dip(left * 0.85, right * 0.85, (left + right) / 2 + np.array([0.0, -stand * 0.3]), 1.0) - (0, stand)
    back = np.vstack([left, top, right, front[::-1]])
    garment.panels.append(Panel(back, "trim" if chance(rng, 0.15) else "main", shade=rng.uniform(0.6, 0.85), folds=0.2))
    cloth = "trim" if chance(rng, 0.2) else "main"
    for edge, s in ((left, -1.0), (right, 1.0)):
        tip = middle + np.array([s * rng.uniform(0.16, 0.38), rng.uniform(0.12, 0.34)]) * size
        upper = edge * 0.85 - (0, stand * 0.9)
        inner = spline([upper, (upper + middle) / 2 + (-s * 0.02, 0.02), middle])
        outer = spline([tip, (tip + edge) / 2 + (s * 0.03, 0.02), edge])
        outline = np.vstack([inner, tip, outer[1:]])
        garment.panels.append(
            Panel(outline, cloth, grain=s * 0.5, lift=0.8, folds=0.2, strokes=(Stroke(outer, 0.015, -0.15),))
        )


def placket(rng: Random, top: Array, bottom_y: float, buttons: int) -> tuple[list[Stroke], tuple[Spot, ...]]:
    """The button strip down the front from the middle of the neckline."""
    width, x, y = rng.uniform(0.06, 0.11), float(top[0]), float(top[1])
    strokes = [
        Stroke(points((x + side * width, y + 0.04), (x + side * width, bottom_y)), 0.015, -0.2) for side in (-1, 1)
    ]
    tone = float(rng.choice([-0.45, 0.35, 0.55]))
    ys = np.linspace(y + 0.14, bottom_y - 0.18, buttons)
    return strokes, tuple(Spot((x, float(at)), 0.04, tone) for at in ys)


def turtle_neck(rng: Random, garment: Garment, front: Array) -> None:
    """A tube that stands above the neckline."""
    left, right = front[0], front[-1]
    high = rng.uniform(0.25, 0.6)
    pinch = rng.uniform(0.78, 0.95)
    top = dip(left * (pinch, 1) - (0, high), right * (pinch, 1) - (0, high), (0.0, float(left[1]) - high + 0.07), 1.0)
    ribs = tuple(Stroke(np.vstack([a, b]), 0.015, -0.12) for a, b in zip(top[2::3], front[2::3]))
    garment.panels.append(Panel(np.vstack([top, front[::-1]]), "main", folds=0.5, strokes=ribs))
    if chance(rng, 0.5):
        fold = np.vstack([top, (shift(top, 0, high * 0.55))[::-1]])
        garment.panels.append(Panel(fold, "main", lift=0.5, folds=0.4))


def hood(rng: Random, garment: Garment, left: Array, right: Array, depth: float) -> Panel:
    """A hood lying above the neck, seen from the front; its outer edge meets the shoulders at left and right.

    The part that lies behind the fronts is added at once; its lining, which lies on top of them, is returned.
    """
    high, lean = rng.uniform(0.85, 1.5), rng.normal(0, 0.12)
    wide = float(right[0] - left[0]) / 2 * rng.uniform(0.85, 1.15)
    top = (lean, -high)
    crown = spline(
        [left, (-wide + lean * 0.6, -high * 0.5), (-wide * 0.62 + lean, -high * 0.9), top,
         (wide * 0.62 + lean, -high * 0.9), (wide + lean * 0.6, -high * 0.5), right]
    )  # fmt: skip
    throat = np.array([rng.normal(0, 0.02), depth])
    around = np.vstack([crown, spline([right, shift(throat, 0, 0.05), left])[1:]])
    garment.panels.append(Panel(around, lift=0.4, strokes=(Stroke(points(top, (0, -high * 0.4)), 0.02, -0.15),)))
    brim = rng.uniform(0.3, 0.75)
    face_top = np.array([lean * 0.8, -high * brim])
    face = spline(
        [throat, (-wide * 0.6, -0.02), (-wide * 0.62 + lean * 0.5, -high * brim * 0.6), face_top,
         (wide * 0.62 + lean * 0.5, -high * brim * 0.6), (wide * 0.6, -0.02), throat]
    )  # fmt: skip
    seam = offset(face, -0.06)
    return Panel(face, "lining", shade=rng.uniform(0.45, 0.75), strokes=(Stroke(seam, 0.015, -0.15),))


def lapels(rng: Random, garment: Garment, left: Array, right: Array, closing: Array) -> None:
    """Turned-back fronts from the neck to where they close, with a notched collar above them."""
    wide = rng.uniform(0.22, 0.42)
    notch = rng.uniform(0.3, 0.45)
    for edge, s in ((right, 1.0), (left, -1.0)):
        inner = spline([edge * (0.72, 1), edge * (0.5, 1) + (0, 0.4 * closing[1]), closing])
        at = inner[int(len(inner) * notch)]
        corner = at + np.array([s * wide, -0.02])
        outer = spline([corner, (corner * 0.45 + closing * 0.55) + (s * 0.1, 0), closing])
        panel = np.vstack([inner[int(len(inner) * notch * 0.8) :], outer[::-1]])
        garment.panels.append(Panel(panel, grain=s * 0.3, lift=0.7, folds=0.2, strokes=(Stroke(outer, 0.015, -0.1),)))
        upper = spline([edge * (0.7, 1) - (0, 0.1), inner[3], at])
        collar = np.vstack([upper, shift(at, s * wide * 0.7, -0.16), edge])
        garment.panels.append(Panel(collar, "trim" if chance(rng, 0.05) else "main", lift=0.6, folds=0.2))
