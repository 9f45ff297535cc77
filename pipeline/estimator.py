"""The Estimator of a run: the one place where it is built."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.model_fn import ModelConfig, model_fn
from pipeline.weights import Weights

v1 = tf.compat.v1

# Estimator warns of its own deprecation, at length. That we use it all the same is our decision: see ARCHITECTURE.md.
tf.get_logger().setLevel(logging.ERROR)


def build(
    folder: Path, config: ModelConfig, *, seed: int = 1, checkpoint_every: int = 200, initial: Weights | None = None
) -> Any:
    """A `tf.compat.v1.estimator.Estimator` (the one that still has `export_savedmodel`) over the run in `folder`.

    A run without a checkpoint starts from the weights in `initial`.
    """
    return v1.estimator.Estimator(
        model_fn=model_fn,
        model_dir=str(folder),
        params={"config": config, "initial": initial},
        config=v1.estimator.RunConfig(
            tf_random_seed=seed,
            save_checkpoints_steps=checkpoint_every,
            save_summary_steps=20,
            log_step_count_steps=20,
            keep_checkpoint_max=2,
        ),
    )
