"""The Estimator of a run: the one place where it is built."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.model_fn import ModelConfig, Weights, model_fn
from model.predictions import Served
from pipeline.data.input_fn import NUMBER, InputFn, augment_features
from pipeline.training.cluster import VARIABLE, Task
from pipeline.training.presets import Preset
from seamline_client.keypoints import KeypointSet

v1 = tf.compat.v1

# Estimator warns of its own deprecation, at length. Using it all the same is a decision: see docs/decisions/.
tf.get_logger().setLevel(logging.ERROR)


def build(
    folder: Path,
    preset: Preset,
    keypoints: KeypointSet,
    *,
    initial: Weights | None = None,
    gpus: bool = False,
    served: Served | None = None,
    task: Task | None = None,
) -> Any:
    """A `tf.compat.v1.estimator.Estimator` (the one that still has `export_savedmodel`) over the run in `folder`.

    A run without a checkpoint starts from the weights in `initial`. With `gpus`, each of several GPUs trains on batches
    of its own (MirroredStrategy). `served` is what an exported model says besides where the points are. As `task` it
    trains in step with the other tasks of a cluster (MultiWorkerMirroredStrategy over all GPUs, where there are some).
    """
    # RunConfig and the strategy read it. Whoever evaluates or exports is in no cluster, whatever the environment says.
    os.environ.pop(VARIABLE, None)
    if task:
        os.environ[VARIABLE] = task.for_tensorflow()
    return v1.estimator.Estimator(
        model_fn=augmenting(preset),
        model_dir=str(folder),
        params={"config": _model(preset), "keypoints": keypoints, "initial": initial, "served": served},
        config=v1.estimator.RunConfig(
            tf_random_seed=preset.seed,
            save_checkpoints_steps=preset.evaluate_every,
            save_summary_steps=20,
            log_step_count_steps=20,
            keep_checkpoint_max=2,
            # Nobody reads it, and writing it as text takes seconds. TensorBoard has the graph all the same.
            checkpoint_save_graph_def=False,
            session_config=_session(preset),
            train_distribute=_strategy(gpus, task),
        ),
    )


def _strategy(gpus: bool, task: Task | None) -> Any:
    if task:
        return tf.distribute.MultiWorkerMirroredStrategy()
    mirrors = devices(gpus)
    return tf.distribute.MirroredStrategy(mirrors) if len(mirrors) > 1 else None


def save_first_checkpoint(estimator: Any, input_fn: InputFn) -> None:
    """The checkpoint of step 0, which all tasks of a cluster start from: they would wait for each other in an init_fn.

    `estimator` is one without a strategy, whose variables have the same names.
    """
    with tf.Graph().as_default():
        v1.set_random_seed(estimator.config.tf_random_seed)
        v1.train.get_or_create_global_step()
        features, labels = tf.nest.map_structure(
            lambda spec: v1.placeholder(spec.dtype, spec.shape), input_fn().element_spec
        )
        spec = estimator.model_fn(features, labels, v1.estimator.ModeKeys.TRAIN, estimator.config)
        saver = v1.train.Saver(sharded=True, defer_build=True, save_relative_paths=True)  # as Estimator's own
        v1.add_to_collection(v1.GraphKeys.SAVERS, saver)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=estimator.model_dir,
            scaffold=spec.scaffold,
            save_checkpoint_steps=1,  # and when it begins
            save_summaries_steps=0,
            log_step_count_steps=None,
            save_graph_def=False,
        ):
            pass


def _model(preset: Preset) -> ModelConfig:
    """From nothing there is nothing to keep."""
    if preset.init:
        return preset.model
    return replace(preset.model, optimiser=replace(preset.model.optimiser, keep_initial=False))


def augmenting(preset: Preset) -> Callable[..., Any]:
    """The model_fn, behind augmentation where the input leaves that to the graph."""

    def augmented(features: Any, labels: Any, mode: str, params: Any) -> Any:
        if NUMBER in features:
            features, labels = augment_features(
                features, labels, preset.augmentation, params["keypoints"].flip, preset.seed
            )
        # Keras draws the seeds of its first weights from here, where Estimator's own seed does not reach.
        random.seed(preset.seed)
        # Nothing in it branches on a tensor; AutoGraph, which a strategy asks for, would take seconds to find that out.
        return tf.autograph.experimental.do_not_convert(model_fn)(features, labels, mode, params)

    return augmented


def _session(preset: Preset) -> Any:
    """Estimator's own settings, which it drops where it is given any, and the preset's."""
    # Summaries and iterators have no kernel for a GPU; MirroredStrategy puts them there all the same.
    config = v1.ConfigProto(allow_soft_placement=True)
    rewriting = config.graph_options.rewrite_options
    rewriting.meta_optimizer_iterations = rewriting.ONE
    if preset.xla:
        config.graph_options.optimizer_options.global_jit_level = v1.OptimizerOptions.ON_1
    return config


def devices(gpus: bool) -> list[str]:
    """The devices that each take a batch of a step: all GPUs where they are asked for, otherwise none in particular."""
    return [f"gpu:{index}" for index in range(len(tf.config.list_physical_devices("GPU")))] if gpus else []


def gpus() -> list[tuple[str, float]]:
    """Name and compute capability of each GPU that TensorFlow sees."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [
        (each.get("device_name", "unknown"), float("{}.{}".format(*each.get("compute_capability", (0, 0)))))
        for each in details
    ]
