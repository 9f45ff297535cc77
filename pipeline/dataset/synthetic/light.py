"""What light and the camera do: uneven brightness, its colour, vignette, blur and noise."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.dataset.synthetic.garment import Random, chance
from pipeline.dataset.synthetic.noise import Field, each_channel, smooth, soften

HEADROOM = 1.6
"""Times the brightest value of a picture that a scene may reach before it is plain white."""


def _roll_off(value: float) -> int:
    """Highlights are compressed above 195, so that folds in white cloth do not vanish."""
    over = max(value * HEADROOM - 195, 0)
    return min(255, round(value * HEADROOM - over * over / (over + 65)))


ROLL_OFF = [_roll_off(value) for value in range(256)]
"""From a scene's brightness divided by HEADROOM to a picture's."""


def illumination(rng: Random, height: int, width: int) -> Field:
    """Brightness of the light across the picture, (height, width): a gradient, a pool of light, soft shadows."""
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
    return np.asarray(1 + field, np.float32)


def photograph(rng: Random, scene: Field) -> Image.Image:
    """Expose a scene of 0..255, which is used up: exposure, white balance, contrast, lens blur, sensor noise."""
    warmth, tint, contrast = rng.normal(0.02, 0.045), rng.normal(0, 0.015), rng.uniform(0.95, 1.35)
    # Like a phone, go most of the way to a middling brightness.
    gain = (rng.normal(132, 16) / max(float(scene[::4, ::4].mean()), 20.0)) ** rng.uniform(0.5, 0.9)
    balance = np.array([1 + warmth, 1 + tint, 1 - warmth]) * gain
    exposed = scene
    for channel, factor in enumerate((balance * contrast).astype(np.float32)):
        exposed[..., channel] *= factor
    exposed += np.float32((rng.uniform(-4, 10) - 120) * contrast + 120)
    noise = rng.standard_normal(scene.shape[:2], dtype=np.float32) * np.float32(abs(rng.normal(0, 3.0)))
    each_channel(np.add, exposed, noise)
    exposed *= np.float32(1 / HEADROOM)
    picture = Image.fromarray(np.clip(exposed, 0, 255, out=exposed).astype(np.uint8)).point(ROLL_OFF * 3)
    blur = abs(rng.normal(0, 0.36))
    return soften(picture, blur) if blur > 0.3 else picture
