"""How fast `train` is, against the bare step fed from memory and against Keras' fit.

All three train the same network with the same loss, optimiser, weight average and batch size, and take turns. `train`
is the command: it reads and augments photos, writes summaries and checkpoints. Keras reads and augments the same ones.
The bare step is `Session.run(train_op)` on batches that lie ready in memory.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import run_python
from benchmarks.measure import series
from benchmarks.report import Report
from garments import write_dataset

if TYPE_CHECKING:  # TensorFlow, which the other benchmarks need not wait for
    from pipeline.training.presets import Preset

PHOTOS, QUICK_PHOTOS = 240, 40
ROUNDS, CHUNKS, STEPS, QUICK_STEPS = 2, 2, 20, 3
"""In each round: one run of `train`, then so many chunks of so many steps of each of the others."""
IN_MEMORY = 8
"""Batches that the bare step goes round and round."""
TRAIN, BARE, KERAS = "python -m pipeline train", "bare step, from memory", "Keras fit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", help="default: demo, with --quick tiny")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """The first chunk of each warms up."""
    from pipeline.training.presets import PRESETS

    quick = arguments.quick
    name = arguments.preset or ("tiny" if quick else "demo")
    if name not in PRESETS:
        raise SystemExit(f"--preset {name}: one of {', '.join(PRESETS)}")
    preset = PRESETS[name]()
    report.state(preset=name, batch=str(preset.batch_size))
    rates: dict[str, list[float]] = {TRAIN: [], BARE: [], KERAS: []}
    with tempfile.TemporaryDirectory() as scratch:
        photos, home = Path(scratch) / "photos", Path(scratch) / "home"
        write_dataset(photos, QUICK_PHOTOS if quick else PHOTOS, 1)
        run_python(["-m", "pipeline", "data", "--data", str(photos), "--preset", name], home=home)
        batches = _batches(home, preset)
        chunks = {BARE: _bare(batches, preset), KERAS: _keras(batches, preset)}
        for chunk in chunks.values():
            chunk(QUICK_STEPS)
        for _ in range(1 if quick else ROUNDS):
            rates[TRAIN] += _train(photos, home, preset)
            for _ in range(1 if quick else CHUNKS):
                for loop, chunk in chunks.items():
                    steps = QUICK_STEPS if quick else STEPS
                    started = time.perf_counter()
                    chunk(steps)
                    rates[loop].append(steps * preset.batch_size / (time.perf_counter() - started))
    measured = series(rates)
    rows = [[n, f"{each.median:.1f}", each.spread, measured[TRAIN].ratio(each)] for n, each in measured.items()]
    title = f"Training, preset {name}"
    report.table(title, ["loop", "images/s", "rounds", "train's rate of it (5-95 %)"], rows)
    report.bars(title, "images per second: more is better", measured.values())
    report.write()


def _batches(home: Path, preset: Preset) -> Callable[[], Any]:
    from pipeline.data.input_fn import train_input_fn
    from pipeline.data.records import load

    (records,) = (path.parent for path in home.rglob("dataset.json"))
    return train_input_fn(load(records), preset.batch_size, preset.augmentation, preset.seed, 0)


def _train(photos: Path, home: Path, preset: Preset) -> list[float]:
    """Images a second between the steps that a new run notes in its event file, as TensorBoard shows them.

    After a checkpoint comes an evaluation, so that stretch does not count.
    """
    import tensorflow as tf

    runs = home / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    run_python(["-m", "pipeline", "train", "--data", str(photos), "--preset", preset.name], home=home)
    (events,) = runs.glob("*/events.out.tfevents.*")
    found = [each for each in tf.compat.v1.train.summary_iterator(str(events)) if each.step]
    return [
        preset.batch_size * (after.step - before.step) / (after.wall_time - before.wall_time)
        for before, after in pairwise(found)
        if after.step > before.step and not before.session_log.checkpoint_path
    ]


def _bare(batches: Callable[[], Any], preset: Preset) -> Callable[[int], None]:
    import tensorflow as tf

    from model.model_fn import model_fn

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        kept = v1.data.make_initializable_iterator(batches().take(IN_MEMORY).cache().repeat())
        features, labels = kept.get_next()
        spec = model_fn(features, labels, v1.estimator.ModeKeys.TRAIN, {"config": preset.model})
        session = v1.Session()
        session.run([v1.global_variables_initializer(), kept.initializer])
        step = session.make_callable(spec.train_op)

    def chunk(steps: int) -> None:
        for _ in range(steps):
            step()

    return chunk


def _keras(batches: Callable[[], Any], preset: Preset) -> Callable[[int], None]:
    """`fit` as its documentation has it. The network's outputs are not plain tensors, hence a loss of its own."""
    import tensorflow as tf

    from model.losses import total_loss
    from model.model_fn import learning_rate
    from model.network import KeypointNetwork

    class Rate(tf.keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return learning_rate(step, preset.model.optimiser)

    class Trained(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.network = KeypointNetwork(preset.model.network)

        def call(self, features: Any, training: bool = False) -> Any:
            return self.network(tf.cast(features["images"], tf.float32), training=training)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return total_loss(y_pred, y["xy"], y["v"], preset.model.loss)

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
            return {}

    optimiser = preset.model.optimiser
    adam = tf.keras.optimizers.Adam(
        Rate(), global_clipnorm=optimiser.clip_norm, use_ema=True, ema_momentum=optimiser.average_decay
    )
    model = Trained()
    model.compile(adam)
    endless = iter(batches())
    return lambda steps: model.fit(endless, steps_per_epoch=steps, verbose=0)
