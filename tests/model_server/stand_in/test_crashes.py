"""The two requests that end the official server: refused here, or as deadly as there with --official_crashes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

import grpc
import pytest
from tensorflow.core.framework.tensor_pb2 import TensorProto

from tests.model_server.conftest import Saved, Shared, zoo_server
from tests.model_server.servers import RESOURCE, Server, predict_request

DEADLY_JSON = b"[" * 23_515 + b"]" * 23_515


def resource(*shape: int) -> TensorProto:
    return TensorProto(dtype=RESOURCE, tensor_shape={"dim": [{"size": size} for size in shape]})


@pytest.mark.parametrize("kind", ["model_server"], indirect=True)
def test_a_resource_is_a_broken_tensor(server: Server) -> None:
    """Of any shape."""
    for shape in ((), (0,), (2,)):
        with pytest.raises(grpc.RpcError, match="tensor parsing error: x") as refused:
            server.predict("zoo", {"x": resource(*shape)})
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.slow
def test_a_server_that_ends_fails_one_test_alone(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With --official_crashes each deadly request ends the process by the signal of the official server.

    The test that sends it fails with the last lines of the log, and the next is lent a server that answers.
    """

    def over_grpc(shape: int) -> Callable[[Server], object]:
        return lambda server: server.predict("zoo", {"x": resource(shape)})

    def over_rest(server: Server) -> object:
        return server.request("POST", "/v1/models/zoo:predict", DEADLY_JSON)

    def end(server: Server, send: Callable[[Server], object]) -> None:
        assert server.rest_predict("zoo", {"instances": [2]}) == (200, {"predictions": [3.0]})
        assert server.post("/v1/models/zoo:predict", DEADLY_JSON[1:-1])[0] == 400  # as deep as it survives
        with suppress(grpc.RpcError, OSError):
            send(server)
        server.exit_code()

    def start() -> AbstractContextManager[Server]:
        return zoo_server("process", saved, tmp_path_factory.mktemp("ends"), official_crashes=True)

    deadly = [
        (over_grpc(2), signal.SIGABRT, "Check failed: 1 == NumElements()"),
        (over_grpc(0), signal.SIGABRT, "Check failed: 1 == NumElements()"),
        (over_rest, signal.SIGSEGV, "Segmentation fault"),
    ]
    with closing(Shared(start)) as shared:
        for send, number, last_words in deadly:
            said = f"ended in this test, with -{number}(?s:.*){last_words}"
            with pytest.raises(pytest.fail.Exception, match=said), shared.lend() as server:
                end(server, send)


@pytest.mark.parametrize("request_", [predict_request("zoo", {"x": resource()}), b"[" * 10_001])
def test_no_deadly_request_is_sent_to_an_official_server(request_: object, tmp_path: Path) -> None:
    """What may end one skips the test instead, before anything is sent."""
    for kind in ("executable", "container"):
        with pytest.raises(pytest.skip.Exception):
            Server(kind, None, 1, 1, tmp_path).spare(request_)  # type: ignore[arg-type]
    for kind in ("model_server", "process"):
        Server(kind, None, 1, 1, tmp_path).spare(request_)  # type: ignore[arg-type]
