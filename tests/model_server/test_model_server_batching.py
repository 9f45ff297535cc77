"""Batching: many requests, fewer runs, and everyone gets the rows that are theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from model_server.batching import Batcher
from model_server.errors import StatusError, invalid_argument
from model_server.text_config import Batching
from tests.model_server.conftest import Saved
from tests.model_server.model_server_support import publish, running


class Doubling:
    """A servable that doubles, writes down the size of every run, and can be held up."""

    def __init__(self) -> None:
        self.signatures: Mapping[str, Any] = {}
        self.sizes: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()

    def run(
        self, signature: str, inputs: Mapping[str, Any], outputs: Sequence[str], timeout: float | None
    ) -> list[Any]:
        x = inputs["x"]
        self.sizes.append(len(x))
        self.started.set()
        assert self.go.wait(20)
        if np.any(x < 0):
            raise invalid_argument("negative")
        return [x.sum() if name == "total" else x[:1] if name == "first" else x * 2 for name in outputs]

    def close(self) -> None:
        self.go.set()


def batcher(servable: Doubling, **parameters: Any) -> Batcher:
    batching = Batching(**{"max_size": 8, "timeout": 0.2, **parameters})
    return Batcher(servable, batching, threading.BoundedSemaphore(batching.threads))


def ask(batches: Batcher, rows: Sequence[float], outputs: Sequence[str] = ("y",), timeout: float | None = 20) -> Any:
    return batches.run("s", {"x": np.array(rows, np.float32)}, outputs, timeout)[0].tolist()


def test_requests_share_a_run() -> None:
    """Requests that wait together are one run, as soon as it is full, and each gets its own rows."""
    servable = Doubling()
    batches = batcher(servable, timeout=20.0)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, batches, [number, -0.0]) for number in range(4)]
        assert [future.result(timeout=10) for future in asked] == [[2 * number, 0] for number in range(4)]
    assert servable.sizes == [8]


def test_a_batch_goes_when_its_time_is_over() -> None:
    """A request alone waits for the timeout and no longer, and is padded to an allowed size."""
    servable = Doubling()
    batches = batcher(servable, allowed_sizes=(2, 4, 8))
    started = time.monotonic()
    assert ask(batches, [1, 2, 3]) == [2, 4, 6]
    assert 0.2 <= time.monotonic() - started < 5
    assert servable.sizes == [4]


def test_requests_join_while_all_places_are_taken() -> None:
    """While the graph is busy a waiting batch goes on filling up."""
    servable = Doubling()
    servable.go.clear()
    batches = batcher(servable, timeout=0.0)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, batches, [0])]
        assert servable.started.wait(10)
        asked += [pool.submit(ask, batches, [number]) for number in range(1, 6)]
        deadline = time.monotonic() + 10
        while sum(batch.rows for batch in batches._open.values()) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        servable.go.set()
        assert [future.result(timeout=10) for future in asked] == [[2 * number] for number in range(6)]
    assert servable.sizes == [1, 5]


def test_different_shapes_do_not_meet() -> None:
    """A request of another shape goes into another batch, so it cannot spoil one."""
    servable = Doubling()
    batches = batcher(servable, threads=2)
    with ThreadPoolExecutor(2) as pool:
        flat = pool.submit(ask, batches, [1])
        square = pool.submit(batches.run, "s", {"x": np.ones((1, 3), np.float32)}, ["y"], 20)
        assert flat.result(timeout=10) == [2]
        assert square.result(timeout=10)[0].tolist() == [[2, 2, 2]]
    assert servable.sizes == [1, 1]


def test_refusals() -> None:
    """More rows than a batch may have, no batch dimension, uneven inputs: refused with the official texts."""
    batches = batcher(Doubling())
    with pytest.raises(StatusError, match="Task size 9 is larger than maximum input batch size 8"):
        ask(batches, [0] * 9)
    one, two = np.ones(1, np.float32), np.ones(2, np.float32)
    with pytest.raises(StatusError, match="must have at least one dimension"):
        batches.run("s", {"x": one[0]}, ["y"], 20)
    with pytest.raises(StatusError, match="must have equal 0th-dimension size"):
        batches.run("s", {"x": one, "z": two}, ["y"], 20)
    with pytest.raises(StatusError, match="Batched output tensor has 0 dimensions"):
        ask(batches, [1], ["total"])
    with pytest.raises(StatusError, match="does not equal the sum of the 0th dimension sizes"):
        ask(batches, [1, 2], ["first"])


def test_errors_reach_all_of_the_batch() -> None:
    """When the run fails everybody in the batch is told, and the next batch works."""
    batches = batcher(Doubling(), max_size=2, timeout=20.0)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, batches, [number]) for number in (1, -1)]
        for future in asked:
            with pytest.raises(StatusError, match="negative"):
                future.result(timeout=10)
    assert ask(batches, [1, 2]) == [2, 4]


def test_a_full_queue_and_a_deadline() -> None:
    """When too many batches wait a request is UNAVAILABLE; one that waits too long in a batch is DEADLINE_EXCEEDED."""
    servable = Doubling()
    servable.go.clear()
    batches = batcher(servable, max_size=2, timeout=0.0, max_enqueued=1)
    with ThreadPoolExecutor(3) as pool:
        running_one = pool.submit(ask, batches, [1, 1])
        assert servable.started.wait(10)
        waiting = pool.submit(ask, batches, [2])
        deadline = time.monotonic() + 10
        while not batches._open:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(StatusError) as refused:
            batches.run("s", {"x": np.ones((1, 3), np.float32)}, ["y"], 20)
        assert refused.value.code is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(StatusError) as late:
            ask(batches, [3], timeout=0.05)
        assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        servable.go.set()
        assert running_one.result(timeout=10) == [2, 2]
        assert waiting.result(timeout=10) == [4]


def test_server_with_batching(saved: Saved, tmp_path: Path) -> None:
    """Sixteen clients over both fronts get their own answers; what is too large is told the limit of the file."""
    publish(saved.zoo, tmp_path / "m", 1)
    (tmp_path / "batching.config").write_text(
        """max_batch_size { value: 8 } batch_timeout_micros { value: 20000 } max_enqueued_batches { value: 100 }
        num_batch_threads { value: 1 } allowed_batch_sizes: 4 allowed_batch_sizes: 8"""
    )
    flags = {"enable_batching": True, "batching_parameters_file": tmp_path / "batching.config"}
    with running("model_server", tmp_path, model_name="m", model_base_path=tmp_path / "m", **flags) as server:
        server.wait_available("m")

        def over_grpc(number: int) -> float:
            return float(server.predict("m", {"x": np.array([number], np.float32)}).outputs["y"].float_val[0])

        def over_rest(number: int) -> float:
            return float(server.rest_predict("m", {"instances": [number]})[1]["predictions"][0])

        with ThreadPoolExecutor(16) as pool:
            for ask_one in (over_grpc, over_rest):
                assert list(pool.map(ask_one, range(64))) == [number / 2 + 2 for number in range(64)]
        code, body = server.rest_predict("m", {"instances": [0] * 9})
        assert (code, body["error"]) == (400, "Task size 9 is larger than maximum input batch size 8")
