"""How cloth lies: broad folds, creases, pleats and quilting, as one height field over the picture."""

from __future__ import annotations

import numpy as np

from garments.curves import BOW, Array, bows
from garments.garment import Garment, Random
from garments.noise import Field, creases, resize, smooth
from garments.placing import Placing


def relief(rng: Random, garment: Garment, place: Placing, u: Field, v: Field, stiff: float, hung: bool) -> Field:
    """Height in pixels at every pixel (h, w); u and v are the pixels' garment coordinates.

    Half of the resolution is enough for what is soft.
    """
    (height, width), unit = (side // 2 for side in u.shape), place.scale
    cells = max(u.shape) / unit
    stretch = rng.uniform(1, 3) if hung else rng.uniform(0.6, 1.6)
    field = smooth(rng, height, width, cells * rng.uniform(0.8, 1.6), stretch) * unit * rng.uniform(0.004, 0.022)
    fine = smooth(rng, height, width, cells * rng.uniform(3, 7), stretch)
    field = field + fine * unit * rng.uniform(0.0005, 0.0045) * (1.3 - stiff)
    lines = _crease_lines(rng, garment, place, stiff, hung)
    field = field + creases(rng, height, width, lines / 2) * unit * rng.uniform(0.015, 0.06)
    field = resize(field, *u.shape)
    if garment.quilt:
        field = field + _quilt(garment, u, v) * (unit * garment.quilt * rng.uniform(0.06, 0.16))
    if garment.pleats:
        field = field + _pleats(rng, garment, u, v) * unit
    return np.asarray(field, np.float32)


def _crease_lines(rng: Random, garment: Garment, place: Placing, stiff: float, hung: bool) -> Array:
    """Creases that run from where the cloth is pulled, and others that lie anywhere but mostly along one direction:
    (n, BOW, 2) pixels."""
    cut = np.vstack([panel.outline for panel in garment.panels])
    low, high = cut.min(axis=0), cut.max(axis=0)
    lay = np.pi / 2 if hung else rng.uniform(0, np.pi)
    starts = [(x, y, rng.uniform(0, 2 * np.pi)) for x, y in garment.stress for _ in range(int(rng.integers(1, 4)))]
    for _ in range(int(rng.integers(6, 70) * (1.4 - stiff))):
        starts.append((rng.uniform(low[0], high[0]), rng.uniform(low[1], high[1]), lay + rng.normal(0, 0.5)))
    return place(bows(rng, np.array(starts), 0.1, 0.9).reshape(-1, 2)).reshape(-1, BOW, 2)


def _quilt(garment: Garment, u: Field, v: Field) -> Field:
    """Rows or diamonds of padding between stitched lines: 0 on the lines, up to 1 (2 for diamonds) between them."""
    turn = np.pi / garment.quilt
    rows = np.sqrt(np.abs(np.sin((v + garment.diamonds * u) * turn)))
    if garment.diamonds:
        rows = rows + np.sqrt(np.abs(np.sin((v - garment.diamonds * u) * turn)))
    return np.asarray(rows, np.float32)


def _pleats(rng: Random, garment: Garment, u: Field, v: Field) -> Field:
    """Folds that fan out from the waist down, in garment units."""
    below = np.clip((v - garment.waist) / 0.8, 0, 1)
    apex = garment.waist - rng.uniform(2.0, 6.0)
    fan = u * (garment.waist - apex) / np.maximum(v - apex, 0.1)
    phase = fan * garment.pleats * np.pi / 2 + 0.5 * np.sin(fan * 3.1 + rng.uniform(0, 6)) + 0.15 * v
    wave = np.sin(phase) + 0.4 * np.sin(1.7 * phase + 1.0)
    return np.asarray(wave * below * rng.uniform(0.25, 0.9) / max(garment.pleats, 3.0) * 0.5, np.float32)
