"""What a garment is made of before it is photographed: panels of cloth, lines sewn on them, and its keypoints.

Lengths are in garment units: half the distance between the armpits, or half the waistband. x points to the picture's
right, y down; the origin is the middle of the neckline or of the waistband.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from garments.curves import Array

Random = np.random.Generator


@dataclass(frozen=True)
class Stroke:
    """A line on a panel: a seam, a crease, a zip. tone darkens (< 0) or lightens (> 0); dash 0 is unbroken."""

    line: Array
    width: float
    tone: float
    dash: float = 0.0


@dataclass(frozen=True)
class Spot:
    """A button, a rivet, an eyelet: centre, radius and tone."""

    centre: tuple[float, float]
    radius: float
    tone: float


@dataclass(frozen=True)
class Panel:
    """A piece of cloth, drawn over those before it.

    cloth names which of the garment's cloths it is cut from; grain is the angle of its weave in radians, anchor where
    its pattern begins; shade multiplies its brightness; lift is how strongly it shadows what lies below; folds is how
    deep its folds are.
    """

    outline: Array
    cloth: str = "main"
    grain: float = 0.0
    shade: float = 1.0
    lift: float = 0.0
    folds: float = 1.0
    anchor: tuple[float, float] = (-50.0, -50.0)
    strokes: tuple[Stroke, ...] = ()
    spots: tuple[Spot, ...] = ()


@dataclass
class Garment:
    """Panels from back to front, and keypoints by name: x, y and v. stress: where creases start."""

    category: str
    panels: list[Panel] = field(default_factory=list)
    points: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    stress: list[tuple[float, float]] = field(default_factory=list)
    pleats: float = 0.0
    """How many folds fall from the waist across the hem; 0 for none."""
    waist: float = 0.0
    """The y below which pleats fall."""
    quilt: float = 0.0
    """Height of a quilted row, 0 for no quilting."""
    diamonds: float = 0.0
    """Slope of crossing quilt lines, 0 for rows."""

    def mark(self, name: str, at: Array | tuple[float, float], v: int = 1) -> None:
        """State where a keypoint is."""
        self.points[name] = (float(at[0]), float(at[1]), v)


def pick(rng: Random, shares: dict[str, float]) -> str:
    """A key, drawn in proportion to its value."""
    mark = rng.random() * sum(shares.values())
    for key, share in shares.items():
        mark -= share
        if mark < 0:
            return key
    return key


def chance(rng: Random, share: float) -> bool:
    """True in this share of draws."""
    return bool(rng.random() < share)
