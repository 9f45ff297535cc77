"""The network: images in, keypoint positions and visibility logits out. It knows nothing of Estimator.

Plain 3x3 convolutions, which two CPU cores run several times faster than depthwise ones. The picture is folded to
48x48 before the first of them; residual stages go down to 12x12 and a feature pyramid (Lin et al., 2017) brings
the result back up to one map of logits for each keypoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from seamline_client.contract import VISIBILITY_NAMES

WINDOW = 3
"""At inference a point is the centre of mass of its map within this many cells of the peak."""


@dataclass(frozen=True)
class NetworkConfig:
    """Size of the network. `widths` are the channels at strides 8, 16, 32, ...; `neck` those of the pyramid.

    All are multiples of 16: the oneDNN inside TensorFlow 2.15 writes out of bounds for the gradient of an 8-channel
    3x3 convolution on AVX-512 machines. Raises ValueError for others.
    """

    widths: tuple[int, ...] = (48, 96, 192)
    blocks: int = 2
    neck: int = 64
    batch_norm_momentum: float = 0.97

    def __post_init__(self) -> None:
        for width in (*self.widths, self.neck):
            if width % 16:
                raise ValueError(f"channels must be multiples of 16, found {width} in {self}")


class Heads(NamedTuple):
    """What the network answers. N images, K keypoints, a grid of G x G cells."""

    xy: tf.Tensor
    """(N, K, 2) float32, x and y as fractions of the picture's sides: the centre of mass round the peak."""
    mean_xy: tf.Tensor
    """(N, K, 2) float32, the centre of mass of the whole map: differentiable everywhere, so training uses it."""
    x_logits: tf.Tensor
    """(N, K, G) float32, unnormalised log-probability of each column."""
    y_logits: tf.Tensor
    """(N, K, G) float32, unnormalised log-probability of each row."""
    visibility_logits: tf.Tensor
    """(N, K, 3) float32, in the order of `contract.VISIBILITY_NAMES`."""
    sureness: tf.Tensor
    """(N, K) float32, the logarithm of the map's largest probability, from -4 where it is even to 4 in one cell."""


