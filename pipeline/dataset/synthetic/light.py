"""What light and the camera do: uneven brightness, its colour, vignette, blur and noise."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.dataset.synthetic.garment import Random, chance
from pipeline.dataset.synthetic.noise import Field, smooth, soften


def illumination(rng: Random, height: int, width: int) -> Field:
    """Brightness of the light across the picture, (height, width, 1): a gradient, a pool of light, soft shadows."""
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    angle = rng.uniform(0, 2 * np.pi)
    field = rng.uniform(0, 0.22) * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 0.07) * smooth(
        rng, height, width, 3
    )
    cx, cy = rng.uniform(-0.5, 0.5, 2)
    field = field - rng.uniform(0, 0.13) * ((x - cx) ** 2 + (y - cy) ** 2)
    if chance(rng, 0.12):  # the shadow of whoever holds the phone
        edge = rng.uniform(0.1, 0.9) - (rng.normal(0, 0.3) * x + y)
        field = field - rng.uniform(0.1, 0.3) / (1 + np.exp(np.clip(edge * rng.uniform(8, 40), -30, 30)))
    return np.asarray(1 + field, np.float32)[..., None]


def photograph(rng: Random, scene: Field) -> Image.Image:
    """Expose a scene of 0..255, which is used up: exposure, white balance, contrast, lens blur, sensor noise."""
    warmth, tint, contrast = rng.normal(0.02, 0.045), rng.normal(0, 0.015), rng.uniform(0.95, 1.35)
    # Like a phone, go most of the way to a middling brightness.
    gain = (rng.normal(132, 16) / max(float(scene[::4, ::4].mean()), 20.0)) ** rng.uniform(0.5, 0.9)
    balance = np.array([1 + warmth, 1 + tint, 1 - warmth]) * gain
    exposed = scene
    exposed *= (balance * contrast).astype(np.float32)
    exposed += np.float32((rng.uniform(-4, 10) - 120) * contrast + 120)
    over = np.maximum(exposed - np.float32(195), 0)
    exposed -= over * over / (over + np.float32(65))  # highlights roll off, towards 260
    blur = abs(rng.normal(0, 0.4))
    noise = rng.standard_normal((*scene.shape[:2], 1), dtype=np.float32)
    if blur > 0.3:
        exposed = np.array(soften(_bytes(exposed), blur), np.float32)
    noise *= np.float32(abs(rng.normal(0, 2.5)))
    exposed += noise
    return _bytes(exposed)


def _bytes(pixels: Field) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))
