"""What training minimises: where the points are, and whether they can be seen.

Tensors are compared by `tf.equal`: in the graphs that Estimator builds `==` compares the Python objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from model.network import Heads
from seamline_client.contract import ABSENT, OCCLUDED, VISIBLE


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss. `sigma` is the width of the target, in cells of the map."""

    sigma: float = 1.0
    occluded: float = 0.5
    """An occluded point's position is less certain in the annotations than a visible one's, so it counts less."""
    absent: float = 0.1
    """The map of an absent point is pushed towards an even spread, so that a sure map means a point that is there."""
    distance: float = 10.0
    visibility: float = 1.0


def position_loss(heads: Heads, xy: tf.Tensor, v: tf.Tensor, config: LossConfig) -> tf.Tensor:
    """Mean over the points that are in the picture.

    Cross-entropy of each map's column and row marginals against a Gaussian round the truth, plus the L1 distance of
    its centre of mass (integral regression, Sun et al., 2018). An absent point has no coordinates: its marginals are
    compared with an even spread instead. `xy`: (N, K, 2) fractions. `v`: (N, K) classes. Scalar.
    """
    absent = tf.equal(v, ABSENT)
    present = tf.where(tf.equal(v, VISIBLE), 1.0, tf.where(tf.equal(v, OCCLUDED), config.occluded, 0.0))
    cross_entropy = sum(
        _marginal(logits, xy[..., axis], absent, config.sigma)
        for axis, logits in enumerate((heads.x_logits, heads.y_logits))
    )
    distance = tf.reduce_sum(tf.abs(heads.mean_xy - xy), axis=2)
    weight = present + config.absent * tf.cast(absent, tf.float32)
    total = weight * cross_entropy + present * config.distance * distance
    return tf.math.divide_no_nan(tf.reduce_sum(total), tf.reduce_sum(present))


def _marginal(logits: tf.Tensor, truth: tf.Tensor, absent: tf.Tensor, sigma: float) -> tf.Tensor:
    """(N, K, G) logits and (N, K) fractions -> (N, K) cross-entropy with a Gaussian, or an even spread."""
    grid = logits.shape[2]
    centres = tf.range(grid, dtype=tf.float32) + 0.5
    energy = -tf.square(centres - truth[:, :, None] * grid) / (2 * sigma**2)
    target = tf.nn.softmax(tf.where(absent[:, :, None], 0.0, energy))
    return tf.nn.softmax_cross_entropy_with_logits(target, logits)


def visibility_loss(heads: Heads, v: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of the three visibility classes over all points. `v`: (N, K) classes. Scalar."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(v, heads.visibility_logits))


def total_loss(heads: Heads, xy: tf.Tensor, v: tf.Tensor, config: LossConfig) -> tf.Tensor:
    """The scalar that training minimises."""
    return position_loss(heads, xy, v, config) + config.visibility * visibility_loss(heads, v)
