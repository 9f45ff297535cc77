"""The body of blouses, outwear and dresses, and sleeves of every length and pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from garments.curves import Array, inside, shift, spline
from garments.garment import SIDES, Garment, Random, Stroke, chance, near

_NECK = {"blouse": (0.33, 0.6), "dress": (0.38, 0.72), "outwear": (0.42, 0.7)}
_LENGTH = {"blouse": (2.2, 3.8), "dress": (3.2, 5.6), "outwear": (2.5, 3.9)}
_SLEEVES = {"short": ((0.5, 1.15), (0.5, 0.9)), "elbow": ((1.2, 1.75), (0.4, 0.8)), "long": ((2.15, 2.9), (0.34, 0.6))}
"""Ranges of a sleeve's length and of its width at the cuff, in garment units."""
_BENDS = 1.9
"""A sleeve longer than this has an elbow."""


@dataclass(frozen=True)
class Body:
    """The corners of a top by side, its side edges from armpit over the waist, the 9th point, to the hem, and its hem
    from right to left."""

    neck: dict[str, Array]
    shoulder: dict[str, Array]
    pit: dict[str, Array]
    side: dict[str, Array]
    hem: Array

    def mark_corners(self, garment: Garment, hem: str) -> None:
        """Mark the ends of neckline, shoulders, armpits and hem; `hem` is the keypoints' name for the last."""
        for part, corners in (("neckline", self.neck), ("shoulder", self.shoulder), ("armpit", self.pit)):
            for name, corner in corners.items():
                garment.mark(f"{part}_{name}", corner)
        for name, edge in self.side.items():
            garment.mark(f"{hem}_{name}", edge[-1])


def cut_body(rng: Random, category: str) -> Body:
    """The body of one blouse, dress or piece of outwear."""
    neck_half = rng.uniform(*_NECK[category])
    shoulder_half = rng.uniform(max(0.76, neck_half + 0.2), 1.05)
    drop = rng.uniform(0.06, 0.34)
    pit_y = drop + rng.uniform(0.65, 1.15)
    waist_y = pit_y + rng.uniform(0.5, 1.0)
    length = rng.uniform(*_LENGTH[category])
    waist_half, hem_half = rng.uniform(0.82, 1.04), rng.uniform(0.92, 1.22)
    if category == "dress" and chance(rng, 0.7):
        hem_half = rng.uniform(1.2, 2.2)
    lift = max(0.0, hem_half - 1.2) * rng.uniform(0.1, 0.35)
    neck, shoulder, pit, side = {}, {}, {}, {}
    for name, s in SIDES.items():
        neck[name], shoulder[name] = near(rng, s * neck_half, 0), near(rng, s * shoulder_half, drop)
        pit[name] = near(rng, s, pit_y)
        side[name] = spline([pit[name], near(rng, s * waist_half, waist_y), near(rng, s * hem_half, length - lift)])
    right, left = side["right"][-1], side["left"][-1]
    sag = lift + (rng.uniform(0.1, 0.35) if category == "blouse" and chance(rng, 0.15) else rng.uniform(-0.03, 0.1))
    bent = [right + (left - right) * f + (0, sag * share + rng.normal(0, 0.015)) for f, share in _SAG]
    return Body(neck, shoulder, pit, side, spline([right, *bent, left]))


_SAG = ((0.25, 0.75), (0.5, 1.0), (0.75, 0.75))
"""Places along a hem, and how much lower it is there."""


def yoke(rng: Random, body: Body, name: str, sleeved: bool) -> Array:
    """From the neck over the shoulder's tip down to the armpit, which a sleeve hides or not."""
    neck, shoulder, pit = body.neck[name], body.shoulder[name], body.pit[name]
    hollow = 0.04 if sleeved else rng.uniform(0.04, 0.2)
    middle = shoulder * 0.45 + pit * 0.55
    middle[0] = SIDES[name] * (min(abs(shoulder[0]), abs(pit[0])) - hollow)
    return np.vstack([spline([neck, shoulder], 2), spline([shoulder, middle, pit])[1:]])


def outline(body: Body, left: Array, front: Array, right: Array) -> Array:
    """Closed: along the front edge of the neck, `right` from there to the armpit, and back by the hem and `left`."""
    right_side, left_side = body.side["right"][1:], body.side["left"][::-1]
    return np.vstack([front, right[1:], right_side, body.hem[1:-1], left_side, left[::-1][1:-1]])


