"""What garments lie on or hang before: wood, carpet, sheets, tiles, walls, doors; and what stands at the edges."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from garments.cloth import SIDE, cloth
from garments.curves import Array, bows
from garments.garment import Random, chance, pick
from garments.noise import Field, creases, plain, resize, sample, slope, smooth, static


def _hsv(hue: float, saturation: float, value: float) -> Field:
    return 255 * np.asarray(colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1)), np.float32)


def _coordinates(rng: Random, height: int, width: int, turn: float) -> tuple[Field, Field]:
    """Plane coordinates of each pixel, seen at a slant and turned: u and v, about 1 across the picture's height."""
    y, x = (np.arange(side, dtype=np.float32) / height - np.float32(0.5) for side in (height, width))
    nearness = 1 / (1 + rng.uniform(-0.25, 0.25) * y)
    x, y = x * nearness[:, None], (y * nearness)[:, None]
    return np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y


def _shade(rng: Random, number: Field) -> Field:
    """How much lighter than others the board or tile of this whole number is, of unit variance."""
    return rng.standard_normal(64, dtype=np.float32).take(number.astype(np.int32) & 63)


def wood(rng: Random, height: int, width: int) -> Field:
    """Floor boards or parquet: strips of slightly different colour with grain along them."""
    base = _hsv(rng.uniform(0.04, 0.11), rng.uniform(0.1, 0.65), rng.uniform(0.25, 0.85))
    turn = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.08)
    u, v = _coordinates(rng, height, width, turn)
    wide, long = rng.uniform(0.05, 0.22), rng.uniform(0.4, 1.5)
    if chance(rng, 0.2):  # parquet in squares
        side = wide * 3
        flip = (np.floor(u / side) + np.floor(v / side)).astype(np.int32) & 1 == 1
        u, v = np.where(flip, v, u), np.where(flip, u, v)
        long = side
    row = np.floor(u / wide)
    along = v / long + row * 0.37
    board = row * 7 + np.floor(along) * 13
    tone = _shade(rng, board)
    grain = smooth(rng, SIDE, SIDE, 90, 14.0) + 0.7 * smooth(rng, SIDE, SIDE, 24, 8.0)
    shift = 60 * tone
    lines = sample(grain, u * 500 + shift, v * 260 + shift)
    gap_u, gap_v = np.abs(u / wide - row - 0.5), np.abs(along - np.floor(along) - 0.5)
    edge = 0.5 - rng.uniform(0.008, 0.02)
    seam = ((gap_u > edge) | (gap_v > 0.5 - 0.004)).astype(np.float32)
    light: Field = 1 + rng.uniform(0.02, 0.1) * tone + rng.uniform(0.02, 0.08) * lines - rng.uniform(0.1, 0.4) * seam
    return plain(base) * light


def carpet(rng: Random, height: int, width: int) -> Field:
    """Pile: strong fine grain, seldom with a pattern."""
    if chance(rng, 0.3):
        field = fabric(rng, height, width)
    else:
        base = _hsv(rng.choice([0.08, 0.1, 0.6, rng.random()]), rng.uniform(0.02, 0.4), rng.uniform(0.2, 0.85))
        field = plain(base)
    grain = static(rng, height, width)
    coarse = smooth(rng, height, width, rng.uniform(60, 180))
    return field * (1 + rng.uniform(0.03, 0.14) * grain + rng.uniform(0.05, 0.16) * coarse)


def fabric(rng: Random, height: int, width: int) -> Field:
    """A patterned blanket or bed cover, flat."""
    stuff = cloth(rng)
    turn = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.15)
    u, v = _coordinates(rng, height, width, turn)
    per = SIDE / rng.uniform(0.12, 0.7)
    return sample(stuff.pattern, u * per + 1000, v * per + 1000)


def _wrinkles(rng: Random, height: int, width: int) -> Array:
    """Where a sheet is creased: curved lines in pixels, mostly along one direction, (n, BOW, 2)."""
    count = int(rng.integers(5, 60))
    angles = rng.uniform(0, np.pi) + rng.normal(0, 0.6, (count, 1))
    starts = np.hstack([rng.uniform(0, 1, (count, 2)) * (width, height), angles])
    return bows(rng, starts, 0.05 * height, 0.5 * height)