class ConvNorm(tf.keras.layers.Layer):
    """3x3 (or 1x1) convolution and batch normalisation, then ReLU unless told otherwise."""

    def __init__(
        self,
        width: int,
        config: NetworkConfig,
        *,
        kernel: int = 3,
        stride: int = 1,
        relu: bool = True,
        gamma: str = "ones",
    ) -> None:
        super().__init__()
        self.conv = tf.keras.layers.Conv2D(
            width, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal"
        )
        self.norm = tf.keras.layers.BatchNormalization(momentum=config.batch_norm_momentum, gamma_initializer=gamma)
        self.relu = relu

    def call(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        x = self.norm(self.conv(x), training=training)
        return tf.nn.relu(x) if self.relu else x


class Residual(tf.keras.layers.Layer):
    """Two convolutions beside a shortcut (He et al., 2016). The last gamma starts at zero, so it begins as identity."""

    def __init__(self, width: int, config: NetworkConfig, *, stride: int, project: bool) -> None:
        super().__init__()
        self.first = ConvNorm(width, config, stride=stride)
        self.second = ConvNorm(width, config, relu=False, gamma="zeros")
        self.shortcut = ConvNorm(width, config, kernel=1, stride=stride, relu=False) if project else None

    def call(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x, training=training)
        return tf.nn.relu(shortcut + self.second(self.first(x, training=training), training=training))


class Stages(tf.keras.layers.Layer):
    """(N, S, S, 3) float32 in -1..1 -> the features at strides 8, 16, 32, ..., of `config.widths` channels."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = ConvNorm(config.widths[0], config)
        self.stages = [
            [
                Residual(width, config, stride=2 if level and not block else 1, project=bool(level and not block))
                for block in range(config.blocks)
            ]
            for level, width in enumerate(config.widths)
        ]

    def call(self, images: tf.Tensor, training: bool) -> list[tf.Tensor]:
        x = self.stem(tf.nn.space_to_depth(images, 8), training=training)
        levels = []
        for stage in self.stages:
            for block in stage:
                x = block(x, training=training)
            levels.append(x)
        return levels


class KeypointNetwork(tf.keras.Model):
    """Images (N, 384, 384, 3) float32 in 0..255 -> `Heads` of K keypoints. Takes any side that is a multiple of 32."""

    def __init__(self, config: NetworkConfig, keypoints: int) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.backbone = Stages(config)
        self.context = tf.keras.layers.Dense(config.neck, activation="relu")
        self.laterals = [tf.keras.layers.Conv2D(config.neck, 1) for _ in config.widths]
        self.smooth = [ConvNorm(config.neck, config) for _ in config.widths]
        self.maps = tf.keras.layers.Conv2D(keypoints, 1)
        self.kind_hidden = tf.keras.layers.Dense(2 * config.neck, activation="relu")
        self.kind = tf.keras.layers.Dense(keypoints * len(VISIBILITY_NAMES))
        self.visibility_hidden = tf.keras.layers.Dense(config.neck, activation="relu")
        # A linear classifier for each keypoint: an occluded armpit looks different from an occluded hem.
        self.visibility = tf.keras.layers.EinsumDense(
            "nkc,kcv->nkv", output_shape=(keypoints, len(VISIBILITY_NAMES)), bias_axes="kv"
        )

    @property
    def heads(self) -> tuple[tf.keras.layers.Layer, ...]:
        """The layers that know which keypoints these are; the others are the backbone and the pyramid."""
        return (self.maps, self.kind_hidden, self.kind, self.visibility_hidden, self.visibility)

    def call(self, images: tf.Tensor, training: bool) -> Heads:
        levels = self.backbone(images / 127.5 - 1.0, training=training)
        context = self.context(tf.reduce_mean(levels[-1], axis=[1, 2]))
        x = context[:, None, None, :]
        for level, lateral, smooth in reversed(list(zip(levels, self.laterals, self.smooth))):
            x = smooth(_upsample(x, level) + lateral(level), training=training)
        return self._heads(x, context)

    def _heads(self, features: tf.Tensor, context: tf.Tensor) -> Heads:
        logits = tf.cast(self.maps(features), tf.float32)
        grid = tf.shape(logits)[1]
        logits = tf.transpose(logits, [0, 3, 1, 2])
        flat = tf.reshape(logits, [-1, self.keypoints, grid * grid])
        x_logits, y_logits = tf.reduce_logsumexp(logits, 2), tf.reduce_logsumexp(logits, 3)
        attention = tf.nn.softmax(flat)
        mean_xy = tf.stack([_mean(tf.nn.softmax(x_logits)), _mean(tf.nn.softmax(y_logits))], 2)
        cells = tf.cast(tf.reshape(features, [-1, grid * grid, features.shape[-1]]), tf.float32)
        # Whether a point is there shows in what is seen at it (pooled), in the whole picture (context), and in the maps
        # themselves: how sure each one is, and what shape all points make together.
        pooled = tf.matmul(tf.stop_gradient(attention), cells)
        sureness = tf.math.log(tf.reduce_max(attention, axis=2)) + math.log(48 * 48) / 2
        shape = tf.stop_gradient(tf.concat([sureness, tf.reshape(mean_xy - 0.5, [-1, self.keypoints * 2])], 1))
        whole = tf.concat([tf.cast(context, tf.float32), shape], 1)
        kind = tf.reshape(self.kind(self.kind_hidden(whole)), [-1, self.keypoints, len(VISIBILITY_NAMES)])
        whole = tf.repeat(whole[:, None, :], self.keypoints, axis=1)
        hidden = self.visibility_hidden(tf.concat([pooled, whole], 2))
        return Heads(
            xy=_peak_mean(attention, grid),
            mean_xy=mean_xy,
            x_logits=x_logits,
            y_logits=y_logits,
            visibility_logits=tf.cast(kind + self.visibility(hidden), tf.float32),
            sureness=sureness,
        )


def _upsample(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Bilinear resize to the height and width of `like`."""
    return tf.cast(tf.compat.v1.image.resize_bilinear(x, tf.shape(like)[1:3], half_pixel_centers=True), x.dtype)


def _mean(probability: tf.Tensor) -> tf.Tensor:
    """(..., G) probabilities over cells -> (...) mean position as a fraction; cell i is centred at (i + 0.5) / G."""
    grid = tf.shape(probability)[-1]
    centres = (tf.range(tf.cast(grid, tf.float32)) + 0.5) / tf.cast(grid, tf.float32)
    return tf.reduce_sum(probability * centres, axis=-1)


def _peak_mean(attention: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """(N, K, G*G) probabilities -> (N, K, 2) centre of mass of the cells within WINDOW of the most likely one."""
    peak = tf.argmax(attention, axis=2, output_type=tf.int32)
    cells = tf.range(grid)
    in_x = tf.cast(tf.abs(cells - (peak % grid)[:, :, None]) <= WINDOW, tf.float32)
    in_y = tf.cast(tf.abs(cells - (peak // grid)[:, :, None]) <= WINDOW, tf.float32)
    window = tf.reshape(attention, [-1, attention.shape[1], grid, grid]) * in_y[:, :, :, None] * in_x[:, :, None, :]
    window /= tf.reduce_sum(window, axis=[2, 3], keepdims=True)
    return tf.stack([_mean(tf.reduce_sum(window, 2)), _mean(tf.reduce_sum(window, 3))], 2)
