"""Put requests that wait at the same time into one run of the graph, and take its outputs apart again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from model_server.errors import StatusError, failed_precondition, from_exception, invalid_argument
from model_server.saved_model import Servable
from model_server.tensors import Array
from model_server.text_config import Batching

RETRY_SECONDS = 0.01
"""How long a request tries to get into a full queue, as the real server's BatchSchedulerRetrier does."""


@dataclass(eq=False)
class _Task:
    """One request: its rows, its deadline and, when `done` is set, its outputs or the error of the run."""

    inputs: Mapping[str, Array]
    rows: int
    deadline: float
    done: threading.Event = field(default_factory=threading.Event)
    outputs: Sequence[Array] = ()
    error: StatusError | None = None


@dataclass(eq=False)
class _Batch:
    """Requests for the same outputs of the same signature. It runs when it is full or `due`, a monotonic time."""

    servable: Servable
    signature: str
    outputs: Sequence[str]
    due: float
    tasks: list[_Task] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(task.rows for task in self.tasks)


class Batcher:
    """Runs batches of all models in `threads` threads, oldest first. Leaving the context ends the threads."""

    def __init__(self, parameters: Batching) -> None:
        self._parameters = parameters
        self._changed = threading.Condition()  # guards what follows
        self._queue: list[_Batch] = []
        self._running: list[_Batch] = []
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(parameters.threads)
        ]

    def __enter__(self) -> Batcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)

    def wrap(self, servable: Servable) -> Servable:
        """The same servable, with its runs put into batches."""
        return _Batched(servable, self)

    def run(
        self, servable: Servable, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str], timeout: float
    ) -> list[Array]:
        """As SavedModel.run, in a batch with others.

        Raises INVALID_ARGUMENT for inputs without a common first dimension or with more rows than a batch may have,
        UNAVAILABLE when too many batches wait already, DEADLINE_EXCEEDED when `timeout` seconds pass in waiting.
        """
        task = _Task(inputs, _rows(inputs), time.monotonic() + timeout)
        if task.rows > self._parameters.max_size:
            raise invalid_argument(
                f"Task size {task.rows} is larger than maximum input batch size {self._parameters.max_size}"
            )
        with self._changed:
            self._enqueue(task, servable, signature, outputs)
        if not task.done.wait(min(timeout, threading.TIMEOUT_MAX)):
            raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded while waiting in a batch")
        if task.error:
            raise StatusError(task.error.code, task.error.message)
        return list(task.outputs)

    def _enqueue(self, task: _Task, servable: Servable, signature: str, outputs: Sequence[str]) -> None:
        def waiting() -> list[_Batch]:
            wanted = (servable, signature, outputs)
            return [batch for batch in self._queue if (batch.servable, batch.signature, batch.outputs) == wanted]

        def room() -> bool:
            batches = waiting()
            fits = bool(batches) and batches[-1].rows + task.rows <= self._parameters.max_size
            return fits or len(batches) < self._parameters.max_enqueued

        if not self._changed.wait_for(room, RETRY_SECONDS):
            raise StatusError(
                grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue to which this task was submitted is full"
            )
        last = next(reversed(waiting()), None)
        if last is None or last.rows + task.rows > self._parameters.max_size:
            if last is not None:
                last.due = 0.0  # it could not take this request: it waits for no others
            last = _Batch(servable, signature, outputs, time.monotonic() + self._parameters.timeout)
            self._queue.append(last)
        last.tasks.append(task)
        self._changed.notify_all()

    def forget(self, servable: Servable) -> None:
        """Return when no batch holds the servable: a caller who gave up waiting may have left one behind."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or all(b.servable is not servable for b in self._queue + self._running)
            )

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and not self._ready():
                    soonest = min((batch.due for batch in self._queue), default=None)
                    self._changed.wait(None if soonest is None else max(soonest - time.monotonic(), 0))
                if self._stopping:
                    return
                batch = self._ready()[0]
                self._queue.remove(batch)
                self._running.append(batch)
                self._changed.notify_all()
            try:
                self._run(batch)
            except Exception as error:
                for task in batch.tasks:
                    task.error = from_exception(error)
            finally:
                with self._changed:
                    self._running.remove(batch)
                    self._changed.notify_all()
                for task in batch.tasks:
                    task.done.set()

    def _ready(self) -> list[_Batch]:
        now = time.monotonic()
        return [batch for batch in self._queue if batch.due <= now or batch.rows == self._parameters.max_size]

    def _run(self, batch: _Batch) -> None:
        size = next((size for size in self._parameters.allowed_sizes if size >= batch.rows), batch.rows)
        timeout = max(task.deadline for task in batch.tasks) - time.monotonic()
        inputs = _joined([task.inputs for task in batch.tasks], size - batch.rows)
        arrays = batch.servable.run(
            batch.signature, inputs, batch.outputs, max(timeout, 0.001) if timeout < float("inf") else None
        )
        for array in arrays:
            if not array.ndim:
                raise failed_precondition("Batched output tensor has 0 dimensions")
            if len(array) != size:
                raise failed_precondition(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                    "input tensors"
                )
        start = 0
        for task in batch.tasks:
            task.outputs = [array[start : start + task.rows] for array in arrays]
            start += task.rows


class _Batched:
    def __init__(self, servable: Servable, batcher: Batcher) -> None:
        self._servable = servable
        self._batcher = batcher

    @property
    def signatures(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        return self._servable.signatures

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str], timeout: float | None
    ) -> list[Array]:
        seconds = float("inf") if timeout is None else timeout
        return self._batcher.run(self._servable, signature, inputs, outputs, seconds)

    def close(self) -> None:
        self._batcher.forget(self._servable)
        self._servable.close()


def _joined(parts: Sequence[Mapping[str, Array]], padding: int) -> dict[str, Array]:
    """The inputs one below the other, with the first row repeated `padding` times."""
    joined: dict[str, Array] = {}
    for name, first in parts[0].items():
        arrays = [part[name] for part in parts] + [first[:1]] * padding
        if any(array.shape[1:] != first.shape[1:] for array in arrays):
            raise failed_precondition(
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
                "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
                "dimensions starting with the first dim."
            )
        if any(array.dtype != first.dtype for array in arrays):
            raise invalid_argument("Cannot concatenate tensors that have different data types.")
        joined[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return joined


def _rows(inputs: Mapping[str, Any]) -> int:
    if not all(array.ndim for array in inputs.values()):
        raise invalid_argument("Batching session Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in inputs.values()}
    if len(sizes) != 1:
        raise invalid_argument("Batching session Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()
