"""The Estimator's training loop, against the bare step fed from memory and against Keras' fit.

All three train the same network with the same loss, optimiser, weight average and batch size, in one process and in
turn. The Estimator has its hooks, summaries and checkpoints and reads and augments the training photos, as `make train`
has it; Keras reads and augments them too; the bare step is `Session.run(train_op)` on batches that are ready in memory.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.lanes import Lane
from benchmarks.measure import series
from benchmarks.plot import Bars
from benchmarks.report import Report

if TYPE_CHECKING:  # TensorFlow, which the other benchmarks need not wait for
    from pipeline.training.presets import Preset

ROUNDS, STEPS, PHOTOS = 8, 16, 240
QUICK_STEPS, QUICK_PHOTOS = 3, 40
SKIPPED, QUICK_SKIPPED = 3, 1
"""First steps of a turn that do not count: batches were made ready while the others had their turn."""
WARM_UP = 3
"""Steps of the first round."""
IN_MEMORY = 8
"""Batches that the bare step goes round and round."""
ESTIMATOR, BARE, KERAS = "Estimator", "bare step, from memory", "Keras fit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="demo", help="default: %(default)s")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Rounds of so many steps of each in turn; the first round warms up."""
    from garments import write_dataset
    from pipeline.data import records
    from pipeline.training.presets import PRESETS

    if arguments.preset not in PRESETS:
        raise SystemExit(f"--preset {arguments.preset}: one of {', '.join(PRESETS)}")
    preset = PRESETS[arguments.preset]()
    report.state(preset=preset.name, batch=str(preset.batch_size))
    quick = arguments.quick
    rounds, steps, skipped = (1, QUICK_STEPS, QUICK_SKIPPED) if quick else (ROUNDS, STEPS, SKIPPED)
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        write_dataset(photos, QUICK_PHOTOS if quick else PHOTOS, 1)
        dataset = records.prepare(photos, Path(scratch) / "records", lambda *_: None)
        loops: dict[str, Callable[[Lane], None]] = {
            ESTIMATOR: partial(_estimator, dataset, preset, Path(scratch) / "run"),
            BARE: partial(_bare, dataset, preset),
            KERAS: partial(_keras, dataset, preset),
        }
        lanes = [Lane(name, loop) for name, loop in loops.items()]
        rates: dict[str, list[float]] = {name: [] for name in loops}
        cpu: dict[str, list[float]] = {name: [] for name in loops}
        for number in range(rounds + 1):
            for lane in lanes:
                ends = lane.turn(skipped + steps if number else WARM_UP)
                if number:
                    first, last, images = ends[skipped - 1], ends[-1], preset.batch_size * steps
                    rates[lane.name].append(images / (last.clock - first.clock))
                    cpu[lane.name].append(1000 * (last.cpu - first.cpu) / images)
        for lane in lanes:
            lane.end()
    measured, processors = series(rates), series(cpu)
    rows = [
        [
            name,
            f"{each.median:.1f}",
            each.spread,
            str(measured[ESTIMATOR].ratio(each)),
            f"{processors[name].median:.1f}",
        ]
        for name, each in measured.items()
    ]
    header = ["loop", "images/s", "rounds", "Estimator's rate of it (5-95 %)", "processor ms an image"]
    report.table("Training", header, rows)
    panel = Bars("More is better", "images a second", [*measured.values()])
    report.write(f"Training, preset {preset.name}", [panel], {"steps": steps, "rates": rates, "cpu_ms": cpu})


def _estimator(dataset: Any, preset: Preset, folder: Path, lane: Lane) -> None:
    import tensorflow as tf

    from pipeline.data.input_fn import train_input_fn
    from pipeline.training import estimator as estimators
    from pipeline.training.hooks import BestCheckpoint, Stop, TrainingLine

    class Turns(tf.compat.v1.train.SessionRunHook):
        def after_run(self, run_context: Any, run_values: Any) -> None:
            if not lane.step():
                run_context.request_stop()

    line = TrainingLine(preset.steps, preset.batch_size, BestCheckpoint(folder), lambda *_: None)
    estimators.build(folder, preset.model, seed=preset.seed, checkpoint_every=preset.evaluate_every).train(
        train_input_fn(dataset, preset.batch_size, preset.augmentation, preset.seed, 0),
        hooks=[Stop(), line, Turns()],
    )


def _bare(dataset: Any, preset: Preset, lane: Lane) -> None:
    import tensorflow as tf

    from model.model_fn import model_fn
    from pipeline.data.input_fn import train_input_fn

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        batches = train_input_fn(dataset, preset.batch_size, preset.augmentation, preset.seed, 0)()
        kept = v1.data.make_initializable_iterator(batches.take(IN_MEMORY).cache().repeat())
        features, labels = kept.get_next()
        spec = model_fn(features, labels, v1.estimator.ModeKeys.TRAIN, {"config": preset.model})
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), kept.initializer])
            step = session.make_callable(spec.train_op)
            step()
            while lane.step():
                step()


def _keras(dataset: Any, preset: Preset, lane: Lane) -> None:
    """`fit` as its documentation has it. The network's outputs are no plain tensors, hence a loss of its own."""
    import tensorflow as tf

    from model.losses import total_loss
    from model.model_fn import learning_rate
    from model.network import KeypointNetwork
    from pipeline.data.input_fn import train_input_fn

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

    class Turns(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if not lane.step():
                self.model.stop_training = True

    optimiser = preset.model.optimiser
    model = Trained()
    model.compile(
        tf.keras.optimizers.Adam(
            Rate(), global_clipnorm=optimiser.clip_norm, use_ema=True, ema_momentum=optimiser.average_decay
        )
    )
    batches = train_input_fn(dataset, preset.batch_size, preset.augmentation, preset.seed, 0)()
    model.fit(batches, steps_per_epoch=1_000_000, callbacks=[Turns()], verbose=0)
