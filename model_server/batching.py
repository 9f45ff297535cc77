"""Put requests that wait at the same time into one run of the graph, and take its outputs apart again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from model_server.errors import StatusError, failed_precondition, from_exception, invalid_argument
from model_server.saved_model import Servable
from model_server.tensors import Array, dtype_name
from model_server.text_config import Batching

_Key = tuple[str, ...]  # the signature and its outputs


@dataclass
class _Task:
    """One request. `deadline` is in monotonic seconds; the future gets the outputs of its rows."""

    inputs: Mapping[str, Array]
    rows: int
    deadline: float
    outputs: futures.Future[list[Array]] = field(default_factory=futures.Future)


@dataclass
class _Batch:
    due: float
    tasks: list[_Task] = field(default_factory=list)
    full: threading.Event = field(default_factory=threading.Event)

    @property
    def rows(self) -> int:
        return sum(task.rows for task in self.tasks)


class Batcher:
    """A Servable that batches the runs of another. Who opens a batch runs it, when one of `threads` is free.

    All models share `threads`, which limits how many batches run at the same time.
    """

    def __init__(self, servable: Servable, parameters: Batching, threads: threading.BoundedSemaphore) -> None:
        self._servable = servable
        self._parameters = parameters
        self._threads = threads
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
        """As SavedModel.run, in a batch with others. When its run fails, for whatever reason, so do all requests in it.

        Raises INVALID_ARGUMENT for inputs without a common first dimension or with more rows than a batch may have,
        UNAVAILABLE when too many batches wait already, DEADLINE_EXCEEDED when `timeout` seconds pass in waiting, which
        who opened the batch learns only after its run.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        task = _Task(inputs, _rows(inputs), deadline)
        if task.rows > self._parameters.max_size:
            raise invalid_argument(
                f"Task size {task.rows} is larger than maximum input batch size {self._parameters.max_size}"
            )
        key = (signature, *outputs)
        batch = self._enter(key, task)
        if batch.tasks[0] is task:
            self._run(key, batch)
        try:
            return task.outputs.result(timeout)
        except futures.TimeoutError:
            raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded while waiting in a batch") from None

    def _enter(self, key: _Key, task: _Task) -> _Batch:
        with self._lock:
            batch = self._open.get(key)
            if batch and batch.rows + task.rows > self._parameters.max_size:
                self._close(key, batch)
                batch = None
            if batch is None:
                if self._waiting >= self._parameters.max_enqueued:
                    raise StatusError(
                        grpc.StatusCode.UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full",
                    )
                batch = self._open[key] = _Batch(time.monotonic() + self._parameters.timeout)
                self._waiting += 1
            batch.tasks.append(task)
            if batch.rows == self._parameters.max_size:
                self._close(key, batch)
            return batch

    def _close(self, key: _Key, batch: _Batch) -> None:
        """Let nobody else in. The lock is held."""
        if self._open.get(key) is batch:
            del self._open[key]
        batch.full.set()

    def _run(self, key: _Key, batch: _Batch) -> None:
        with self._threads:
            batch.full.wait(max(batch.due - time.monotonic(), 0))
            with self._lock:
                self._close(key, batch)
                self._waiting -= 1
            try:
                parts = self._outputs(key, batch)
            except Exception as error:
                status = from_exception(error)
                for task in batch.tasks:
                    task.outputs.set_exception(StatusError(status.code, status.message))
            else:
                for task, part in zip(batch.tasks, parts):
                    task.outputs.set_result(part)

    def _outputs(self, key: _Key, batch: _Batch) -> list[list[Array]]:
        """Run the batch and return the rows of each task."""
        inputs = self._joined(key[0], [task.inputs for task in batch.tasks])
        seconds = max(task.deadline for task in batch.tasks) - time.monotonic()
        arrays = self._servable.run(key[0], inputs, key[1:], max(seconds, 0.001) if seconds < float("inf") else None)
        for array in arrays:
            if array.shape[:1] != (batch.rows,):
                raise failed_precondition(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                    "input tensors"
                )
        ends = np.cumsum([task.rows for task in batch.tasks])
        return [[array[end - task.rows : end] for array in arrays] for task, end in zip(batch.tasks, ends)]

    def _joined(self, signature: str, parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        """The inputs one below the other."""
        joined: dict[str, Array] = {}
        for alias, first in parts[0].items():
            arrays = [part[alias] for part in parts]
            if any(array.shape[1:] != first.shape[1:] for array in arrays):
                raise failed_precondition(
                    f"Tensors with name '{self.signatures[signature].inputs[alias].name}' from different tasks have "
                    "different shapes and padding is turned off. Set pad_variable_length_inputs to true, or ensure "
                    "that all tensors with the same name have equal dimensions starting with the first dim."
                )
            names = [dtype_name(tf.dtypes.as_dtype(array.dtype).as_datatype_enum) for array in arrays]
            for name in names:
                if name != names[0]:
                    raise StatusError(
                        grpc.StatusCode.INTERNAL,
                        "Tensor concat operation failed: INVALID_ARGUMENT: Cannot concatenate tensors that have "
                        f"different data types. Got {names[0]} and {name}.",
                    )
            joined[alias] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return joined


def _rows(inputs: Mapping[str, Array]) -> int:
    sizes = {array.shape[:1] for array in inputs.values()}
    if len(sizes) != 1 or () in sizes:
        raise invalid_argument("Batching session Run() input tensors must have equal 0th-dimension size")
    return int(sizes.pop()[0])
