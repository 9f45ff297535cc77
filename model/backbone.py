"""MobileNetV2 (Sandler et al., 2018) as a feature extractor, for those who have its ImageNet weights.

Layers are called as in `tf.keras.applications.MobileNetV2`, so that the weight files which Keras publishes fit. It is
written out here because a functional Keras model keeps batch-norm updates of its own placeholder in Estimator's graphs.
"""

from __future__ import annotations

import tensorflow as tf

MOBILENET_V2 = "mobilenet_v2"
STAGES = (
    # factor of expansion, channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LEVELS = (2, 4, 6)
"""The stages whose outputs are handed on: strides 8, 16 and 32."""


class MobileNetV2(tf.keras.layers.Layer):
    """(N, S, S, 3) float32 in -1..1 -> the features at strides 8, 16 and 32, of 32, 96 and 320 channels."""

    def __init__(self) -> None:
        super().__init__(name=MOBILENET_V2)
        self.stem = tf.keras.layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="Conv1")
        self.stem_norm = _norm("bn_Conv1")
        self.stages: list[list[_Block]] = []
        index, before = 0, 32
        for factor, width, count, stride in STAGES:
            blocks = []
            for block in range(count):
                blocks.append(_Block(index, before, factor, width, stride if block == 0 else 1))
                index, before = index + 1, width
            self.stages.append(blocks)
        # Keras finds layers in attributes, not in objects that are none of its own.
        self.layers_of_blocks = [layer for stage in self.stages for block in stage for layer in block.layers]

    def call(self, x: tf.Tensor, training: bool) -> list[tf.Tensor]:
        x = tf.nn.relu6(self.stem_norm(self.stem(x), training=training))
        features = []
        for blocks in self.stages:
            for block in blocks:
                x = block(x, training)
            features.append(x)
        return [features[level] for level in LEVELS]


class _Block:
    """Expansion, depthwise convolution, projection, and a shortcut where the shape stays.

    No layer itself, so that its layers' variables are called as Keras calls them.
    """

    def __init__(self, index: int, before: int, factor: int, width: int, stride: int) -> None:
        name = f"block_{index}" if index else "expanded_conv"
        self.shortcut = stride == 1 and before == width
        self.expand = None
        if factor > 1:
            self.expand = (
                tf.keras.layers.Conv2D(before * factor, 1, use_bias=False, name=f"{name}_expand"),
                _norm(f"{name}_expand_BN"),
            )
        self.depthwise = (
            tf.keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=f"{name}_depthwise"),
            _norm(f"{name}_depthwise_BN"),
        )
        self.project = (
            tf.keras.layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project"),
            _norm(f"{name}_project_BN"),
        )
        self.layers = [*(self.expand or ()), *self.depthwise, *self.project]

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        before = x
        for convolution, norm in filter(None, (self.expand, self.depthwise)):
            x = tf.nn.relu6(norm(convolution(x), training=training))
        convolution, norm = self.project
        x = norm(convolution(x), training=training)
        return before + x if self.shortcut else x


def _norm(name: str) -> tf.keras.layers.BatchNormalization:
    return tf.keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)
