"""What comes with a garment in a photo: hangers and clips, prints, tags, and things that lie over it."""

from __future__ import annotations

import numpy as np

from garments.curves import Array, points, shift, spline
from garments.garment import Garment, Panel, Random, Stroke, chance
from garments.sleeves import cover


def _rod(line: Array, half: float, upright: bool = False) -> Panel:
    """A thin thing along a line, lighter in its middle."""
    x, y = (half, 0.0) if upright else (0.0, half)
    outline = np.vstack([shift(line, x, y), shift(line, -x, -y)[::-1]])
    return Panel(outline, "hanger", folds=0.0, lift=0.25, strokes=(Stroke(line, half * 0.7, 0.25),))


def hang(rng: Random, garment: Garment) -> None:
    """Put a hanger behind a garment; skirts and trousers may be held by clips, which hide the waistband's ends."""
    bottom = garment.category in ("skirt", "trousers")
    left, right = (garment.points[f"{'waistband' if bottom else 'shoulder'}_{side}"] for side in ("left", "right"))
    if bottom:
        y = min(left[1], right[1]) - rng.uniform(0.05, 0.2)
        bar = spline([(left[0] * 1.02, y), (right[0] * 1.02, y)])
    else:
        y = rng.uniform(-0.1, 0.12)
        reach = rng.uniform(0.8, 1.0)
        low_left, low_right = (left[0] * reach, left[1] + 0.06), (right[0] * reach, right[1] + 0.06)
        bar = spline([low_left, (left[0] * 0.3, y), (0, y - 0.06), (right[0] * 0.3, y), low_right])
    top = y - rng.uniform(0.35, 0.6)
    hook = spline([(0, y), (0, y - 0.15), (0.1, top + 0.1), (0.02, top), (-0.1, top + 0.06)])
    garment.panels[0:0] = [_rod(bar, rng.uniform(0.02, 0.07)), _rod(hook, 0.02, upright=True)]
    if bottom and chance(rng, 0.3):
        for side, end in (("left", left), ("right", right)):
            x, w, h = end[0] * rng.uniform(0.84, 1.0), rng.uniform(0.04, 0.1), rng.uniform(0.1, 0.22)
            clip = points((x - w, y), (x + w, y), (x + w, end[1] + h), (x - w, end[1] + h))
            garment.panels.append(Panel(clip, "hanger", lift=0.4, folds=0.0))
            cover(garment, f"waistband_{side}", clip)


def front_print(rng: Random, top: float, bottom: float) -> Panel:
    """A picture or lettering on a chest between two heights, large in the middle or small at one side."""
    small = chance(rng, 0.3)
    half = rng.uniform(0.06, 0.16) if small else rng.uniform(0.3, 0.62)
    x = rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 0.55) if small else rng.normal(0, 0.02)
    y = top + (rng.uniform(0.2, 0.5) if small else rng.uniform(0.08, 0.4))
    y = min(y, max(top, bottom - 2 * half))
    box = points((x - half, y), (x + half, y), (x + half, y + 2 * half), (x - half, y + 2 * half))
    return Panel(box, "print", anchor=(float(x - half), float(y)))


def tag(rng: Random, garment: Garment) -> None:
    """A price tag that hangs somewhere on the front."""
    largest = max((panel.outline for panel in garment.panels), key=lambda cut: float(np.prod(np.ptp(cut, axis=0))))
    x, y = largest.mean(axis=0) + rng.normal(0, 0.2, 2)
    w, h = rng.uniform(0.08, 0.16), rng.uniform(0.14, 0.3)
    tilt = rng.normal(0, 0.15)
    outline = points((x - w, y), (x + w, y + tilt * w), (x + w - tilt * h, y + h), (x - w - tilt * h, y + h))
    lines = tuple(
        Stroke(points((x - w * 0.6, y + h * f), (x + w * 0.5, y + h * f)), 0.02, -0.4) for f in (0.3, 0.5, 0.7)
    )
    garment.panels.append(Panel(outline, "label", lift=0.5, folds=0.1, strokes=lines))


def lay_over(rng: Random, garment: Garment) -> None:
    """Another piece of cloth over a corner of the garment: what it covers is occluded."""
    cut = np.vstack([panel.outline for panel in garment.panels])
    low, high = cut.min(axis=0), cut.max(axis=0)
    corner = np.where(rng.random(2) < 0.5, low, high)
    inwards = np.sign((low + high) / 2 - corner)
    a = corner + inwards * rng.uniform(0.05, 0.5, 2)
    along = rng.uniform(0.4, 1.2, 2)
    b, c = a + inwards * (along[0], -3 * along[1]), a + inwards * (-3 * along[0], along[1])
    far = corner - inwards * 3
    outline = np.vstack([spline([c, a, b]), (b[0], far[1]), far, (far[0], c[1])])
    garment.panels.append(Panel(outline, "other", lift=1.0))
    for name in list(garment.points):
        cover(garment, name, outline)
