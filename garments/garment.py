"""What a garment is made of before it is photographed: panels of cloth, lines sewn on them, and its keypoints.

Lengths are in garment units: half the distance between the armpits, or half the waistband. x points to the picture's
right, y down; the origin is the middle of the neckline or of the waistband.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from garments.curves import Array, between, inside, points, shift

Random = np.random.Generator
SIDES = {"left": -1.0, "right": 1.0}


@dataclass(frozen=True)
class Stroke:
    """A line on a panel: a seam, a zip, or, as wide as it is long, a button. tone darkens (< 0) or lightens (> 0)."""

    line: Array
    width: float
    tone: float


@dataclass(frozen=True)
class Panel:
    """A piece of cloth, drawn over those before it."""

    outline: Array
    cloth: str = "main"
    """Which of the garment's cloths it is cut from."""
    grain: float = 0.0
    """The angle of its weave in radians."""
    shade: float = 1.0
    """How bright it is."""
    lift: float = 0.0
    """How strongly it shadows what lies below."""
    folds: float = 1.0
    """How deep its folds are."""
    strokes: Sequence[Stroke] = ()


@dataclass
class Garment:
    """Panels from back to front, and keypoints by name: x, y and v."""

    category: str
    panels: list[Panel] = field(default_factory=list)
    points: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    pleats: float = 0.0
    """How many folds fall from the waist across the hem; 0 for none."""
    waist: float = 0.0
    """The y below which pleats fall."""

    def sew(self, outline: Array, cloth: str = "main", **looks: float | Sequence[Stroke]) -> None:
        """Add a panel on top of the others."""
        self.panels.append(Panel(outline, cloth, **looks))  # type: ignore[arg-type]

    def band(self, line: Array, other: Array, cloth: str = "trim", ribs: int = 0) -> None:
        """Add the strip between two lines of as many points, such as a belt: with ribs, one every so many points."""
        edges = [Stroke(line, 0.02, -0.2), Stroke(other, 0.025, -0.25)]
        across = [Stroke(points(a, b), 0.015, -0.12) for a, b in zip(line[1:-1:ribs], other[1:-1:ribs])] if ribs else []
        self.sew(between(line, other), cloth, lift=0.2, folds=0.3, strokes=edges + across)

    def mark(self, name: str, at: Array, v: int = 1) -> None:
        """State where a keypoint is."""
        self.points[name] = (float(at[0]), float(at[1]), v)

    def cover(self, name: str, outline: Array) -> None:
        """A visible keypoint that a piece drawn later lies upon becomes an occluded one."""
        x, y, v = self.points[name]
        if v == 1 and inside((x, y), outline):
            self.points[name] = (x, y, 0)


def buttons(along: Iterable[Array], tone: float) -> list[Stroke]:
    """Buttons at these points."""
    return [Stroke(points(shift(at, 0, -0.045), shift(at, 0, 0.045)), 0.09, tone) for at in along]


def near(rng: Random, x: float, y: float) -> Array:
    """A point at about (x, y): no garment is quite symmetric."""
    return np.array([x * rng.uniform(0.96, 1.04), y + rng.normal(0, 0.03)])


def pick(rng: Random, shares: Mapping[str, float]) -> str:
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
