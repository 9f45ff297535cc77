"""How good the points are. Each metric is a weighted mean, so sums can be added up over batches.

`Metrics.tally` defines them all, for `Estimator.evaluate` (`metric_ops`) and for evaluation outside of it (`means`).

NE, the normalised error (FashionAI, Tianchi 2018), in percent: the distance to the truth in the original picture's
pixels, divided by the normaliser of the thing's category (`keypoints.Category`), averaged over all visible points.
Things that lack one of its two points, or have both in one place, do not count.

OKS, the object keypoint similarity (https://cocodataset.org/#keypoints-eval), from 0 to 1: of each thing the mean over
its labelled points, visible or occluded, of exp(-d**2 / (2 area (2 sigma)**2)), averaged over the things. Only where
the set has sigmas: without measured ones it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from seamline_client.contract import ABSENT, VISIBILITY_NAMES, VISIBLE
from seamline_client.keypoints import KeypointSet

Labels = Mapping[str, Any]
"""`xy` (N, K, 2) float32 fractions, `v` (N, K) int64 classes, `size` (N, 2) float32 width and height of the original
in pixels, `box` (N, 2) float32 those of the thing's box, `area` (N,) float32 the thing's square pixels, `category` (N,)
int64 place among the set's categories."""

Batches = Iterable[tuple[Any, Any, Labels]]
"""Predicted xy (N, K, 2), predicted v (N, K) and the labels."""

NE = "ne"
PCK = {"pck@0.05": 0.05, "pck@0.1": 0.1}
"""The share of visible points whose error is at most this fraction of the normaliser."""
OF_POINTS = (NE, *PCK)
"""Means over visible points: over all of them, and by `<metric>/<name>` over those of a category or keypoint."""
RECALLS = tuple(f"recall/{name}" for name in VISIBILITY_NAMES)
"""Of each visibility class, over the points that a thing of the picture's category can have."""
BALANCED_RECALL = "visibility_recall"
"""The mean of the recalls of those classes that occur."""
ECE = "ece"
"""By how much scores are off: expected calibration error of PRED_SCORE, see `pipeline.evaluation.calibration`."""
IMAGES_SCORED = "images_scored"
"""The share of images that have an NE."""
OKS = "oks"
"""The mean over the things that have a point."""


