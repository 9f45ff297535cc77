"""From garment units to pixels: pose, slant of the camera, and the slight distortion of soft cloth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from garments.curves import Array
from garments.garment import Garment, Random, chance


@dataclass(frozen=True)
class Placing:
    """A map of the plane. Outlines and keypoints go through the same one, so that points stay on the garment."""

    waves: Array
    """(k, 5): frequency x, frequency y, phase, amplitude x, amplitude y."""
    matrix: Array
    """(3, 3) homography from garment units to pixels."""
    scale: float
    """Pixels to a garment unit, about."""

    def __call__(self, xy: Array) -> Array:
        """(n, 2) garment units to (n, 2) pixels."""
        # Not matrix products: those wake the threads of BLAS, which cost more than they bring here.
        sines = np.sin(np.einsum("ni,ki->nk", xy, self.waves[:, :2]) + self.waves[:, 2])
        bent = xy + np.einsum("nk,ki->ni", sines, self.waves[:, 3:5])
        h = np.einsum("ni,ki->nk", bent, self.matrix[:, :2]) + self.matrix[:, 2]
        return np.asarray(h[:, :2] / h[:, 2:])


def _turn(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def place(rng: Random, garment: Garment, width: int, height: int, hung: bool) -> Placing:
    """Fit a garment into a picture as people do: most of it filled, nearly upright, seldom cut off."""
    outline = np.vstack([panel.outline for panel in garment.panels])
    low, high = outline.min(axis=0), outline.max(axis=0)
    centre = (low + high) / 2
    soft = rng.uniform(0.004, 0.02)
    waves = np.zeros((4, 5))
    waves[:, :2] = rng.normal(0, 1.3, (4, 2))
    waves[:, 2] = rng.uniform(0, 2 * np.pi, 4)
    waves[:, 3:5] = rng.normal(0, soft, (4, 2))
    angle = rng.normal(0, 0.03) if hung else rng.normal(0, 0.09)
    if not hung and chance(rng, 0.04):
        angle = rng.uniform(-0.6, 0.6)
    aspect = np.diag([rng.uniform(0.92, 1.08), 1.0, 1.0])
    slant = np.eye(3)
    size = max(high - low)
    slant[2, 0], slant[2, 1] = rng.normal(0, 0.04, 2) / size
    slant[2, 1] -= rng.uniform(0.0, 0.14) / size if not hung else 0.0
    shift = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1.0]])
    first = Placing(waves, _turn(angle) @ slant @ aspect @ shift, 1.0)
    seen = first(outline)
    low, high = seen.min(axis=0), seen.max(axis=0)
    span = high - low
    fill = rng.uniform(0.8, 0.98) if chance(rng, 0.88) else rng.uniform(0.55, 0.8)
    if chance(rng, 0.07):
        fill = rng.uniform(1.0, 1.12)
    scale = fill * min(width / span[0], height / span[1])
    room = np.array([width, height]) - scale * span
    at = np.abs(room) * np.clip(rng.normal(0.5, (0.13, 0.09)), 0.02, 0.98) + np.minimum(room, 0)
    fit = np.array([[scale, 0, at[0] - scale * low[0]], [0, scale, at[1] - scale * low[1]], [0, 0, 1.0]])
    return Placing(waves, fit @ first.matrix, float(scale))
