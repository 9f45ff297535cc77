"""How good the points are. Each metric is a weighted mean, so that it can be summed up over batches.

The same definition serves `Estimator.evaluate` (`metric_ops`) and the evaluation of a SavedModel (`evaluate`).

NE, the normalised error (FashionAI, Tianchi 2018), in percent: over all visible points, the mean of the distance to
the truth in the original picture's pixels, divided by the garment's own true distance between two of its points
(`keypoints.NORMALISER`). Garments where these are absent, or coincide, do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from seamline_client.contract import ABSENT, KEYPOINT_COUNT, VISIBILITY_NAMES, VISIBLE
from seamline_client.keypoints import CATEGORIES, CATEGORY_KEYPOINTS, INDEX, KEYPOINTS, NORMALISER

Labels = Mapping[str, Any]
"""`xy` (N, 24, 2) float32 fractions, `v` (N, 24) int64 classes, `size` (N, 2) float32 width and height of the original
in pixels, `category` (N,) int64 index into `CATEGORIES`."""

Batches = Iterator[tuple[tf.Tensor, tf.Tensor, Labels]]
"""Predicted xy (N, 24, 2), predicted v (N, 24) and the labels."""

NE = "ne"
BALANCED_RECALL = "visibility_recall"

_mean = tf.compat.v1.metrics.mean_tensor

_NORMALISER_INDEX = [[INDEX[name] for name in NORMALISER[category]] for category in CATEGORIES]
_IN_CATEGORY = [[float(k in CATEGORY_KEYPOINTS[category]) for k in range(KEYPOINT_COUNT)] for category in CATEGORIES]


def normalised_errors(xy: tf.Tensor, labels: Labels) -> tuple[tf.Tensor, tf.Tensor]:
    """(N, 24, 2) predicted fractions -> (N, 24) errors as a fraction of the normaliser, (N, 24) weights 0 or 1."""
    size = labels["size"][:, None, :]
    truth = labels["xy"] * size
    v = labels["v"]
    ends = tf.gather(tf.constant(_NORMALISER_INDEX), labels["category"])
    first, second = (tf.gather(truth, ends[:, end], batch_dims=1) for end in (0, 1))
    known = tf.reduce_all(tf.not_equal(tf.gather(v, ends, batch_dims=1), ABSENT), axis=1)
    normaliser = tf.norm(first - second, axis=1) * tf.cast(known, tf.float32)
    errors = tf.math.divide_no_nan(tf.norm(xy * size - truth, axis=2), normaliser[:, None])
    return errors, tf.cast(tf.equal(v, VISIBLE) & (normaliser[:, None] > 0), tf.float32)


def terms(xy: tf.Tensor, v: tf.Tensor, labels: Labels) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Name -> values and their weights, both (N, 24). `xy` (N, 24, 2) and `v` (N, 24) are the predictions.

    ne, ne/<category>, ne/<keypoint> in percent; pck@0.05 and pck@0.1, the share of visible points whose error is at
    most that fraction of the normaliser; recall/<class> of the visibility classes, over the points that a garment of
    the picture's category can have; images_scored, the share of images that NE could be computed for.
    """
    errors, counted = normalised_errors(xy, labels)
    percent = 100 * errors
    result = {NE: (percent, counted)}
    for threshold in (0.05, 0.1):
        result[f"pck@{threshold}"] = (tf.cast(errors <= threshold, tf.float32), counted)
    for index, category in enumerate(CATEGORIES):
        here = tf.cast(tf.equal(labels["category"], index), tf.float32)[:, None]
        result[f"ne/{category}"] = (percent, counted * here)
    for index, keypoint in enumerate(KEYPOINTS):
        result[f"ne/{keypoint}"] = (percent[:, index], counted[:, index])
    right = tf.cast(tf.equal(v, labels["v"]), tf.float32)
    possible = tf.gather(tf.constant(_IN_CATEGORY), labels["category"])
    for index, name in enumerate(VISIBILITY_NAMES):
        result[f"recall/{name}"] = (right, possible * tf.cast(tf.equal(labels["v"], index), tf.float32))
    scored = tf.reduce_max(counted, axis=1)
    result["images_scored"] = (scored, tf.ones_like(scored))
    return result


def metric_ops(xy: tf.Tensor, v: tf.Tensor, labels: Labels) -> dict[str, Any]:
    """`eval_metric_ops` of an EstimatorSpec."""
    found = terms(xy, v, labels)
    sums = tf.stack([tf.reduce_sum(value * weight) for value, weight in found.values()])
    weights = tf.stack([tf.reduce_sum(weight) for _, weight in found.values()])
    # One streaming mean of them all: one for each would take longer to build than the network.
    means, update = _mean(tf.math.divide_no_nan(sums, weights), weights)
    ops = {name: (means[index], update) for index, name in enumerate(found)}
    recalls = [f"recall/{name}" for name in VISIBILITY_NAMES]
    # Classes that occur: the mean of nothing is 0 here, and none of the classes' recalls.
    shares, count_update = _mean(tf.stack([tf.reduce_sum(found[recall][1]) for recall in recalls]))
    count = tf.reduce_sum(tf.cast(shares > 0, tf.float32))
    ops[BALANCED_RECALL] = (
        tf.math.divide_no_nan(tf.add_n([ops[recall][0] for recall in recalls]), count),
        tf.group(update, count_update),
    )
    return ops


def evaluate(batches: Batches) -> dict[str, float]:
    """The same metrics, eagerly, over batches of predicted xy, predicted v and labels.

    A metric that no point counts for is left out.
    """
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    for xy, v, labels in batches:
        for name, (value, weight) in terms(xy, v, labels).items():
            sums[name] = sums.get(name, 0.0) + float(tf.reduce_sum(value * weight))
            weights[name] = weights.get(name, 0.0) + float(tf.reduce_sum(weight))
    result = {name: total / weights[name] for name, total in sums.items() if weights[name]}
    recalls = [result[f"recall/{name}"] for name in VISIBILITY_NAMES if f"recall/{name}" in result]
    if recalls:
        result[BALANCED_RECALL] = sum(recalls) / len(recalls)
    return result
