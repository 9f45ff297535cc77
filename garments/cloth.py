"""Cloth: colours as people wear them, and the patterns printed, woven or knitted into it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from garments.garment import Random, chance, pick
from garments.noise import Field, plain, planes, tile

SIDE = 256
"""Pixels along a pattern's repeat."""


@dataclass(frozen=True)
class Cloth:
    """A cloth's looks.

    pattern: (3, SIDE, SIDE) colours 0..255, or one, (3, 1, 1); repeat: its size in garment units; bump: strength of the
    weave; gloss: how much folds shine; stiff: 0 crumples finely, 1 bends broadly; fade: how much paler it is worn in
    the middle; alpha: (SIDE, SIDE) 0..1 where it covers, None for everywhere.
    """

    pattern: Field
    repeat: float
    weave: Field
    bump: float
    gloss: float
    stiff: float
    fade: float = 0.0
    alpha: Field | None = None


def colour(rng: Random) -> Field:
    """A cloth's colour, (3,), 0..255: black, navy, grey, white and beige as often as all others."""
    kind = pick(rng, {"dark": 0.24, "navy": 0.11, "grey": 0.12, "white": 0.15, "beige": 0.1, "bright": 0.28})
    hue = rng.random()
    hsv = {
        "dark": (hue, rng.uniform(0.0, 0.35), rng.uniform(0.07, 0.24)),
        "navy": (rng.uniform(0.56, 0.68), rng.uniform(0.35, 0.75), rng.uniform(0.18, 0.5)),
        "grey": (rng.uniform(0.5, 0.7), rng.uniform(0.0, 0.14), rng.uniform(0.35, 0.7)),
        "white": (rng.uniform(0.02, 0.18), rng.uniform(0.0, 0.1), rng.uniform(0.7, 0.92)),
        "beige": (rng.uniform(0.04, 0.13), rng.uniform(0.14, 0.42), rng.uniform(0.45, 0.85)),
        "bright": (hue, rng.uniform(0.25, 0.82), rng.uniform(0.3, 0.9)),
    }[kind]
    return np.asarray(colorsys.hsv_to_rgb(*hsv), np.float32) * 255


def beside(rng: Random, base: Field) -> Field:
    """A colour that goes with another: a shade of it, or any other."""
    if chance(rng, 0.35):
        return np.clip(base * rng.uniform(0.5, 1.5) + rng.uniform(-30, 30), 0, 255).astype(np.float32)
    return colour(rng)


def _stripes(rng: Random, image: Image.Image, colours: list[Field], across: bool) -> None:
    draw = ImageDraw.Draw(image, "RGBA")
    count = int(rng.choice([1, 1, 2, 2, 4]))
    period = SIDE / count
    bands = [(rng.uniform(0.05, 0.95) ** 1.3, colours[i % len(colours)]) for i in range(int(rng.integers(1, 4)))]
    opacity = 140 if across else 255
    for repeat in range(count):
        for start, band in bands:
            at = (repeat + start) * period
            width = period * float(rng.uniform(0.05, 0.3)) if len(bands) > 1 else period * 0.45
            fill = (*(int(c) for c in band), opacity)
            draw.rectangle([0, at, SIDE, at + width], fill=fill)
            if across:
                draw.rectangle([at, 0, at + width, SIDE], fill=fill)


def _motifs(rng: Random, image: Image.Image, colours: list[Field], kind: str) -> None:
    """Dots in rows, or flowers, leaves and splashes strewn at random; each is drawn again across the seam."""
    draw = ImageDraw.Draw(image)
    count = int(rng.choice([4, 9, 16, 25])) if kind == "dots" else int(rng.integers(8, 46))
    across = round(count**0.5)
    size = SIDE / across * (rng.uniform(0.12, 0.34) if kind == "dots" else rng.uniform(0.2, 0.5))
    for i in range(count):
        if kind == "dots":
            x, y = ((i % across) + 0.5 * (i // across % 2)) * SIDE / across, (i // across + 0.25) * SIDE / across
            radius = size
        else:
            x, y = rng.uniform(0, SIDE, 2)
            radius = size * rng.uniform(0.4, 1.2)
        fill = tuple(int(c) for c in colours[i % len(colours) if kind != "dots" else 0])
        heart = tuple(int(c) for c in colours[(i + 1) % len(colours)])
        turn = rng.uniform(0, 6.28)
        petals = int(rng.integers(4, 8))
        for dx in (-SIDE, 0, SIDE):
            for dy in (-SIDE, 0, SIDE):
                cx, cy = x + dx, y + dy
                if not (-radius * 2 < cx < SIDE + radius * 2 and -radius * 2 < cy < SIDE + radius * 2):
                    continue
                if kind == "flowers":
                    for petal in range(petals):
                        a = turn + petal * 6.283 / petals
                        px, py, r = cx + radius * 0.6 * np.cos(a), cy + radius * 0.6 * np.sin(a), radius * 0.45
                        draw.ellipse([px - r, py - r, px + r, py + r], fill=fill)
                    draw.ellipse([cx - radius / 3, cy - radius / 3, cx + radius / 3, cy + radius / 3], fill=heart)
                elif kind == "leaves":
                    tips = ((turn, 1.4), (turn + 0.4, 0.6), (turn + 3.14, 1.2), (turn - 0.4, 0.6))
                    draw.polygon(
                        [(cx + radius * far * np.cos(a), cy + radius * far * np.sin(a)) for a, far in tips], fill=fill
                    )
                else:
                    draw.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], fill=fill)


