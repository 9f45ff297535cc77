"""Choose the cloths that one garment is made of, and those of the things around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from garments.cloth import SIDE, Cloth, beside, cloth, colour
from garments.garment import Random, chance, pick
from garments.noise import plain, planes, tile

HANGERS = ((25, 25, 28), (235, 235, 235), (170, 125, 75), (150, 155, 165))
"""Plastic, wood and wire."""


def _uniform(stuff: Cloth, rgb: tuple[int, int, int]) -> Cloth:
    """The same cloth in one colour, without a pattern."""
    return replace(stuff, pattern=plain(np.asarray(rgb, np.float32)), fade=0.0)


def wardrobe(rng: Random, category: str, needed: set[str]) -> dict[str, Cloth]:
    """Cloths by the names that panels use; those of needed, and the main one."""
    denim = {"trousers": 0.3, "skirt": 0.2, "outwear": 0.12}.get(category, 0.02)
    leather = {"outwear": 0.1, "skirt": 0.06}.get(category, 0.0)
    sober = category in ("outwear", "trousers") and chance(rng, 0.6)
    main = cloth(rng, sober=sober, denim=denim, leather=leather)
    paper = (25, 25, 25) if chance(rng, 0.4) else (235, 232, 228)
    trimmed = chance(rng, 0.3)
    cloths = {
        "main": main,
        "trim": main,
        "lining": main,
        "label": _uniform(main, paper),
        "hanger": replace(_uniform(main, HANGERS[int(rng.integers(0, 4))]), bump=1.0),
    }
    if "second" in needed or (trimmed and "trim" in needed):
        cloths["second"] = cloth(rng, sober=chance(rng, 0.7))
        cloths["trim"] = cloths["second"] if trimmed else main
    if "lining" in needed and chance(rng, 0.45):
        cloths["lining"] = cloth(rng, sober=chance(rng, 0.8))
    if "other" in needed:
        cloths["other"] = cloth(rng)
    if "print" in needed:
        cloths["print"] = _print(rng, main)
    return cloths


def _print(rng: Random, ground: Cloth) -> Cloth:
    """A picture or lettering to be put on a cloth once, transparent where nothing is printed."""
    inks = [beside(rng, ground.pattern[:, 0, 0]), colour(rng), colour(rng)]
    image = Image.new("RGBA", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    fills = [(*(int(c) for c in ink), 255) for ink in inks]
    kind = pick(rng, {"letters": 0.4, "shape": 0.3, "picture": 0.15, "both": 0.15})
    if kind == "picture":
        low, high = int(rng.integers(10, 50)), int(rng.integers(200, 240))
        level = tile(rng, SIDE, 8) + 0.5 * tile(rng, SIDE, 32)
        scene = np.where(level[..., None] > 0, inks[0], inks[1]) + 25 * tile(rng, SIDE, 64)[..., None]
        image.paste(Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8)).crop((0, 0, 216, high - low)), (20, low))
    if kind in ("shape", "both"):
        count = int(rng.integers(5, 12))
        radius = rng.uniform(30, 105, count) * (1 if kind == "shape" else 0.6)
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
        corners = [*zip(128 + radius * np.cos(turn), 128 + radius * np.sin(turn))]
        draw.polygon(corners, fill=fills[0])
        for _ in range(int(rng.integers(0, 6))):
            x, y, r = rng.uniform(60, 190), rng.uniform(60, 190), rng.uniform(5, 34)
            draw.ellipse([x - r, y - r, x + r, y + r], fill=fills[int(rng.integers(0, 3))])
    if kind in ("letters", "both"):
        rows = int(rng.integers(1, 4))
        y = rng.uniform(10, 60)
        for _ in range(rows):
            word = "".join(rng.choice([*"AABCDEEFGHIKLMNOPRSTUVYZ019"], int(rng.integers(3, 9))))
            size = float(np.clip(340 / len(word), 30, 84))
            draw.text((18 + rng.uniform(0, 12), y), word, fill=fills[0], font=ImageFont.load_default(size))
            y += size * 1.05
    pixels = planes(image)
    worn = rng.uniform(0.75, 1.0)
    return replace(ground, pattern=pixels[:3], alpha=pixels[3] / 255 * np.float32(worn), fade=0.0)