class Metrics:
    """The metrics of a keypoint set."""

    def __init__(self, keypoints: KeypointSet) -> None:
        count, categories = len(keypoints), keypoints.categories
        groups = ("", *(f"/{name}" for name in (*keypoints.category_names, *keypoints.keypoints)))
        self._sigmas = keypoints.sigmas
        of_images = (IMAGES_SCORED, *([OKS] if self._sigmas else []))
        self.names = (*(f"{metric}{group}" for metric in OF_POINTS for group in groups), *RECALLS, *of_images)
        """What is tallied."""
        self._overall = (*(f"{NE}{group}" for group in groups), *PCK, *RECALLS, *of_images)
        ends = [each.normaliser or keypoints.keypoints[:1] * 2 for each in categories]
        self._ends = [[keypoints.index[name] for name in pair] for pair in ends]
        self._by_box = [each.normaliser is None for each in categories]
        possible = [keypoints.can_have(each.name) for each in categories]
        self._possible = [[float(index in some) for index in range(count)] for some in possible]

    def normalised_errors(self, xy: tf.Tensor, labels: Labels) -> tuple[tf.Tensor, tf.Tensor]:
        """(N, K, 2) predicted fractions -> (N, K) errors as a fraction of the normaliser, (N, K) weights 0 or 1."""
        size = labels["size"][:, None, :]
        truth = labels["xy"] * size
        v, category = labels["v"], labels["category"]
        ends = tf.gather(tf.constant(self._ends), category)
        first, second = (tf.gather(truth, ends[:, end], batch_dims=1) for end in (0, 1))
        known = tf.reduce_all(tf.not_equal(tf.gather(v, ends, batch_dims=1), ABSENT), axis=1)
        apart = tf.norm(first - second, axis=1) * tf.cast(known, tf.float32)
        by_box = tf.gather(tf.constant(self._by_box), category)
        normaliser = tf.where(by_box, tf.reduce_max(labels["box"], axis=1), apart)
        errors = tf.math.divide_no_nan(tf.norm(xy * size - truth, axis=2), normaliser[:, None])
        return errors, tf.cast(tf.equal(v, VISIBLE) & (normaliser[:, None] > 0), tf.float32)

    def photo_ne(self, xy: tf.Tensor, labels: Labels) -> tf.Tensor:
        """(N, K, 2) predicted fractions -> (N,) NE of each photo in percent, NaN where it has none."""
        errors, counted = self.normalised_errors(xy, labels)
        return 100 * tf.reduce_sum(errors * counted, axis=1) / tf.reduce_sum(counted, axis=1)

    def similarities(self, xy: tf.Tensor, labels: Labels) -> tuple[tf.Tensor, tf.Tensor]:
        """(N, K, 2) predicted fractions -> (N,) OKS, 0 where a thing has no point, and (N,) weights 0 or 1."""
        squares = tf.reduce_sum(((xy - labels["xy"]) * labels["size"][:, None, :]) ** 2, axis=2)
        scale = 2 * labels["area"][:, None] * (2 * tf.constant(self._sigmas)) ** 2
        there = tf.cast(tf.not_equal(labels["v"], ABSENT), tf.float32)
        # As pycocotools has it, a thing without an area has a very small one.
        alike = tf.exp(-squares / tf.maximum(scale, 1e-30)) * there
        count = tf.reduce_sum(there, axis=1)
        return tf.math.divide_no_nan(tf.reduce_sum(alike, axis=1), count), tf.cast(count > 0, tf.float32)

    def tally(self, xy: tf.Tensor, v: tf.Tensor, labels: Labels) -> tf.Tensor:
        """(2, M) float32: for each of `names`, the sum of its weighted values over a batch, and that of the weights.

        `xy` (N, K, 2) and `v` (N, K) are the predictions.
        """
        errors, counted = self.normalised_errors(xy, labels)
        close = [tf.cast(errors <= threshold, tf.float32) for threshold in PCK.values()]
        points = tf.stack([counted, 100 * errors * counted, *(each * counted for each in close)])
        in_category = tf.one_hot(labels["category"], len(self._possible))
        weight, *sums = tf.unstack(
            tf.concat(
                [
                    tf.reduce_sum(points, [1, 2])[:, None],
                    tf.einsum("mnk,nc->mc", points, in_category),
                    tf.reduce_sum(points, 1),
                ],
                axis=1,
            )
        )
        possible = tf.gather(tf.constant(self._possible), labels["category"])
        classes = tf.one_hot(labels["v"], len(VISIBILITY_NAMES)) * possible[:, :, None]
        right = tf.einsum("nk,nkc->c", tf.cast(tf.equal(v, labels["v"]), tf.float32), classes)
        scored = tf.reduce_max(counted, axis=1)
        of_images = [(scored, tf.ones_like(scored)), *([self.similarities(xy, labels)] if self._sigmas else [])]
        values = [*sums, right, [tf.reduce_sum(value) for value, _ in of_images]]
        weights = [
            *[weight] * len(sums),
            tf.reduce_sum(classes, [0, 1]),
            [tf.reduce_sum(each) for _, each in of_images],
        ]
        return tf.stack([tf.concat(values, 0), tf.concat(weights, 0)])

    def metric_ops(self, xy: tf.Tensor, v: tf.Tensor, labels: Labels) -> dict[str, Any]:
        """`eval_metric_ops` of an EstimatorSpec. A metric that nothing counts for is NaN."""
        # Both rows are averaged over the batches, whose number cancels out below. One streaming mean for all of them:
        # one for each would take longer to build than the network.
        totals, update = tf.compat.v1.metrics.mean_tensor(self.tally(xy, v, labels))
        found = dict(zip(self.names, tf.unstack(totals[0] / totals[1])))
        recalls = tf.stack([found[name] for name in RECALLS])
        ops = {name: (found[name], update) for name in self._overall}
        occurring = tf.boolean_mask(recalls, tf.math.is_finite(recalls))
        return {**ops, BALANCED_RECALL: (tf.reduce_mean(occurring), update)}

    def means(self, total: NDArray[np.float64]) -> dict[str, float]:
        """(2, M) tallies, added up over batches -> metrics by name, BALANCED_RECALL and `names`.

        A metric that nothing counts for, or that is not a number, is left out.
        """
        found = {name: value / weight for name, value, weight in zip(self.names, *total.tolist()) if weight}
        recalls = [found[name] for name in RECALLS if name in found]
        if recalls:
            found[BALANCED_RECALL] = sum(recalls) / len(recalls)
        return {name: value for name, value in found.items() if math.isfinite(value)}
