"""What light and the camera do: uneven brightness, its colour, vignette, blur and noise."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from pipeline.dataset.synthetic.garment import Random, chance
from pipeline.dataset.synthetic.noise import Field, smooth


def illumination(rng: Random, height: int, width: int) -> Field:
    """Brightness of the light across the picture, (height, width, 1): a gradient, a pool of light, soft shadows."""
    y, x = np.ogrid[-1 : 1 : complex(height), -1 : 1 : complex(width)]
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
    """Expose a scene of 0..255: white balance, contrast, lens blur, sensor noise."""
    height, width = scene.shape[:2]
    warmth = rng.normal(0, 0.05)
    tint = rng.normal(0, 0.015)
    balance = np.array([1 + warmth, 1 + tint, 1 - warmth], np.float32) * rng.uniform(0.9, 1.25)
    scene = scene * balance + rng.uniform(-4, 10)
    contrast = rng.uniform(0.88, 1.15)
    scene = (scene - 120) * contrast + 120
    picture = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))
    blur = abs(rng.normal(0, 0.55))
    if blur > 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(blur))
    level = abs(rng.normal(0, 2.5))
    noise = rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(level)
    return Image.fromarray(np.clip(np.asarray(picture, np.float32) + noise, 0, 255).astype(np.uint8))
