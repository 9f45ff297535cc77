"""Blouses, outwear and dresses: the body, its fronts, its skirt, and the keypoints of all three."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.dataset.synthetic import collars
from pipeline.dataset.synthetic.curves import Array, points, shift, spline
from pipeline.dataset.synthetic.garment import Garment, Panel, Random, Spot, Stroke, chance, pick
from pipeline.dataset.synthetic.props import front_print
from pipeline.dataset.synthetic.sleeves import cover, sew_sleeve, sleeve_cut

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


def _body(rng: Random, category: str, strap: bool) -> Body:
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
        length = rng.uniform(2.4, 3.5) if chance(rng, 0.85) else rng.uniform(1.7, 2.4)
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


def _armhole(rng: Random, body: Body, name: str, sleeved: bool) -> Array:
    """From the shoulder's tip down to the armpit: bare if there is no sleeve, else hidden under its root."""
    s = -1.0 if name == "left" else 1.0
    shoulder, pit = body.shoulder[name], body.pit[name]
    hollow = 0.04 if sleeved else rng.uniform(0.04, 0.2)
    middle = shoulder * 0.45 + pit * 0.55
    middle[0] = s * (min(abs(shoulder[0]), abs(pit[0])) - hollow)
    return spline([shoulder, middle, pit])


def _outline(rng: Random, body: Body, front: Array, sleeved: bool) -> Array:
    """Closed outline from the neckline's left end down the front edge of the neck, round and back."""
    parts = [front]
    right = [body.neck["right"], (body.neck["right"] + body.shoulder["right"]) / 2 + (0, rng.normal(-0.01, 0.015))]
    parts.append(spline([*right, body.shoulder["right"]])[1:])
    parts.append(_armhole(rng, body, "right", sleeved)[1:])
    parts.append(body.side["right"][1:])
    parts.append(body.hem[1:])
    parts.append(body.side["left"][::-1][1:])
    parts.append(_armhole(rng, body, "left", sleeved)[::-1][1:])
    left = [body.shoulder["left"], (body.neck["left"] + body.shoulder["left"]) / 2 + (0, rng.normal(-0.01, 0.015))]
    parts.append(spline([*left, body.neck["left"]])[1:-1])
    return np.vstack(parts)


def _mark(garment: Garment, body: Body, hem: str) -> None:
    for name, _ in SIDES:
        garment.mark(f"neckline_{name}", body.neck[name])
        garment.mark(f"shoulder_{name}", body.shoulder[name])
        garment.mark(f"armpit_{name}", body.pit[name])
        garment.mark(f"{hem}_{name}", body.side[name][-1])


def _sleeves(rng: Random, garment: Garment, body: Body, kind: str, bulky: bool) -> None:
    if kind not in ("short", "elbow", "long"):
        return
    cut = sleeve_cut(rng, kind, bulky)
    for name, _ in SIDES:
        before = len(garment.panels)
        hides = sew_sleeve(rng, garment, cut, name, body.neck[name], body.shoulder[name], body.pit[name])
        if hides:
            x, y, _ = garment.points[f"armpit_{name}"]
            garment.points[f"armpit_{name}"] = (x, y, 0)
        for panel in garment.panels[before : before + 1]:
            for point in ("top_hem_left", "top_hem_right", "waistline_left", "waistline_right"):
                if point in garment.points:
                    cover(garment, point, panel.outline)


def _decor(rng: Random, body: Body, collar_y: float) -> tuple[list[Stroke], list[Spot]]:
    """Pockets, yokes, side seams and hem stitches of a front."""
    strokes = [Stroke(body.hem - (0, rng.uniform(0.05, 0.12)), 0.015, -0.2, 0.05 if chance(rng, 0.5) else 0.0)]
    if chance(rng, 0.15):
        x, y, w = rng.uniform(0.3, 0.45), collar_y + rng.uniform(0.4, 0.7), rng.uniform(0.18, 0.26)
        box = [(x - w, y), (x + w, y), (x + w, y + 2 * w), (x, y + 2.4 * w), (x - w, y + 2 * w), (x - w, y)]
        strokes.append(Stroke(points(*box), 0.02, -0.25))
    if chance(rng, 0.08):
        y = float(body.pit["left"][1]) * 0.7
        strokes.append(Stroke(spline([(-0.9, y), (0, y + 0.05), (0.9, y)]), 0.02, -0.2))
    return strokes, []


