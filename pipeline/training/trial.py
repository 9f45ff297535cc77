"""Whether the devices of training can compute: `python -m pipeline.training.trial [cpu]`, for `make gpu-check`.

Each takes a float16 convolution with its gradient (cuDNN), and a function that XLA compiles (ptxas and libdevice): what
fails first where TensorFlow sees a GPU and its libraries do not fit.
"""

from __future__ import annotations

import os
import sys
import time

from pipeline.gpu import ENVIRONMENT

os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", **ENVIRONMENT, **os.environ})

import tensorflow as tf

from pipeline.training import estimator

SIDE, CHANNELS = 34, 32
"""Such that float16 holds every sum exactly."""


def main(kind: str) -> int:
    """0 when each device of this kind computed what it should, and there is one."""
    found = tf.config.list_logical_devices(kind.upper())
    if not found:
        print("TensorFlow sees no GPU.")
        return 1
    names = [name for name, _ in estimator.gpus()] if kind == "gpu" else ["no GPU: the processor is tried"]
    for device, name in zip(found, names):
        started = time.monotonic()
        try:
            compute(device.name)
        except (tf.errors.OpError, ArithmeticError) as error:
            print(f"{name}: cannot compute: {str(error).splitlines()[0]}")
            return 1
        print(f"{name}: computes, in {time.monotonic() - started:.1f} s with what is compiled for the first time")
    return 0


def compute(device: str) -> None:
    """Raises ArithmeticError for a result that is not the expected one, tf.errors.OpError where there is none."""
    with tf.device(device):
        pixels = tf.ones([1, SIDE, SIDE, CHANNELS], tf.float16)
        kernel = tf.fill([3, 3, CHANNELS, CHANNELS], tf.constant(1 / 64, tf.float16))
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            answer = tf.nn.conv2d(pixels, kernel, 1, "VALID")
        gradient = tape.gradient(answer, kernel)
        compiled = tf.function(lambda x: tf.exp(x) * tf.reduce_sum(x), jit_compile=True)(tf.ones([SIDE]))
    for what, value, expected in (
        ("a float16 convolution", tf.reduce_max(answer), 9 * CHANNELS / 64),
        ("its gradient", tf.reduce_max(gradient), (SIDE - 2) ** 2),
        ("a compiled function", compiled[0], SIDE * 2.71828),
    ):
        if not abs(float(value) - expected) < 0.02 * expected:
            raise ArithmeticError(f"{what} gave {float(value)}, expected {expected:.4g}")


if __name__ == "__main__":
    sys.exit(main((sys.argv[1:] or ["gpu"])[0]))
