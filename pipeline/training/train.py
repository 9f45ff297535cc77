"""Training: a data set and a preset to the best checkpoint of a run. Goes on where an earlier run was stopped."""

from __future__ import annotations

import fcntl
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.model_fn import WeightsMismatch
from pipeline.console import console, progress
from pipeline.data.input_fn import eval_input_fn, train_input_fn
from pipeline.data.records import Dataset, reading
from pipeline.errors import TrainingError
from pipeline.evaluation import samples
from pipeline.training import checkpoints
from pipeline.training import estimator as estimators
from pipeline.training.hooks import (
    BestCheckpoint,
    Checkpoint,
    EndedEarly,
    Interrupted,
    Stop,
    StopBeforeEvaluation,
    TrainingLine,
    stop_on_signal,
)
from pipeline.training.overlays import Overlays
from pipeline.training.presets import Preset
from pipeline.training.weights import Weights, as_checkpoint, load

v1 = tf.compat.v1


def train(dataset: Dataset, preset: Preset, folder: Path, *, drawn: Dataset | None = None) -> Checkpoint:
    """Trains up to the preset's last step and returns the checkpoint with the lowest NE on the evaluation split.

    `drawn` is mixed in at the preset's `drawn_share`.
    Ends before that where the preset's patience does. Raises Interrupted on SIGINT or SIGTERM, after a checkpoint was
    saved, and TrainingError when the folder is in use, cannot be written, holds a checkpoint that training cannot go
    on from, or the loss is no longer a number.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder), stop_on_signal() as stop, reading(dataset, drawn):
            return _train(dataset, drawn, preset, folder, stop)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written: {error}") from error
    except tf.errors.ResourceExhaustedError as error:
        raise TrainingError(f"{folder}: out of memory or disk: {error.message.splitlines()[0]}") from error
    except WeightsMismatch as error:
        raise TrainingError(
            f"{preset.init}: {error}. --init none starts from nothing, or choose a preset with the same network."
        ) from error
    except v1.train.NanLossDuringTrainingError as error:
        raise TrainingError(
            f"{folder}: the loss is no longer a number. Lower the learning rate of preset {preset.name} "
            f"or look for broken annotations; the checkpoints before this are kept."
        ) from error


def step_of(folder: Path) -> int:
    """The step of the last checkpoint in a run's folder, 0 where there is none.

    Raises TrainingError where it cannot be read.
    """
    latest = tf.train.latest_checkpoint(str(folder))
    try:
        return int(tf.train.load_variable(latest, v1.GraphKeys.GLOBAL_STEP)) if latest else 0
    except checkpoints.UNREADABLE as error:
        raise TrainingError(f"{checkpoints.damaged(latest, error)}. Delete {folder} to train anew.") from error


def _train(dataset: Dataset, drawn: Dataset | None, preset: Preset, folder: Path, stop: Stop) -> Checkpoint:
    start = step_of(folder)
    best = BestCheckpoint(folder, preset.patience)
    # Keras draws the seeds of its first weights from here, where Estimator's own seed does not reach.
    random.seed(preset.seed)
    initial = load(preset.init) if preset.init and not start else None
    estimator = estimators.build(
        folder,
        preset.model,
        seed=preset.seed,
        checkpoint_every=preset.evaluate_every,
        initial=initial,
        gpus=preset.gpus,
    )
    if start > best.evaluated:
        _check(folder, preset)
        _evaluate(estimator, estimator.latest_checkpoint(), dataset, best, stop)
    if start >= preset.steps:
        console.print(f"Nothing left to do: {folder} is at step {start} of {preset.steps}")
    elif best.out_of_patience:
        console.print(f"Nothing left to do: {folder} ended early, {_early(best, start, preset)}")
    else:
        pictures = preset.batch_size * estimators.replicas(preset.gpus)
        if start:
            _check(folder, preset)
            console.print(f"Going on from step {start} of {preset.steps} in {folder}")
        elif initial is not None:
            console.print(f"Starting from the weights {preset.init}")
            _evaluate_first(estimator, initial, preset, dataset, best, stop)
        with progress("Training") as on_progress, _ending_early(best, preset):
            v1.estimator.train_and_evaluate(
                estimator,
                v1.estimator.TrainSpec(
                    train_input_fn(
                        dataset,
                        preset.batch_size,
                        preset.augmentation,
                        preset.seed,
                        start,
                        drawn=drawn,
                        drawn_share=preset.drawn_share,
                    ),
                    max_steps=preset.steps,
                    hooks=[stop, TrainingLine(preset.steps, pictures, best, on_progress)],
                ),
                v1.estimator.EvalSpec(
                    eval_input_fn(dataset),
                    steps=None,
                    hooks=[StopBeforeEvaluation(stop), Overlays(folder / "eval", samples.one_of_each(dataset))],
                    exporters=[best],
                    start_delay_secs=0,
                    throttle_secs=0,
                ),
            )
    if stop.requested and step_of(folder) < preset.steps:
        # Asked for after an evaluation and before the next step: Estimator ends as if it was done.
        raise Interrupted
    if best.current is None:
        raise TrainingError(f"{folder}: no checkpoint has an NE. Is any point of the evaluation split visible?")
    return best.current


def _evaluate_first(
    estimator: Any, initial: Weights, preset: Preset, dataset: Dataset, best: BestCheckpoint, stop: Stop
) -> None:
    """On few photos a run may make nothing better of the weights that it begins with: then they are its best.

    Weights of a backbone alone answer nothing yet, and those of another network are refused when training begins.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prefix = as_checkpoint(initial, Path(scratch))
        if not checkpoints.problem(prefix, preset.model):
            _evaluate(estimator, prefix, dataset, best, stop)


def _evaluate(estimator: Any, prefix: str, dataset: Dataset, best: BestCheckpoint, stop: Stop) -> None:
    """Of a checkpoint that Estimator itself passes over: the first, or the last of a run that was ended before this."""
    result = estimator.evaluate(eval_input_fn(dataset), hooks=[StopBeforeEvaluation(stop)], checkpoint_path=prefix)
    best.export(estimator, "", prefix, result, is_the_final_export=True)


def _check(folder: Path, preset: Preset) -> None:
    latest = tf.train.latest_checkpoint(str(folder))
    problem = checkpoints.problem(latest, preset.model)
    if problem:
        raise TrainingError(f"{problem}. Delete {folder} to train preset {preset.name} anew.")


@contextmanager
def _ending_early(best: BestCheckpoint, preset: Preset) -> Iterator[None]:
    try:
        yield
    except (EndedEarly, Interrupted) as ended:
        # Left by an exception, TensorFlow keeps the last events to itself.
        v1.summary.FileWriterCache.get(str(best.run)).flush()
        if isinstance(ended, Interrupted):
            raise
        console.print(f"Ended early, {_early(best, step_of(best.run), preset)}")


def _early(best: BestCheckpoint, step: int, preset: Preset) -> str:
    return (
        f"at step {step} of {preset.steps}: NE was not lowered in the last {best.waited} evaluation(s) "
        f"(patience of preset {preset.name}: {preset.patience})"
    )


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two trainers in one folder would overwrite each other's checkpoints. The lock is gone with its process."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(f"{folder}: another process is training here; wait for it or stop it") from error
        yield
