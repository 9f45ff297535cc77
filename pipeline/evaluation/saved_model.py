"""Evaluation of a SavedModel: how good its own answers are, on a data set's evaluation photos or on any others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.metrics import Labels
from pipeline.data.input_fn import eval_input_fn
from pipeline.data.records import Dataset, reading
from pipeline.errors import ExportError
from pipeline.evaluation.scores import score
from seamline_client.contract import PRED_V, PRED_X_RATIO, PRED_Y_RATIO, TAG, UINT8


def evaluate(version: Path, dataset: Dataset) -> dict[str, float]:
    """The metrics of `model.metrics` by name; those that nothing counts for, or that are no numbers, are left out.

    Raises ExportError when the SavedModel cannot be loaded, DataError for a damaged data set.
    """
    batches = ((features["images"], labels) for features, labels in eval_input_fn(dataset)())
    with reading(dataset):
        return score(answers(version, batches), dataset.keypoints).metrics


def answers(version: Path, batches: Iterable[tuple[Any, Labels]]) -> Iterator[tuple[Any, Any, Labels]]:
    """Batches of pictures (N, 384, 384, 3) uint8 and their labels -> predicted xy, predicted v and the labels.

    Raises ExportError when the SavedModel in `version` cannot be loaded.
    """
    try:
        model = tf.saved_model.load(str(version), tags=[TAG])
        predict = model.signatures[UINT8.key]
    except (OSError, KeyError, ValueError) as error:
        raise ExportError(f"{version}: cannot be loaded: {error}") from error
    for images, labels in batches:
        answer = predict(**{UINT8.input.name: tf.convert_to_tensor(images)})
        yield tf.stack([answer[PRED_X_RATIO.name], answer[PRED_Y_RATIO.name]], 2), answer[PRED_V.name], labels
