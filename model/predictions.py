"""What the network's heads say, as the outputs of the contract. Training evaluates by the same ones that are served."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from model.network import Heads
from seamline_client.contract import ABSENT, PRED_SCORE, PRED_V, PRED_X_RATIO, PRED_Y_RATIO, VISIBILITY_NAMES
from seamline_client.keypoints import KeypointSet

EVIDENCE = "evidence"
"""(N, K, 2) float32, what a point's score is computed from: the log-odds that it is there, and how sure its map is."""
SURE = 10.0
"""Log-odds at which a point is surely there, or surely not: more of them are no more evidence."""

RULED_OUT = 1e4
"""Logits that a point of another category loses: as good as infinity, and never NaN."""


@dataclass(frozen=True)
class Served:
    """What an exported model says besides where the points are. Both are known only after training."""

    calibration: tuple[float, float, float]
    """A score's log-odds are the first, plus the others times EVIDENCE."""
    description: str
    """`contract.DESCRIPTION`."""


def predict(heads: Heads, keypoints: KeypointSet, served: Served | None = None) -> dict[str, tf.Tensor]:
    """The outputs of the contract, PRED_SCORE among them for a model that is `served`, and EVIDENCE.

    The names given here are those that the SavedModel's signatures show.
    """
    x, y = tf.unstack(tf.clip_by_value(heads.xy, 0.0, 1.0), axis=2)
    visibility = of_one_thing(heads.visibility_logits, keypoints)
    absent, *present = tf.unstack(visibility, axis=2)
    there = tf.clip_by_value(tf.reduce_logsumexp(present, axis=0) - absent, -SURE, SURE)
    evidence = tf.stack([there, heads.sureness], 2)
    found = {
        PRED_X_RATIO.name: tf.identity(x, PRED_X_RATIO.name),
        PRED_Y_RATIO.name: tf.identity(y, PRED_Y_RATIO.name),
        PRED_V.name: tf.argmax(visibility, axis=2, output_type=tf.int64, name=PRED_V.name),
        EVIDENCE: evidence,
    }
    if served:
        bias, *weights = served.calibration
        found[PRED_SCORE.name] = tf.sigmoid(bias + tf.reduce_sum(evidence * weights, axis=2), PRED_SCORE.name)
    return found


def of_one_thing(logits: tf.Tensor, keypoints: KeypointSet) -> tf.Tensor:
    """(N, K, 3) visibility logits -> the same, without the points that the thing in the picture cannot have.

    Of all answers whose points belong to one category, this leaves the most probable one: the category is chosen for
    which calling the other points absent costs least. An answer that is of one category already stays as it is.
    """
    possible = [keypoints.can_have(name) for name in keypoints.category_names]
    others = tf.constant([[float(index not in some) for index in range(len(keypoints))] for some in possible])
    cost = tf.reduce_max(logits, axis=2) - logits[:, :, ABSENT]
    category = tf.argmin(tf.matmul(cost, others, transpose_b=True), axis=1)
    present = 1.0 - tf.one_hot(ABSENT, len(VISIBILITY_NAMES))
    return logits - RULED_OUT * tf.gather(others, category)[:, :, None] * present
