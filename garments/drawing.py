"""Draw one picture of the set, the same for the same seed and index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from garments.bottoms import skirt, trousers
from garments.camera import illuminate, photograph, place
from garments.canvas import Canvas
from garments.cloth import wardrobe
from garments.curves import points, shift, spline
from garments.garment import SIDES, Garment, Random, chance
from garments.ground import ground
from garments.tops import blouse, dress, outwear
from seamline_client.keypoints import GARMENTS

TAILORS = {"blouse": blouse, "outwear": outwear, "dress": dress, "skirt": skirt, "trousers": trousers}
_FORMATS = (*6 * [(400, 533)], (400, 711), (400, 400), (533, 400))
"""Width and height of pictures in pixels, as phones take them."""


@dataclass(frozen=True)
class Drawn:
    """A picture and the truth about it.

    image: RGB. points: (24, 2) float32, x and y in pixels in continuous coordinates (pixel centres at +0.5).
    v: (24,) int8, 1 visible, 0 occluded, -1 absent; where it is -1, points are -1.
    """

    image: Image.Image
    category: str
    points: npt.NDArray[np.float32]
    v: npt.NDArray[np.int8]


def draw(seed: int, index: int) -> Drawn:
    """Picture number index of the set that seed names. Categories take turns."""
    rng: Random = np.random.default_rng([seed, index])
    category = GARMENTS.category_names[index % len(GARMENTS.categories)]
    garment = TAILORS[category](rng)
    hung = chance(rng, 0.35)
    width, height = _FORMATS[int(rng.integers(0, len(_FORMATS)))]
    placing = place(rng, garment, width, height, hung)
    if hung:
        _hang(rng, garment)
    if chance(rng, 0.08):
        _lay_over(rng, garment)
    field = ground(rng, height, width, hung)
    sober = category in ("outwear", "trousers") and chance(rng, 0.6)
    canvas = Canvas(rng, field, garment, placing, wardrobe(rng, sober))
    for panel in garment.panels:
        canvas.lay(panel)
    illuminate(rng, field)
    xy = np.full((len(GARMENTS), 2), -1, np.float32)
    v = np.full(len(GARMENTS), -1, np.int8)
    for name, (x, y, seen) in garment.points.items():
        at = placing(points((x, y)))[0]
        if 0 <= at[0] < width and 0 <= at[1] < height:
            xy[GARMENTS.index[name]], v[GARMENTS.index[name]] = at, seen
    return Drawn(photograph(rng, field), category, xy, v)


def _hang(rng: Random, garment: Garment) -> None:
    """Put a hanger behind a garment."""
    bottom = garment.category in ("skirt", "trousers")
    left, right = (np.array(garment.points[f"{'waistband' if bottom else 'shoulder'}_{side}"][:2]) for side in SIDES)
    y = min(left[1], right[1]) - rng.uniform(0.05, 0.2) if bottom else rng.uniform(-0.1, 0.12)
    low = [(end[0], y) if bottom else shift(end * 0.9, 0, 0.06) for end in (left, right)]
    top = y - rng.uniform(0.35, 0.6)
    hook = spline([(0, y), (0, y - 0.15), (0.1, top + 0.1), (0.02, top), (-0.1, top + 0.06)])
    bar, thick = spline([low[0], (0, y), low[1]]), rng.uniform(0.02, 0.07)
    hanger = Garment("hanger")
    hanger.band(shift(bar, 0, thick), shift(bar, 0, -thick), "hanger")
    hanger.band(shift(hook, 0.02, 0), shift(hook, -0.02, 0), "hanger")
    garment.panels[:0] = hanger.panels


def _lay_over(rng: Random, garment: Garment) -> None:
    """Another piece of cloth over a corner of the garment: what it covers is occluded."""
    cut = np.vstack([panel.outline for panel in garment.panels])
    low, high = cut.min(axis=0), cut.max(axis=0)
    corner = np.where(rng.random(2) < 0.5, low, high)
    inwards = np.sign((low + high) / 2 - corner)
    far, (x, y) = corner - inwards * 3, corner + inwards * rng.uniform(3.5, 5.0, 2)
    outline = points(far, (x, far[1]), (far[0], y))
    garment.sew(outline, "second", lift=1.0)
    for name in garment.points:
        garment.cover(name, outline)
