"""The loss: lowest at the truth, blind to absent points."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from model.losses import LossConfig, position_loss
from model.network import Heads
from seamline_client.contract import ABSENT, VISIBLE
from seamline_client.keypoints import GARMENTS

GRID = 48


def heads_at(x: float) -> Heads:
    """What a network says that is sure of every point at column and row `x`."""
    cells = (np.arange(GRID) + 0.5) / GRID
    logits = np.broadcast_to(-((cells - x) ** 2) * GRID**2 / 2, (1, len(GARMENTS), GRID)).astype(np.float32)
    xy = np.full((1, len(GARMENTS), 2), x, np.float32)
    unknown = np.zeros((1, len(GARMENTS), 3), np.float32)
    return Heads(*map(tf.constant, (xy, xy, logits, logits, unknown, unknown[..., 0])))


def loss(x: float, truth: float, v: int) -> float:
    xy = tf.fill([1, len(GARMENTS), 2], truth)
    return float(position_loss(heads_at(x), xy, tf.fill([1, len(GARMENTS)], v), LossConfig()))


def test_position_loss_is_lowest_at_the_truth() -> None:
    """It grows with the distance from the truth."""
    losses = [loss(x, 0.5, VISIBLE) for x in (0.5, 0.52, 0.6, 0.9)]
    assert losses == sorted(losses)
    assert losses[0] < losses[1]


def test_the_map_of_an_absent_point_should_say_nothing() -> None:
    """Beside a point that is there, an absent one costs least when its map is even, wherever its label would be."""
    v = tf.constant([[VISIBLE] + [ABSENT] * (len(GARMENTS) - 1)])
    xy = tf.fill([1, len(GARMENTS), 2], 0.5)
    sure = heads_at(0.5)
    even = np.array(sure.x_logits)
    even[:, 1:] = 0
    silent = sure._replace(x_logits=tf.constant(even), y_logits=tf.constant(even))
    assert float(position_loss(silent, xy, v, LossConfig())) < float(position_loss(sure, xy, v, LossConfig()))


def test_absent_points_have_no_position_to_learn() -> None:
    """The loss of a picture without any point is zero, not NaN, wherever the network looks."""
    assert loss(0.9, -1.0, ABSENT) == 0.0
