"""Cloth: colours as people wear them, and the patterns printed or woven into it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from garments.garment import Random, chance, pick
from garments.noise import Field, tile

SIDE = 256
"""Pixels along a pattern's repeat."""
_COLOURS = {
    "dark": (0.24, (0.0, 1.0), (0.0, 0.35), (0.07, 0.24)),
    "navy": (0.14, (0.56, 0.68), (0.35, 0.75), (0.18, 0.6)),
    "grey": (0.12, (0.5, 0.7), (0.0, 0.14), (0.35, 0.7)),
    "white": (0.15, (0.02, 0.18), (0.0, 0.1), (0.7, 0.92)),
    "beige": (0.1, (0.04, 0.13), (0.14, 0.42), (0.45, 0.85)),
    "bright": (0.28, (0.0, 1.0), (0.25, 0.82), (0.3, 0.9)),
}
"""Shares of what people wear, and ranges of hue, saturation and value."""
_HANGERS = ((25, 25, 28), (235, 235, 235), (170, 125, 75), (150, 155, 165))
"""Plastic, wood and wire."""
_PATTERNS = {"plain": 0.45, "melange": 0.2, "stripes": 0.09, "checks": 0.08, "dots": 0.05, "flowers": 0.13}


@dataclass(frozen=True)
class Cloth:
    """A cloth's looks."""

    pattern: Field
    """(3, SIDE, SIDE) colours 0..255, or (3, 1, 1) for a plain one."""
    repeat: float
    """The pattern's size in garment units."""
    bump: float
    """Strength of the weave."""


def hsv(hue: float, saturation: float, value: float) -> Field:
    """(3, 1, 1) RGB 0..255, to be multiplied by a field."""
    return 255 * np.asarray(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)[:, None, None]


def colour(rng: Random) -> Field:
    """A cloth's colour, (3, 1, 1): black, navy, grey, white and beige more often than all others."""
    kind = pick(rng, {name: share for name, (share, *_) in _COLOURS.items()})
    return hsv(*(rng.uniform(*limits) for limits in _COLOURS[kind][1:]))


def cloth(rng: Random, sober: bool = False) -> Cloth:
    """Any cloth; a sober one has no print."""
    base, inks = colour(rng), [colour(rng) for _ in range(int(rng.integers(1, 5)))]
    kind = pick(rng, {"plain": 0.7, "melange": 0.3} if sober else _PATTERNS)
    pattern = base
    if kind == "melange":
        pattern = np.clip(base + rng.uniform(8, 28) * (tile(rng, SIDE, 128) + 0.5 * tile(rng, SIDE, 32, 4)), 0, 255)
    elif kind != "plain":
        image = Image.new("RGB", (SIDE, SIDE), _fill(base))
        (_stripes if kind in ("stripes", "checks") else _motifs)(rng, image, [_fill(ink) for ink in inks], kind)
        pattern = np.moveaxis(np.asarray(image), 2, 0)
    return Cloth(np.asarray(pattern, np.float32), rng.uniform(0.4, 1.6), min(rng.lognormal(1.1, 0.6), 14.0))


Ink = tuple[int, ...]


def _fill(colour: Field) -> Ink:
    return tuple(int(c) for c in colour.ravel())


@cache
def weave() -> Field:
    """Fine grain of about unit variance, (SIDE, SIDE)."""
    rng = np.random.default_rng(0)
    return tile(rng, SIDE, 128) + np.float32(0.5) * tile(rng, SIDE, 64)


def _stripes(rng: Random, image: Image.Image, inks: list[Ink], kind: str) -> None:
    draw = ImageDraw.Draw(image, "RGBA")
    period = SIDE / int(rng.choice([1, 2, 4]))
    upright = kind == "checks" or chance(rng, 0.3)
    for ink in inks[:3]:
        start, width = rng.uniform(0, period), period * rng.uniform(0.1, 0.4)
        for at in np.arange(start - period, SIDE, period):
            if upright:
                draw.rectangle([at, 0, at + width, SIDE], fill=(*ink, 150))
            if kind == "checks" or not upright:
                draw.rectangle([0, at, SIDE, at + width], fill=(*ink, 150))


def _motifs(rng: Random, image: Image.Image, inks: list[Ink], kind: str) -> None:
    """Dots in rows, or flowers strewn at random; each is drawn again across the seam."""
    draw = ImageDraw.Draw(image)
    rows = int(rng.integers(2, 7))
    size = SIDE / rows * rng.uniform(0.12, 0.4)
    for i in range(rows * rows):
        at = np.array([i % rows + i // rows % 2 * 0.5, i // rows + 0.25]) * SIDE / rows
        petals = 1 if kind == "dots" else int(rng.integers(4, 8))
        if kind == "flowers":
            at = rng.uniform(0, SIDE, 2)
        turns = np.arange(petals) * 2 * np.pi / petals
        for x, y in at + 0.6 * size * np.stack([np.cos(turns), np.sin(turns)], 1):
            radius = size if kind == "dots" else size * 0.45
            for left, top in ((x + dx - radius, y + dy - radius) for dx in (0, -SIDE) for dy in (0, -SIDE)):
                draw.ellipse([left, top, left + 2 * radius, top + 2 * radius], fill=inks[i % len(inks)])


def wardrobe(rng: Random, sober: bool) -> dict[str, Cloth]:
    """Cloths by the names that panels use."""
    main, second, lining = cloth(rng, sober), cloth(rng), cloth(rng, sober=True)
    rod = np.array(_HANGERS[int(rng.integers(0, len(_HANGERS)))], np.float32)[:, None, None]
    return {
        "main": main,
        "second": second,
        "trim": second if chance(rng, 0.3) else main,
        "lining": lining if chance(rng, 0.45) else main,
        "hanger": replace(main, pattern=rod, bump=1.0),
    }
