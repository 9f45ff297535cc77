"""What garments lie on or hang before: wood, carpet, sheets, walls."""

from __future__ import annotations

import numpy as np

from garments.cloth import SIDE, cloth, hsv
from garments.folds import bows, creases
from garments.garment import Random, chance, pick
from garments.noise import Field, resize, sample, slope, smooth, static


def _coordinates(rng: Random, height: int, width: int, turn: float) -> tuple[Field, Field]:
    """Plane coordinates of each pixel, seen at a slant and turned: u and v, about 1 across the picture's height."""
    y, x = (np.arange(side, dtype=np.float32) / height - np.float32(0.5) for side in (height, width))
    nearness = 1 / (1 + rng.uniform(-0.25, 0.25) * y)
    x, y = x * nearness[:, None], (y * nearness)[:, None]
    return np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y


def _wood(rng: Random, height: int, width: int) -> Field:
    """Floor boards: strips of slightly different colour with grain along them."""
    u, v = _coordinates(rng, height, width, float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.08))
    across, down = u / rng.uniform(0.05, 0.22), v / rng.uniform(0.4, 1.5)
    row = np.floor(across)
    down += row * 0.37
    board = (row * 7 + np.floor(down) * 13).astype(np.int32)
    tone = rng.standard_normal(64, dtype=np.float32).take(board & 63)
    grain = sample(smooth(rng, SIDE, SIDE, 90, 14.0), u * 500 + 60 * tone, v * 260 + 60 * tone)
    seam = ((across - row > 0.97) | (down - np.floor(down) > 0.992)).astype(np.float32)
    light = 1 + rng.uniform(0.02, 0.1) * tone + rng.uniform(0.02, 0.1) * grain - rng.uniform(0.1, 0.4) * seam
    return np.asarray(hsv(rng.uniform(0.04, 0.11), rng.uniform(0.1, 0.65), rng.uniform(0.25, 0.85)) * light)


def _carpet(rng: Random, height: int, width: int) -> Field:
    """Pile: strong fine grain."""
    light = 1 + rng.uniform(0.03, 0.14) * static(rng, height, width)
    light += rng.uniform(0.05, 0.16) * smooth(rng, height, width, rng.uniform(60, 180))
    return hsv(rng.random(), rng.uniform(0.02, 0.4), rng.uniform(0.2, 0.85)) * light


def _sheet(rng: Random, height: int, width: int) -> Field:
    """A bed sheet or spread, plain or patterned, with creases."""
    field = hsv(rng.random(), rng.uniform(0.0, 0.3), rng.uniform(0.6, 0.95))
    if chance(rng, 0.4):
        u, v = _coordinates(rng, height, width, rng.normal(0, 0.15))
        per = SIDE / rng.uniform(0.12, 0.7)
        field = sample(cloth(rng).pattern, u * per, v * per)
    half = height // 2, width // 2
    lines = bows(rng, np.zeros(2), np.array(half[::-1]), 0.05 * half[0], 0.5 * half[0])
    relief = smooth(rng, *half, rng.uniform(3, 7), rng.uniform(0.3, 3)) * 5
    relief += rng.uniform(1, 6) * creases(rng, *half, lines)
    light = 1 + rng.uniform(0.1, 0.45) * slope(resize(relief, height, width), rng.uniform(0, 6.28))
    return np.asarray(field * light)


def _wall(rng: Random, height: int, width: int) -> Field:
    """A painted wall, perhaps with a skirting board and the floor below."""
    light = 1 + rng.uniform(0.0, 0.03) * smooth(rng, height, width, rng.uniform(40, 160))
    value = rng.uniform(0.6, 0.92) if chance(rng, 0.8) else rng.uniform(0.15, 0.6)
    field = hsv(rng.uniform(0.03, 0.16) if chance(rng, 0.8) else rng.random(), rng.uniform(0.0, 0.25), value) * light
    if chance(rng, 0.3):
        low = int(height * rng.uniform(0.8, 0.98))
        field[:, low:] = _wood(rng, height, width)[:, low:]
        field[:, max(0, low - 14) : low] = rng.uniform(100, 235)
    return field


_MAKERS = {"wood": _wood, "carpet": _carpet, "sheet": _sheet, "wall": _wall}
_LYING = {"wood": 0.35, "carpet": 0.25, "sheet": 0.4}
_HANGING = {"wall": 0.75, "wood": 0.2, "sheet": 0.05}


def ground(rng: Random, height: int, width: int, hung: bool) -> Field:
    """A ground, (3, height, width), about 0..255: walls for most of what hangs, else floors and beds."""
    maker = _MAKERS[pick(rng, _HANGING if hung else _LYING)]
    return np.require(maker(rng, height, width), np.float32, ["C", "W"])
