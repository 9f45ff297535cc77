"""Training as a task of a cluster: the chief opens the run, all that train step together, the evaluator keeps the best.

    chief       opens the run, saves step 0 if nothing is saved yet, trains, saves
    worker      trains
    evaluator   evaluates what the chief saves, and says when patience has run out

Each ends when the evaluator has seen the last checkpoint, or when any of them is lost (`watch`).
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipeline import gpu
from pipeline.console import console, progress
from pipeline.data.input_fn import InputFn
from pipeline.errors import ClusterError, PipelineError, TrainingError
from pipeline.evaluation.limits import limits
from pipeline.training import estimator as estimators
from pipeline.training import weights
from pipeline.training.checkpoints import BestSoFar, Checkpoint, held, step_at, step_of
from pipeline.training.cluster import CHIEF, EVALUATOR, Task
from pipeline.training.hooks import ProgressLine, Stop
from pipeline.training.presets import Preset
from pipeline.training.runs import Run, read_run
from pipeline.training.train import (
    PIXELS,
    Evaluation,
    Interrupted,
    alone,
    explained,
    input_fn,
    interrupted,
    is_over,
    starting,
)
from pipeline.training.watch import Others, await_verdict, meet

v1 = tf.compat.v1

AGAIN = "all tasks started again go on"
LOOK_SECONDS = 0.5
SHARED_SECONDS = 90.0
"""How long a folder of the network may take to show what another machine wrote: NFS remembers for up to a minute."""


def train(task: Task, preset: Preset, runs: Path, opened: Callable[[], Run]) -> tuple[Run, Checkpoint | None]:
    """Trains in step with the other tasks. The evaluator returns the best checkpoint, others None.

    `opened` prepares the data and opens the run, which only the chief does: the others take it from the folder `runs`,
    which they share. Raises as `train.train` does, and ClusterError where the tasks do not find each other.
    """
    stop = Stop()
    with meet(task, stop) as others:
        if task.type == CHIEF:
            run = opened()
            with explained(run), alone(run.folder), stop:
                start, knows = _begin(run)
                _await("complete", others, stop)
                others.tell(run=run.folder.name, step=start, knows=knows, preset=preset.fingerprint)
                _train(task, run, start, others)
            return run, None
        with stop:
            _await("run", others, stop)
            run, start = _chiefs_run(task, preset, runs, others)
            with explained(run):
                if task.type == EVALUATOR:
                    return run, _evaluate(run, stop, others)
                _train(task, run, start, others)
                return run, None


def _await(word: str, others: Others, stop: Stop) -> None:
    others.wait(lambda: others.heard(word) or stop.requested)
    if stop.requested:
        raise Interrupted("Stopped before training began.")


def _begin(run: Run) -> tuple[int, bool]:
    """The step that training goes on from, and whether the weights that the run started from know its keypoints.

    Where it begins, the checkpoint of step 0 is there afterwards.
    """
    folder, preset = run.folder, run.preset
    initial = weights.load(preset.init) if preset.init else None
    knows = initial is not None and initial.keypoints == run.dataset.keypoints.keypoints
    latest = tf.train.latest_checkpoint(str(folder))
    if latest:
        run.check(latest)
        start = step_of(folder)
        console.print(f"Going on from step {start} of {preset.steps} in {folder}")
        return start, knows
    if initial:
        console.print(starting(preset.init, None if knows else len(run.dataset.keypoints)))
    plain = estimators.build(folder, preset, run.dataset.keypoints, initial=initial)
    estimators.save_first_checkpoint(plain, input_fn(run, 0))
    return 0, knows


def _chiefs_run(task: Task, preset: Preset, runs: Path, others: Others) -> tuple[Run, int]:
    """The run that the chief has opened, once it can be seen here, and the step that it goes on from."""
    if others.heard("preset") != preset.fingerprint:
        raise TrainingError(f"{task.name} was started with other options than the chief: give all tasks the same")
    folder, start = runs / others.heard("run"), others.heard("step")
    for _ in range(int(SHARED_SECONDS / LOOK_SECONDS)):
        why = ""
        try:
            latest = tf.train.latest_checkpoint(str(folder))
            # Or a later one: the others do not wait for the evaluator, who may see nothing of it for a minute.
            if latest and step_at(latest, folder) >= start:
                return read_run(folder), start
        except PipelineError as error:  # for files of which not all can be seen yet, or some no more
            why = f" It finds: {error}"
        others.wait(lambda: False, LOOK_SECONDS)
    raise ClusterError(
        f"{folder}: the chief has a checkpoint of step {start} there, which {task.name} does not see. Data and runs "
        f"have to be in a folder that all tasks share (SEAMLINE_HOME).{why}"
    )


def _train(task: Task, run: Run, start: int, others: Others) -> None:
    """What chief and workers do: steps, all of them at once."""
    for name, capability in estimators.gpus():
        console.print(gpu.sentence(name, capability))
    preset, best = run.preset, BestSoFar(run.folder)
    if start < preset.steps and not is_over(best, preset) and not others.enough:
        v1.disable_eager_execution()  # its strategy cannot be copied, which Estimator does
        here = max(1, len(estimators.devices(gpus=True)))
        mine = replace(run, preset=task.share(preset, here * task.trainers))
        console.print(
            f"{task.trainers} tasks train; {mine.preset.batch_size * here} of the {preset.batch_size} pictures of each "
            f"step are for this one"
        )
        estimator = estimators.build(run.folder, mine.preset, run.dataset.keypoints, task=task)
        with progress("Training") as on_progress:
            hooks = [InStep(others), ProgressLine(preset, preset.batch_size, best, on_progress)]
            _in_step(estimator, input_fn(mine, start, task.place, task.trainers), preset.steps, hooks)
    step = step_of(run.folder)
    others.tell(trained=step)
    others.wait(lambda: others.heard("end"))
    if task.type != CHIEF:
        shutil.rmtree(run.folder / f"tmp_{task.type}_{task.index}", ignore_errors=True)
    if others.heard("end") == "stopped":
        raise interrupted(run, AGAIN)
    shutil.rmtree(run.folder / PIXELS, ignore_errors=True)


def _in_step(estimator: Any, input_fn: InputFn, steps: int, hooks: list[Any]) -> None:
    """Estimator's `train` knows no cluster, `train_and_evaluate` does; a task that trains evaluates nothing in it."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "To make it possible to preserve tf.data options")  # Estimator loses none
            tf.estimator.train_and_evaluate(
                estimator,
                tf.estimator.TrainSpec(input_fn, max_steps=steps, hooks=hooks),
                tf.estimator.EvalSpec(input_fn, steps=1),
            )
    except (tf.errors.ResourceExhaustedError, tf.errors.DataLossError):
        raise  # this task's own
    except tf.errors.OpError as error:
        await_verdict(error)


