"""The labels of a whole split as arrays, without decoding its photos."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.data.input_fn import LABELS
from pipeline.data.records import Dataset, reading

CHUNK = 256


def read(dataset: Dataset, split: str) -> dict[str, NDArray[Any]]:
    """`model.metrics.Labels` of all photos of a split, in the order of the shards. Raises DataError for damage."""

    def labels(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = dataset.parse(record)
        return {name: example[name] for name in LABELS}

    batches = tf.data.TFRecordDataset(dataset.shards(split)).map(labels, tf.data.AUTOTUNE).batch(CHUNK)
    with reading(dataset):
        found = list(batches.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in found]) for name in LABELS}
