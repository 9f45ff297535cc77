"""A server that gets good and bad requests over both transports while version after version is published."""

from __future__ import annotations

import gc
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from pipeline.release.store import ModelStore, write_checksums
from seamline_client import PredictClient
from seamline_client.errors import InvalidInput, NotFound
from tests.faults.small_store import release
from tests.model_server.saved_models import save_half_plus
from tests.model_server.servers import Server, predict_request, running
from tests.waiting import until

MODEL = "half"
GROWTH = {"MB": 60, "file descriptors": 8, "threads": 16}
"""Far less than one for each version, broken connection or refused request. Pools of threads fill up as needed."""
X = np.zeros(1, np.float32)
HALF_A_REQUEST = {
    "grpc": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\4",
    "rest": f'POST /v1/models/{MODEL}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{{"inst'.encode(),
}


def publish(store: ModelStore, number: int) -> None:
    """Version n answers x / 2 + n. Old ones are removed, as `export` does."""
    with store.stage() as staging:
        folder = save_half_plus(staging / "1", float(number))
        (folder / "assets.extra").mkdir()
        write_checksums(folder)
        version = store.publish(folder)
    assert version.number == number
    release(store, version)


class Good:
    """A caller whose every request is answered, and never by an older version than the one before."""

    def __init__(self, client: PredictClient) -> None:
        self._client = client
        self._version = self.answers = 0

    def __call__(self) -> None:
        x = float(self.answers % 1000)
        (y,) = self._client.run({"x": np.array([x], np.float32)})["y"]
        version = y - x / 2
        assert version == round(version) >= self._version, f"version {self._version} answered, then x={x} got {y}"
        self._version = round(version)
        self.answers += 1


def bad(client: PredictClient) -> None:
    """Requests that must be refused, each in its way."""
    for inputs in ({"z": X}, {}, {"x": np.array([b"no number"], object)}):
        with pytest.raises(InvalidInput):
            client.run(inputs)
    for spec in ({"signature": "nope"}, {"version": 10**6}):
        with pytest.raises(NotFound):
            client.run({"x": X}, **spec)


def cut_off(port: int, data: bytes) -> None:
    """A caller whose connection breaks in the middle of a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def traffic(server: Server, seconds: float, publish_next: Callable[[], None]) -> int:
    """Everything at once, for so long; returns how many good requests were answered. Raises what a caller raises."""
    done = threading.Event()

    def repeat(call: Callable[[], object], pause: float) -> None:
        while not done.wait(pause):
            call()

    with (
        PredictClient(f"127.0.0.1:{server.grpc_port}", "grpc", model=MODEL) as over_grpc,
        PredictClient(f"127.0.0.1:{server.rest_port}", "rest", model=MODEL) as over_rest,
        server.channel() as channel,
        ThreadPoolExecutor() as pool,
    ):
        good = [Good(over_grpc), Good(over_rest)]
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        large = predict_request(MODEL, {"x": np.zeros(100_000, np.float32)})
        calls: list[tuple[Callable[[], object], float]] = [
            *((call, 0.0) for call in good),
            (partial(bad, over_grpc), 0.0),
            (partial(bad, over_rest), 0.0),
            (partial(cut_off, server.grpc_port, HALF_A_REQUEST["grpc"]), 0.05),
            (partial(cut_off, server.rest_port, HALF_A_REQUEST["rest"]), 0.05),
            (lambda: stub.Predict.future(large, timeout=30).cancel(), 0.05),
        ]
        callers = [pool.submit(repeat, *call) for call in calls]
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                publish_next()
        finally:
            done.set()
        for caller in callers:
            caller.result()
    return sum(each.answers for each in good)


def when_idle(server: Server) -> dict[str, float]:
    """What the server holds once nobody is connected any more."""
    process = psutil.Process(server.process.pid)
    gc.collect()  # a cancelled call keeps its connection for as long as a cycle holds it
    until(lambda: psutil.CONN_ESTABLISHED not in {each.status for each in process.net_connections()})
    time.sleep(1.5)  # it looks for versions once a second
    return dict(zip(GROWTH, (process.memory_info().rss / 1e6, process.num_fds(), process.num_threads())))


@pytest.mark.slow
def test_no_good_request_fails_and_nothing_grows(
    tmp_path: Path, soak: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions come faster than the server looks for them, among bad requests and connections that break.

    What it holds afterwards is what it held after a warm-up.
    """
    store, numbers = ModelStore(tmp_path / "models", MODEL), itertools.count(1)
    publish(store, next(numbers))
    with running("process", tmp_path, model_name=MODEL, model_base_path=store.folder) as server:
        server.wait_available(MODEL)
        first = traffic(server, 60 if soak else 6, lambda: publish(store, next(numbers)))
        before = when_idle(server)
        second = traffic(server, 540 if soak else 12, lambda: publish(store, next(numbers)))
        after = when_idle(server)
    with capsys.disabled():
        print(f"\n{first + second} good requests, {next(numbers) - 1} versions; {before} -> {after}")
    assert {name: after[name] - before[name] < most for name, most in GROWTH.items()} == dict.fromkeys(GROWTH, True)
