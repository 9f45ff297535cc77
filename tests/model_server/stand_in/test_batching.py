"""Batching: many requests, fewer runs, and everyone gets the rows that are theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo

from model_server.batching import Batcher
from model_server.errors import StatusError, invalid_argument
from model_server.text_config import Batching
from tests.homes import ROOT, Made
from tests.model_server.conftest import Saved
from tests.model_server.saved_models import publish
from tests.model_server.servers import running


class Doubling:
    """A servable that doubles, notes the size of every run, and can be held up."""

    def __init__(self) -> None:
        self.signatures: Mapping[str, Any] = {"s": SignatureDef(inputs={"x": TensorInfo(name="x:0")})}
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

    def close(self) -> None: ...


@pytest.fixture
def servable() -> Iterator[Doubling]:
    servable = Doubling()
    yield servable
    servable.go.set()


def batcher(servable: Doubling, **parameters: Any) -> Batcher:
    """One that runs a batch at a time."""
    return Batcher(servable, Batching(**parameters), threading.BoundedSemaphore(1))


def ask(batches: Batcher, rows: Sequence[Any], outputs: Sequence[str] = ("y",), timeout: float | None = 20) -> Any:
    return batches.run("s", {"x": np.array(rows, np.float32)}, outputs, timeout)[0].tolist()


def test_requests_share_a_run(servable: Doubling) -> None:
    """Requests that wait together are one run, as soon as it is full, and each gets its own rows."""
    batches = batcher(servable, max_size=8, timeout=20)
    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(ask, batches, [number, -0.0]) for number in range(4)]
        assert [future.result(timeout=10) for future in asked] == [[2 * number, 0] for number in range(4)]
    assert servable.sizes == [8]


def test_a_batch_goes_when_its_time_is_up(servable: Doubling) -> None:
    """A request alone waits for the timeout and no longer."""
    started = time.monotonic()
    assert ask(batcher(servable, max_size=8, timeout=0.2), [1, 2, 3]) == [2, 4, 6]
    assert 0.2 <= time.monotonic() - started < 5
    assert servable.sizes == [3]


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ([[1, 2]], "Tensors with name 'x:0' from different tasks have different shapes and padding is turned off. Set"),
        ([-1], "negative"),
    ],
)
def test_one_bad_request_fails_its_batch(servable: Doubling, others: list[Any], text: str) -> None:
    """Where shapes differ or the run fails, all of the batch are told, as on the official server. The next works."""
    batches = batcher(servable, max_size=2, timeout=20)
    with ThreadPoolExecutor(2) as callers:
        for future in [callers.submit(ask, batches, rows) for rows in ([1], others)]:
            with pytest.raises(StatusError, match=text):
                future.result(timeout=10)
    assert ask(batches, [1, 2]) == [2, 4]


@pytest.mark.parametrize(
    ("inputs", "output", "text"),
    [
        ({"x": [0] * 9}, "y", "Task size 9 is larger than maximum input batch size 8"),
        ({"x": 1}, "y", "must have equal 0th-dimension size"),
        ({"x": [1], "z": [1, 2]}, "y", "must have equal 0th-dimension size"),
        ({"x": [1]}, "total", "does not equal the sum of the 0th dimension sizes"),
        ({"x": [1, 2]}, "first", "does not equal the sum of the 0th dimension sizes"),
    ],
)
def test_what_does_not_fit_a_batch(servable: Doubling, inputs: dict[str, Any], output: str, text: str) -> None:
    """What cannot be put into a batch, or taken apart again, is refused with the official texts."""
    batches = batcher(servable, max_size=8)
    with pytest.raises(StatusError, match=text):
        batches.run("s", {name: np.array(value, np.float32) for name, value in inputs.items()}, [output], 20)


def test_a_full_queue_and_a_deadline(servable: Doubling) -> None:
    """When too many batches wait a request is UNAVAILABLE; one that waits too long for its run DEADLINE_EXCEEDED."""
    batches = batcher(servable, max_size=2, max_enqueued=1)
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
        others = [callers.submit(ask, batches, [3], timeout=0.05) for _ in range(2)]
        (joined,), (opened,) = wait(others, timeout=10, return_when=FIRST_COMPLETED)
        with pytest.raises(StatusError) as late:
            joined.result()
        assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        servable.go.set()
        assert (held.result(timeout=10), opened.result(timeout=10)) == ([2, 2], [6])


@pytest.mark.slow
@pytest.mark.parametrize("signature", ["serving_uint8", "serving_bytes", "serving_bytes of rank 2", "wrong dtype"])
def test_bad_pictures_fail_their_batch(made: Made, tmp_path: Path, signature: str) -> None:
    """With config/batching.config no signature of an export is safe: a good request fails beside a bad one."""
    file = (next((made.home / "models/keypoints/1/assets.extra/golden").glob("0.*"))).read_bytes()
    pixels = np.zeros((1, 384, 384, 3), np.uint8)
    name, alias, good, bad, text = {
        "serving_uint8": ("serving_uint8", "images_uint8", pixels, pixels[:, :224, :224], "different shapes"),
        "serving_bytes": ("serving_bytes", "image_bytes", [file], [b"no picture"], "Unknown image file format"),
        "serving_bytes of rank 2": ("serving_bytes", "image_bytes", [file], [[file]], "different shapes"),
        "wrong dtype": ("serving_uint8", "images_uint8", pixels, pixels.astype(np.int32), "different data types"),
    }[signature]
    slow = (ROOT / "config" / "batching.config").read_text().replace("{ value: 2000 }", "{ value: 500000 }")
    (tmp_path / "batching.config").write_text(slow)
    flags = {"enable_batching": True, "batching_parameters_file": tmp_path / "batching.config"}
    base = {"model_name": "m", "model_base_path": made.home / "models/keypoints"}
    with running("model_server", tmp_path, **base, **flags) as server, ThreadPoolExecutor(2) as pool:
        server.wait_available("m")
        assert server.predict("m", {alias: good}, name).outputs
        for future in [pool.submit(server.predict, "m", {alias: sent}, name) for sent in (good, bad)]:
            with pytest.raises(grpc.RpcError, match=text):
                future.result(timeout=30)
        assert server.predict("m", {alias: good}, name).outputs


def test_server_with_batching(saved: Saved, tmp_path: Path) -> None:
    """Sixteen callers get their own answers over both transports; more rows than the file allows are refused."""
    publish(saved.zoo, tmp_path / "m", 1)
    (tmp_path / "batching.config").write_text(
        """max_batch_size { value: 8 } batch_timeout_micros { value: 20000 } max_enqueued_batches { value: 100 }
        num_batch_threads { value: 1 }"""
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
