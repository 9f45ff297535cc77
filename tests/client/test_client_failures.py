"""Servers that refuse, lie and break off, over both transports: each a short clear error."""

from __future__ import annotations

import json
import math
import socket
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
import numpy as np
import pytest

from seamline_client import PredictClient, grpc_calls
from seamline_client.answers import check_outputs
from seamline_client.errors import (
    LONGEST_DETAIL,
    AccessDenied,
    BadResponse,
    CannotConnect,
    ClientError,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    ServerBusy,
    ServerFailed,
)
from seamline_client.transport import ModelSpec
from tests.client.client_support import IMAGE, FakeGrpc, FakeHttp, as_grpc, as_json, good_outputs


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("INVALID_ARGUMENT", 400, InvalidInput),
        ("NOT_FOUND", 404, NotFound),
        ("RESOURCE_EXHAUSTED", 429, ServerBusy),
        ("UNAUTHENTICATED", 401, AccessDenied),
        ("PERMISSION_DENIED", 403, AccessDenied),
        ("UNAVAILABLE", 503, CannotConnect),
        ("CANCELLED", 499, CannotConnect),
        ("DEADLINE_EXCEEDED", 504, DeadlineExceeded),
        ("INTERNAL", 500, ServerFailed),
        ("ABORTED", 409, ServerFailed),
        ("UNIMPLEMENTED", 501, BadResponse),
    ],
)
def test_statuses_are_the_same_errors_over_both_transports(code: str, status: int, error: type[ClientError]) -> None:
    """gRPC's status and REST's for the same thing end in the same class; a megabyte of message is cut to a line."""
    long = "what went wrong\n" * 70_000
    grpc_server = FakeGrpc(lambda _, context: context.abort(grpc.StatusCode[code], long[:4000]))
    rest_server = FakeHttp(lambda _: (status, json.dumps({"error": long}).encode()))
    for server, transport in ((grpc_server, "grpc"), (rest_server, "rest")):
        with server, PredictClient(server.target, transport, retries=0) as client:  # type: ignore[arg-type]
            with pytest.raises(ClientError, match="what went wrong") as caught:
                client.predict(IMAGE)
            assert type(caught.value) is error
            assert server.target in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < LONGEST_DETAIL + 150


BAD_OUTPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "an output lacks": ({"pred_v": None}, "lacks pred_v"),
    "other shape": ({"pred_v": np.full((1, 23), 2)}, r"\(1, 23\)"),
    "other count": (good_outputs(2), r"\(2, 24\)"),
    "other dtype": ({"pred_v": np.full((1, 24), 0.5, np.float32)}, "float32"),
    "whole numbers for ratios": ({"pred_x_ratio": np.ones((1, 24), np.int64)}, "int64"),
    "not a number": ({"pred_y_ratio": np.full((1, 24), math.nan, np.float32)}, "finite"),
    "no such class": ({"pred_v": np.full((1, 24), 3)}, "classes"),
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_an_answer_that_breaks_the_contract_is_a_bad_response(case: str) -> None:
    """Over gRPC and REST: missing, misshapen, mistyped or impossible outputs never become keypoints."""
    changes, message = BAD_OUTPUTS[case]
    outputs = {name: array for name, array in {**good_outputs(), **changes}.items() if array is not None}
    grpc_server, rest_server = FakeGrpc(lambda *_: as_grpc(outputs)), FakeHttp(lambda _: (200, as_json(outputs)))
    for server, transport in ((grpc_server, "grpc"), (rest_server, "rest")):
        with server, PredictClient(server.target, transport) as client:  # type: ignore[arg-type]
            with pytest.raises(BadResponse, match=message) as caught:
                client.predict(IMAGE)
            assert server.target in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html><body>Welcome to nginx!</body></html>" * 9999, BadResponse),
        (404, b"<html>no such page</html>", BadResponse),
        (404, b"", BadResponse),
        (302, b"", BadResponse),
        (502, b"<html>bad gateway</html>", CannotConnect),
        (504, b"<html>gateway timeout</html>", DeadlineExceeded),
        (401, b"<html>who are you</html>", AccessDenied),
        (413, b"<html>too large</html>", InvalidInput),
        (200, b"[1, 2]", BadResponse),
        (200, b'{"predictions": []}', BadResponse),
        (200, b'{"outputs": {"pred_v": [[1], [2, 3]]}}', BadResponse),
        (200, b'{"outputs": {"pred_v": [{"a": 1}]}}', BadResponse),
        (200, b'{"outputs": {"pred_v": [123456789012345678901234567890]}}', BadResponse),
        (200, b'{"outputs": {"pred_v": [[1]', BadResponse),
        (200, b"\xff\xfe\x00", BadResponse),
    ],
)
def test_what_is_not_serving_json_is_a_short_error(status: int, body: bytes, error: type[ClientError]) -> None:
    """A proxy's page, an empty body, JSON of another kind: one line, with the target."""
    with FakeHttp(lambda _: (status, body)) as server, PredictClient(server.target, "rest", retries=0) as client:
        with pytest.raises(error, match=server.target) as caught:
            client.predict(IMAGE)
        assert len(str(caught.value)) < LONGEST_DETAIL + 200
        for ask in (client.metadata, client.status):
            with pytest.raises(ClientError):
                ask()


