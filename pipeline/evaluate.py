"""Evaluation of a SavedModel: how good its own answers are on the evaluation photos of a data set."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from model import metrics
from model.signature import PRED_V, PRED_X_RATIO, PRED_Y_RATIO, TAG, UINT8
from pipeline.dataset.input_fn import eval_input_fn
from pipeline.dataset.records import Dataset
from pipeline.errors import ExportError


def evaluate(version: Path, dataset: Dataset) -> dict[str, float]:
    """The metrics of `model.metrics` by name. Raises ExportError when the SavedModel cannot be loaded."""
    try:
        model = tf.saved_model.load(str(version), tags=[TAG])
        predict = model.signatures[UINT8.key]
    except (OSError, KeyError, ValueError) as error:
        raise ExportError(f"{version}: cannot be loaded: {error}") from error

    def answered() -> metrics.Batches:
        for features, labels in eval_input_fn(dataset)():
            answer = predict(**{UINT8.input.name: features["images"]})
            yield tf.stack([answer[PRED_X_RATIO.name], answer[PRED_Y_RATIO.name]], 2), answer[PRED_V.name], labels

    return metrics.evaluate(answered())