def add_sleeves(rng: Random, garment: Garment, body: Body, kind: str) -> None:
    """Sew on both sleeves, if `kind` names a sleeve, mark their cuffs, and call occluded what they hide."""
    if kind not in _SLEEVES:
        return
    length, cuff = (rng.uniform(*limits) for limits in _SLEEVES[kind])
    widths = rng.uniform(0.6, 0.9), cuff
    spread = rng.uniform(0.12, 0.3) if kind == "long" and chance(rng, 0.5) else rng.uniform(0.25, 0.85)
    band = rng.uniform(0.12, 0.34) if kind == "long" and chance(rng, 0.6) else 0.0
    for name, s in SIDES.items():
        shoulder, pit = body.shoulder[name], body.pit[name]
        angle = float(np.clip(spread + rng.normal(0, 0.1), 0.06, 1.5))
        upper, under = _pose(rng, length, widths, angle, s, shoulder, pit)
        end = np.linspace(upper[-1], under[-1], 9)
        root = spline([under[0], shift((shoulder + under[0]) / 2, -s * rng.uniform(0.1, 0.2), 0), shoulder])
        outline = np.vstack([upper, end[1:-1], under[::-1], root[1:]])
        along = upper[-1] - upper[-4]
        up = -along / np.linalg.norm(along) * (band or rng.uniform(0.06, 0.14))
        strokes = [Stroke(root, 0.03, -0.3), Stroke(end + up, 0.02, -0.25)]
        garment.sew(outline, grain=-s * angle, shade=0.97, lift=0.7, strokes=strokes)
        if band:
            garment.band(end, end + up, ribs=1)
        for other in set(garment.points) - {f"shoulder_{name}", f"armpit_{name}"}:
            garment.cover(other, outline)
        # The armpit is on the sleeve's own edge: it shows if a gap opens below it.
        if inside(shift(pit, -s * 0.02, 0.03), outline):
            garment.mark(f"armpit_{name}", pit, 0)
        garment.mark(f"cuff_{name}_out", upper[-1])
        garment.mark(f"cuff_{name}_in", under[-1])


def _pose(
    rng: Random, length: float, widths: tuple[float, float], angle: float, s: float, shoulder: Array, pit: Array
) -> tuple[Array, Array]:
    """Lay a sleeve down at an angle from hanging straight down: straight, bent at the elbow or folded across the body.

    Its edges from shoulder and from armpit to the cuff; widths are those at the shoulder and at the cuff.
    """
    bend = rng.normal(0, 0.18)
    if length > _BENDS and chance(rng, 0.2):
        bend = rng.uniform(-2.0, -0.5) if angle > 0.2 else rng.uniform(0.2, 0.7)
    hides = angle < 0.4 and chance(rng, 0.8)
    tuck = rng.uniform(0.06, 0.3) if hides else 0.0
    low = shift(pit, -s * tuck, tuck * 0.4)
    bones = [shift(shoulder * 0.55 + low * 0.45, s * 0.1, 0.0)]
    for turn in (angle, angle, angle + bend, angle + bend):
        bones.append(bones[-1] + length / 4 * np.array([s * np.sin(turn), np.cos(turn)]))
    turns = angle + bend * np.array([0, 0, 0.5, 1, 1])
    across = np.stack([s * np.cos(turns), -np.sin(turns)], 1)
    half = np.interp([0, 0, 0.55, 0.9, 1], [0, 1], widths)[:, None] / 2
    top, under = bones + across * half, bones - across * half
    straight = np.linspace(0, 1, 5)[1:4, None]
    if not hides:  # keep the underside clear of the armpit, so that the gap shows
        keep = 0.5 if abs(bend) > 0.4 else 0.15
        under[1:3] = keep * under[1:3] + (1 - keep) * (low + (under[4] - low) * straight[:2])
    if abs(bend) < 0.4:  # the upper edge runs on from the shoulder, without a puff
        top[1:4] = 0.5 * top[1:4] + 0.5 * (shoulder + (top[4] - shoulder) * straight)
    start = 1 if length > 1.1 else 2
    return spline([shoulder, *top[start:]]), spline([low, *under[2:]])
