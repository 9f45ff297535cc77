"""What a checkpoint answers to the whole evaluation split, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.predictions import EVIDENCE
from pipeline.data.input_fn import eval_input_fn
from pipeline.data.records import Dataset, reading
from pipeline.evaluation import labels
from seamline_client.contract import PRED_V, PRED_X_RATIO, PRED_Y_RATIO


@dataclass(frozen=True)
class Answers:
    """Of N photos, in the order of the shards: `xy` (N, K, 2) fractions, `v` (N, K) classes, `evidence` (N, K, 2)."""

    xy: NDArray[np.float32]
    v: NDArray[np.int64]
    evidence: NDArray[np.float32]
    """`predictions.EVIDENCE`."""
    truth: Mapping[str, NDArray[Any]]
    """`metrics.Labels`."""


def read(estimator: Any, prefix: str, dataset: Dataset) -> Answers:
    """Predicts the evaluation photos with a checkpoint's weights. Raises DataError for a damaged data set."""
    with reading(dataset):
        answers = list(estimator.predict(eval_input_fn(dataset), checkpoint_path=prefix))
    names = (PRED_X_RATIO.name, PRED_Y_RATIO.name, PRED_V.name, EVIDENCE)
    x, y, v, evidence = (np.stack([each[name] for each in answers]) for name in names)
    return Answers(np.stack([x, y], axis=2), v, evidence, labels.read(dataset, "eval"))
