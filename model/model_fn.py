"""The Estimator's `model_fn`: features, labels, mode and params in, an EstimatorSpec out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.losses import LossConfig, position_loss, total_loss, visibility_loss
from model.metrics import Labels, Metrics
from model.network import KeypointNetwork, NetworkConfig
from model.predictions import Served, predict
from seamline_client.contract import ANSWERS, DESCRIPTION, PRED_V
from seamline_client.keypoints import KeypointSet

v1 = tf.compat.v1


class WeightsMismatch(ValueError):
    """Initial weights that belong to another network."""


@dataclass(frozen=True)
class Weights:
    """What a run ended with, for another to start from."""

    arrays: Mapping[str, NDArray[np.float32]]
    """By the variable's name in the training graph."""
    keypoints: tuple[str, ...]
    """What its heads answer."""


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam with a linear warm-up, then a cosine down to nothing at `steps`; gradients are clipped by global norm."""

    steps: int
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    clip_norm: float = 5.0
    average_decay: float = 0.999
    """Exponential moving averages of the weights are what is evaluated and served: they beat the last weights."""
    keep_initial: bool = False
    """For a short run on pictures of another kind, such as drawn ones: batch norms keep the statistics of the weights
    that it starts from, and these count in the average from the first step, so that less is lost of what they knew."""
    mixed_precision: bool = False
    """Compute in float16 where a GPU can (compute capability 7.0 and newer), with a loss scale that adapts itself."""


@dataclass(frozen=True)
class ModelConfig:
    """The network, its loss and its optimiser, passed to `model_fn` as `params={"config": ModelConfig(...)}`.

    `params["keypoints"]` is the KeypointSet that it learns. `params["initial"]` may hold the Weights that a new run
    starts from. `params["served"]` is a `predictions.Served` for a model that is exported.
    """

    optimiser: OptimiserConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)


def model_fn(
    features: dict[str, tf.Tensor], labels: Labels | None, mode: str, params: dict[str, Any]
) -> tf.estimator.EstimatorSpec:
    """`features`: {"images": (N, 384, 384, 3) uint8 or float32 in 0..255}. `labels`: see `metrics.Labels`.

    Where there is a feature "query", (M,) strings, the description of a served model is the answer to each of them.

    Raises WeightsMismatch when the initial weights are not those of this network. Those of other keypoints give it all
    but its heads.
    """
    config: ModelConfig = params["config"]
    training = mode == v1.estimator.ModeKeys.TRAIN
    keypoints: KeypointSet = params["keypoints"]
    network = KeypointNetwork(config.network, len(keypoints))
    # Nothing in it branches on a tensor; AutoGraph would take seconds to find that out.
    as_written = tf.autograph.experimental.do_not_convert(network)
    normalising = training and not config.optimiser.keep_initial
    heads = as_written(tf.cast(features["images"], tf.float32), training=normalising)
    served: Served | None = params.get("served")
    predictions = predict(heads, keypoints, served)
    if served and "query" in features:
        predictions[DESCRIPTION.name] = tf.fill(tf.shape(features["query"]), served.description)
    average = tf.train.ExponentialMovingAverage(
        config.optimiser.average_decay,
        num_updates=None if config.optimiser.keep_initial else v1.train.get_or_create_global_step(),
    )

    if mode == v1.estimator.ModeKeys.PREDICT:
        return v1.estimator.EstimatorSpec(
            mode,
            predictions=predictions,
            export_outputs=_export_outputs(predictions),
            scaffold=_averaged(average, network),
        )

    assert labels is not None
    loss = total_loss(heads, labels["xy"], labels["v"], config.loss)
    if mode == v1.estimator.ModeKeys.EVAL:
        return v1.estimator.EstimatorSpec(
            mode,
            loss=loss,
            eval_metric_ops=Metrics(keypoints).metric_ops(heads.xy, predictions[PRED_V.name], labels),
            scaffold=_averaged(average, network),
        )

    v1.summary.scalar("loss/position", position_loss(heads, labels["xy"], labels["v"], config.loss))
    v1.summary.scalar("loss/visibility", visibility_loss(heads, labels["v"]))
    return v1.estimator.EstimatorSpec(
        mode,
        loss=loss,
        train_op=train_op(loss, network, average, config.optimiser),
        scaffold=starting_from(params.get("initial"), keypoints, network, average),
    )


def _export_outputs(predictions: Mapping[str, tf.Tensor]) -> dict[str, Any]:
    """The outputs of each signature, by its key. Those that are not there, of a model that is not exported, are not."""
    return {
        key: v1.estimator.export.PredictOutput({spec.name: predictions[spec.name] for spec in outputs})
        for key, outputs in ANSWERS.items()
        if all(spec.name in predictions for spec in outputs)
    }


def train_op(
    loss: tf.Tensor, network: KeypointNetwork, average: tf.train.ExponentialMovingAverage, config: OptimiserConfig
) -> tf.Operation:
    """A step of the optimiser, of the batch norms and of the weights' average."""
    step = v1.train.get_or_create_global_step()
    rate = learning_rate(step, config)
    v1.summary.scalar("learning_rate", rate)
    optimiser = v1.train.AdamOptimizer(rate)
    if config.mixed_precision:
        optimiser = v1.mixed_precision.enable_mixed_precision_graph_rewrite(optimiser)
    gradients, variables = zip(*optimiser.compute_gradients(loss, network.trainable_variables))
    # Each of N replicas has an Nth of the gradient, and they are added up after this.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    clipped, norm = tf.clip_by_global_norm(gradients, config.clip_norm / replicas)
    v1.summary.scalar("gradient_norm", norm * replicas)
    # Keras keeps the batch-norm updates to itself in graph mode: without them the moving averages would never move.
    with tf.control_dependencies(network.updates):
        apply = optimiser.apply_gradients(zip(clipped, variables), global_step=step)
    with tf.control_dependencies([apply]):
        return average.apply(network.variables)


