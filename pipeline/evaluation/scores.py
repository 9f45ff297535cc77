"""How good predictions are: of all photos, of each category, of each keypoint, of each photo."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model import metrics
from seamline_client.keypoints import CATEGORIES, KEYPOINTS

THRESHOLDS = (0.05, 0.1)
LABELS = ("xy", "v", "size", "category")


@dataclass(frozen=True)
class Score:
    """Of `points` visible points: NE in percent, PCK as shares from 0 to 1. NaN where there is no point."""

    points: int
    ne: float
    pck_005: float
    pck_01: float


@dataclass(frozen=True)
class Scores:
    """The metrics of `model.metrics`, and NE and PCK by what they are of."""

    photos: int
    scored: int
    """Photos that NE could be computed for: their normaliser is annotated, and a point is visible."""
    visibility_recall: float
    """Balanced over the three classes."""
    overall: Score
    categories: dict[str, Score]
    keypoints: dict[str, Score]
    photo_ne: tuple[float, ...]
    """NE of each photo in percent, in the order in which they came; NaN where it has none."""

    def as_json(self) -> dict[str, Any]:
        """NaN, which JSON has not, is None. The photos are left out."""
        raw = asdict(self)
        del raw["photo_ne"]
        return _without_nan(raw)  # type: ignore[no-any-return]


def score(batches: metrics.Batches) -> Scores:
    """Of batches of predicted xy, predicted v and labels, as `metrics.evaluate` takes them. At least one batch."""
    rows = [
        (np.asarray(xy), np.asarray(v), *(np.asarray(labels[name]) for name in LABELS)) for xy, v, labels in batches
    ]
    xy, v, *columns = (np.concatenate(arrays) for arrays in zip(*rows))
    named = dict(zip(LABELS, columns))
    errors, weights = (np.asarray(each) for each in metrics.normalised_errors(tf.constant(xy), named))
    counted = weights > 0
    found = metrics.evaluate(iter([(tf.constant(xy), tf.constant(v), named)]))
    of_category = {name: counted & (named["category"] == index)[:, None] for index, name in enumerate(CATEGORIES)}
    return Scores(
        photos=len(v),
        scored=int(counted.any(axis=1).sum()),
        visibility_recall=found.get(metrics.BALANCED_RECALL, math.nan),
        overall=_score(errors[counted]),
        categories={name: _score(errors[chosen]) for name, chosen in of_category.items()},
        keypoints={name: _score(errors[counted[:, k], k]) for k, name in enumerate(KEYPOINTS)},
        photo_ne=tuple(_score(row[here]).ne for row, here in zip(errors, counted)),
    )


def _score(errors: NDArray[np.float32]) -> Score:
    """Errors as fractions of the normaliser, in any order."""
    if not errors.size:
        return Score(0, math.nan, math.nan, math.nan)
    # In double precision, as sums of many thousands of points want it.
    shares = (float(np.mean(errors <= threshold)) for threshold in THRESHOLDS)
    return Score(errors.size, 100 * float(np.mean(errors, dtype=np.float64)), *shares)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
