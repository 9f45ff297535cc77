"""Training, from top to bottom: a run to its best checkpoint. Goes on where an earlier process stopped.

Estimator saves a checkpoint every `preset.evaluate_every` steps, and at the end. `Evaluation` listens: it evaluates
each one, keeps the best, and ends training when patience has run out. Only a signal steers the loop besides.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.metrics import NE
from model.model_fn import WeightsMismatch
from pipeline import gpu
from pipeline.atomic import locked
from pipeline.console import console, progress
from pipeline.data.input_fn import InputFn, eval_input_fn, train_input_fn
from pipeline.data.records import reading
from pipeline.errors import TrainingError
from pipeline.evaluation.limits import limits
from pipeline.evaluation.samples import one_of_each
from pipeline.training import estimator as estimators
from pipeline.training import weights
from pipeline.training.checkpoints import BestSoFar, Checkpoint, step_of
from pipeline.training.hooks import Overlays, ProgressLine, Stop
from pipeline.training.presets import STARTER, Preset
from pipeline.training.runs import Run

v1 = tf.compat.v1

PIXELS = "pixels"
"""Below a run's folder: decoded pictures, where they do not fit into memory, until training ends."""


class Interrupted(TrainingError):
    """Training was asked to stop, by SIGINT or SIGTERM. A checkpoint was saved first."""

    exit_code = 130