def _evaluate(run: Run, stop: Stop, others: Others) -> Checkpoint:
    """What the evaluator does: it follows the chief's checkpoints, taking the newest one each time."""
    for sentence in limits(run.dataset):
        console.print(f"Note: {sentence}")
    best, preset = BestSoFar(run.folder), run.preset
    estimator = estimators.build(run.folder, preset, run.dataset.keypoints)
    evaluation = Evaluation(run, estimator, best, stop, first=0 if others.heard("knows") else 1)
    looks = int(SHARED_SECONDS / LOOK_SECONDS)

    def all_have_trained() -> bool:
        return len(others.trained) == others.trainers

    while True:
        last, seen = all_have_trained(), 0
        with held(run.folder) as newest:
            if newest and not stop.requested:
                seen = step_at(newest, run.folder)
                evaluation.evaluate(newest, seen)
        if evaluation.over() and not others.heard("enough"):
            others.tell(enough=True)
        if last:
            looks -= 1  # what was saved last may not be seen here yet
            if stop.requested or seen >= max(others.trained.values()) or not looks:
                break
        others.wait((lambda: False) if last else all_have_trained, LOOK_SECONDS)
    others.tell(end="over" if evaluation.over() else "stopped")
    if not evaluation.over():
        raise interrupted(run, AGAIN)
    if best.evaluated < preset.steps:
        console.print(f"Ended early, {evaluation.early}")
    return evaluation.found()


class InStep(tf.compat.v1.train.SessionRunHook):
    """Ends training after the same step in all tasks, when one of them has heard that it is enough.

    Each step adds up, over all of them, who has: whatever is known to one before a step counts for all after it.
    """

    def __init__(self, others: Others) -> None:
        self._others = others

    def begin(self) -> None:
        strategy = tf.distribute.get_strategy()
        self._enough = v1.placeholder_with_default(0.0, [])
        self._anybody = strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: self._enough + 0.0), axis=None)
        self._others.stepped()

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self._anybody, {self._enough: float(self._others.enough)})

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._others.stepped()
        if run_values.results > 0:
            run_context.request_stop()
