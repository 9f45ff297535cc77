"""What a model has to beat: answering, for every photo, each point's mean position over the training photos."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from model import metrics
from pipeline.data.records import Dataset, parse
from seamline_client.contract import ABSENT


def mean_position_ne(dataset: Dataset) -> float:
    """NE in percent on the evaluation photos; NaN where it cannot be computed."""
    train, held_out = (
        [parse(record) for record in tf.data.TFRecordDataset(dataset.shards(split))] for split in ("train", "eval")
    )
    xy, there = (np.stack([each[name].numpy() for each in train]) for name in ("xy", "v"))
    weights = (there != ABSENT)[:, :, None]
    mean = (xy * weights).sum(0) / np.maximum(weights.sum(0), 1)
    labels = {name: tf.stack([each[name] for each in held_out]) for name in ("xy", "v", "size", "category")}
    answers = tf.constant(np.broadcast_to(mean, labels["xy"].shape), tf.float32)
    return metrics.evaluate(iter([(answers, labels["v"], labels)])).get(metrics.NE, float("nan"))
