"""Draw one picture of the set, the same for the same seed and index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from garments.bottoms import skirt, trousers
from garments.canvas import Canvas
from garments.garment import Garment, Random, chance
from garments.ground import ground
from garments.light import illumination, photograph
from garments.outwear import outwear
from garments.placing import Placing, place
from garments.props import hang, lay_over, tag
from garments.tops import blouse, dress
from garments.wardrobe import wardrobe
from seamline_client.keypoints import CATEGORIES, INDEX, KEYPOINTS

TAILORS = {"blouse": blouse, "outwear": outwear, "dress": dress, "skirt": skirt, "trousers": trousers}

UPRIGHT = (*5 * [(400, 533)], (400, 711), (400, 400))
"""Width and height of pictures in pixels, as phones take them."""
LYING = ((533, 400), (533, 400), (711, 400))


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


def _placed(rng: Random, garment: Garment, width: int, height: int, hung: bool) -> Placing:
    """A placing that leaves at least half of the keypoints in the picture."""
    xy = np.array([(x, y) for x, y, _ in garment.points.values()])
    while True:
        placing = place(rng, garment, width, height, hung)
        at = placing(xy)
        if 2 * np.count_nonzero(((at >= 0) & (at < (width, height))).all(axis=1)) >= len(at):
            return placing


def draw(seed: int, index: int) -> Drawn:
    """Picture number index of the set that seed names. Categories take turns."""
    rng: Random = np.random.default_rng([seed, index])
    category = CATEGORIES[index % len(CATEGORIES)]
    garment = TAILORS[category](rng)
    hung = chance(rng, 0.35)
    wide = 0.13 if category in ("blouse", "outwear", "skirt") else 0.05
    formats = LYING if chance(rng, wide) else UPRIGHT
    width, height = formats[int(rng.integers(0, len(formats)))]
    placing = _placed(rng, garment, width, height, hung)
    if hung and chance(rng, 0.85):
        hang(rng, garment)
    if chance(rng, 0.05):
        tag(rng, garment)
    if chance(rng, 0.06):
        lay_over(rng, garment)
    field = ground(rng, height, width, hung)
    canvas = Canvas(
        rng, field, garment, placing, wardrobe(rng, category, {panel.cloth for panel in garment.panels}), hung
    )
    for panel in garment.panels:
        canvas.lay(panel)
    field *= illumination(rng, height, width)
    image = photograph(rng, field)
    xy = np.full((len(KEYPOINTS), 2), -1, np.float32)
    v = np.full(len(KEYPOINTS), -1, np.int8)
    for name, (x, y, seen) in garment.points.items():
        at = placing(np.array([[x, y]]))[0]
        if 0 <= at[0] < width and 0 <= at[1] < height:
            xy[INDEX[name]], v[INDEX[name]] = at, seen
    return Drawn(image, category, xy, v)
