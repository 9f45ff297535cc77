"""What a data set cannot teach, or cannot be measured on: known before the first step, so said before it."""

from __future__ import annotations

import numpy as np

from model import metrics
from pipeline.data.records import Dataset
from pipeline.errors import DataError
from pipeline.evaluation import labels
from seamline_client.keypoints import CATEGORIES, NORMALISER


def limits(dataset: Dataset) -> list[str]:
    """Sentences for people, none where there is nothing to say.

    Raises DataError when no evaluation photo has an NE: training could not tell one checkpoint from another.
    """
    truth = labels.read(dataset, "eval")
    counted = metrics.normalised_errors(truth["xy"], truth)[1].numpy() > 0
    scored = counted.any(axis=1)
    if not scored.any():
        ends = " or ".join(sorted({" and ".join(NORMALISER[CATEGORIES[index]]) for index in truth["category"]}))
        raise DataError(
            f"{dataset.folder}: NE cannot be measured on any of the {len(scored)} evaluation photos. It needs a "
            f"visible point and the two points that errors are measured against, {ends}: annotate these."
        )
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
        for index, category in enumerate(CATEGORIES)
        if category not in dataset.missing and not scored[truth["category"] == index].any()
    )
    if unmeasured:
        found.append(f"NE will not tell how good {unmeasured} are: no evaluation photo of them can be measured.")
    return found