def learning_rate(step: tf.Tensor, config: OptimiserConfig) -> tf.Tensor:
    """Scalar step -> scalar rate."""
    step = tf.cast(step, tf.float32)
    warmup = tf.minimum(1.0, (step + 1) / config.warmup_steps)
    progress = tf.clip_by_value((step - config.warmup_steps) / max(1, config.steps - config.warmup_steps), 0.0, 1.0)
    return config.learning_rate * warmup * 0.5 * (1 + tf.cos(3.141592653589793 * progress))


def _averaged(average: tf.train.ExponentialMovingAverage, network: KeypointNetwork) -> tf.compat.v1.train.Scaffold:
    """Restores each weight from its moving average in the checkpoint."""
    restore = {average.average_name(variable): variable for variable in network.variables}
    restore[v1.GraphKeys.GLOBAL_STEP] = v1.train.get_global_step()
    return v1.train.Scaffold(saver=v1.train.Saver(restore))


def starting_from(
    initial: Weights | None,
    keypoints: KeypointSet,
    network: KeypointNetwork,
    average: tf.train.ExponentialMovingAverage,
) -> tf.compat.v1.train.Scaffold | None:
    """Gives each weight and its average an array to start from, unless a checkpoint is restored.

    The heads of other keypoints are left as they are drawn, even where as many points make them the same shape.
    """
    if initial is None:
        return None
    variables = {_copies(variable)[0].op.name: variable for variable in network.variables}
    arrays = dict(initial.arrays)
    if initial.keypoints != keypoints.keypoints:
        for layer in network.heads:
            for variable in layer.variables:
                name = _copies(variable)[0].op.name
                del variables[name]
                arrays.pop(name, None)
    for name in sorted({*variables, *arrays}):
        expected = _copies(variables[name])[0].shape.as_list() if name in variables else "no such variable"
        found = list(arrays[name].shape) if name in arrays else "absent"
        if found != expected:
            raise WeightsMismatch(f"these weights belong to another network: {name} is {found}, expected {expected}")

    def load(_: tf.compat.v1.train.Scaffold, session: tf.compat.v1.Session) -> None:
        # All in one run: each run of other operations has TensorFlow look through the whole graph first.
        fed = [
            (each.initializer, arrays[name])
            for name, variable in variables.items()
            for each in (*_copies(variable), *_copies(average.average(variable)))
        ]
        session.run([operation for operation, _ in fed], {operation.inputs[1]: value for operation, value in fed})

    return v1.train.Scaffold(init_fn=load)


def _copies(variable: tf.Variable) -> tuple[tf.Variable, ...]:
    """Under MirroredStrategy a variable has a copy on each GPU, and goes by the name of the first."""
    return getattr(variable, "values", (variable,))
