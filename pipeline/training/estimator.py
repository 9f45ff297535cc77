"""The Estimator of a run: the one place where it is built."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.model_fn import Weights, model_fn
from pipeline.training.presets import Preset
from seamline_client.keypoints import KeypointSet

v1 = tf.compat.v1

# Estimator warns of its own deprecation, at length. Using it all the same is a decision: see docs/decisions/.
tf.get_logger().setLevel(logging.ERROR)


def build(
    folder: Path, preset: Preset, keypoints: KeypointSet, *, initial: Weights | None = None, gpus: bool = False
) -> Any:
    """A `tf.compat.v1.estimator.Estimator` (the one that still has `export_savedmodel`) over the run in `folder`.

    A run without a checkpoint starts from the weights in `initial`. With `gpus`, XLA compiles what runs on them; where
    there are several, each trains on batches of its own (MirroredStrategy).
    """
    session = v1.ConfigProto()
    if gpus:
        session.graph_options.optimizer_options.global_jit_level = v1.OptimizerOptions.ON_1
    mirrors = devices(gpus)
    return v1.estimator.Estimator(
        model_fn=model_fn,
        model_dir=str(folder),
        params={"config": preset.model, "keypoints": keypoints, "initial": initial},
        config=v1.estimator.RunConfig(
            tf_random_seed=preset.seed,
            save_checkpoints_steps=preset.evaluate_every,
            save_summary_steps=20,
            log_step_count_steps=20,
            keep_checkpoint_max=2,
            # Nobody reads it, and writing it as text takes seconds. TensorBoard has the graph all the same.
            checkpoint_save_graph_def=False,
            session_config=session,
            train_distribute=tf.distribute.MirroredStrategy(mirrors) if len(mirrors) > 1 else None,
        ),
    )


def devices(gpus: bool) -> list[str]:
    """The devices that each take a batch of a step: all GPUs where they are asked for, otherwise none in particular."""
    return [f"gpu:{index}" for index in range(len(tf.config.list_physical_devices("GPU")))] if gpus else []
