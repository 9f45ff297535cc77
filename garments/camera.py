"""Photographing: where a garment is in the picture, and what light, exposure and noise do to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from garments.curves import Array
from garments.garment import Garment, Random, chance
from garments.noise import Field, resize, smooth, static


@dataclass(frozen=True)
class Placing:
    """A map of the plane. Outlines and keypoints go through the same one, so that points stay on the garment."""

    waves: Array
    """(k, 5): frequency x, frequency y, phase, amplitude x, amplitude y: the slight distortion of soft cloth."""
    matrix: Array
    """(3, 3) homography from garment units to pixels."""
    scale: float = 1.0
    """Pixels to a garment unit, about."""

    def __call__(self, xy: Array) -> Array:
        """(n, 2) garment units to (n, 2) pixels."""
        # Not matrix products: those wake the threads of BLAS, which cost more than they bring here.
        sines = np.sin(np.einsum("ni,ki->nk", xy, self.waves[:, :2]) + self.waves[:, 2])
        bent = xy + np.einsum("nk,ki->ni", sines, self.waves[:, 3:5])
        h = np.einsum("ni,ki->nk", bent, self.matrix[:, :2]) + self.matrix[:, 2]
        return np.asarray(h[:, :2] / h[:, 2:])

    def inverse(self, height: int, width: int) -> tuple[Field, Field]:
        """Each pixel's place in the garment, (height, width) each, but for the waves that only outlines follow."""
        r, s, t = self.matrix
        # The inverse but for a factor, which the division takes out; inv() would wake the threads of LAPACK.
        inverse = np.stack([np.cross(s, t), np.cross(t, r), np.cross(r, s)], axis=1).astype(np.float32)
        x = np.arange(0.5, width, dtype=np.float32)[None, :]
        y = np.arange(0.5, height, dtype=np.float32)[:, None]
        a, b, w = (row[0] * x + row[1] * y + row[2] for row in inverse)
        return np.asarray(a / w, np.float32), np.asarray(b / w, np.float32)


def place(rng: Random, garment: Garment, width: int, height: int, hung: bool) -> Placing:
    """Fit a garment into a picture as people do: most of it filled, nearly upright, seldom cut off, and never so that
    fewer than half of its keypoints are in the picture."""
    outline = np.vstack([panel.outline for panel in garment.panels])
    marks = np.array([(x, y) for x, y, _ in garment.points.values()])
    while True:
        placing = _fit(rng, outline, width, height, hung)
        at = placing(marks)
        if ((at >= 0) & (at < (width, height))).all(axis=1).mean() >= 0.5:
            return placing


def _fit(rng: Random, outline: Array, width: int, height: int, hung: bool) -> Placing:
    low, high = outline.min(axis=0), outline.max(axis=0)
    waves = np.hstack([rng.normal(0, 1.3, (4, 2)), rng.uniform(0, 2 * np.pi, (4, 1)), rng.normal(0, 0.01, (4, 2))])
    angle = rng.uniform(-0.6, 0.6) if not hung and chance(rng, 0.04) else rng.normal(0, 0.03 if hung else 0.09)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    slant = np.diag([rng.uniform(0.92, 1.08), 1.0, 1.0])
    slant[2, :2] = (rng.normal(0, 0.04, 2) - (0, 0 if hung else rng.uniform(0.0, 0.14))) / max(high - low)
    first = Placing(waves, turn @ slant @ _scaled(1, -(low + high) / 2))
    seen = first(outline)
    low, span = seen.min(axis=0), np.ptp(seen, axis=0)
    fill = rng.uniform(0.8, 0.98) if chance(rng, 0.82) else rng.uniform(0.55, 1.12)
    scale = float(fill * min(width / span[0], height / span[1]))
    room = np.array([width, height]) - scale * span
    at = np.abs(room) * np.clip(rng.normal(0.5, (0.13, 0.09)), 0.02, 0.98) + np.minimum(room, 0)
    return Placing(waves, _scaled(scale, at - scale * low) @ first.matrix, scale)


def _scaled(scale: float, shift: Array) -> Array:
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1.0]])


def illuminate(rng: Random, scene: Field) -> None:
    """Brighten one side of a scene (3, height, width) and darken others, in place."""
    height, width = scene.shape[1:]
    rows, columns = height // 4, width // 4  # none of it is sharp
    y, x = np.linspace(-1, 1, rows, dtype=np.float32)[:, None], np.linspace(-1, 1, columns, dtype=np.float32)[None]
    angle, (cx, cy) = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5, 2)
    light = 1 + rng.uniform(0, 0.22) * (np.cos(angle) * x + np.sin(angle) * y)
    light += rng.uniform(0, 0.07) * smooth(rng, rows, columns, 3)
    light -= rng.uniform(0, 0.13) * ((x - cx) ** 2 + (y - cy) ** 2)
    scene *= resize(light, height, width)


def photograph(rng: Random, scene: Field) -> Image.Image:
    """Expose a scene (3, height, width) of 0..255, which is used up: exposure, white balance, contrast, noise."""
    # Like a phone, go most of the way to a middling brightness.
    gain = (rng.normal(132, 16) / max(float(scene[:, ::4, ::4].mean()), 20.0)) ** rng.uniform(0.5, 0.9)
    warmth, contrast = rng.normal(0.02, 0.045), rng.uniform(0.95, 1.35)
    scene *= (np.array([1 + warmth, 1, 1 - warmth]) * gain * contrast).astype(np.float32)[:, None, None]
    noise = static(rng, *scene.shape[1:]) * np.float32(abs(rng.normal(0, 3.0)))
    scene += noise + np.float32((rng.uniform(-4, 10) - 120) * contrast + 120)
    # Highlights are compressed, so that folds in white cloth do not vanish.
    over = np.maximum(scene - 195, 0)
    scene -= over * over / (over + 65)
    planes = np.clip(scene, 0, 255, out=scene).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(plane) for plane in planes])
