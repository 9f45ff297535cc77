"""Batching: many requests, fewer runs, and everyone gets the rows that are theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from model_server.batching import Batcher
from model_server.errors import StatusError, invalid_argument
from model_server.text_config import Batching
from tests.model_server.conftest import Saved
from tests.model_server.support import publish, running


class Doubling:
    """A servable that doubles, notes the size of every run, and can be held up."""

    def __init__(self) -> None:
        self.signatures: Mapping[str, Any] = {}
        self.sizes: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()
        self.closed = False

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
        self.closed = True


@pytest.fixture
def servable() -> Iterator[Doubling]:
    servable = Doubling()
    yield servable
    servable.go.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """The one thread that runs batches."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def ask(batches: Batcher, rows: Sequence[Any], outputs: Sequence[str] = ("y",), timeout: float | None = 20) -> Any:
    return batches.run("s", {"x": np.array(rows, np.float32)}, outputs, timeout)[0].tolist()


def test_requests_share_a_run(servable: Doubling, pool: ThreadPoolExecutor) -> None:
    """Requests that wait together are one run, as soon as it is full, and each gets its own rows."""
    batches = Batcher(servable, Batching(max_size=8, timeout=20), pool)
    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(ask, batches, [number, -0.0]) for number in range(4)]
        assert [future.result(timeout=10) for future in asked] == [[2 * number, 0] for number in range(4)]
    assert servable.sizes == [8]


def test_a_batch_goes_when_its_time_is_up(servable: Doubling, pool: ThreadPoolExecutor) -> None:
    """A request alone waits for the timeout and no longer, and is padded to an allowed size."""
    batches = Batcher(servable, Batching(max_size=8, timeout=0.2, allowed_sizes=(2, 4, 8)), pool)
    started = time.monotonic()
    assert ask(batches, [1, 2, 3]) == [2, 4, 6]
    assert 0.2 <= time.monotonic() - started < 5
    assert servable.sizes == [4]


def test_one_of_another_shape_fails_its_batch(servable: Doubling, pool: ThreadPoolExecutor) -> None:
    """Requests of two shapes that meet in a batch all fail, as on the official server, and the next batch works."""
    batches = Batcher(servable, Batching(max_size=2, timeout=20), pool)
    with ThreadPoolExecutor(2) as callers:
        asked = [callers.submit(ask, batches, rows) for rows in ([1], [[1, 2]])]
        for future in asked:
            with pytest.raises(StatusError, match="have different shapes and padding is turned off") as refused:
                future.result(timeout=10)
            assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert ask(batches, [1, 2]) == [2, 4]


def test_errors_reach_all_of_the_batch(servable: Doubling, pool: ThreadPoolExecutor) -> None:
    """When the run fails everybody in the batch is told, and the next batch works."""
    batches = Batcher(servable, Batching(max_size=2, timeout=20), pool)
    with ThreadPoolExecutor(2) as callers:
        for future in [callers.submit(ask, batches, [number]) for number in (1, -1)]:
            with pytest.raises(StatusError, match="negative"):
                future.result(timeout=10)
    assert ask(batches, [1, 2]) == [2, 4]


@pytest.mark.parametrize(
    ("inputs", "output", "text"),
    [
        ({"x": [0] * 9}, "y", "Task size 9 is larger than maximum input batch size 8"),
        ({"x": 1}, "y", "must have at least one dimension"),
        ({"x": [1], "z": [1, 2]}, "y", "must have equal 0th-dimension size"),
        ({"x": [1]}, "total", "Batched output tensor has 0 dimensions"),
        ({"x": [1, 2]}, "first", "does not equal the sum of the 0th dimension sizes"),
    ],
)
def test_refusals(servable: Doubling, pool: ThreadPoolExecutor, inputs: dict[str, Any], output: str, text: str) -> None:
    """What cannot be put into a batch, or taken apart again, is refused with the official texts."""
    batches = Batcher(servable, Batching(max_size=8), pool)
    with pytest.raises(StatusError, match=text):
        batches.run("s", {name: np.array(value, np.float32) for name, value in inputs.items()}, [output], 20)


def test_a_full_queue_and_a_deadline(servable: Doubling, pool: ThreadPoolExecutor) -> None:
    """When too many batches wait a request is UNAVAILABLE; one that waits too long for its run DEADLINE_EXCEEDED."""
    batches = Batcher(servable, Batching(max_size=2, max_enqueued=1), pool)
    servable.go.clear()
    with ThreadPoolExecutor(3) as callers:
        first = callers.submit(ask, batches, [1, 1])
        assert servable.started.wait(10)
        others = [callers.submit(ask, batches, [2, 2]) for _ in range(2)]
        (refused,), (waiting,) = wait(others, timeout=10, return_when=FIRST_COMPLETED)
        with pytest.raises(StatusError, match="queue to which this task was submitted is full"):
            refused.result()
        servable.go.set()
        assert (first.result(timeout=10), waiting.result(timeout=10)) == ([2, 2], [4, 4])
        servable.go.clear()
        servable.started.clear()
        held = callers.submit(ask, batches, [1, 1])
        assert servable.started.wait(10)
        with pytest.raises(StatusError) as late:
            ask(batches, [3], timeout=0.05)
        assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        servable.go.set()
        assert held.result(timeout=10) == [2, 2]
    assert ask(batches, [4]) == [8]


def test_closing_waits_for_the_run_of_a_caller_who_gave_up(servable: Doubling, pool: ThreadPoolExecutor) -> None:
    """The servable is closed only after its last run."""
    batches = Batcher(servable, Batching(), pool)
    servable.go.clear()
    with pytest.raises(StatusError):
        ask(batches, [1], timeout=0.05)
    with ThreadPoolExecutor(1) as closer:
        closing = closer.submit(batches.close)
        with pytest.raises(FutureTimeout):
            closing.result(timeout=0.2)
        assert not servable.closed
        servable.go.set()
        closing.result(timeout=10)
    assert servable.closed


def test_server_with_batching(saved: Saved, tmp_path: Path) -> None:
    """Sixteen callers get their own answers over both transports; more rows than the file allows are refused."""
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
        assert server.rest_predict("m", {"instances": [0] * 9})[0] == 400
