"""What photos and their answers are like, in a few numbers each, of which the evaluation photos have the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seamline_client.contract import ABSENT
from seamline_client.keypoints import KeypointSet

Floats = NDArray[np.float64]

TRAITS = {
    "score": "mean score of the points that are there",
    "brightness": "mean brightness, 0 to 1",
    "sharpness": "log10 of the Laplacian's variance as a share of the picture's, at half the model's size",
    "x": "middle of the points, from the left, as a fraction of the width",
    "y": "middle of the points, from the top, as a fraction of the height",
    "width": "from the leftmost point to the rightmost, as a fraction of the width",
    "height": "from the topmost point to the lowest, as a fraction of the height",
}
"""Numbers of a photo, and what each is. Those of a photo without a point have no place, and no score."""
NOTHING = "no point found"
"""The kind of a photo without a point."""


def of_pictures(pictures: NDArray[np.uint8]) -> dict[str, Floats]:
    """(N, H, W, 3) RGB as the model sees it, of even sides -> brightness and sharpness, (N,).

    At half the size, where what a JPEG leaves out and how a stretch is done hardly matter.
    """
    grey = pictures @ np.array([0.299, 0.587, 0.114])
    half = (grey[:, ::2, ::2] + grey[:, 1::2, ::2] + grey[:, ::2, 1::2] + grey[:, 1::2, 1::2]) / 4
    middle = half[:, 1:-1, 1:-1]
    around = half[:, :-2, 1:-1] + half[:, 2:, 1:-1] + half[:, 1:-1, :-2] + half[:, 1:-1, 2:]
    # As a share, which less light or contrast leaves as it is.
    edges = (around - 4 * middle).var(axis=(1, 2)) / (half.var(axis=(1, 2)) + 1e-3)
    return {"brightness": grey.mean(axis=(1, 2)) / 255, "sharpness": np.log10(edges + 1e-6)}


def of_answers(xy: NDArray[Any], v: NDArray[np.int64], score: NDArray[Any] | None) -> dict[str, Floats]:
    """(N, K, 2) fractions, (N, K) classes and scores -> the other traits, (N,); NaN where there is none."""
    there = v != ABSENT
    known = np.where(there[:, :, None], xy, np.nan).astype(float)
    none = ~there.any(axis=1)
    known[none] = 0  # so that nothing is averaged over nothing
    low, high = np.nanmin(known, axis=1), np.nanmax(known, axis=1)
    middle, extent = (low + high) / 2, high - low
    found = {"x": middle[:, 0], "y": middle[:, 1], "width": extent[:, 0], "height": extent[:, 1]}
    if score is not None:
        found["score"] = (score * there).sum(axis=1, dtype=float) / np.maximum(there.sum(axis=1), 1)
    return {name: np.where(none, np.nan, values) for name, values in found.items()}


def kinds(v: NDArray[np.int64], keypoints: KeypointSet) -> list[str]:
    """(N, K) classes -> the category of each photo, or NOTHING.

    It is the one that can have all of its points, and of several the one of whose own most are there.
    """
    own = {name: keypoints.can_have(name) for name in keypoints.category_names}

    def kind(there: set[int]) -> str:
        if not there:
            return NOTHING
        return max(own, key=lambda name: (len(there & own[name]), len(there & own[name]) / len(own[name])))

    return [kind({*np.flatnonzero(each != ABSENT).tolist()}) for each in v]


def counted(found: Sequence[str]) -> Mapping[str, int]:
    """How many photos there are of each kind."""
    return {name: list(found).count(name) for name in sorted(set(found))}
