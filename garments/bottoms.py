"""Skirts and trousers: outlines, seams, pockets, and the keypoints of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from garments.curves import Array, offset, points, shift, spline
from garments.garment import Garment, Panel, Random, Spot, Stroke, chance, pick

SIDES = (("left", -1), ("right", 1))


def _waist(rng: Random, garment: Garment, left: Array, right: Array) -> tuple[Array, float]:
    """The waistband: its front top edge from left to right, and its height. Adds what is seen of the inside."""
    sag = rng.uniform(-0.02, 0.2)
    front = spline([left, (left + right) / 2 + (0, sag), right], 12)
    if sag > 0.05:
        back = spline([left, (left + right) / 2 + (0, sag - rng.uniform(0.06, 0.2)), right], 12)
        garment.panels.append(Panel(np.vstack([back, front[::-1]]), "lining", shade=0.62, folds=0.3))
    return front, rng.uniform(0.1, 0.32)


def _band(rng: Random, top: Array, height: float) -> Panel:
    """The waistband as a piece of its own: elastic, or a strip with loops."""
    low = shift(top, 0, height)
    outline = np.vstack([top, low[::-1]])
    if chance(rng, 0.4):
        count = int(rng.integers(20, 44))
        lines = [np.vstack([a, b]) for a, b in zip(top[1:-1], low[1:-1])]
        xs = np.linspace(0, len(lines) - 1, min(count, len(lines))).astype(int)
        strokes = tuple(Stroke(lines[i], 0.02, -0.12 * rng.uniform(0.4, 1.4)) for i in xs)
    else:
        loops = [Stroke(np.vstack([top[i], low[i] + (0, 0.05)]), 0.07, 0.1) for i in (3, len(top) // 2, len(top) - 4)]
        strokes = (*loops, Stroke(offset(low, -0.03), 0.015, 0.12, dash=0.04))
    edge = Stroke(low, 0.025, -0.28)
    return Panel(outline, "trim" if chance(rng, 0.15) else "main", folds=0.3, strokes=(*strokes, edge))


def _belt_ties(rng: Random, y: float) -> list[Stroke]:
    """The two ends of a drawstring."""
    ends = []
    for side in (-1, 1):
        x = side * rng.uniform(0.04, 0.15)
        swing = rng.normal(0, 0.15)
        ends.append(Stroke(spline([(0, y), (x, y + 0.2), (x + swing, y + rng.uniform(0.4, 0.7))]), 0.035, 0.45))
    return ends


def skirt(rng: Random) -> Garment:
    """A skirt: pencil, straight, A-line, flared or pleated, short to long."""
    garment = Garment("skirt")
    cut = pick(rng, {"pencil": 0.25, "straight": 0.25, "a": 0.3, "flared": 0.2})
    length = {"pencil": (2.0, 3.7), "straight": (1.3, 3.1), "a": (1.3, 3.4), "flared": (1.3, 3.7)}[cut]
    wide = {"pencil": (1.05, 1.4), "straight": (1.15, 1.5), "a": (1.4, 2.0), "flared": (1.75, 2.7)}[cut]
    hem_y, half = rng.uniform(*length), rng.uniform(*wide)
    hip = {"pencil": 1.3, "straight": 1.25, "a": 1.12, "flared": 1.1}[cut] * rng.uniform(0.94, 1.06)
    rise = 0.02 + 0.2 * max(0.0, half - 1.1) * rng.uniform(0.3, 1.4)
    corners: dict[str, Array] = {}
    waists: dict[str, Array] = {}
    edges: dict[str, Array] = {}
    for name, s in SIDES:
        waists[name] = np.array([s * rng.uniform(0.96, 1.04), rng.normal(0, 0.025)])
        corners[name] = np.array([s * half * rng.uniform(0.94, 1.06), hem_y - rise + rng.normal(0, 0.05)])
        at = rng.uniform(0.35, 0.5)
        middle = waists[name] + at * (corners[name] - waists[name])
        middle[0] += s * max(0.0, hip - abs(middle[0])) * rng.uniform(0.5, 1.0)
        edges[name] = spline([waists[name], middle, corners[name]])
        garment.mark(f"waistband_{name}", waists[name])
        garment.mark(f"hemline_{name}", corners[name])
    front, height = _waist(rng, garment, waists["left"], waists["right"])
    low: list[npt.ArrayLike] = [
        corners["right"],
        (half * 0.5, hem_y + rng.normal(0, 0.04)),
        (0, hem_y + rng.normal(0.03, 0.05)),
    ]
    hem = spline([*low, (-half * 0.5, hem_y + rng.normal(0, 0.04)), corners["left"]])
    if cut in ("a", "flared"):
        garment.pleats = float(rng.integers(4, 26)) if chance(rng, 0.75) else 0.0
        if garment.pleats and cut == "flared":
            phase = np.linspace(0, garment.pleats * np.pi, len(hem))
            hem[1:-1, 1] += 0.05 * rng.uniform(0.2, 1.0) * np.sin(phase)[1:-1]
    if garment.pleats == 0.0 and chance(rng, 0.3):
        garment.pleats = float(rng.integers(2, 5))
    outline = np.vstack([front, edges["right"][1:], hem[1:-1], edges["left"][::-1]])
    strokes = [Stroke(hem[::-1] - (0, rng.uniform(0.06, 0.15)), 0.015, -0.2, dash=0.05 if chance(rng, 0.4) else 0.0)]
    strokes += _front(rng, hem_y, height)
    spots = _buttons(rng, 0.0, height, hem_y) if chance(rng, 0.15) else ()
    garment.panels.append(Panel(outline, strokes=tuple(strokes), spots=spots, lift=0.5))
    if chance(rng, 0.25):
        trim = np.vstack([hem, (hem - (0, rng.uniform(0.15, 0.5)))[::-1]])
        garment.panels.append(Panel(trim, "trim"))
    if chance(rng, 0.75):
        garment.panels.append(_band(rng, front, height))
    garment.waist = height
    return garment


def _front(rng: Random, hem_y: float, height: float) -> list[Stroke]:
    """What may be sewn on a skirt: darts, pockets, a slit, a front seam."""
    strokes = []
    if chance(rng, 0.3):
        strokes.append(Stroke(points((0.02, height), (rng.normal(0, 0.05), hem_y)), 0.02, -0.25))
    if chance(rng, 0.25):
        x = rng.uniform(-0.6, 0.6)
        strokes.append(Stroke(spline([(x, hem_y * rng.uniform(0.5, 0.75)), (x + 0.05, hem_y + 0.1)]), 0.05, -0.5))
    if chance(rng, 0.35):
        for s in (-1, 1):
            strokes.append(Stroke(spline([(s * 0.5, height), (s * 0.62, 0.45), (s * 1.1, 0.6)]), 0.025, -0.28))
    if chance(rng, 0.3):
        strokes += [Stroke(points((s * 0.45, height), (s * 0.5, 0.7)), 0.015, -0.2) for s in (-1, 1)]
    return strokes


def _buttons(rng: Random, x: float, top: float, bottom: float) -> tuple[Spot, ...]:
    count = int(rng.integers(4, 9))
    tone = float(rng.choice([-0.5, 0.5, 0.25]))
    return tuple(Spot((x, float(y)), 0.05, tone) for y in np.linspace(top, bottom - 0.2, count))


def trousers(rng: Random) -> Garment:
    """Trousers: shorts, three-quarter or long; skinny, straight, flared, wide or gathered at the ankle."""
    garment = Garment("trousers")
    kind = pick(rng, {"shorts": 0.36, "knee": 0.17, "long": 0.47})
    full = rng.uniform(1.0, 1.45)  # how much wider the hips are than the waist, which may be gathered
    crotch_y = rng.uniform(1.0, 1.45) * full
    leg = {"shorts": (0.1, 0.75), "knee": (0.8, 1.5), "long": (2.1, 3.7)}[kind]
    inseam = rng.uniform(*leg) * full
    cut = pick(rng, {"slim": 0.3, "straight": 0.35, "flared": 0.15, "wide": 0.12, "jogger": 0.08})
    if kind == "long":
        cuff = {"slim": 0.42, "straight": 0.58, "flared": 0.8, "wide": 1.0, "jogger": 0.38}[cut] * rng.uniform(
            0.9, 1.12
        )
    else:
        cuff = rng.uniform(0.78, 1.15) if kind == "shorts" else rng.uniform(0.65, 0.95)
    cuff *= full
    hip = rng.uniform(1.02, 1.12) * full
    crotch = np.array([rng.normal(0, 0.04), crotch_y])
    lean = rng.uniform(0.02, 0.22) if kind == "long" else rng.uniform(0.1, 0.6)
    front_fly = rng.normal(0, 0.02)
    waists: dict[str, Array] = {}
    legs: list[tuple[str, int, Array, Array, float]] = []
    for name, s in SIDES:
        waists[name] = np.array([s * rng.uniform(0.95, 1.05), rng.normal(0, 0.03)])
        own = inseam * rng.uniform(0.96, 1.04)
        angle = s * float(np.clip(np.arctan(lean) + rng.normal(0, 0.05), -0.02, 0.7))
        down, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)]) * s
        inner = crotch + down * own + s * np.array([rng.uniform(0.02, 0.1), 0])
        tilt = rng.normal(0.0, 0.04) + (0.12 if kind == "shorts" else 0.0)
        outer = inner + across * cuff - down * tilt * cuff
        thigh = crotch + down * 0.1 + across * rng.uniform(0.94, 1.02) * hip * 0.97
        knee_w = cuff + (hip - cuff) * 0.42 if cut != "flared" else 0.6 * hip
        knee = crotch + down * own * 0.55 + across * (knee_w + 0.03)
        hips = waists[name] + np.array([s * (hip - 1) * 0.7, crotch_y * 0.5])
        outer_through = [waists[name], hips, thigh, knee, outer] if kind == "long" else [waists[name], hips, outer]
        inner_mid = crotch + down * own * 0.5 + across * rng.uniform(-0.02, 0.06)
        legs.append((name, s, spline(outer_through), spline([inner, inner_mid, crotch]), angle))
        garment.mark(f"waistband_{name}", waists[name])
        garment.mark(f"bottom_{name}_in", inner)
        garment.mark(f"bottom_{name}_out", outer)
    garment.mark("crotch", crotch)
    front, height = _waist(rng, garment, waists["left"], waists["right"])
    middle = front[len(front) // 2] + (front_fly, 0)
    pocket = pick(rng, {"slant": 0.4, "round": 0.35, "none": 0.25})
    striped = rng.uniform(0.04, 0.12) if chance(rng, 0.1) else 0.0
    for name, s, outer_line, inner_line, angle in legs:
        top = front[len(front) // 2 :] if s > 0 else front[: len(front) // 2 + 1][::-1]
        hem = np.linspace(outer_line[-1], inner_line[0], 9)
        hem[1:-1] += rng.normal(0, 0.012, 2)
        outline = np.vstack(
            [top, outer_line[1:], hem[1:-1], inner_line, spline([crotch, (middle + crotch) / 2, middle])]
        )
        up = (hem[4] - crotch) / max(float(np.linalg.norm(hem[4] - crotch)), 1e-6)
        strokes = [Stroke(hem - up * d, 0.02, -0.22, dash) for d, dash in ((rng.uniform(0.06, 0.14), 0.05),)]
        strokes.append(Stroke(offset(outer_line, 0.03 * -s), 0.015, -0.15))
        if pocket != "none":
            mid = (0.5, 0.55) if pocket == "slant" else (0.62, 0.5)
            strokes.append(
                Stroke(spline([(s * 0.45, height), (s * mid[0] * 1.1, mid[1]), (s * 1.15, 0.75)]), 0.025, -0.3)
            )
        if chance(rng, 0.3) and kind == "long":
            crease = spline([(s * 0.5, height + 0.1), shift(crotch, s * 0.5, 0.3), hem[4]])
            strokes.append(Stroke(crease, 0.02, 0.14))
        garment.panels.append(Panel(outline, grain=angle, strokes=tuple(strokes), lift=0.5 if name == "left" else 0.35))
        if striped:
            seam = outer_line[2:-1]
            strip = np.vstack([offset(seam, s * 0.12), offset(seam, s * (0.12 + striped))[::-1]])
            garment.panels.append(Panel(strip, "second", folds=0.9))
        if cut == "jogger" or chance(rng, 0.12):
            band = np.vstack([hem, (hem - up * rng.uniform(0.12, 0.3))[::-1]])
            garment.panels.append(Panel(band, "trim" if chance(rng, 0.4) else "main", shade=0.95, lift=0.2, folds=0.4))
    garment.panels.append(_fly(rng, middle, crotch))
    if chance(rng, 0.85):
        garment.panels.append(_band(rng, front, height))
    garment.stress = [(float(crotch[0]), float(crotch[1]))] * 2
    return garment


def _fly(rng: Random, middle: Array, crotch: Array) -> Panel:
    """A narrow piece over the front seam that bears the fly, its button and perhaps a drawstring."""
    seam = spline([middle, (middle + crotch) / 2, crotch])
    outline = np.vstack([shift(seam, 0.2, 0), (seam - (0.03, 0))[::-1]])
    curve = spline(
        [shift(middle, 0.16, 0), shift(middle, 0.16, (crotch[1]) * 0.45), shift(middle, 0.0, crotch[1] * 0.62)]
    )
    strokes = [Stroke(seam, 0.025, -0.32)]
    spots: tuple[Spot, ...] = ()
    if chance(rng, 0.5):
        strokes.append(Stroke(curve, 0.015, float(rng.choice([-0.22, 0.3])), dash=0.05))
        spots = (Spot((float(middle[0]) + 0.02, float(middle[1]) + 0.12), 0.055, float(rng.choice([-0.4, 0.5]))),)
    elif chance(rng, 0.5):
        strokes += _belt_ties(rng, float(middle[1]) + 0.12)
    return Panel(outline[:-1], strokes=tuple(strokes), spots=spots)
