"""What goes on beside the training steps: the best checkpoint is kept, a signal stops the run, a line tells of it."""

from __future__ import annotations

import json
import math
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import tensorflow as tf

from model.metrics import NE
from pipeline.atomic import write_atomically
from pipeline.console import OnProgress, console
from pipeline.errors import TrainingError

v1 = tf.compat.v1


@dataclass(frozen=True)
class Checkpoint:
    """The best weights of a run. `prefix` is what TensorFlow calls a checkpoint's path."""

    run: Path
    prefix: str
    step: int
    metrics: dict[str, float]

    @property
    def ne(self) -> float:
        return self.metrics[NE]


class Interrupted(TrainingError):
    """Training was asked to stop; a checkpoint was saved first."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("Stopped, as asked. A checkpoint was saved; the same command goes on from it.")


class EndedEarly(Exception):
    """The last `patience` evaluations were no better. The checkpoint of the last one is on disk."""


class BestCheckpoint(tf.compat.v1.estimator.Exporter):
    """Keeps the checkpoint with the lowest NE in `<run>/best`, on disk, so that a restart does not forget it.

    `best.json` is written by a rename after the weights: it never names any that are not there; `evaluated` comes last.
    With `patience` it raises EndedEarly once so many evaluations in a row were no better.
    """

    name = "best"

    def __init__(self, run: Path, patience: int | None = None) -> None:
        self.run = run
        self.record = run / "best" / "best.json"
        self.patience = patience
        self.waited = 0
        """Evaluations since NE was last lowered."""
        self.current = self._load()
        """The best checkpoint so far."""

    @property
    def out_of_patience(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    @property
    def evaluated(self) -> int:
        """The last step that was evaluated, 0 where none was, or where what came of it is gone."""
        if self.current is None:
            return 0
        last = int(self._evaluated.read_text()) if self._evaluated.is_file() else 0
        return max(self.current.step, last)

    @property
    def _evaluated(self) -> Path:
        return self.record.with_name("evaluated")

    def _load(self) -> Checkpoint | None:
        """Raises TrainingError where the record cannot be read."""
        if not self.record.is_file():
            return None
        try:
            raw = json.loads(self.record.read_text())
            self.waited = raw.pop("waited", 0)
            return Checkpoint(run=self.run, prefix=str(self.record.parent / raw.pop("prefix")), **raw)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TrainingError(
                f"{self.record}: damaged ({error}). Delete {self.run} to train anew, or put the file back."
            ) from error

    def _save(self, prefix: str, step: int, metrics: dict[str, float]) -> None:
        partial = self.record.with_suffix(".partial")
        record = {"prefix": prefix, "step": step, "metrics": metrics, "waited": self.waited}
        partial.write_text(json.dumps(record, indent=1))
        partial.rename(self.record)

    def export(
        self,
        estimator: Any,
        export_path: str,
        checkpoint_path: str,
        eval_result: dict[str, Any],
        is_the_final_export: bool,
    ) -> None:
        """Called after each evaluation."""
        metrics = {name: float(value) for name, value in eval_result.items() if name != v1.GraphKeys.GLOBAL_STEP}
        step = int(eval_result[v1.GraphKeys.GLOBAL_STEP])
        if not metrics["images_scored"]:
            metrics[NE] = math.nan  # a mean of nothing, which TensorFlow calls 0
        before = self.current
        better = math.isfinite(metrics[NE]) and (before is None or metrics[NE] <= before.ne)
        console.print(f"Step {step}: NE {metrics[NE]:.1f} %{', the best so far' if better else ''}")
        self.waited = 0 if better and (before is None or metrics[NE] < before.ne) else self.waited + 1
        self.record.parent.mkdir(exist_ok=True)
        if better:
            self._keep(Path(checkpoint_path), step, metrics)
        elif before:
            self._save(Path(before.prefix).name, before.step, before.metrics)
        write_atomically(self._evaluated, str(step))
        if self.out_of_patience and not is_the_final_export:
            raise EndedEarly

    def _keep(self, source: Path, step: int, metrics: dict[str, float]) -> None:
        folder = self.record.parent
        for path in source.parent.glob(f"{source.name}.*"):
            shutil.copy2(path, folder)
        self._save(source.name, step, metrics)
        self.current = self._load()
        for path in folder.glob("*.ckpt-*"):
            if path.stem != source.name:
                path.unlink()


class Stop(tf.compat.v1.train.SessionRunHook):
    """Ends training after the step in which `request` was called. Estimator saves a checkpoint then."""

    requested = False

    def request(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        self.requested = True
        # Whoever asks twice is in a hurry.
        signal.signal(number, signal.SIG_DFL)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self.requested:
            run_context.request_stop()


class StopBeforeEvaluation(tf.compat.v1.train.SessionRunHook):
    """The checkpoint is on disk when its evaluation begins: the moment to leave."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def begin(self) -> None:
        if self._stop.requested:
            raise Interrupted


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Within it SIGINT and SIGTERM ask for a stop instead of ending the process."""
    stop = Stop()
    before = {number: signal.signal(number, stop.request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class TrainingLine(tf.compat.v1.train.SessionRunHook):
    """Tells the progress line: step, loss, NE, images per second."""

    def __init__(self, steps: int, batch_size: int, best: BestCheckpoint, on_progress: OnProgress) -> None:
        self._steps, self._batch_size, self._best, self._on_progress = steps, batch_size, best, on_progress
        self._seconds_per_step: float | None = None

    def before_run(self, run_context: Any) -> Any:
        self._started = time.monotonic()
        graph = run_context.session.graph
        step = v1.train.get_global_step(graph)
        loss = graph.get_collection(v1.GraphKeys.LOSSES)[-1]
        return v1.train.SessionRunArgs([step, loss])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step, loss = run_values.results
        took = time.monotonic() - self._started
        before = self._seconds_per_step
        self._seconds_per_step = took if before is None else 0.9 * before + 0.1 * took
        best = self._best.current
        ne = f", NE {best.ne:.1f} %" if best else ""
        rate = self._batch_size / self._seconds_per_step
        self._on_progress(int(step), self._steps, f"loss {loss:.2f}{ne}, {rate:.0f} images/s")
