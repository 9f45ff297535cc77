"""Random changes of training pictures, on whole batches inside the tf.data graph. Points follow the pixels exactly.

Coordinates are continuous: a picture spans [0, 1] x [0, 1] and pixel i has its centre at (i + 0.5) / side. All draws
are stateless, from a seed and the batch's number, so that a run can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from pipeline.data.redraw import Changes, redraw
from seamline_client.contract import ABSENT, IMAGE_SIDE, OCCLUDED, VISIBLE

Batch = dict[str, tf.Tensor]
"""`images` (N, 384, 384, 3) uint8, and the labels of `model.metrics.Labels`."""


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes. Angles in degrees, shifts as a fraction of the side, chances in 0..1."""

    flip: float = 0.5
    rotate: float = 25.0
    scale: tuple[float, float] = (0.7, 1.25)
    stretch: float = 0.0
    """Garments are made up to this much longer or wider: exp(-stretch) to exp(stretch), at constant area."""
    shift: float = 0.12
    brightness: float = 0.25
    contrast: float = 0.35
    saturation: float = 0.6
    hue: float = 40.0
    tint: float = 0.12
    blur: float = 0.2
    erase: float = 0.3


class _Draws:
    """A stream of stateless random numbers for one batch."""

    def __init__(self, size: tf.Tensor, seed: int, number: tf.Tensor) -> None:
        self._size, self._seed, self._number, self._stream = size, seed, number, 0

    def uniform(self, low: float, high: float, *shape: int) -> tf.Tensor:
        """(N, *shape) float32 in [low, high)."""
        self._stream += 1
        seed = tf.stack([tf.constant(self._seed * 1000 + self._stream, tf.int64), self._number])
        return tf.random.stateless_uniform([self._size, *shape], seed, low, high)

    def chance(self, probability: float) -> tf.Tensor:
        """(N,) bool."""
        return self.uniform(0, 1) < probability


def augment(batch: Batch, number: tf.Tensor, config: Augmentation, flip: Sequence[int], seed: int) -> Batch:
    """The batch, changed. `number` is the batch's place in the run. A point that leaves the picture becomes absent."""
    draws = _Draws(tf.shape(batch["images"])[0], seed, number)
    forward, offset, flipped = _affine(batch["size"], draws, config)
    xy, v = _move_points(batch["xy"], batch["v"], forward, offset, tf.where(flipped[:, None], flip, range(len(flip))))
    colours = _colours(batch["images"], draws, config)
    blurred = draws.chance(config.blur)
    (centre, half, paint), v = _erase(xy, v, draws, config)
    changes = Changes(*_backward(forward, offset), blurred, *colours, centre, half, paint)
    return {**batch, "images": redraw(batch["images"], changes), "xy": xy, "v": v}


def _affine(size: tf.Tensor, draws: _Draws, config: Augmentation) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Random (N, 2, 2) matrix and (N, 2) offset, old place -> new place, and (N,) whether it mirrors.

    It turns the garment as it is, not as the stretch to a square shows it: hence the picture's aspect on either side.
    """
    angle = draws.uniform(-config.rotate, config.rotate) * (math.pi / 180)
    scale = tf.exp(draws.uniform(math.log(config.scale[0]), math.log(config.scale[1])))
    flipped = draws.chance(config.flip)
    wider = tf.exp(draws.uniform(-config.stretch, config.stretch))
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    across = tf.where(flipped, -wider, wider)
    aspect = size[:, 0] / size[:, 1]
    rows = [tf.stack([cos * across, -sin / wider / aspect], 1), tf.stack([sin * across * aspect, cos / wider], 1)]
    matrix = tf.stack(rows, 1)
    shift = draws.uniform(-config.shift, config.shift, 2)
    return matrix, 0.5 + shift - tf.linalg.matvec(matrix, tf.fill(tf.shape(shift), 0.5)), flipped


def _backward(matrix: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The same map from new to old, in pixel indices: index i is the fraction (i + 0.5) / side."""
    inverse = tf.linalg.inv(matrix)
    return inverse, -tf.linalg.matvec(inverse, offset) * IMAGE_SIDE + tf.reduce_sum(inverse, 2) * 0.5 - 0.5


def _move_points(
    xy: tf.Tensor, v: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor, order: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`order` (N, K): which point each one becomes, another one where the picture is mirrored."""
    moved = tf.einsum("nij,nkj->nki", matrix, xy) + offset[:, None]
    moved, v = (tf.gather(each, order, batch_dims=1) for each in (moved, v))
    inside = tf.reduce_all((moved >= 0) & (moved <= 1), axis=2)
    return moved, tf.where(inside, v, tf.constant(ABSENT, tf.int64))


def _colours(images: tf.Tensor, draws: _Draws, config: Augmentation) -> tuple[tf.Tensor, tf.Tensor]:
    """Brightness, contrast, saturation, hue and tint are all linear in RGB: (N, 3, 3), and (N,) to be added."""
    grey = tf.constant([[0.299, 0.587, 0.114]] * 3)
    saturation = draws.uniform(1 - config.saturation, 1 + config.saturation)[:, None, None]
    matrix = saturation * tf.eye(3) + (1 - saturation) * grey
    matrix = _turn_about_grey(draws.uniform(-config.hue, config.hue) * (math.pi / 180)) @ matrix
    contrast = draws.uniform(1 - config.contrast, 1 + config.contrast)
    tint = draws.uniform(1 - config.tint, 1 + config.tint, 3)[:, :, None]
    # Some of the pixels tell the mean well enough.
    mean = tf.reduce_mean(tf.cast(images[:, ::4, ::4], tf.float32), axis=[1, 2, 3])
    light = mean * (1 - contrast) + 255 * draws.uniform(-config.brightness, config.brightness)
    return contrast[:, None, None] * tint * matrix, light


def _turn_about_grey(angle: tf.Tensor) -> tf.Tensor:
    """(N,) radians -> (N, 3, 3) rotation of RGB about the axis (1, 1, 1): Rodrigues' formula."""
    cross = tf.constant([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    cos, sin = tf.cos(angle)[:, None, None], tf.sin(angle)[:, None, None]
    return cos * tf.eye(3) + sin * cross + (1 - cos) * tf.fill([3, 3], 1 / 3)


def _erase(
    xy: tf.Tensor, v: tf.Tensor, draws: _Draws, config: Augmentation
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Hides a rectangle behind one colour (Zhong et al., 2020); a visible point under it becomes an occluded one."""
    centre, half = draws.uniform(0, 1, 2), draws.uniform(0.03, 0.12, 2)
    half = tf.where(draws.chance(config.erase)[:, None], half, 0.0)
    paint = tf.cast(draws.uniform(0, 255, 3), tf.uint8)
    inside = tf.reduce_all(tf.abs(xy - centre[:, None]) < half[:, None], axis=2)
    return (centre, half, paint), tf.where(inside & tf.equal(v, VISIBLE), tf.constant(OCCLUDED, tf.int64), v)
