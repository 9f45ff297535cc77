"""How good predictions are: over all photos, and by category, keypoint and photo. All by `model.metrics`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.metrics import BALANCED_RECALL, IMAGES_SCORED, NE, OF_POINTS, OKS, Batches, Metrics
from seamline_client.keypoints import KeypointSet


@dataclass(frozen=True)
class Score:
    """Over `points` visible points: NE in percent, PCK as shares from 0 to 1. None where there is no point."""

    points: int
    ne: float | None
    pck_005: float | None
    pck_01: float | None


@dataclass(frozen=True)
class Scores:
    photos: int
    scored: int
    """Photos that have an NE: the points that it is measured against are annotated, and a point is visible."""
    visibility_recall: float | None
    """Balanced over the three classes."""
    oks: float | None
    """Mean OKS, as COCO defines it; None where the keypoint set has no sigmas."""
    overall: Score
    categories: dict[str, Score]
    keypoints: dict[str, Score]
    metrics: dict[str, float]
    """Everything above by the names of `model.metrics`; what nothing counts for is left out."""
    photo_ne: tuple[float, ...]
    """NE of each photo in percent, in the order in which they came; NaN where it has none."""

    def as_json(self) -> dict[str, Any]:
        """Without the single photos, and without saying anything twice."""
        raw = asdict(self)
        del raw["photo_ne"], raw["metrics"]
        return raw


@dataclass(frozen=True)
class Tally:
    """What batches add up to, and what tallies of other batches can be added to, in whatever order."""

    sums: NDArray[np.float64]
    """(2, M), as `Metrics.tally`."""
    photo_ne: tuple[float, ...]

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.sums + other.sums, self.photo_ne + other.photo_ne)


def tally(batches: Batches, keypoints: KeypointSet) -> Tally:
    """Of batches of predicted xy (N, K, 2), predicted v (N, K) and their labels."""
    metrics = Metrics(keypoints)
    sums = np.zeros((2, len(metrics.names)))
    photo_ne: list[float] = []
    for xy, v, labels in batches:
        sums += metrics.tally(xy, v, labels).numpy()
        photo_ne += metrics.photo_ne(xy, labels).numpy().tolist()
    return Tally(sums, tuple(photo_ne))


def score(batches: Batches, keypoints: KeypointSet) -> Scores:
    """Scores batches, which are as for `tally`."""
    return scores(tally(batches, keypoints), keypoints)


def scores(total: Tally, keypoints: KeypointSet) -> Scores:
    """What a tally of all photos says."""
    metrics = Metrics(keypoints)
    found = metrics.means(total.sums)
    points = dict(zip(metrics.names, total.sums[1]))

    def group(suffix: str) -> Score:
        return Score(int(points[NE + suffix]), *(found.get(name + suffix) for name in OF_POINTS))

    return Scores(
        photos=len(total.photo_ne),
        scored=int(total.sums[0][metrics.names.index(IMAGES_SCORED)]),
        visibility_recall=found.get(BALANCED_RECALL),
        oks=found.get(OKS),
        overall=group(""),
        categories={name: group(f"/{name}") for name in keypoints.category_names},
        keypoints={name: group(f"/{name}") for name in keypoints.keypoints},
        metrics=found,
        photo_ne=total.photo_ne,
    )
