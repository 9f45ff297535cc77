"""Plane curves from which garments are cut: smooth lines through points, parallels, containment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def points(*xy: npt.ArrayLike) -> Array:
    """Rows of x and y: (n, 2)."""
    return np.asarray(xy, np.float64).reshape(-1, 2)


def shift(line: Array, x: float, y: float) -> Array:
    """A line (n, 2) or a point (2,) moved by x and y."""
    return np.asarray(line + np.array([x, y]))


def spline(through: Sequence[npt.ArrayLike] | Array, steps: int = 8) -> Array:
    """Catmull-Rom curve through (n, 2) points, both ends included: (steps * (n - 1) + 1, 2)."""
    p = np.asarray(through, np.float64)
    if len(p) < 3:
        return np.asarray(np.linspace(p[0], p[-1], steps + 1))
    padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    a, b, c, d = (padded[i : len(p) - 1 + i, None] for i in range(4))
    t = (np.arange(steps) / steps)[None, :, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.vstack([curve.reshape(-1, 2), p[-1]])


def dip(left: Array, right: Array, depth: float, roundness: float) -> Array:
    """From left to right, sagging by depth in the middle: roundness 0 is a V, 1 half an ellipse. (33, 2)."""
    t = np.linspace(-1, 1, 33)
    line = np.linspace(left, right, 33)
    line[:, 1] += depth * (1 - np.abs(t) ** (1 + 1.2 * roundness)) ** (1 / (1 + 0.8 * roundness))
    return np.asarray(line)


def parallel(line: Array, distance: float) -> Array:
    """A line moved sideways by distance, to the right of its direction when y points down."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return np.asarray(line + distance * np.stack([-along[:, 1], along[:, 0]], axis=1))


def between(line: Array, other: Array) -> Array:
    """The outline of what lies between two lines of the same direction."""
    return np.vstack([line, other[::-1]])


def inside(point: npt.ArrayLike, outline: Array) -> bool:
    """Whether a point lies in a closed polygon (even-odd rule)."""
    x, y = np.asarray(point, np.float64)
    ax, ay = outline.T
    bx, by = np.roll(outline, -1, axis=0).T
    crosses = (ay > y) != (by > y)
    rise = np.where(by == ay, 1.0, by - ay)
    return bool(np.count_nonzero(crosses & (x < ax + (y - ay) * (bx - ax) / rise)) % 2)