def blouse(rng: Random) -> Garment:
    """A T-shirt, polo, shirt, knit or sleeveless top."""
    kind = pick(rng, {"short": 0.42, "long": 0.26, "elbow": 0.1, "bare": 0.16, "strap": 0.12})
    if kind == "strap":
        return strap_top(rng, "blouse")
    garment = Garment("blouse")
    body = _body(rng, "blouse", False)
    style = pick(
        rng, {"crew": 0.36, "scoop": 0.14, "v": 0.14, "boat": 0.08, "polo": 0.1, "shirt": 0.12, "turtle": 0.06}
    )
    front = collars.neckline(rng, style, body.neck["left"], body.neck["right"])
    collars.back_of_neck(rng, garment, front, style)
    sleeved = kind != "bare"
    middle = front[len(front) // 2]
    strokes, spots = _decor(rng, body, float(middle[1]))
    hem_y = float(body.hem[len(body.hem) // 2, 1])
    if style in ("polo", "shirt") or chance(rng, 0.06):
        short = style != "shirt"
        bottom = float(middle[1]) + rng.uniform(0.5, 0.9) if short else hem_y
        lines, buttons = collars.placket(rng, middle, bottom, int(rng.integers(2, 4) if short else rng.integers(6, 9)))
        strokes += lines
        spots += list(buttons)
    outline = _outline(rng, body, front, sleeved)
    garment.panels.append(Panel(outline, strokes=tuple(strokes), spots=tuple(spots), lift=0.5))
    if style in ("crew", "scoop", "v", "boat") and chance(rng, 0.33):
        garment.panels.append(front_print(rng, float(middle[1]) + 0.15, hem_y))
    _mark(garment, body, "top_hem")
    garment.mark("center_front", middle)
    if chance(rng, 0.12):
        band = np.vstack([body.hem, (body.hem - (0, rng.uniform(0.15, 0.3)))[::-1]])
        garment.panels.append(Panel(band, "trim", folds=0.4))
    _sleeves(rng, garment, body, kind, False)
    if style in ("polo", "shirt"):
        collars.shirt_collar(rng, garment, front)
    elif style == "turtle":
        collars.turtle_neck(rng, garment, front)
    elif chance(rng, 0.75):
        collars.rim(rng, garment, front)
    return garment


def strap_top(rng: Random, category: str) -> Garment:
    """A top or dress held by straps: the neckline is the inner, the shoulder the outer side of a strap's top."""
    garment = Garment(category)
    body = _body(rng, category, True)
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
    strokes, _ = _decor(rng, body, depth)
    strokes.append(Stroke(shift(bust, 0, 0.05), 0.015, -0.2))
    garment.panels.append(Panel(np.vstack(parts), strokes=tuple(strokes), lift=0.5))
    _mark(garment, body, "hemline" if category == "dress" else "top_hem")
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


def dress(rng: Random) -> Garment:
    """A dress: fitted, A-line or full, with any sleeve or none, with or without a waist."""
    kind = pick(rng, {"short": 0.27, "long": 0.2, "elbow": 0.13, "bare": 0.25, "strap": 0.15})
    if kind == "strap":
        return strap_top(rng, "dress")
    garment = Garment("dress")
    body = _body(rng, "dress", False)
    style = pick(rng, {"crew": 0.3, "scoop": 0.22, "v": 0.2, "boat": 0.1, "square": 0.06, "shirt": 0.09, "polo": 0.03})
    front = collars.neckline(rng, style, body.neck["left"], body.neck["right"])
    collars.back_of_neck(rng, garment, front, style)
    middle = front[len(front) // 2]
    strokes, spots = _decor(rng, body, float(middle[1]))
    if style in ("shirt", "polo"):
        lines, buttons = collars.placket(rng, middle, float(rng.choice([body.waist_y, body.waist_y + 1.2])), 6)
        strokes += lines
        spots += list(buttons)
    outline = _outline(rng, body, front, kind != "bare")
    garment.panels.append(Panel(outline, strokes=tuple(strokes), spots=tuple(spots), lift=0.5))
    if chance(rng, 0.08):
        garment.panels.append(front_print(rng, float(middle[1]) + 0.15, body.waist_y + 0.5))
    _mark(garment, body, "hemline")
    garment.mark("center_front", middle)
    _waist(rng, garment, body)
    _sleeves(rng, garment, body, kind, False)
    if style in ("shirt", "polo"):
        collars.shirt_collar(rng, garment, front)
    elif chance(rng, 0.5):
        collars.rim(rng, garment, front)
    return garment


def outwear(rng: Random) -> Garment:
    """A jacket, coat, cardigan, hooded pullover or waistcoat, closed or open in front."""
    garment = Garment("outwear")
    body = _body(rng, "outwear", False)
    kind = pick(rng, {"long": 0.87, "bare": 0.11, "elbow": 0.02})
    style = pick(rng, {"hood": 0.4, "lapels": 0.25, "collar": 0.18, "stand": 0.12, "cardigan": 0.05})
    left, right = body.neck["left"], body.neck["right"]
    pullover = style == "hood" and chance(rng, 0.35)
    gap = 0.0 if pullover or chance(rng, 0.65) else rng.uniform(0.02, 0.45)
    depth = {"hood": 0.35, "lapels": rng.uniform(1.0, 1.8), "collar": 0.35, "stand": 0.1, "cardigan": 1.2}[style]
    depth += 0.5 * gap + rng.uniform(0.0, 0.25)
    closing = np.array([rng.normal(0, 0.03), depth])
    cape = collars.hood(rng, garment, left, right, depth) if style == "hood" else []
    back_edge = spline([left, (left + right) / 2 - (0, rng.uniform(-0.1, 0.12)), right], 12)
    outline = _outline(rng, body, back_edge, kind != "bare")
    if style != "hood":
        garment.panels.append(Panel(outline, "lining", shade=rng.uniform(0.5, 0.8), lift=0.4))
    _fronts(rng, garment, body, closing, gap, kind != "bare", pullover)
    _mark(garment, body, "top_hem")
    if chance(rng, 0.3):
        high = rng.uniform(0.15, 0.32)
        band = np.vstack([body.hem, (body.hem - (0, high))[::-1]])
        if gap < 0.05:
            lines = tuple(Stroke(np.vstack([p, p - (0, high)]), 0.015, -0.12) for p in body.hem[1:-1])
            garment.panels.append(Panel(band, "trim", folds=0.3, strokes=lines))
    if chance(rng, 0.06):
        _belt(rng, garment, body)
    _sleeves(rng, garment, body, kind, True)
    garment.panels += cape
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
        outline = _outline(rng, body, front, sleeved)
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
        edge = np.vstack([shoulder, _armhole(rng, body, name, sleeved)[1:], body.side[name][1:], half[1:]])
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
