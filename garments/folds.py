"""How cloth lies: broad folds, creases and pleats, as height fields."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from garments.camera import Placing
from garments.curves import Array
from garments.garment import Garment, Random
from garments.noise import Field, resize, smooth

_BOW = 9
"""Points along a crease."""


def bows(rng: Random, low: Array, high: Array, shortest: float, longest: float) -> Array:
    """Slightly bent lines that start anywhere between two corners, mostly along one direction: (k, _BOW, 2)."""
    count = int(rng.integers(6, 60))
    angles = rng.uniform(0, np.pi) + rng.normal(0, 0.5, (count, 1))
    long = shortest * (longest / shortest) ** rng.random((count, 1))
    along, bend = long * np.hstack([np.cos(angles), np.sin(angles)]), 0.5 * long * rng.normal(0, 1, (count, 2))
    t = np.linspace(0, 1, _BOW)[None, :, None]
    return np.asarray(rng.uniform(low, high, (count, 2))[:, None] + t * along[:, None] + t * (1 - t) * bend[:, None])


def creases(rng: Random, height: int, width: int, lines: Array) -> Field:
    """Soft ridges and grooves along lines (k, _BOW, 2) of pixels: a height field of about -1..1."""
    image = Image.new("L", (width, height), 128)
    draw = ImageDraw.Draw(image)
    heights = rng.uniform(25, 100, len(lines)) * rng.choice([-1, 1], len(lines))
    for line, most, pixels in zip(lines, heights, rng.integers(1, 4, len(lines)).tolist()):
        for part, height_here in ((line, most / 3), (line[1:-1], most * 2 / 3), (line[3:-3], most)):
            draw.line(part.ravel().tolist(), fill=128 + int(height_here), width=pixels)
    box = ImageFilter.BoxBlur(rng.uniform(0.8, 2.5))
    return (np.asarray(image.filter(box).filter(box), np.float32) - 128) / 120


def relief(rng: Random, garment: Garment, place: Placing, u: Field, v: Field) -> Field:
    """Height in pixels at every pixel (h, w); u and v are the pixels' garment coordinates.

    Half of the resolution is enough for what is soft.
    """
    half, cells = (u.shape[0] // 2, u.shape[1] // 2), max(u.shape) / place.scale
    cut = np.vstack([panel.outline for panel in garment.panels])
    lines = bows(rng, cut.min(axis=0), cut.max(axis=0), 0.1, 0.9)
    lines = place(lines.reshape(-1, 2)).reshape(lines.shape) / 2
    field = smooth(rng, *half, cells * rng.uniform(0.8, 1.6), rng.uniform(0.6, 2.5)) * rng.uniform(0.004, 0.022)
    field += smooth(rng, *half, cells * rng.uniform(3, 7)) * rng.uniform(0.0005, 0.004)
    field = resize(field + creases(rng, *half, lines) * rng.uniform(0.02, 0.07), *u.shape)
    if garment.pleats:
        field = field + _pleats(rng, garment, u, v)
    return np.asarray(field * place.scale, np.float32)


def _pleats(rng: Random, garment: Garment, u: Field, v: Field) -> Field:
    """Folds that fan out from the waist down, in garment units."""
    below = np.clip((v - garment.waist) / 0.8, 0, 1)
    fall = rng.uniform(2.0, 6.0)
    fan = u * fall / np.maximum(v - garment.waist + fall, 0.1)
    phase = fan * garment.pleats * np.pi / 2 + 0.5 * np.sin(fan * 3.1 + rng.uniform(0, 6)) + 0.15 * v
    return np.asarray(np.sin(phase) * below * rng.uniform(0.15, 0.5) / max(garment.pleats, 3.0), np.float32)
