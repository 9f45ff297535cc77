"""The Estimator's `input_fn`s: a data set on disk to batches of features and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from model.receivers import decode_image
from pipeline.data.augment import Augmentation, augment
from pipeline.data.records import Dataset
from seamline_client.contract import IMAGE_SIDE

InputFn = Callable[[], tf.data.Dataset]

CACHE_BYTES = 1 << 30
"""Decoded pictures are kept in memory as long as all of them fit here: about 2,400."""
SHUFFLE_RECORDS = 4096
EVAL_BATCH = 16
LABELS = ("xy", "v", "size", "box", "area", "category")
"""The names of `model.metrics.Labels`."""


def train_input_fn(
    dataset: Dataset, batch_size: int, augmentation: Augmentation, seed: int, start_step: int
) -> InputFn:
    """Endless augmented batches. `start_step` is where the run goes on from: it does not see the same draws again."""

    def input_fn() -> tf.data.Dataset:
        examples = _endless(dataset, seed + start_step)
        batches = examples.batch(batch_size, drop_remainder=True).enumerate(start_step)
        return batches.map(
            lambda number, batch: _split(augment(batch, number, augmentation, dataset.keypoints.flip, seed)),
            num_parallel_calls=tf.data.AUTOTUNE,
        ).prefetch(2)

    return _as_written(input_fn)


def eval_input_fn(dataset: Dataset) -> InputFn:
    """Every evaluation photo once, in the order of the shards, as it is."""

    def input_fn() -> tf.data.Dataset:
        photos = tf.data.TFRecordDataset(dataset.shards("eval"))
        return _decoded(dataset, photos).batch(EVAL_BATCH).map(_split).prefetch(1)

    return _as_written(input_fn)


def _as_written(input_fn: InputFn) -> InputFn:
    """Nothing here branches on a tensor, and AutoGraph would take seconds to find that out."""
    unconverted: InputFn = tf.autograph.experimental.do_not_convert(input_fn)
    return unconverted


def _endless(dataset: Dataset, seed: int) -> tf.data.Dataset:
    """The training photos, decoded, shuffled, over and over."""
    records = tf.data.TFRecordDataset(dataset.shards("train"))
    if dataset.count("train") * IMAGE_SIDE * IMAGE_SIDE * 3 <= CACHE_BYTES:
        return _decoded(dataset, records).cache().shuffle(dataset.count("train"), seed=seed).repeat()
    return _decoded(dataset, records.shuffle(SHUFFLE_RECORDS, seed=seed).repeat())


def _decoded(dataset: Dataset, records: tf.data.Dataset) -> tf.data.Dataset:
    def decode(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = dataset.parse(record)
        return {"images": decode_image(example.pop("image")), **example}

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _split(batch: dict[str, tf.Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Features and labels."""
    labels = {name: batch[name] for name in LABELS}
    return {"images": batch["images"]}, labels
