"""Blouses and dresses, with sleeves, without, or held by straps."""

from __future__ import annotations

import numpy as np

from garments import collars
from garments.bodies import SIDES, Body, add_sleeves, body_outline, mark_corners, proportions, sewn_on
from garments.curves import Array, shift, spline
from garments.garment import Garment, Panel, Random, Spot, Stroke, chance, pick
from garments.props import front_print


def blouse(rng: Random) -> Garment:
    """A T-shirt, polo, shirt, knit or sleeveless top."""
    kind = pick(rng, {"short": 0.42, "long": 0.26, "elbow": 0.1, "bare": 0.16, "strap": 0.12})
    if kind == "strap":
        return strap_top(rng, "blouse")
    garment = Garment("blouse")
    body = proportions(rng, "blouse")
    style = pick(
        rng, {"crew": 0.36, "scoop": 0.14, "v": 0.14, "boat": 0.08, "polo": 0.1, "shirt": 0.12, "turtle": 0.06}
    )
    front = collars.neckline(rng, style, body.neck["left"], body.neck["right"])
    collars.back_of_neck(rng, garment, front, style)
    sleeved = kind != "bare"
    middle = front[len(front) // 2]
    strokes = sewn_on(rng, body, float(middle[1]))
    spots: list[Spot] = []
    hem_y = float(body.hem[len(body.hem) // 2, 1])
    if style in ("polo", "shirt") or chance(rng, 0.06):
        short = style != "shirt"
        bottom = float(middle[1]) + rng.uniform(0.5, 0.9) if short else hem_y
        lines, buttons = collars.placket(rng, middle, bottom, int(rng.integers(2, 4) if short else rng.integers(6, 9)))
        strokes += lines
        spots += list(buttons)
    outline = body_outline(rng, body, front, sleeved)
    garment.panels.append(Panel(outline, strokes=tuple(strokes), spots=tuple(spots), lift=0.5))
    if style in ("crew", "scoop", "v", "boat") and chance(rng, 0.33):
        garment.panels.append(front_print(rng, float(middle[1]) + 0.15, hem_y))
    mark_corners(garment, body, "top_hem")
    garment.mark("center_front", middle)
    if chance(rng, 0.12):
        band = np.vstack([body.hem, (body.hem - (0, rng.uniform(0.15, 0.3)))[::-1]])
        garment.panels.append(Panel(band, "trim", folds=0.4))
    add_sleeves(rng, garment, body, kind, False)
    if style in ("polo", "shirt"):
        collars.shirt_collar(rng, garment, front)
    elif style == "turtle":
        collars.turtle_neck(rng, garment, front)
    elif chance(rng, 0.75):
        collars.rim(rng, garment, front)
    return garment


def dress(rng: Random) -> Garment:
    """A dress: fitted, A-line or full, with any sleeve or none, with or without a waist."""
    kind = pick(rng, {"short": 0.27, "long": 0.2, "elbow": 0.13, "bare": 0.25, "strap": 0.15})
    if kind == "strap":
        return strap_top(rng, "dress")
    garment = Garment("dress")
    body = proportions(rng, "dress")
    style = pick(rng, {"crew": 0.3, "scoop": 0.22, "v": 0.2, "boat": 0.1, "square": 0.06, "shirt": 0.09, "polo": 0.03})
    front = collars.neckline(rng, style, body.neck["left"], body.neck["right"])
    collars.back_of_neck(rng, garment, front, style)
    middle = front[len(front) // 2]
    strokes = sewn_on(rng, body, float(middle[1]))
    spots: list[Spot] = []
    if style in ("shirt", "polo"):
        lines, buttons = collars.placket(rng, middle, float(rng.choice([body.waist_y, body.waist_y + 1.2])), 6)
        strokes += lines
        spots += list(buttons)
    outline = body_outline(rng, body, front, kind != "bare")
    garment.panels.append(Panel(outline, strokes=tuple(strokes), spots=tuple(spots), lift=0.5))
    if chance(rng, 0.08):
        garment.panels.append(front_print(rng, float(middle[1]) + 0.15, body.waist_y + 0.5))
    mark_corners(garment, body, "hemline")
    garment.mark("center_front", middle)
    _waist(rng, garment, body)
    add_sleeves(rng, garment, body, kind, False)
    if style in ("shirt", "polo"):
        collars.shirt_collar(rng, garment, front)
    elif chance(rng, 0.5):
        collars.rim(rng, garment, front)
    return garment


def strap_top(rng: Random, category: str) -> Garment:
    """A top or dress held by straps: the neckline is the inner, the shoulder the outer side of a strap's top."""
    garment = Garment(category)
    body = proportions(rng, category)
    width = rng.uniform(0.06, 0.16) if chance(rng, 0.6) else rng.uniform(0.16, 0.34)
    top_half = rng.uniform(0.35, 0.7)
    edge_half = min(rng.uniform(0.5, 0.8), 0.9 - width)
    pit_y = float(body.pit["left"][1])
    edge_y = pit_y - rng.uniform(0.02, 0.3)
    depth = edge_y + rng.uniform(-0.02, 0.35)
    middle = np.array([rng.normal(0, 0.02), depth])
    inner: dict[str, Array] = {}
    outer: dict[str, Array] = {}
    for name, s in SIDES:
        y = rng.normal(0, 0.05)
        inner[name] = np.array([s * top_half, y])
        outer[name] = np.array([s * (top_half + width), y + rng.uniform(0, 0.04)])
    left_edge, right_edge = np.array([-edge_half, edge_y]), np.array([edge_half, edge_y])
    swell = rng.uniform(-0.02, 0.1)
    half = [(left_edge + middle) / 2 + np.array([0, -swell]), (right_edge + middle) / 2 + np.array([0, -swell])]
    bust = spline([left_edge, half[0], middle, half[1], right_edge])
    back_y = edge_y + rng.uniform(0.0, 0.25)
    back = spline([body.pit["left"], (-0.4, back_y), (0.4, back_y), body.pit["right"]])
    garment.panels.append(Panel(np.vstack([back, (0.6, pit_y + 0.3), (-0.6, pit_y + 0.3)]), "lining", shade=0.65))
    for name, s in SIDES:
        edge = left_edge if s < 0 else right_edge
        sway = rng.normal(0, 0.04)
        inside_line = spline([edge, (edge + inner[name]) / 2 + np.array([sway, 0]), inner[name]])
        low = edge + np.array([s * width, 0.06])
        outside_line = spline([outer[name], (low + outer[name]) / 2 + np.array([sway, 0]), low])
        outline = np.vstack([inside_line, outside_line])
        garment.panels.append(
            Panel(outline, "main" if width > 0.16 or chance(rng, 0.7) else "trim", lift=0.4, folds=0.2)
        )
    sides = {}
    for name, s in SIDES:
        edge = (left_edge if s < 0 else right_edge) + np.array([s * width, 0.0])
        sides[name] = spline([edge, edge * 0.4 + body.pit[name] * 0.6 + (-s * 0.03, 0.03), body.pit[name]])
    parts = [
        bust,
        sides["right"],
        body.side["right"][1:],
        body.hem[1:],
        body.side["left"][::-1][1:],
        sides["left"][::-1],
    ]
    strokes = sewn_on(rng, body, depth)
    strokes.append(Stroke(shift(bust, 0, 0.05), 0.015, -0.2))
    garment.panels.append(Panel(np.vstack(parts), strokes=tuple(strokes), lift=0.5))
    mark_corners(garment, body, "hemline" if category == "dress" else "top_hem")
    for name, _ in SIDES:
        garment.mark(f"neckline_{name}", inner[name])
        garment.mark(f"shoulder_{name}", outer[name])
    garment.mark("center_front", middle)
    if category == "dress":
        _waist(rng, garment, body)
    return garment


def _waist(rng: Random, garment: Garment, body: Body) -> None:
    """The waist of a dress: a seam or a belt where the skirt begins, or no waist that could be told."""
    ends = {name: body.side[name][8] for name, _ in SIDES}
    half = abs(float(ends["right"][0]))
    hem_half = abs(float(body.side["right"][-1][0]))
    if half > 0.9 and chance(rng, 0.6):
        return
    for name, _ in SIDES:
        garment.mark(f"waistline_{name}", ends[name])
    line = spline([ends["left"], (ends["left"] + ends["right"]) / 2 + (0, rng.uniform(-0.02, 0.1)), ends["right"]], 12)
    garment.waist = float(line[len(line) // 2, 1])
    if hem_half > 1.2 or chance(rng, 0.3):
        garment.pleats = float(rng.integers(5, 24))
    look = pick(rng, {"seam": 0.45, "belt": 0.3, "skirt": 0.2, "none": 0.05})
    if look == "skirt":
        outline = np.vstack([line, body.side["right"][9:], body.hem[1:], body.side["left"][9:][::-1]])
        garment.panels.append(Panel(outline, "second", strokes=(Stroke(line, 0.03, -0.3),)))
    elif look == "belt":
        high = rng.uniform(0.05, 0.16)
        band = np.vstack([line - (0, high), (shift(line, 0, high))[::-1]])
        strokes = (Stroke(line - (0, high), 0.02, -0.2), Stroke(shift(line, 0, high), 0.025, -0.3))
        garment.panels.append(Panel(band, "trim" if chance(rng, 0.6) else "main", folds=0.3, strokes=strokes))
    elif look == "seam":
        thin = np.vstack([line - (0, 0.03), (shift(line, 0, 0.03))[::-1]])
        garment.panels.append(Panel(thin, strokes=(Stroke(line, 0.03, -0.35),)))