def train(run: Run) -> Checkpoint:
    """Trains up to the preset's last step, or until its patience ends, and returns the checkpoint with the lowest NE.

    Raises Interrupted after SIGINT or SIGTERM, once a checkpoint is saved; DataError for a damaged data set;
    TrainingError when the folder is in use, cannot be written, or holds a checkpoint that training cannot go on from,
    when the weights to start from do not fit, or when the loss is no longer a number.
    """
    with explained(run), alone(run.folder), Stop() as stop:
        return _train(run, stop)


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Turns what goes wrong in training, and is known, into errors for people."""
    try:
        with reading(run.dataset):
            yield
    except OSError as error:
        raise TrainingError(f"{run.folder}: cannot be written: {error}") from error
    except tf.errors.ResourceExhaustedError as error:
        full = "No space left" in error.message
        why = "the disk is full" if full else "out of memory. A smaller --batch (make: BATCH) needs less"
        raise TrainingError(f"{run.folder}: {why}.") from error
    except WeightsMismatch as error:
        raise TrainingError(
            f"{run.preset.init}: {error}. --init none starts from nothing, or choose a preset with the same network."
        ) from error
    except v1.train.NanLossDuringTrainingError as error:
        raise TrainingError(
            f"{run.folder}: the loss is no longer a number. Lower the learning rate of preset {run.preset.name} "
            f"or look for broken annotations; the checkpoints up to here are kept."
        ) from error


def _train(run: Run, stop: Stop) -> Checkpoint:
    for name, capability in estimators.gpus():
        console.print(gpu.sentence(name, capability))
    folder, preset = run.folder, run.preset
    start, best = step_of(folder), BestSoFar(folder)
    initial = weights.load(preset.init) if preset.init and not start else None
    knows = initial is not None and initial.keypoints == run.dataset.keypoints.keypoints
    estimator = estimators.build(folder, preset, run.dataset.keypoints, initial=initial, gpus=preset.gpus)
    evaluation = Evaluation(run, estimator, best, stop, first=0 if knows else 1)

    # A process that was killed may have left its last checkpoint unevaluated.
    unevaluated = start > max(best.evaluated, 0)
    if start and (unevaluated or not evaluation.over()):
        run.check(tf.train.latest_checkpoint(str(folder)))
    if unevaluated:
        evaluation.after_save(None, start)

    if evaluation.over():
        how = f"is at step {start} of {preset.steps}" if start >= preset.steps else f"ended early, {evaluation.early}"
        console.print(f"Nothing left to do: {folder} {how}")
    elif not stop.requested:
        for sentence in limits(run.dataset):
            console.print(f"Note: {sentence}")
        if start:
            console.print(f"Going on from step {start} of {preset.steps} in {folder}")
        elif initial:
            console.print(starting(preset.init, None if knows else len(run.dataset.keypoints)))
        images = preset.batch_size * max(1, len(estimators.devices(preset.gpus)))
        with progress("Training") as on_progress:
            estimator.train(
                input_fn(run, start),
                max_steps=preset.steps,
                hooks=[stop, ProgressLine(preset, images, best, on_progress)],
                saving_listeners=[evaluation],
            )
        if evaluation.over():
            shutil.rmtree(folder / PIXELS, ignore_errors=True)
        if evaluation.over() and best.evaluated < preset.steps:
            console.print(f"Ended early, {evaluation.early}")

    if not evaluation.over():
        raise interrupted(run, "the same command goes on")
    return evaluation.found()


def interrupted(run: Run, how: str) -> Interrupted:
    return Interrupted(
        f"Stopped at step {step_of(run.folder)} of {run.preset.steps}. A checkpoint was saved; {how} from it."
    )


def input_fn(run: Run, start: int, part: int = 0, parts: int = 1) -> InputFn:
    """What the run is trained on, from step `start` on, or one of so many parts of it."""
    preset = run.preset
    in_graph = preset.augment_on_gpu and estimators.gpus()
    return train_input_fn(
        run.dataset,
        preset.batch_size,
        None if in_graph else preset.augmentation,
        preset.seed,
        start,
        memory=preset.cache_bytes,
        disk=run.folder / PIXELS / (f"{part}-of-{parts}" if parts > 1 else ""),
        part=part,
        parts=parts,
    )


def starting(init: str | None, new: int | None) -> str:
    """From which weights, and of how many keypoints the heads are new; None where they are taken too."""
    if new is None:
        return f"Starting from the weights {init}"
    taken = "the starter's backbone and pyramid" if init == STARTER else f"the backbone and pyramid of {init}"
    return f"Starting from {taken}; the heads of {new} keypoints are new"


def is_over(best: BestSoFar, preset: Preset) -> bool:
    """Whether a run needs no more training: its last step, or the end of its patience, has been evaluated."""
    return best.evaluated >= preset.steps or best.waited >= (preset.patience or math.inf)


class Evaluation(tf.compat.v1.train.CheckpointSaverListener):
    """Evaluates each checkpoint when it is saved, keeps the best one, and ends training when patience has run out.

    On a cluster the evaluator calls `evaluate` for the checkpoints that appear in the run's folder.
    """

    def __init__(self, run: Run, estimator: Any, best: BestSoFar, stop: Stop, *, first: int) -> None:
        """Checkpoints before step `first` are passed over: the one at step 0, where nothing is known yet."""
        self._run, self._estimator, self._best, self._stop, self._first = run, estimator, best, stop, first
        self._hooks = [Overlays(run.folder / "eval", one_of_each(run.dataset))]

    def over(self) -> bool:
        return is_over(self._best, self._run.preset)

    def found(self) -> Checkpoint:
        """The best checkpoint. Raises TrainingError where none is."""
        if self._best.checkpoint is None:
            raise TrainingError(
                f"{self._run.folder}: no checkpoint has an NE: the network's answers are not numbers. Lower the "
                f"learning rate of preset {self._run.preset.name}, delete the folder and train again."
            )
        return self._best.checkpoint

    @property
    def early(self) -> str:
        preset, best = self._run.preset, self._best
        return (
            f"at step {best.evaluated} of {preset.steps}: NE was not lowered in the last {best.waited} evaluation(s) "
            f"(patience of preset {preset.name}: {preset.patience})"
        )

    def after_save(self, session: Any, global_step_value: int) -> bool:
        """Returns whether to stop. Estimator also calls it for the checkpoint that it has just restored."""
        if self._stop.requested:
            return True  # who asked to stop does not want to wait; the next process evaluates this checkpoint
        self.evaluate(tf.train.latest_checkpoint(str(self._run.folder)), int(global_step_value))
        return self.over()

    def evaluate(self, prefix: str, step: int) -> None:
        """Unless that has been done, or is not to be."""
        if step < self._first or step <= self._best.evaluated:
            return
        found = self._estimator.evaluate(eval_input_fn(self._run.dataset), hooks=self._hooks, checkpoint_path=prefix)
        metrics = {name: float(value) for name, value in found.items() if math.isfinite(value)}
        del metrics[v1.GraphKeys.GLOBAL_STEP]
        kept = self._best.consider(prefix, step, metrics)
        ne = f"NE {metrics[NE]:.1f} %" if NE in metrics else "no NE"
        console.print(f"Step {step}: {ne}{', the best so far' if kept else ''}")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two trainers in one folder would overwrite each other's checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    busy = TrainingError(f"{folder}: another process is training here; wait for it or stop it")
    with locked(folder / "lock", busy):
        yield