def _blotches(rng: Random, base: Field, colours: list[Field]) -> Field:
    """Camouflage, leopard, marble: thresholded noise."""
    pattern = plain(base)
    cells = int(rng.choice([4, 8, 16]))
    stretch = int(rng.choice([1, 1, 2, 4]))
    for ink in colours:
        level = tile(rng, SIDE, cells, stretch) + 0.4 * tile(rng, SIDE, cells * 2, stretch)
        pattern = np.where(level > rng.uniform(0.2, 0.9), plain(ink), pattern)
    return pattern


def _denim(rng: Random) -> Field:
    hue = rng.uniform(0.56, 0.64)
    value = rng.uniform(0.16, 0.72)
    base = 255 * np.asarray(colorsys.hsv_to_rgb(hue, rng.uniform(0.2, 0.6), value), np.float32)
    fade = 0.25 * tile(rng, SIDE, 4) + 0.25 * tile(rng, SIDE, 8) + 0.35 * tile(rng, SIDE, 128, 2)
    dyed: Field = plain(base) + np.float32(rng.uniform(6, 16)) * fade
    return dyed.clip(0, 255)


@cache
def _weave(number: int) -> Field:
    """One of a few kinds of fine grain, the same in every process."""
    rng = np.random.default_rng(number)
    return tile(rng, SIDE, 128) + np.float32(0.2 * number) * tile(rng, SIDE, 64)


def cloth(rng: Random, sober: bool = False, denim: float = 0.0, leather: float = 0.0) -> Cloth:
    """A cloth; sober forbids prints; denim and leather are the shares of these two."""
    base = colour(rng)
    weave = _weave(int(rng.integers(0, 6)))
    bump, gloss, stiff = min(rng.lognormal(1.1, 0.6), 14.0), rng.uniform(0, 0.25), rng.uniform(0, 1)
    repeat = rng.uniform(0.5, 1.6)
    roll = rng.random()
    if roll < denim:
        worn = rng.uniform(20, 70) if chance(rng, 0.6) else 0.0
        return Cloth(_denim(rng), rng.uniform(1.2, 2.2), weave, rng.uniform(3, 7), 0.1, rng.uniform(0.3, 0.9), worn)
    if roll < denim + leather:
        return Cloth(plain(base * np.float32(0.8)), 1.0, weave, 1.5, rng.uniform(0.8, 1.6), rng.uniform(0.3, 0.8))
    shares = {"plain": 0.4, "melange": 0.12, "knit": 0.08, "stripes": 0.08, "checks": 0.08, "dots": 0.04}
    shares.update({"flowers": 0.09, "leaves": 0.05, "blotches": 0.08})
    kind = pick(rng, {"plain": 0.75, "melange": 0.15, "knit": 0.1} if sober else shares)
    inks = [beside(rng, base) for _ in range(int(rng.integers(1, 5)))]
    pattern = plain(base)
    if kind == "melange":
        grain = tile(rng, SIDE, 128) + 0.5 * tile(rng, SIDE, 32, 4)
        pattern = np.clip(pattern + rng.uniform(8, 28) * grain, 0, 255)
    elif kind == "knit":
        ribs = int(rng.choice([8, 16, 24]))
        wave = np.sin(np.arange(SIDE) * 2 * np.pi * ribs / SIDE)
        weave = (1.6 * wave[None, :] + 0.6 * weave).astype(np.float32)
        bump, repeat = rng.uniform(4, 11), rng.uniform(0.6, 1.2)
    elif kind == "blotches":
        pattern = _blotches(rng, base, inks)
    elif kind in ("stripes", "checks", "dots", "flowers", "leaves"):
        image = Image.new("RGB", (SIDE, SIDE), tuple(int(c) for c in base))
        if kind in ("stripes", "checks"):
            _stripes(rng, image, inks, kind == "checks")
            if kind == "stripes" and chance(rng, 0.3):
                image = image.transpose(Image.Transpose.ROTATE_90)
            repeat = rng.uniform(0.3, 1.5)
        else:
            _motifs(rng, image, inks, kind)
        pattern = planes(image)
    return Cloth(pattern, repeat, weave, bump, gloss, stiff)
