"""Put requests that wait at the same time into one run of the graph, and take its outputs apart again.

There are no threads of its own: the request that opens a batch leads it, waits for others to join until the batch is
full or its time is over and a place to run is free, runs it, and hands the others their rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from model_server.errors import StatusError, failed_precondition, from_exception, invalid_argument
from model_server.saved_model import Servable
from model_server.tensors import Array
from model_server.text_config import Batching

_Key = tuple[Any, ...]  # signature, outputs, and of each input its name, dtype and shape without the batch

RETRY_SECONDS = 0.01
"""How long a request tries to get into a full queue, as the real server's BatchSchedulerRetrier does."""


class _Task:
    """One request in a batch: its rows and, when `done` is set, its outputs or the error of the run."""

    def __init__(self, inputs: Mapping[str, Array], rows: int) -> None:
        self.inputs = inputs
        self.rows = rows
        self.done = threading.Event()
        self.outputs: list[Array] = []
        self.error: StatusError | None = None


class _Batch:
    def __init__(self) -> None:
        self.tasks: list[_Task] = []
        self.rows = 0
        self.deadline: float | None = 0.0  # of the task that has the most time; None for no limit
        self.full = threading.Event()
        self.queued = True

    def add(self, task: _Task, deadline: float | None) -> None:
        self.tasks.append(task)
        self.rows += task.rows
        if self.deadline is not None:
            self.deadline = None if deadline is None else max(self.deadline, deadline)


class Batcher:
    """A Servable that batches runs of another. Requests of different shape go into different batches."""

    def __init__(self, servable: Servable, parameters: Batching, threads: threading.BoundedSemaphore) -> None:
        self._servable = servable
        self._parameters = parameters
        self._threads = threads  # shared by all models, as num_batch_threads is
        self._lock = threading.Lock()
        self._open: dict[_Key, _Batch] = {}
        self._waiting = 0

    @property
    def signatures(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        return self._servable.signatures

    def close(self) -> None:
        self._servable.close()

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str], timeout: float | None
    ) -> list[Array]:
        """As SavedModel.run, in a batch with others.

        Raises INVALID_ARGUMENT for inputs without a common first dimension or with more rows than a batch may have,
        UNAVAILABLE when too many batches wait already, DEADLINE_EXCEEDED when `timeout` seconds pass in waiting.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        task = _Task(inputs, _rows(inputs))
        if task.rows > self._parameters.max_size:
            raise invalid_argument(
                f"Task size {task.rows} is larger than maximum input batch size {self._parameters.max_size}"
            )
        key: _Key = (signature, *outputs, *sorted((name, a.dtype.str, a.shape[1:]) for name, a in inputs.items()))
        batch, leads = self._enter(key, task, deadline)
        if leads:
            self._lead(key, batch, signature, outputs)
        elif not task.done.wait(None if deadline is None else max(deadline - time.monotonic(), 0)):
            raise _waited_too_long()
        if task.error:
            raise StatusError(task.error.code, task.error.message)
        return task.outputs

    def _enter(self, key: _Key, task: _Task, deadline: float | None) -> tuple[_Batch, bool]:
        give_up = time.monotonic() + RETRY_SECONDS
        while True:
            with self._lock:
                batch = self._open.get(key)
                if batch and batch.rows + task.rows > self._parameters.max_size:
                    self._close(key, batch)
                    batch = None
                leads = batch is None
                if batch is None and self._waiting < self._parameters.max_enqueued:
                    batch = self._open[key] = _Batch()
                    self._waiting += 1
                if batch is not None:
                    batch.add(task, deadline)
                    if batch.rows == self._parameters.max_size:
                        self._close(key, batch)
                    return batch, leads
            if time.monotonic() >= give_up:
                raise StatusError(
                    grpc.StatusCode.UNAVAILABLE,
                    "The batch scheduling queue to which this task was submitted is full",
                )
            time.sleep(RETRY_SECONDS / 10)

    def _close(self, key: _Key, batch: _Batch) -> None:
        """Let nobody else in. The lock is held."""
        if self._open.get(key) is batch:
            del self._open[key]
        batch.full.set()

    def _lead(self, key: _Key, batch: _Batch, signature: str, outputs: Sequence[str]) -> None:
        try:
            batch.full.wait(self._parameters.timeout)
            # A full batch is made ready while another still runs. Into one that is not others may join until then.
            inputs = self._joined(batch) if batch.full.is_set() else None
            self._await_place(key, batch)
            try:
                self._dequeue(key, batch)
                timeout = None if batch.deadline is None else max(batch.deadline - time.monotonic(), 0.001)
                arrays = self._servable.run(signature, inputs or self._joined(batch), outputs, timeout)
            finally:
                self._threads.release()
            self._hand_out(batch, arrays)
        except Exception as error:
            for task in batch.tasks:
                task.error = from_exception(error)
        finally:
            self._dequeue(key, batch)
            for task in batch.tasks:
                task.done.set()

    def _await_place(self, key: _Key, batch: _Batch) -> None:
        """Returns with a place to run. Raises DEADLINE_EXCEEDED once no request of the batch can wait for it longer."""
        while True:
            deadline = batch.deadline
            if self._threads.acquire(timeout=None if deadline is None else max(deadline - time.monotonic(), 0)):
                return
            with self._lock:
                if batch.deadline is not None and batch.deadline <= time.monotonic():
                    self._close(key, batch)
                    raise _waited_too_long()

    def _dequeue(self, key: _Key, batch: _Batch) -> None:
        """The batch runs or has failed: it waits no longer."""
        with self._lock:
            self._close(key, batch)
            self._waiting -= batch.queued
            batch.queued = False

    def _joined(self, batch: _Batch) -> dict[str, Array]:
        """The inputs one under the other, with the first row repeated to fill up to an allowed size."""
        parts = [task.inputs for task in batch.tasks]
        padding = self._size(batch) - batch.rows
        joined = {}
        for name in parts[0]:
            arrays = [part[name] for part in parts] + [parts[0][name][:1]] * padding
            joined[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return joined

    def _size(self, batch: _Batch) -> int:
        return next((size for size in self._parameters.allowed_sizes if size >= batch.rows), batch.rows)

    def _hand_out(self, batch: _Batch, arrays: Sequence[Array]) -> None:
        for array in arrays:
            if not array.ndim:
                raise failed_precondition("Batched output tensor has 0 dimensions")
            if len(array) != self._size(batch):
                raise failed_precondition(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                    "input tensors"
                )
        start = 0
        for task in batch.tasks:
            task.outputs = [array[start : start + task.rows] for array in arrays]
            start += task.rows


def _waited_too_long() -> StatusError:
    return StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded while waiting in a batch")


def _rows(inputs: Mapping[str, Array]) -> int:
    if not all(array.ndim for array in inputs.values()):
        raise invalid_argument("Batching session Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in inputs.values()}
    if len(sizes) != 1:
        raise invalid_argument("Batching session Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()