def sheet(rng: Random, height: int, width: int) -> Field:
    """A bed sheet or spread: folds, sometimes quilted, plain or patterned."""
    if chance(rng, 0.4):
        field = fabric(rng, height, width)
    else:
        hue, strong = rng.choice([0.0, 0.03, 0.08, 0.12, 0.6, 0.9, 0.93]), chance(rng, 0.35)
        saturation = rng.uniform(0.5, 0.9) if strong else rng.uniform(0.0, 0.3)
        base = _hsv(hue + rng.normal(0, 0.02), saturation, rng.uniform(0.4, 0.8) if strong else rng.uniform(0.6, 0.95))
        field = plain(base)
    half = (height // 2, width // 2)
    folds = smooth(rng, *half, rng.uniform(3, 7), rng.uniform(0.3, 3)) * 8
    relief = resize(folds * 0.6 + rng.uniform(1, 6) * creases(rng, *half, _wrinkles(rng, *half)), height, width)
    if chance(rng, 0.25):
        u, v = _coordinates(rng, height, width, np.pi / 4 + rng.normal(0, 0.2))
        period = rng.uniform(0.1, 0.25)
        u, v = u / period, v / period
        quilt = np.minimum(np.abs(u - np.floor(u) - 0.5), np.abs(v - np.floor(v) - 0.5))
        relief = relief - 3 * np.exp(-((quilt * 12) ** 2))
    light = 1 + rng.uniform(0.1, 0.45) * slope(relief.astype(np.float32), rng.uniform(0, 6.28))
    light += rng.uniform(0.005, 0.02) * static(rng, height, width)
    return field * light


def tiles(rng: Random, height: int, width: int) -> Field:
    """Floor tiles or bricks with joints."""
    brick = chance(rng, 0.3)
    base = _hsv(rng.uniform(0.03, 0.12), rng.uniform(0.02, 0.3), rng.uniform(0.3, 0.9))
    turn = rng.choice([0.0, np.pi / 4]) + rng.normal(0, 0.1) if not brick else rng.normal(0, 0.02)
    u, v = _coordinates(rng, height, width, turn)
    wide = rng.uniform(0.15, 0.22) if brick else rng.uniform(0.2, 0.6)
    high = wide * 0.4 if brick else wide
    u, v = u / wide, v / high + 0.3
    row = np.floor(v)
    u = u + 0.5 * (row.astype(np.int32) & 1).astype(np.float32) if brick else u
    column = np.floor(u)
    gap = np.maximum((np.abs(u - column - 0.5) - 0.5) * wide, (np.abs(v - row - 0.5) - 0.5) * high)
    joint = np.clip(1 + gap / rng.uniform(0.004, 0.012), 0, 1)
    tone = _shade(rng, row * 31 + column)
    clouds = smooth(rng, height, width, 40) + smooth(rng, height, width, 8)
    light: Field = 1 + (0.07 if brick else 0.015) * tone + rng.uniform(0.005, 0.04) * clouds
    light = light + joint * rng.choice([-0.35, -0.2, 0.12])
    return plain(base) * light


def wall(rng: Random, height: int, width: int) -> Field:
    """A painted or papered wall, perhaps with a skirting board and the floor below, or a door's mouldings."""
    value = rng.uniform(0.6, 0.92) if chance(rng, 0.8) else rng.uniform(0.15, 0.6)
    base = _hsv(rng.uniform(0.03, 0.16) if chance(rng, 0.8) else rng.random(), rng.uniform(0.0, 0.25), value)
    light = 1 + rng.uniform(0.0, 0.03) * smooth(rng, height, width, rng.uniform(40, 160))
    light = light + 0.01 * static(rng, height, width)
    field = plain(base) * light
    if chance(rng, 0.3):
        low = int(height * rng.uniform(0.8, 0.98))
        field[:, low:] = wood(rng, height, width)[:, low:]
        field[:, max(0, low - 14) : low] = rng.uniform(100, 235)
    return field


def panelled(rng: Random, height: int, width: int) -> Field:
    """A door or a wardrobe: wood or paint, with upright joints and mouldings."""
    field = wood(rng, height, width) if chance(rng, 0.6) else wall(rng, height, width)
    mask = Image.new("L", (width, height), 128)
    draw = ImageDraw.Draw(mask)
    x = rng.uniform(-0.2, 0.3) * width
    step = rng.uniform(0.35, 0.8) * width
    while x < width:
        draw.line([x, 0, x, height], fill=60, width=int(rng.integers(2, 5)))
        if step > 0.5 * width:
            box = [x + step * 0.15, height * rng.uniform(0.02, 0.2), x + step * 0.85, height * rng.uniform(0.6, 0.98)]
            draw.rectangle(box, outline=95, width=3)
            draw.rectangle([box[0] + 3, box[1] + 3, box[2] - 3, box[3] - 3], outline=150, width=2)
        x += step
    return field * (np.asarray(mask, np.float32) / 128)


def clutter(rng: Random, field: Field) -> None:
    """Things at the edges: a strip of something else, dark furniture, a cable. Changes the picture in place."""
    height, width = field.shape[1:]
    for _ in range(int(rng.integers(1, 3))):
        thick = rng.uniform(0.03, 0.16)
        tone = _hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.05, 0.9))
        edge = int(rng.integers(0, 4))
        slant = rng.normal(0, 0.03)
        y, x = np.ogrid[0:height, 0:width]
        a, b = (x / width, y / height) if edge < 2 else (1 - x / width, 1 - y / height)
        near = a - slant * b if edge % 2 else b - slant * a
        texture = 1 + 0.08 * smooth(rng, height, width, 20)
        np.copyto(field, plain(tone) * texture, where=near < thick)


def ground(rng: Random, height: int, width: int, hung: bool) -> Field:
    """A ground, (3, height, width), about 0..255: walls and doors for most of what hangs, else floors and beds."""
    lying = {"wood": 0.3, "carpet": 0.15, "sheet": 0.35, "tiles": 0.08, "wall": 0.07, "fabric": 0.05}
    hanging = {"wall": 0.65, "panelled": 0.2, "tiles": 0.07, "sheet": 0.03, "fabric": 0.05}
    kind = pick(rng, hanging if hung else lying)
    makers = {"wood": wood, "carpet": carpet, "sheet": sheet, "tiles": tiles, "wall": wall, "fabric": fabric}
    makers["panelled"] = panelled
    field = np.require(makers[kind](rng, height, width), np.float32, ["C", "W"])
    if chance(rng, 0.3):
        clutter(rng, field)
    return field
