"""Whether a checkpoint holds the weights of a network.

A run's folder is named by its preset, so that the two belong together; files may be copied, or cut short.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from model.model_fn import ModelConfig, model_fn
from pipeline.training.hooks import BestCheckpoint
from pipeline.training.hooks import Checkpoint as Checkpoint
from seamline_client.contract import DEFAULT

v1 = tf.compat.v1

AVERAGE = "/ExponentialMovingAverage"
"""Of each weight of the network the checkpoint has a moving average, by this name behind the weight's own."""
UNREADABLE = (tf.errors.OpError, LookupError, OSError, RuntimeError, ValueError)
"""What TensorFlow's reader raises for files that are missing or damaged, each kind of damage in its own way."""


def problem(prefix: str, config: ModelConfig) -> str | None:
    """Why the network of `config` cannot go on from a checkpoint: damage, or the first variable that differs.

    None when it can. Reads the whole checkpoint and builds the network once, in about a second.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        for name in shapes:
            reader.get_tensor(name)
    except UNREADABLE as error:
        return damaged(prefix, error)
    found = {name[: -len(AVERAGE)]: shape for name, shape in shapes.items() if name.endswith(AVERAGE)}
    expected = _variables(config)
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            there, wanted = (_words(variables.get(name)) for variables in (found, expected))
            return f"{prefix}: the checkpoint is of another network: {name} is {there} there, the preset's is {wanted}"
    return None


def damaged(prefix: str, error: Exception) -> str:
    """In words, of what TensorFlow or Python said when it was read."""
    first, _, _ = str(error).partition("\n")
    return f"{prefix}: the checkpoint is damaged or incomplete ({first})"


def _variables(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the network's weights, as the Estimator makes them."""
    with tf.Graph().as_default():
        images = v1.placeholder(tf.float32, (None, *DEFAULT.input.shape[1:]))
        step = v1.train.get_or_create_global_step()
        model_fn({"images": images}, None, v1.estimator.ModeKeys.PREDICT, {"config": config})
        return {
            variable.op.name: tuple(variable.shape.as_list())
            for variable in v1.global_variables()
            if variable.op.name != step.op.name
        }


def _words(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {'x'.join(map(str, shape)) or 'one number'}"


def best(run: Path) -> Checkpoint | None:
    """The best checkpoint of a run's folder so far."""
    return BestCheckpoint(run).current
