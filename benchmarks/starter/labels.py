"""What a teacher says of photos whose kind is known, as labels to learn from, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.starter.photos import Pictures
from model.model_fn import Weights
from model.network import KeypointNetwork, NetworkConfig
from pipeline.console import progress
from seamline_client.contract import ABSENT, OCCLUDED, VISIBLE
from seamline_client.keypoints import GARMENTS

v1 = tf.compat.v1

UNPLACED = VISIBLE + 1
"""A class beside those of the contract: the point is there, since nearly every garment of the kind has it."""
UNKNOWN = VISIBLE + 2
"""Another: nothing is known of the point."""

NEAR = 0.04
"""Of the picture's side: answers that are no farther from their mean agree on where a point is."""
NEARLY_ALL = 0.9
"""Of the annotated garments of a kind: a point that as many have counts as one that all have."""
LACKS = 0.8
"""How likely a teacher must find it that a point is not there."""
BATCH = 16

Array = NDArray[Any]


@dataclass(frozen=True)
class Views:
    """What a teacher sees in N pictures that it looks at in V ways."""

    xy: Array
    """(V, N, K, 2) fractions."""
    probability: Array
    """(V, N, K, 3) of the visibility classes."""


def views(
    weights: Weights, pictures: Pictures, what: str, *, flip: bool = True, config: NetworkConfig | None = None
) -> Views:
    """What the network sees with these weights: in the picture as it is and, with `flip`, in its mirror image."""
    order = list(GARMENTS.flip)
    xy, probability = [], []
    with tf.Graph().as_default(), v1.Session() as session, progress(f"Looking at {what}") as on_progress:
        pixels = v1.placeholder(tf.uint8, (None, *pictures.pixels.shape[1:]))
        network = KeypointNetwork(config or NetworkConfig(), len(GARMENTS))
        network_of = tf.autograph.experimental.do_not_convert(network)
        heads = network_of(tf.cast(pixels, tf.float32), training=False)
        answers = (heads.xy, tf.nn.softmax(heads.visibility_logits))
        for variable in network.variables:
            variable.load(weights.arrays[variable.op.name], session)
        for start in range(0, len(pictures), BATCH):
            batch = pictures.pixels[start : start + BATCH]
            seen = [session.run(answers, {pixels: batch})]
            if flip:
                mirrored = session.run(answers, {pixels: batch[:, :, ::-1]})
                seen.append((mirrored[0][:, order] * [-1, 1] + [1, 0], mirrored[1][:, order]))
            xy.append(np.stack([each[0] for each in seen]))
            probability.append(np.stack([each[1] for each in seen]))
            on_progress(min(start + BATCH, len(pictures)), len(pictures))
    return Views(np.concatenate(xy, 1).astype(np.float32), np.concatenate(probability, 1))


def possible(category: Array) -> Array:
    """(N,) kinds -> (N, K) bool, the points that a garment of the kind can have."""
    kinds = [GARMENTS.can_have(name) for name in GARMENTS.category_names]
    return np.array([[index in kind for index in range(len(GARMENTS))] for kind in kinds])[category]


def usual(fit: Pictures) -> Array:
    """(C, K) bool, the points that nearly all annotated garments of a kind have."""
    there = fit.labels["v"] != ABSENT
    kinds = range(len(GARMENTS.categories))
    return np.array([there[fit.labels["category"] == kind].mean(0) >= NEARLY_ALL for kind in kinds])


def label(last: Views, earlier: Sequence[Views], category: Array, usual: Array) -> tuple[Array, Array, Array]:
    """Labels of pictures of these kinds: (N, K, 2) xy, (N, K) v, and (N,) the share of points that are trusted.

    A point is trusted where the kind can have it, the teacher sees it, and its views agree on where; what `earlier`
    teachers saw near by counts for the mean. The kind itself says which points cannot be there, and of some others
    that they are.
    """
    centre, mean = last.xy.mean(0), last.probability.mean(0)
    agree = (_apart(last.xy, centre) <= NEAR).all(0)
    xy = np.concatenate([last.xy, *(each.xy for each in earlier)])
    near = (_apart(xy, centre) <= NEAR)[..., None]
    xy = np.where(near.any(0), (xy * near).sum(0) / np.maximum(near.sum(0), 1), centre)
    seen, can = mean[..., ABSENT] < 0.5, possible(category)
    # Only who sees a garment of this kind can tell that it lacks one of its points.
    same = ~(seen & ~can).any(1, keepdims=True)
    v = np.where(usual[category], UNPLACED, np.where(same & (mean[..., ABSENT] > LACKS), ABSENT, UNKNOWN))
    trusted = can & seen & agree
    v = np.where(trusted, np.where(mean[..., OCCLUDED] > mean[..., VISIBLE], OCCLUDED, VISIBLE), v)
    v = np.where(can, v, ABSENT)
    wanted = (usual[category] | (can & seen)).sum(1)
    return xy.astype(np.float32), v.astype(np.int64), trusted.sum(1) / wanted


def _apart(xy: Array, centre: Array) -> Array:
    """(V, N, K, 2) and (N, K, 2) -> (V, N, K), in fractions of the side."""
    apart: Array = np.linalg.norm(xy - centre, axis=3)
    return apart
