"""Outwear: jackets, coats, cardigans, hooded pullovers and waistcoats."""

from __future__ import annotations

import numpy as np

from garments import collars
from garments.bodies import SIDES, Body, add_sleeves, armhole, body_outline, mark_corners, proportions
from garments.curves import Array, points, shift, spline
from garments.garment import Garment, Panel, Random, Spot, Stroke, chance, pick
from garments.props import front_print


def outwear(rng: Random) -> Garment:
    """A jacket, coat, cardigan, hooded pullover or waistcoat, closed or open in front."""
    garment = Garment("outwear")
    body = proportions(rng, "outwear")
    kind = pick(rng, {"long": 0.87, "bare": 0.11, "elbow": 0.02})
    style = pick(rng, {"hood": 0.4, "lapels": 0.25, "collar": 0.18, "stand": 0.12, "cardigan": 0.05})
    left, right = body.neck["left"], body.neck["right"]
    pullover = style == "hood" and chance(rng, 0.35)
    gap = 0.0 if pullover or chance(rng, 0.65) else rng.uniform(0.02, 0.45)
    depth = {"hood": 0.35, "lapels": rng.uniform(1.0, 1.8), "collar": 0.35, "stand": 0.1, "cardigan": 1.2}[style]
    depth += 0.5 * gap + rng.uniform(0.0, 0.25)
    closing = np.array([rng.normal(0, 0.03), depth])
    hood_lining = [collars.hood(rng, garment, left, right, depth)] if style == "hood" else []
    back_edge = spline([left, (left + right) / 2 - (0, rng.uniform(-0.1, 0.12)), right], 12)
    outline = body_outline(rng, body, back_edge, kind != "bare")
    if style != "hood":
        garment.panels.append(Panel(outline, "lining", shade=rng.uniform(0.5, 0.8), lift=0.4))
    _fronts(rng, garment, body, closing, gap, kind != "bare", pullover)
    mark_corners(garment, body, "top_hem")
    if chance(rng, 0.3):
        high = rng.uniform(0.15, 0.32)
        band = np.vstack([body.hem, (body.hem - (0, high))[::-1]])
        if gap < 0.05:
            lines = tuple(Stroke(np.vstack([p, p - (0, high)]), 0.015, -0.12) for p in body.hem[1:-1])
            garment.panels.append(Panel(band, "trim", folds=0.3, strokes=lines))
    if chance(rng, 0.06):
        _belt(rng, garment, body)
    add_sleeves(rng, garment, body, kind, True)
    garment.panels += hood_lining
    if style == "lapels":
        collars.lapels(rng, garment, left, right, closing)
    elif style == "collar":
        collars.shirt_collar(rng, garment, spline([left, closing, right], 16), large=1.3)
    elif style == "stand":
        collars.turtle_neck(rng, garment, spline([left, closing, right], 16))
    if chance(rng, 0.11):
        garment.quilt = rng.uniform(0.14, 0.45)
        garment.diamonds = float(rng.choice([0.0, 0.0, 1.0, 0.6]))
    return garment


def _belt(rng: Random, garment: Garment, body: Body) -> None:
    ends = {name: body.side[name][8] for name, _ in SIDES}
    line = spline([ends["left"], (ends["left"] + ends["right"]) / 2 + (0, 0.04), ends["right"]], 12)
    high = rng.uniform(0.08, 0.14)
    garment.panels.append(Panel(np.vstack([line - (0, high), (shift(line, 0, high))[::-1]]), lift=0.5, folds=0.3))
    for name, _ in SIDES:
        garment.mark(f"waistline_{name}", ends[name])


def _fronts(
    rng: Random, garment: Garment, body: Body, closing: Array, gap: float, sleeved: bool, pullover: bool
) -> None:
    """The two halves of the front, apart by gap at the hem, with zip or buttons and pockets."""
    hem_mid = body.hem[len(body.hem) // 2]
    pocket = pick(rng, {"slit": 0.45, "flap": 0.3, "none": 0.25})
    metal = float(rng.choice([-0.5, 0.45]))
    zipped = chance(rng, 0.6)
    if pullover:
        front = spline([body.neck["left"], closing, body.neck["right"]], 16)
        outline = body_outline(rng, body, front, sleeved)
        strokes = [Stroke(body.hem - (0, 0.2), 0.02, -0.2)]
        if chance(rng, 0.7):
            y = float(hem_mid[1]) - 0.25
            pouch = [(-0.62, y), (-0.6, y - 0.5), (-0.38, y - 0.95), (0.38, y - 0.95), (0.6, y - 0.5), (0.62, y)]
            strokes.append(Stroke(points(*pouch), 0.025, -0.28))
        garment.panels.append(Panel(outline, strokes=tuple(strokes), lift=0.5))
        if chance(rng, 0.5):
            garment.panels.append(front_print(rng, float(closing[1]) + 0.1, float(hem_mid[1]) - 0.6))
        return
    for name, s in (("right", 1.0), ("left", -1.0)):
        lap = 0.06 if name == "left" and not zipped else 0.0
        bottom = hem_mid + np.array([s * gap * 0.7 - s * lap, rng.normal(0, 0.02)])
        start = body.neck[name] * (0.85, 1.0)
        inner = spline(
            [start, start * (0.6, 1) + (0, closing[1] * 0.5), shift(closing, s * (gap * 0.3 - lap), 0), bottom]
        )
        half = body.hem[: len(body.hem) // 2] if s > 0 else body.hem[len(body.hem) // 2 + 1 :][::-1]
        shoulder = spline([body.neck[name], body.shoulder[name]])
        edge = np.vstack([shoulder, armhole(rng, body, name, sleeved)[1:], body.side[name][1:], half[1:]])
        strokes = [Stroke(half - (0, 0.08), 0.015, -0.2, 0.05 if chance(rng, 0.5) else 0.0)]
        spots: list[Spot] = []
        strokes.append(Stroke(inner, 0.035 if zipped else 0.02, metal if zipped else -0.25, 0.03 if zipped else 0.0))
        strokes += _pocket(rng, pocket, s, float(hem_mid[1]))
        if name == "left" and not zipped:
            ys = np.linspace(float(closing[1]) + 0.1, float(hem_mid[1]) - 0.35, int(rng.integers(2, 7)))
            at = np.interp(ys, inner[:, 1], inner[:, 0]) - 0.08
            spots = [Spot((float(x), float(y)), 0.05, metal) for x, y in zip(at, ys)]
        outline = np.vstack([inner[::-1], edge[1:]])
        garment.panels.append(Panel(outline, strokes=tuple(strokes), spots=tuple(spots), lift=0.6))


def _pocket(rng: Random, kind: str, s: float, hem_y: float) -> list[Stroke]:
    if kind == "none":
        return []
    y = hem_y - rng.uniform(0.7, 1.0)
    if kind == "slit":
        return [Stroke(points((s * 0.55, y), (s * 0.72, y + 0.5)), 0.04, -0.35)]
    box = [(s * 0.35, y), (s * 0.8, y), (s * 0.8, y + 0.2), (s * 0.35, y + 0.2), (s * 0.35, y)]
    return [Stroke(points(*box), 0.02, -0.28)]
