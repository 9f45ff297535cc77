"""How fast `train` is, against its input and its step alone and against Keras' fit; which of the two is the limit.

All train the same network with the same loss, optimiser, weight average and batch size, and take turns. `train`
is the command: it reads and augments photos, writes summaries and checkpoints. Keras reads and augments the same ones.
The bare step is `Session.run(train_op)` on batches that lie ready in memory; the input alone makes batches for nobody.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import run_python
from benchmarks.measure import in_turn
from benchmarks.report import Report
from garments import write_dataset
from seamline_client.keypoints import GARMENTS

if TYPE_CHECKING:  # TensorFlow, which the other benchmarks need not wait for
    from pipeline.training.presets import Preset

SKIPPED = 3
"""First steps of `fit` that do not count."""
IN_MEMORY = 8
"""Batches that the bare step goes round and round."""
BUFFERED = 2 + (os.cpu_count() or 1)
"""Batches that may lie ready in the input's own buffers."""
TRAIN, BARE, KERAS = "python -m pipeline train", "bare step, from memory", "Keras fit"
INPUT = "input alone"


def run(arguments: argparse.Namespace, report: Report) -> None:
    """In each round a whole run of `train`, then chunks of some steps of the others; the first chunk warms up."""
    from pipeline.training.presets import PRESETS

    name, drawn, rounds, chunks, steps = ("tiny", 40, 1, 1, 3) if arguments.quick else ("demo", 240, 2, 2, 20)
    preset = PRESETS[name]()
    report.state(preset=name, batch=str(preset.batch_size))
    rates: dict[str, list[float]] = {TRAIN: [], INPUT: [], BARE: [], KERAS: []}
    with tempfile.TemporaryDirectory() as scratch:
        photos, home = Path(scratch) / "photos", Path(scratch) / "home"
        write_dataset(photos, drawn, 1)
        run_python(["-m", "pipeline", "data", "--data", str(photos), "--preset", name], home=home)
        batches = _batches(home, preset)
        prepared = {INPUT: input_alone(batches), BARE: bare_step(batches, preset), KERAS: _keras(batches, preset)}
        loops = {loop: partial(seconds, steps) for loop, seconds in prepared.items()}
        for number in range(rounds):
            rates[TRAIN] += _train(photos, home, preset)
            for loop, found in in_turn(loops, chunks, warm_up=0 if number else 1).items():
                rates[loop] += [preset.batch_size * steps / seconds for seconds in found]
    bases = dict.fromkeys(rates, TRAIN)
    report.compare(f"Training, preset {name}", "images per second", rates, bases=bases)
    report.state(limit=limit(rates[INPUT], rates[BARE]))
    report.write()


def limit(input_rates: Sequence[float], step_rates: Sequence[float]) -> str:
    """Which of the two is slower, in words; where they share cores, neither reaches its figure in training."""
    slower, faster = sorted(
        {"input": float(np.median(input_rates)), "step": float(np.median(step_rates))}.items(), key=lambda each: each[1]
    )
    return f"the {slower[0]} (alone the {faster[0]} is {faster[1] / slower[1]:.1f} times as fast)"


def _batches(home: Path, preset: Preset) -> Callable[[], Any]:
    import tensorflow as tf

    from pipeline.data.input_fn import train_input_fn
    from pipeline.data.records import load

    tf.get_logger().setLevel("ERROR")  # Estimator warns of its own deprecation
    (records,) = (path.parent for path in home.rglob("dataset.json"))
    return train_input_fn(load(records), preset.batch_size, preset.augmentation, preset.seed, 0)


def _train(photos: Path, home: Path, preset: Preset) -> list[float]:
    """Images a second between the steps that a new run notes in its event file, as TensorBoard shows them.

    After a checkpoint comes an evaluation, so that stretch does not count.
    """
    from tensorflow.core.util.event_pb2 import Event
    from tensorflow.data import TFRecordDataset

    runs = home / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    run_python(["-m", "pipeline", "train", "--data", str(photos), "--preset", preset.name], home=home)
    files = sorted(map(str, runs.glob("*/events.out.tfevents.*")))
    noted = (Event.FromString(record.numpy()) for record in TFRecordDataset(files))
    found = [event for event in noted if event.step]
    return [
        preset.batch_size * (after.step - before.step) / (after.wall_time - before.wall_time)
        for before, after in zip(found, found[1:])
        if after.step > before.step and not before.session_log.checkpoint_path
    ]


def input_alone(batches: Callable[[], Any]) -> Callable[[int], float]:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        iterator = v1.data.make_one_shot_iterator(batches())
        next_batch = v1.Session().make_callable(tf.group(*tf.nest.flatten(iterator.get_next())))

    def seconds(steps: int) -> float:
        _seconds(next_batch, BUFFERED)  # made while the others ran
        return _seconds(next_batch, steps)

    return seconds


def _seconds(step: Callable[[], object], steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - started


def bare_step(batches: Callable[[], Any], preset: Preset) -> Callable[[int], float]:
    import tensorflow as tf

    from pipeline.training.estimator import augmenting

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        kept = v1.data.make_initializable_iterator(batches().take(IN_MEMORY).cache().repeat())
        features, labels = kept.get_next()
        params = {"config": preset.model, "keypoints": GARMENTS}
        spec = augmenting(preset)(features, labels, v1.estimator.ModeKeys.TRAIN, params)
        session = v1.Session()
        session.run([v1.global_variables_initializer(), kept.initializer])
        return partial(_seconds, session.make_callable(spec.train_op))


def _keras(batches: Callable[[], Any], preset: Preset) -> Callable[[int], float]:
    """`fit` as its documentation has it. The network's outputs are not plain tensors, hence a loss of its own."""
    import tensorflow as tf

    from model.losses import total_loss
    from model.network import KeypointNetwork

    class Trained(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.network = KeypointNetwork(preset.model.network, len(GARMENTS))

        def call(self, features: Any, training: bool = False) -> Any:
            return self.network(tf.cast(features["images"], tf.float32), training=training)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return total_loss(y_pred, y["xy"], y["v"], preset.model.loss)

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
            return {}

    optimiser = preset.model.optimiser
    adam = tf.keras.optimizers.Adam(
        global_clipnorm=optimiser.clip_norm, use_ema=True, ema_momentum=optimiser.average_decay
    )
    model = Trained()
    model.compile(adam)
    photos = batches()

    def seconds(steps: int) -> float:
        ends: list[float] = []
        clock = tf.keras.callbacks.LambdaCallback(on_batch_end=lambda *_, **__: ends.append(time.perf_counter()))
        # Each `fit` decodes the photos anew, before its first step ends.
        model.fit(photos, steps_per_epoch=SKIPPED + steps, callbacks=[clock], verbose=0)
        return ends[-1] - ends[SKIPPED - 1]

    return seconds
