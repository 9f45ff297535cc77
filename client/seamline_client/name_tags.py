"""Where the names of points go on a picture: near their points, apart from each other, and inside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

STEPS = 4
"""How many times the first distance a name is looked for round its point, before it is put wherever there is room."""


class Box(NamedTuple):
    """Edges, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def place(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], picture: tuple[int, int], gap: float
) -> list[Box]:
    """A box for each name, of these widths and heights, beginning `gap` from its point, in pixels of the picture.

    A name is on the outer side of its point where it can be, and covers no point. Where a picture has no room left at
    all, it covers what is there.
    """
    middle = sum(x for x, _ in points) / max(len(points), 1)
    marks = [Box(x - gap / 2, y - gap / 2, x + gap / 2, y + gap / 2) for x, y in points]
    found: list[Box] = []
    for point, size in zip(points, sizes):
        near = _round(point, size, gap, outward=-1 if point[0] < middle else 1)
        boxes = (_inside(box, picture) for box in chain(near, _anywhere(point, size, picture)))
        first = next(boxes)
        free = (box for box in chain([first], boxes) if not any(map(box.meets, (*found, *marks))))
        found.append(next(free, first))
    return found


def _round(point: tuple[float, float], size: tuple[float, float], gap: float, outward: int) -> Iterator[Box]:
    """On the outer side of the point, on the other, above and below; and all of it again from further away."""
    (x, y), (width, height) = point, size
    for step in range(1, STEPS + 1):
        away = gap * step
        sides = {-1: x - away - width, 1: x + away}
        for left in (sides[outward], sides[-outward]):
            for up in (0.0, 0.75, -0.75, 1.5, -1.5):
                yield _box(left, y - height * (up + 0.5), size)
        for top in (y - away - height, y + away):
            for along in (0.5, 0.9, 0.1):
                yield _box(x - width * along, top, size)


def _anywhere(point: tuple[float, float], size: tuple[float, float], picture: tuple[int, int]) -> Iterator[Box]:
    """All over the picture, the nearest first."""
    (width, height), (across, down) = size, (int(picture[0] / size[0]) + 1, int(picture[1] / size[1]) + 1)
    grid = [(column * width, row * height) for column in range(across) for row in range(down)]
    yield from (_box(*each, size) for each in sorted(grid, key=lambda corner: math.dist(corner, point)))


def _box(left: float, top: float, size: tuple[float, float]) -> Box:
    return Box(left, top, left + size[0], top + size[1])


def _inside(box: Box, picture: tuple[int, int]) -> Box:
    width, height = box.right - box.left, box.bottom - box.top
    left = min(max(box.left, 0.0), max(picture[0] - width, 0.0))
    top = min(max(box.top, 0.0), max(picture[1] - height, 0.0))
    return _box(left, top, (width, height))