def described(*outputs: str) -> bytes:
    """Metadata over REST of a signature with these outputs."""
    info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}
    signature = {"inputs": {"x": info}, "outputs": dict.fromkeys(outputs, info), "method_name": "predict"}
    signatures = {"signature_def": {"signature_def": {"serving_default": signature}}}
    return json.dumps({"model_spec": {"version": "1"}, "metadata": signatures}).encode()


def test_a_sole_output_comes_under_its_name_over_rest_too() -> None:
    """TensorFlow Serving leaves the name of a sole output out of its JSON: it is asked for, and of several an error."""
    reply = [described("y")]

    def answers(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        return 200, reply[0] if handler.path.endswith("/metadata") else b'{"outputs": [2.5]}'

    with FakeHttp(answers) as server, PredictClient(server.target, "rest", model="half") as client:
        assert client.run({"x": np.zeros(1, np.float32)})["y"].tolist() == [2.5]
        reply[0] = described("y", "z")
        with pytest.raises(BadResponse, match="an output without a name"):
            client.run({"x": np.zeros(1, np.float32)})


def test_an_answer_cut_anywhere_never_becomes_keypoints() -> None:
    """Each beginning of a good answer, over gRPC's reader: BadResponse, or short of an output, never something else."""
    whole = as_grpc(good_outputs())
    call = grpc_calls.predict(ModelSpec(), "serving_default", {})
    for end in range(len(whole)):
        with pytest.raises(BadResponse):
            check_outputs(call.answer(whole[:end], "here"), [(1, 1)], "here")
    assert len(check_outputs(call.answer(whole, "here"), [(1, 1)], "here")) == 1


def test_bytes_that_are_no_message_are_a_bad_response() -> None:
    """gRPC answers that do not parse, for all three questions."""
    with FakeGrpc(lambda *_: b"\xff\xff\xff\xff") as server, PredictClient(server.target) as client:
        for ask in (lambda: client.predict(IMAGE), client.metadata, client.status):
            with pytest.raises(BadResponse, match=server.target):
                ask()


@pytest.mark.parametrize("transport", ["grpc", "rest"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{", b"SSH-2.0-OpenSSH_9\r\n"])
def test_a_server_that_closes_in_mid_answer_is_no_connection(transport: Any, said: bytes) -> None:
    """Whatever it said before: an error of ours, at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with (
            PredictClient(target, transport, retries=0, timeout=5) as client,
            pytest.raises(CannotConnect, match=target),
        ):
            client.status()
        listener.shutdown(socket.SHUT_RDWR)
