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
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from pipeline.release.store import ModelStore, write_checksums
from seamline_client import PredictClient
from seamline_client.errors import InvalidInput, NotFound
from tests.faults.half_server import MODEL, HalfServer, half_server
from tests.faults.small_store import release
from tests.model_server.model_server_support import predict_request, save_half_plus

GROWTH = {"MB": 60, "file descriptors": 8, "threads": 8}
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
        self.version = 0
        self.answers = 0

    def __call__(self) -> None:
        x = float(self.answers % 1000)
        (y,) = self._client.run({"x": np.array([x], np.float32)})["y"]
        version = y - x / 2
        assert version == round(version) >= self.version, f"version {self.version} answered, then x={x} got {y}"
        self.version = round(version)
        self.answers += 1


def bad(client: PredictClient) -> None:
    """Requests that must be refused, each in its way."""
    for inputs in ({"z": X}, {}, {"x": np.array([b"no number"], object)}):
        with pytest.raises(InvalidInput):
            client.run(inputs)
    for spec in ({"signature": "nope"}, {"version": 10**6}, {"label": "nope"}):
        with pytest.raises(NotFound):
            client.run({"x": X}, **spec)  # type: ignore[arg-type]


def cut_off(port: int, data: bytes) -> None:
    """A caller whose connection breaks in the middle of a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cancelled(stub: Any) -> None:
    """A caller that gives up at once."""
    stub.Predict.future(predict_request(MODEL, {"x": np.zeros(100_000, np.float32)}), timeout=30).cancel()


def traffic(server: HalfServer, seconds: float, publish_next: Callable[[], None]) -> int:
    """Everything at once, for so long; returns how many good requests were answered. Raises what a caller raises."""
    done = threading.Event()

    def repeat(call: Callable[[], None], pause: float) -> None:
        while not done.wait(pause):
            call()

    with ExitStack() as stack:
        clients = [stack.enter_context(server.client(transport)) for transport in server.ports]
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.ports['grpc']}"))
        pool = stack.enter_context(ThreadPoolExecutor(len(server.ports) * 3 + 1))
        good = [Good(client) for client in clients]
        calls: list[tuple[Callable[[], None], float]] = [(each, 0) for each in good]
        calls += [(partial(bad, client), 0) for client in clients]
        calls += [(partial(cut_off, port, HALF_A_REQUEST[transport]), 0.05) for transport, port in server.ports.items()]
        calls += [(partial(cancelled, prediction_service_pb2_grpc.PredictionServiceStub(channel)), 0.05)]
        callers = [pool.submit(repeat, *call) for call in calls]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            publish_next()
        done.set()
        for caller in callers:
            caller.result()
    return sum(each.answers for each in good)


def when_idle(server: HalfServer) -> dict[str, float]:
    """What the server holds once nobody is connected any more."""
    deadline = time.monotonic() + 30
    gc.collect()  # a cancelled call keeps its connection for as long as a cycle holds it
    while open_ := [each for each in server.process.net_connections() if each.status == psutil.CONN_ESTABLISHED]:
        assert time.monotonic() < deadline, open_
        time.sleep(0.1)
    time.sleep(1.5)  # it looks for versions once a second
    held = (server.process.memory_info().rss / 1e6, server.process.num_fds(), server.process.num_threads())
    return dict(zip(GROWTH, held))


@pytest.mark.slow
def test_no_good_request_fails_and_nothing_grows(
    tmp_path: Path, soak: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions come faster than the server looks for them, among bad requests and connections that break.

    Memory, file descriptors and threads are after this what they were after a warm-up. And after a restart the same
    callers are answered again.
    """
    store = ModelStore(tmp_path / "models", MODEL)
    numbers = itertools.count(1)
    publish(store, next(numbers))
    with half_server(store.folder, tmp_path / "log") as server:
        first = traffic(server, 60 if soak else 6, lambda: publish(store, next(numbers)))
        before = when_idle(server)
        second = traffic(server, 540 if soak else 12, lambda: publish(store, next(numbers)))
        after = when_idle(server)
    with capsys.disabled():
        print(f"\n{first + second} good requests, {next(numbers) - 1} versions; {before} -> {after}")
    assert first > 0
    assert {name: after[name] - before[name] < most for name, most in GROWTH.items()} == dict.fromkeys(GROWTH, True)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client(transport)) for transport in server.ports]
        for _ in range(2):
            with half_server(store.folder, tmp_path / "log", ports=server.ports):
                for client in clients:
                    Good(client)()
