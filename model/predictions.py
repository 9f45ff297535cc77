"""What the network's heads say, as the outputs of the contract. Training evaluates by the same ones that are served."""

from __future__ import annotations

import tensorflow as tf

from model.network import Heads
from seamline_client.contract import ABSENT, PRED_V, PRED_X_RATIO, PRED_Y_RATIO, VISIBILITY_NAMES
from seamline_client.keypoints import KeypointSet

RULED_OUT = 1e4
"""Logits that a point of another category loses: as good as infinity, and never NaN."""


def predict(heads: Heads, keypoints: KeypointSet) -> dict[str, tf.Tensor]:
    """The three outputs of the contract. The names given here are those that the SavedModel's signature shows."""
    x, y = tf.unstack(tf.clip_by_value(heads.xy, 0.0, 1.0), axis=2)
    visibility = of_one_thing(heads.visibility_logits, keypoints)
    return {
        PRED_X_RATIO.name: tf.identity(x, PRED_X_RATIO.name),
        PRED_Y_RATIO.name: tf.identity(y, PRED_Y_RATIO.name),
        PRED_V.name: tf.argmax(visibility, axis=2, output_type=tf.int64, name=PRED_V.name),
    }


def of_one_thing(logits: tf.Tensor, keypoints: KeypointSet) -> tf.Tensor:
    """(N, K, 3) visibility logits -> the same, without the points that the thing in the picture cannot have.

    Of all answers whose points belong to one category, this leaves the most probable one: the category is chosen for
    which calling the other points absent costs least. An answer that is of one category already stays as it is.
    """
    others = tf.constant(
        [
            [float(index not in keypoints.can_have(name)) for index in range(len(keypoints))]
            for name in keypoints.category_names
        ]
    )
    cost = tf.reduce_max(logits, axis=2) - logits[:, :, ABSENT]
    category = tf.argmin(tf.matmul(cost, others, transpose_b=True), axis=1)
    present = 1.0 - tf.one_hot(ABSENT, len(VISIBILITY_NAMES))
    return logits - RULED_OUT * tf.gather(others, category)[:, :, None] * present
