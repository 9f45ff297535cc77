"""The Estimator's `input_fn`s: a data set on disk to batches of features and labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.receivers import decode_image
from pipeline.data.augment import Augmentation, augment
from pipeline.data.records import Dataset
from seamline_client.contract import IMAGE_SIDE

InputFn = Callable[[], tf.data.Dataset]

PICTURE_BYTES = IMAGE_SIDE * IMAGE_SIDE * 3
SHUFFLE_RECORDS = 4096
NUMBER = "number"
"""A feature: the batch's place in the run, where the graph is to augment what it is given."""
EVAL_BATCH = 16
LABELS = ("xy", "v", "size", "box", "area", "category")
"""The names of `model.metrics.Labels`."""


def train_input_fn(
    dataset: Dataset,
    batch_size: int,
    augmentation: Augmentation | None,
    seed: int,
    start_step: int,
    *,
    memory: int = 1 << 30,
    disk: Path | None = None,
    part: int = 0,
    parts: int = 1,
) -> InputFn:
    """Endless augmented batches. `start_step` is where the run goes on from: it does not see the same draws again.

    Decoded pictures are kept in `memory` bytes if all of them fit, otherwise below the folder `disk`, if they fit
    there. Without `augmentation` batches are as they are, with their number for `augment_features`. `part` of so many
    `parts` has a share of the photos that no other has: one for each task of a cluster.
    """

    def prepared(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
        if augmentation:
            return _split(augment(batch, number, augmentation, dataset.keypoints.flip, seed))
        features, labels = _split(batch)
        return {**features, NUMBER: number}, labels

    def input_fn() -> tf.data.Dataset:
        examples = _endless(dataset, seed + start_step, memory, disk, part, parts)
        batches = examples.batch(batch_size, drop_remainder=True).enumerate(start_step)
        return batches.map(prepared, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)

    return _as_written(input_fn)


def augment_features(
    features: dict[str, Any], labels: dict[str, Any], augmentation: Augmentation, flip: Sequence[int], seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inside the graph, the batch that `train_input_fn` would have given with this augmentation."""
    return _split(augment({**labels, "images": features["images"]}, features[NUMBER], augmentation, flip, seed))


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


def _endless(dataset: Dataset, seed: int, memory: int, disk: Path | None, part: int, parts: int) -> tf.data.Dataset:
    """The training photos, decoded, shuffled, over and over."""
    records, count = tf.data.TFRecordDataset(dataset.shards("train")), dataset.count("train")
    if parts > 1:
        records, count = records.shard(parts, part), len(range(part, count, parts))
    if count * PICTURE_BYTES <= memory:
        return _decoded(dataset, records).cache().shuffle(count, seed=seed).repeat()
    records = records.shuffle(SHUFFLE_RECORDS, seed=seed)
    if disk and _has_room(disk, count * PICTURE_BYTES):
        # Read in the order of writing: mixed once more, as far as memory goes.
        kept = _decoded(dataset, records).cache(str(disk / "pixels"))
        return kept.shuffle(max(1, memory // PICTURE_BYTES), seed=seed).repeat()
    return _decoded(dataset, records.repeat())


def _has_room(disk: Path, size: int) -> bool:
    """Whether all pictures are there, or there is room for twice as much. What was written in part is removed."""
    if (disk / "pixels.index").is_file():
        return True
    shutil.rmtree(disk, ignore_errors=True)
    disk.mkdir(parents=True)
    return shutil.disk_usage(disk).free > 2 * size


def _decoded(dataset: Dataset, records: tf.data.Dataset) -> tf.data.Dataset:
    def decode(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = dataset.parse(record)
        return {"images": decode_image(example.pop("image")), **example}

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _split(batch: dict[str, tf.Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Features and labels."""
    labels = {name: batch[name] for name in LABELS}
    return {"images": batch["images"]}, labels
