"""A run's checkpoints: the best one, which outlives a restart, and whether a checkpoint fits a network."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from model.metrics import NE
from model.model_fn import ModelConfig, model_fn
from pipeline.atomic import locked, sync, write_atomically
from pipeline.damage import UNREADABLE
from pipeline.errors import TrainingError
from seamline_client.contract import DEFAULT
from seamline_client.keypoints import KeypointSet

v1 = tf.compat.v1

AVERAGE = "/ExponentialMovingAverage"
"""A checkpoint has a moving average of each weight of the network, named by the weight's own name and this."""
LOCK = "lock"
"""In the folder of the best checkpoint: shared by those who read it, and held alone by who deletes the one before."""


@dataclass(frozen=True)
class Checkpoint:
    """Evaluated weights of a run. `prefix` is what TensorFlow calls a checkpoint's path."""

    run: Path
    prefix: str
    step: int
    metrics: dict[str, float]
    """By the names of `model.metrics`; those that nothing counted for are left out."""

    @property
    def ne(self) -> float:
        return self.metrics[NE]


class BestSoFar:
    """The checkpoint with the lowest NE, kept in `<run>/best`, where a restart finds it.

    `best.json` is replaced in one rename once the weights are on disk, so it never names weights that are not there.
    Those that it named before are deleted, unless somebody reads them: then the next time.
    """

    def __init__(self, run: Path) -> None:
        """Raises TrainingError when the record cannot be read."""
        self.checkpoint: Checkpoint | None = None
        self.evaluated = -1
        """The step of the last checkpoint that was evaluated; -1 when none was."""
        self.waited = 0
        """Evaluations since NE was last lowered."""
        self._run = run
        self._file = run / "best" / "best.json"
        if self._file.is_file():
            self._read()

    def _read(self) -> None:
        try:
            record = json.loads(self._file.read_text())
            self.evaluated, self.waited = record["evaluated"], record["waited"]
            if best := record["best"]:
                prefix = str(self._file.parent / best["prefix"])
                self.checkpoint = Checkpoint(self._run, prefix, best["step"], best["metrics"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TrainingError(
                f"{self._file}: damaged ({error}). Delete {self._run} to train anew, or put the file back."
            ) from error

    def consider(self, prefix: str, step: int, metrics: dict[str, float]) -> bool:
        """Takes note of an evaluation, and keeps the checkpoint if none was better. Returns whether it was kept."""
        least = self.checkpoint.ne if self.checkpoint else math.inf
        ne = metrics.get(NE, math.inf)
        kept = math.isfinite(ne) and ne <= least
        self.waited = 0 if ne < least else self.waited + 1
        self.evaluated = step
        self._file.parent.mkdir(exist_ok=True)
        if kept:
            self.checkpoint = Checkpoint(self._run, self._copy(Path(prefix)), step, metrics)
        self._write()
        return kept

    def _copy(self, source: Path) -> str:
        for path in source.parent.glob(f"{source.name}.*"):
            sync(Path(shutil.copy2(path, self._file.parent)))
        return str(self._file.parent / source.name)

    def _write(self) -> None:
        best = self.checkpoint
        name = Path(best.prefix).name if best else ""
        kept = {"prefix": name, "step": best.step, "metrics": best.metrics} if best else None
        record = {"best": kept, "evaluated": self.evaluated, "waited": self.waited}
        write_atomically(self._file, json.dumps(record, indent=1))
        with suppress(BlockingIOError), locked(self._file.with_name(LOCK), BlockingIOError()):
            for path in self._file.parent.glob("*.ckpt-*"):
                if path.stem != name:
                    path.unlink()


@contextmanager
def best(run: Path) -> Iterator[Checkpoint | None]:
    """The best checkpoint in a run's folder, which stays while it is read, though training goes on and finds a better.

    None where none was evaluated yet. Raises TrainingError for damage.
    """
    lock = run / "best" / LOCK
    with locked(lock, shared=True) if lock.is_file() else nullcontext():
        yield BestSoFar(run).checkpoint


def step_of(folder: Path) -> int:
    """The step of the last checkpoint in a run's folder, 0 where there is none.

    Raises TrainingError when it cannot be read.
    """
    latest = tf.train.latest_checkpoint(str(folder))
    return step_at(latest, folder) if latest else 0


def step_at(prefix: str, run: Path) -> int:
    """The step of one of a run's checkpoints. Raises TrainingError when it cannot be read."""
    try:
        return int(tf.train.load_variable(prefix, v1.GraphKeys.GLOBAL_STEP))
    except UNREADABLE as error:
        raise TrainingError(f"{_damaged(prefix, error)}. Delete {run} to train anew.") from error


@contextmanager
def held(run: Path) -> Iterator[str | None]:
    """The prefix of a run's newest checkpoint, which stays while it is read, whatever the process that trains deletes.

    None where the run has no checkpoint yet. One at a time: the files are in `<run>/held`, as hard links where the file
    system has them.
    """
    folder = run / "held"
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    try:
        missing = None
        while (newest := tf.train.latest_checkpoint(str(run))) not in (None, missing):
            kept = folder / Path(newest).name
            with suppress(FileNotFoundError):  # deleted meanwhile: there is a newer one
                # The index last, which TensorFlow deletes first: where it is there, the rest is too.
                for path in sorted(run.glob(f"{kept.name}.*")):
                    _link(path, folder / path.name)
            if Path(f"{kept}.index").exists():
                newest = str(kept)
                break
            missing = newest
        yield newest
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)


def problem(prefix: str, config: ModelConfig, keypoints: KeypointSet) -> str | None:
    """Why the network of `config` cannot use a checkpoint: damage, or the first variable that differs.

    None when it can. Reads the whole checkpoint and builds the network once, in about a second.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        for name in shapes:
            reader.get_tensor(name)
    except UNREADABLE as error:
        return _damaged(prefix, error)
    found = {name[: -len(AVERAGE)]: shape for name, shape in shapes.items() if name.endswith(AVERAGE)}
    expected = _variables(config, keypoints)
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            there, wanted = (_words(variables.get(name)) for variables in (found, expected))
            return f"{prefix}: the checkpoint belongs to another network: {name} is {there}, the preset's is {wanted}"
    return None


def _damaged(prefix: str, error: Exception) -> str:
    first, _, _ = str(error).partition("\n")
    return f"{prefix}: the checkpoint is damaged or incomplete ({first})"


def _variables(config: ModelConfig, keypoints: KeypointSet) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the network's weights, as Estimator makes them."""
    with tf.Graph().as_default():
        images = v1.placeholder(tf.float32, (None, *DEFAULT.input.shape[1:]))
        step = v1.train.get_or_create_global_step()
        model_fn({"images": images}, None, v1.estimator.ModeKeys.PREDICT, {"config": config, "keypoints": keypoints})
        return {
            variable.op.name: tuple(variable.shape.as_list())
            for variable in v1.global_variables()
            if variable.op.name != step.op.name
        }


def _words(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {'x'.join(map(str, shape)) or 'one number'}"
