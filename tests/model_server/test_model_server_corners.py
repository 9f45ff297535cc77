"""Rare requests and flags that ended in a traceback, a lost thread, a busy loop or a connection out of step."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from model_server import grpc_server, model_config
from model_server.batching import Batcher
from model_server.errors import StatusError
from model_server.flags import Flags
from model_server.lifecycle import Lifecycle
from model_server.rest_api import RestApplication
from model_server.rest_server import RestServer
from model_server.saved_model import Servable
from model_server.text_config import Batching
from model_server.versions import Versions
from tests.model_server.model_server_support import Server
from tests.ports import free_port


@pytest.mark.parametrize("path", ["/v1/models/zoo", "/v1/models/none", "/elsewhere"])
def test_head_leaves_the_connection_in_step(server: Server, path: str) -> None:
    """The answer to HEAD has no body: the next one on the same connection is read as what it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)
    with contextlib.closing(connection):
        connection.request("HEAD", path)
        assert connection.getresponse().read() == b""
        connection.request("GET", "/v1/models/zoo")
        assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    "body",
    [
        rb'{"instances": ["\ud800"]}',
        rb'{"instances": [{"\ud800": 1}]}',
        rb'{"signature_name": "\ud800", "instances": [1]}',
        rb'"\ud800"',
    ],
)
def test_half_of_a_surrogate_pair(server: Server, body: bytes) -> None:
    """JSON can spell what is no character: the message that quotes it is JSON too."""
    code, answer = server.post("/v1/models/zoo:predict", body)
    assert code == 400
    assert answer["error"]


@pytest.mark.parametrize("depth", range(960, 1000, 5))
def test_nesting_at_the_limit(server: Server, depth: int) -> None:
    """What can just be read can perhaps not be written into a message: no error of the server's own."""
    assert server.post("/v1/models/zoo:predict", b"[" * depth + b"]" * depth)[0] == 400


def test_a_scalar_before_a_list(server: Server) -> None:
    """The first element says the shape, also when it has none."""
    code, answer = server.rest_predict("zoo", {"instances": [1.0, [1.0]]})
    assert code == 400
    assert "element: 1 of 'instances' list" in answer["error"]
    assert "Expecting shape [] but got: [1]" in answer["error"]


class Echo:
    """A servable that answers with its input."""

    def __init__(self) -> None:
        self.signatures: Mapping[str, Any] = {}

    def run(
        self, signature: str, inputs: Mapping[str, Any], outputs: Sequence[str], timeout: float | None
    ) -> list[Any]:
        return [inputs["x"] for _ in outputs]

    def close(self) -> None: ...


def load(model: str, number: int, path: Path) -> Servable:
    return Echo()


def test_whoever_opens_a_batch_waits_no_longer_than_its_deadline() -> None:
    """All places to run are taken for good: DEADLINE_EXCEEDED, and the queue is free for the next one."""
    places = threading.BoundedSemaphore(1)
    batches = Batcher(Echo(), Batching(max_size=4, max_enqueued=1), places)
    with ThreadPoolExecutor(1) as pool, places:
        for _ in range(2):
            asked = pool.submit(batches.run, "s", {"x": np.ones(1)}, ["y"], 0.1)
            with pytest.raises(StatusError) as late:
                asked.result(timeout=10)
            assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert batches.run("s", {"x": np.ones(1)}, ["y"], 20)[0].tolist() == [1]


def test_without_polling_the_thread_rests(tmp_path: Path) -> None:
    """`--file_system_poll_wait_seconds=-1` looks for nothing, as the official server does, and does not spin."""
    rounds = 0

    class Counted(Lifecycle):
        def _load_next(self) -> None:
            nonlocal rounds
            rounds += 1
            super()._load_next()

    (tmp_path / "1").mkdir()
    with Counted(load, poll_seconds=-1) as life:
        life.reload(model_config.single_model("m", str(tmp_path)), wait=False)
        with life.versions.changed:
            assert not life.versions.changed.wait_for(lambda: rounds > 20, timeout=0.5)
        assert life.versions.each() == []


@pytest.fixture
def single_thread(tmp_path: Path) -> Iterator[grpc.Channel]:
    """A channel to a server with one thread, whose model never comes."""
    with Lifecycle(load) as life:
        flags = Flags(port=free_port(), grpc_max_threads=1)
        server = grpc_server.start(flags, None, life)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{flags.port}") as channel:
                yield channel
        finally:
            server.stop(0).wait(timeout=5)


def test_a_caller_who_hangs_up_frees_the_thread_of_a_reload(single_thread: grpc.Channel, tmp_path: Path) -> None:
    """A reload waits for its models as long as its caller does, and no longer."""
    stub = model_service_pb2_grpc.ModelServiceStub(single_thread)
    request = model_management_pb2.ReloadConfigRequest(config=model_config.single_model("m", str(tmp_path)))
    waiting = stub.HandleReloadConfigRequest.future(request)
    with pytest.raises(grpc.FutureTimeoutError):
        waiting.result(timeout=1)
    waiting.cancel()
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "m"
    with pytest.raises(grpc.RpcError) as answered:
        stub.GetModelStatus(status, timeout=20)
    assert answered.value.code() is grpc.StatusCode.NOT_FOUND


def test_an_ipv6_address_is_an_address(tmp_path: Path) -> None:
    """With brackets or without, gRPC listens there as REST does."""
    for address in ("::1", "[::1]"):
        with Lifecycle(load) as life:
            port = free_port()
            server = grpc_server.start(Flags(port=port, bind_address=address), None, life)
            try:
                with grpc.insecure_channel(f"[::1]:{port}") as channel:
                    grpc.channel_ready_future(channel).result(timeout=20)
            finally:
                server.stop(0).wait(timeout=5)


def test_a_request_while_the_server_stops_is_turned_away() -> None:
    """By 503 and JSON, which clients take for a reason to try again; waitress lets no header of its own be set."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        application = RestApplication(cast(Versions, None), timeout=None)
        server = RestServer(application, listener, threads=2)
        application.draining = True
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/models/zoo")
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())) == (503, {"error": "The server is shutting down"})
        server.drain(5)
