"""Blouses and dresses, with sleeves, without, or held by straps; jackets, coats, cardigans and hooded pullovers."""

from __future__ import annotations

import numpy as np

from garments.bodies import Body, add_sleeves, cut_body, outline, yoke
from garments.collars import finish_neck, hood, lapels, neckline, placket, shirt_collar, turtle_neck
from garments.curves import Array, between, dip, points, shift, spline
from garments.garment import SIDES, Garment, Random, Stroke, buttons, chance, near, pick

_SLEEVES = {"short": 0.35, "long": 0.24, "elbow": 0.1, "bare": 0.19, "strap": 0.12}
_NECKS = {"crew": 0.33, "scoop": 0.18, "v": 0.18, "boat": 0.09, "shirt": 0.18, "turtle": 0.04}
_COATS = {"hood": 0.4, "lapels": 0.25, "collar": 0.18, "stand": 0.17}


def blouse(rng: Random) -> Garment:
    """A T-shirt, shirt, knit or sleeveless top."""
    return _top(rng, "blouse", "top_hem")


def dress(rng: Random) -> Garment:
    """A dress: fitted, A-line or full, with any sleeve or none, with or without a waist."""
    return _top(rng, "dress", "hemline")


def _top(rng: Random, category: str, hem: str) -> Garment:
    garment, body = Garment(category), cut_body(rng, category)
    sleeves = pick(rng, _SLEEVES)
    style = "strap" if sleeves == "strap" else pick(rng, _NECKS)
    if style == "strap":
        left, front, right = _straps(rng, garment, body)
    else:
        front = neckline(rng, garment, style, body.neck["left"], body.neck["right"])
        left, right = (yoke(rng, body, name, sleeves != "bare") for name in SIDES)
    middle, bottom = front[len(front) // 2], body.hem[len(body.hem) // 2, 1]
    strokes = [Stroke(body.hem - (0, rng.uniform(0.05, 0.12)), 0.015, -0.2)]
    belt = None
    if category == "dress" and chance(rng, 0.7):
        belt = _waist(rng, garment, body)
        strokes.append(Stroke(belt, 0.03, -0.35))
        garment.pleats, garment.waist = float(rng.integers(0, 24)), belt[16, 1]
    if style == "shirt":
        strokes += placket(rng, middle, bottom if chance(rng, 0.5) else middle[1] + 0.8)
    garment.sew(outline(body, left, front, right), lift=0.5, strokes=strokes)
    body.mark_corners(garment, hem)
    garment.mark("center_front", middle)
    if belt is not None and chance(rng, 0.35):
        _belt(rng, garment, belt)
    add_sleeves(rng, garment, body, sleeves)
    if style != "strap":
        finish_neck(rng, garment, style, front)
    return garment


def _straps(rng: Random, garment: Garment, body: Body) -> tuple[Array, Array, Array]:
    """Sews two straps and moves the body's neck and shoulders there: the inner and the outer side of a strap's top.

    The edges of the front: from the left strap to the armpit, across the bust, and from the right strap.
    """
    width, top_half, half = rng.uniform(0.06, 0.3), rng.uniform(0.35, 0.65), rng.uniform(0.45, 0.6)
    pit_y = body.pit["left"][1]
    edge_y = pit_y - rng.uniform(0.02, 0.3)
    bust = dip(points((-half, edge_y))[0], points((half, edge_y))[0], rng.uniform(-0.02, 0.35), rng.uniform(0.1, 1.2))
    back = dip(body.pit["left"], body.pit["right"], rng.uniform(-0.2, 0.1), 1.0)
    garment.sew(between(back, shift(back, 0, 0.4)), "lining", shade=0.65)
    sides = []
    for name, s in SIDES.items():
        body.neck[name] = near(rng, s * top_half, 0)
        body.shoulder[name] = shift(body.neck[name], s * width, 0.02)
        edge = np.array([s * half, edge_y])
        strap = points(body.neck[name], edge, shift(edge, s * width, 0.06), body.shoulder[name])
        garment.sew(strap, lift=0.4, folds=0.2)
        sides.append(spline([edge, shift(edge, s * width, 0), body.pit[name]]))
    return sides[0], bust, sides[1]


def _waist(rng: Random, garment: Garment, body: Body) -> Array:
    """The line across a waist, whose ends it marks."""
    left, right = (body.side[name][8] for name in SIDES)
    garment.mark("waistline_left", left)
    garment.mark("waistline_right", right)
    return dip(left, right, rng.uniform(-0.02, 0.1), 1.0)


def _belt(rng: Random, garment: Garment, line: Array) -> None:
    high = rng.uniform(0.05, 0.15)
    garment.band(shift(line, 0, -high), shift(line, 0, high))


def outwear(rng: Random) -> Garment:
    """A jacket, coat, cardigan, hooded pullover or waistcoat, closed or open in front."""
    garment, body = Garment("outwear"), cut_body(rng, "outwear")
    sleeves, style = pick(rng, {"long": 0.87, "bare": 0.13}), pick(rng, _COATS)
    left, right = body.neck["left"], body.neck["right"]
    pullover = style == "hood" and chance(rng, 0.35)
    gap = 0.0 if pullover or chance(rng, 0.65) else rng.uniform(0.02, 0.45)
    depth = {"hood": 0.35, "lapels": rng.uniform(1.0, 1.8), "collar": 0.35, "stand": 0.1}[style]
    closing = np.array([0.0, depth + 0.5 * gap + rng.uniform(0.0, 0.25)])
    opening = hood(rng, garment, left, right, closing[1]) if style == "hood" else None
    yokes = [yoke(rng, body, name, sleeves != "bare") for name in SIDES]
    throat = spline([left, closing, right], 16)
    if pullover:
        garment.sew(outline(body, yokes[0], throat, yokes[1]), lift=0.5, strokes=[Stroke(body.hem, 0.2, -0.05)])
    else:
        if style != "hood":
            back = dip(left, right, rng.uniform(-0.1, 0.1), 1.0)
            garment.sew(outline(body, yokes[0], back, yokes[1]), "lining", shade=rng.uniform(0.5, 0.8), lift=0.4)
        _fronts(rng, garment, body, yokes, closing, gap)
    body.mark_corners(garment, "top_hem")
    if gap == 0 and chance(rng, 0.3):
        garment.band(body.hem, shift(body.hem, 0, -rng.uniform(0.15, 0.32)), ribs=1)
    if chance(rng, 0.08):
        _belt(rng, garment, _waist(rng, garment, body))
    add_sleeves(rng, garment, body, sleeves)
    if opening is not None:
        garment.sew(opening, "lining", shade=rng.uniform(0.45, 0.75))
    elif style == "lapels":
        lapels(rng, garment, left, right, closing)
    elif style == "collar":
        shirt_collar(rng, garment, throat)
    else:
        turtle_neck(rng, garment, throat)
    return garment


def _fronts(rng: Random, garment: Garment, body: Body, yokes: list[Array], closing: Array, gap: float) -> None:
    """The two halves of the front, apart by gap at the hem, with a zip or buttons and pockets."""
    half = len(body.hem) // 2
    bottom = body.hem[half]
    metal, zipped = float(rng.choice([-0.5, 0.45])), chance(rng, 0.5)
    pocket = shift(points((0.35, 0.1), (0.8, 0.1), (0.8, 0.3), (0.35, 0.3), (0.35, 0.1)), 0, bottom[1] - 1)
    pocketed = chance(rng, 0.6)
    for edge, (name, s) in reversed([*zip(yokes, SIDES.items())]):
        start = body.neck[name] * (0.85, 1.0)
        gape = np.array([s * gap, 0])
        inner = spline([start, start * (0.6, 1) + closing * 0.5, closing + gape * 0.3, bottom + gape * 0.7])
        hem = body.hem[:half] if s > 0 else body.hem[half + 1 :][::-1]
        strokes = [Stroke(hem - (0, 0.08), 0.015, -0.2)]
        strokes.append(Stroke(inner, 0.035, metal) if zipped else Stroke(inner, 0.02, -0.25))
        if pocketed:
            strokes.append(Stroke(pocket * (s, 1), 0.02, -0.28))
        if s > 0 and not zipped:
            strokes += buttons(shift(inner[17::2], 0.08, 0), metal)
        cut = np.vstack([inner[::-1], edge, body.side[name][1:], hem[1:]])
        garment.sew(cut, lift=0.6, strokes=strokes)
