"""What a data set cannot teach and what cannot be measured on it: known before the first step, so said before it."""

from __future__ import annotations

import numpy as np

from model.metrics import Metrics
from pipeline.data.records import Dataset
from pipeline.evaluation import labels


def limits(dataset: Dataset) -> list[str]:
    """Sentences for people, none where there is nothing to say. Raises DataError for a damaged data set."""
    truth = labels.read(dataset, "eval")
    counted = Metrics(dataset.keypoints).normalised_errors(truth["xy"], truth)[1].numpy() > 0
    scored = counted.any(axis=1)
    found = []
    if dataset.missing:
        missing = ", ".join(dataset.missing)
        found.append(f"{dataset.folder.name} has no photo of {missing}, so a model does not learn these from it.")
    if not scored.all():
        found.append(
            f"NE leaves out {np.sum(~scored)} of the {len(scored)} evaluation photos: they lack a visible point, or "
            f"the points that errors are measured against."
        )
    unmeasured = ", ".join(
        category
        for index, category in enumerate(dataset.keypoints.category_names)
        if category not in dataset.missing and not scored[truth["category"] == index].any()
    )
    if unmeasured:
        found.append(f"NE will not tell how good {unmeasured} are: no evaluation photo of them can be measured.")
    return found
