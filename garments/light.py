"""What light and the camera do: uneven brightness, its colour, vignette, blur and noise."""

from __future__ import annotations

import numpy as np
from PIL import Image

from garments.garment import Random, chance
from garments.noise import Field, resize, smooth, static

HEADROOM = 1.6
"""Times the brightest value of a picture that a scene may reach before it is plain white."""


def _roll_off(value: float) -> int:
    """Highlights are compressed above 195, so that folds in white cloth do not vanish."""
    over = max(value * HEADROOM - 195, 0)
    return min(255, round(value * HEADROOM - over * over / (over + 65)))


ROLL_OFF = [_roll_off(value) for value in range(256)]
"""From a scene's brightness divided by HEADROOM to a picture's."""


def illumination(rng: Random, height: int, width: int) -> Field:
    """Brightness of the light across the picture, (height, width): a gradient, a pool of light, soft shadows.

    None of it is sharp: a quarter of the resolution is enough.
    """
    rows, columns = height // 4, width // 4
    y, x = np.linspace(-1, 1, rows, dtype=np.float32)[:, None], np.linspace(-1, 1, columns, dtype=np.float32)[None]
    angle = rng.uniform(0, 2 * np.pi)
    field = rng.uniform(0, 0.22) * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 0.07) * smooth(
        rng, rows, columns, 3
    )
    cx, cy = rng.uniform(-0.5, 0.5, 2)
    field = field - rng.uniform(0, 0.13) * ((x - cx) ** 2 + (y - cy) ** 2)
    if chance(rng, 0.12):  # the shadow of whoever holds the phone
        edge = rng.uniform(0.1, 0.9) - (rng.normal(0, 0.3) * x + y)
        field = field - rng.uniform(0.1, 0.3) / (1 + np.exp(np.clip(edge * rng.uniform(8, 40), -30, 30)))
    return resize(1 + field, height, width)


def photograph(rng: Random, scene: Field) -> Image.Image:
    """Expose a scene (3, height, width) of 0..255, which is used up: lens, exposure, white balance, contrast, noise."""
    warmth, tint, contrast = rng.normal(0.02, 0.045), rng.normal(0, 0.015), rng.uniform(0.95, 1.35)
    # Like a phone, go most of the way to a middling brightness.
    gain = (rng.normal(132, 16) / max(float(scene[:, ::4, ::4].mean()), 20.0)) ** rng.uniform(0.5, 0.9)
    balance = np.array([1 + warmth, 1 + tint, 1 - warmth]) * gain
    blur = abs(rng.normal(0, 0.36))
    if blur > 0.3:
        _defocus(scene, min(blur, 0.9))
    scene *= (balance * contrast / HEADROOM).astype(np.float32)[:, None, None]
    noise = static(rng, *scene.shape[1:]) * np.float32(abs(rng.normal(0, 3.0)) / HEADROOM)
    noise += np.float32(((rng.uniform(-4, 10) - 120) * contrast + 120) / HEADROOM)
    scene += noise
    planes = np.clip(scene, 0, 255, out=scene).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(plane) for plane in planes]).point(ROLL_OFF * 3)


def _defocus(scene: Field, radius: float) -> None:
    """Blurs in place, by about a Gaussian of this standard deviation, which is below a pixel."""
    for plane in scene:
        for lines in (plane, plane.T):
            inner = lines[:, 1:-1]
            spread = lines[:, 2:] + lines[:, :-2]
            spread -= 2 * inner
            spread *= np.float32(radius**2 / 2)
            inner += spread
