"""A round of the student, the network that ships: annotated photos beside those that a teacher labelled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.starter.labels import UNPLACED
from benchmarks.starter.photos import SHAPE, Pictures
from model.losses import LossConfig, position_loss
from model.model_fn import OptimiserConfig, Weights, learning_rate, starting_from, train_op
from model.network import Heads, KeypointNetwork, NetworkConfig
from pipeline.console import progress
from pipeline.data.augment import Augmentation, augment
from seamline_client.contract import VISIBLE
from seamline_client.keypoints import GARMENTS

v1 = tf.compat.v1

SAVE_STEPS = 50
"""A round that is killed loses no more than these."""
LABELS = ("xy", "v", "size")


@dataclass(frozen=True)
class Round:
    """How the student learns in one round. A batch has `annotated` photos with labels of people, `taught` of a teacher:
    the weights of the round of that number.

    Photos are drawn by kind, as often as the `balance`-th power of how many there are: 1 as they come, 0 evenly.
    """

    optimiser: OptimiserConfig
    annotated: int = 6
    taught: int = 10
    teacher: int = 0
    balance: float = 0.5
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(stretch=0.15))
    visibility: float = 1.0
    """Weight of that part of the loss."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    seed: int = 1


def train(folder: Path, how: Round, fit: Pictures, taught: Pictures, initial: Weights | None) -> None:
    """Trains up to the last step, from the checkpoint in `folder` where there is one."""
    steps = how.optimiser.steps
    random.seed(how.seed)  # where Keras draws the seeds of its first weights
    with tf.Graph().as_default():
        v1.set_random_seed(how.seed)
        step = v1.train.get_or_create_global_step()
        start = _step_of(folder)
        iterator = v1.data.make_initializable_iterator(batches(how, fit, taught, start))
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        batch = iterator.get_next()
        network = KeypointNetwork(how.network, len(GARMENTS))
        average = tf.train.ExponentialMovingAverage(how.optimiser.average_decay, num_updates=step)
        as_written = tf.autograph.experimental.do_not_convert(network)
        heads = as_written(tf.cast(batch["images"], tf.float32), training=True)
        losses = loss_parts(heads, batch["xy"], batch["v"])
        update = train_op(losses[0] + how.visibility * losses[1], network, average, how.optimiser)
        with tf.control_dependencies([update]):
            taken = step.read_value()
        scaffold = starting_from(initial, GARMENTS, network, average)
        v1.summary.scalar("rate", learning_rate(step, how.optimiser))
        with (
            v1.train.MonitoredTrainingSession(
                checkpoint_dir=str(folder),
                scaffold=scaffold,
                save_checkpoint_steps=SAVE_STEPS,
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
            ) as session,
            progress(f"Training {folder.name}") as on_progress,
        ):
            done, smooth = start, None
            while done < steps:
                done, parts = session.run([taken, losses])
                smooth = np.array(parts) if smooth is None else 0.98 * smooth + 0.02 * np.array(parts)
                on_progress(int(done), steps, f"loss: position {smooth[0]:.3f}, visibility {smooth[1]:.3f}")


def _step_of(folder: Path) -> int:
    latest = tf.train.latest_checkpoint(str(folder))
    return int(latest.rsplit("-", 1)[1]) if latest else 0


def loss_parts(heads: Heads, xy: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """As `model.losses`, but a point of class UNPLACED is known to be there and no more, and of UNKNOWN nothing is.

    `xy`: (N, K, 2) fractions. `v`: (N, K) classes. Scalars: of position and of visibility.
    """
    logits = heads.visibility_logits
    cross = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.minimum(v, VISIBLE), logits)
    present = tf.reduce_logsumexp(logits, 2) - tf.reduce_logsumexp(logits[:, :, 1:], 2)
    visibility = tf.where(v <= VISIBLE, cross, tf.where(tf.equal(v, UNPLACED), present, 0.0))
    return position_loss(heads, xy, v, LossConfig()), tf.reduce_mean(visibility)


def batches(how: Round, fit: Pictures, taught: Pictures, start: int) -> tf.data.Dataset:
    size = how.annotated + how.taught
    chances = [_chances(each.labels["category"], how.balance) for each in (fit, taught)]

    def draw() -> Iterator[dict[str, NDArray[Any]]]:
        number = start
        while True:
            # By the step, so that a round which goes on sees what it would have seen.
            draws = np.random.default_rng([how.seed, number])
            parts = [
                (pictures, np.sort(draws.choice(len(pictures), count, p=chance)))
                for pictures, count, chance in zip((fit, taught), (how.annotated, how.taught), chances)
                if count
            ]
            labels = {name: np.concatenate([each.labels[name][rows] for each, rows in parts]) for name in LABELS}
            yield {"images": np.concatenate([each.pixels[rows] for each, rows in parts]), **labels}
            number += 1

    signature = {
        "images": tf.TensorSpec((size, *SHAPE), tf.uint8),
        "xy": tf.TensorSpec((size, len(GARMENTS), 2), tf.float32),
        "v": tf.TensorSpec((size, len(GARMENTS)), tf.int64),
        "size": tf.TensorSpec((size, 2), tf.float32),
    }
    drawn = tf.data.Dataset.from_generator(draw, output_signature=signature).enumerate(start)
    changed = tf.autograph.experimental.do_not_convert(
        lambda number, batch: augment(batch, number, how.augmentation, GARMENTS.flip, how.seed)
    )
    return drawn.map(changed, num_parallel_calls=2).prefetch(2)


def _chances(category: NDArray[np.int64], balance: float) -> NDArray[np.float64]:
    """(N,) kinds -> (N,) the chance of each photo to be drawn."""
    count = np.bincount(category, minlength=len(GARMENTS.categories)).astype(float)
    each = np.where(count > 0, count, 1.0) ** (balance - 1)
    chances: NDArray[np.float64] = each[category] / each[category].sum()
    return chances
