"""Servers that refuse, lie and break off, over both transports: each a short clear error."""

from __future__ import annotations

import json
import math
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest

from seamline_client import PredictClient
from seamline_client.errors import (
    LONGEST_DETAIL,
    AccessDenied,
    BadResponse,
    CannotConnect,
    ClientError,
    DeadlineExceeded,
    InvalidInput,
    NoSignature,
    NotFound,
    ServerBusy,
    ServerFailed,
)
from tests.client.fakes import IMAGE, TRANSPORTS, FakeGrpc, FakeHttp, as_grpc, failing, good_outputs, predicting


@pytest.mark.parametrize(
    ("code", "status", "said", "error"),
    [
        ("INVALID_ARGUMENT", 400, "what went wrong", InvalidInput),
        ("NOT_FOUND", 404, "what went wrong", NotFound),
        ("RESOURCE_EXHAUSTED", 429, "what went wrong", ServerBusy),
        ("UNAUTHENTICATED", 401, "what went wrong", AccessDenied),
        ("PERMISSION_DENIED", 403, "what went wrong", AccessDenied),
        ("UNAVAILABLE", 503, "what went wrong", CannotConnect),
        ("CANCELLED", 499, "what went wrong", CannotConnect),
        ("DEADLINE_EXCEEDED", 504, "no answer in time", DeadlineExceeded),
        ("INTERNAL", 500, "what went wrong", ServerFailed),
        ("ABORTED", 409, "what went wrong", ServerFailed),
        ("UNIMPLEMENTED", 501, "what went wrong", BadResponse),
        # A message may say more than its code.
        ("UNAVAILABLE", 503, "The batch scheduling queue to which this task was submitted is full", ServerBusy),
        ("RESOURCE_EXHAUSTED", 413, "CLIENT: Received message larger than max (5 vs. 4)", InvalidInput),
        ("FAILED_PRECONDITION", 400, 'Serving signature key "x" not found.', NoSignature),
        ("INVALID_ARGUMENT", 400, "Unrecognized servable version label: canary", NotFound),
    ],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_failure_is_the_same_error_over_both_transports(
    transport: Any, code: str, status: int, said: str, error: type[ClientError]
) -> None:
    """gRPC's status and REST's for the same thing end in the same class; a megabyte of message is cut to a line."""
    with (
        failing(transport, code, status, said + "\nand so on" * 99_999) as server,
        PredictClient(server.target, transport, retries=0) as client,
        pytest.raises(ClientError, match=f"^{server.target}: .*{re.escape(said)}") as caught,
    ):
        client.predict(IMAGE)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < LONGEST_DETAIL + 150


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pred_v": None}, "lacks pred_v"),
        ({"pred_v": np.full((1, 23), 2)}, r"\(1, 23\)"),
        (good_outputs(2), r"\(2, 24\)"),
        ({"pred_v": np.full((1, 24), 0.5, np.float32)}, "float32"),
        ({"pred_x_ratio": np.ones((1, 24), np.int64)}, "int64"),
        ({"pred_y_ratio": np.full((1, 24), math.nan, np.float32)}, "finite"),
        ({"pred_v": np.full((1, 24), 3)}, "classes"),
    ],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_that_breaks_the_contract_is_a_bad_response(transport: Any, changes: Any, message: str) -> None:
    """Missing, misshapen, mistyped or impossible outputs never become keypoints."""
    outputs = {name: array for name, array in {**good_outputs(), **changes}.items() if array is not None}
    with (
        predicting(transport, outputs) as server,
        PredictClient(server.target, transport) as client,
        pytest.raises(BadResponse, match=f"{server.target}.*{message}"),
    ):
        client.predict(IMAGE)


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
        (200, b'{"model_version_status": [{"version": "x"}], "model_spec": {}, "metadata": 5}', BadResponse),
        (200, b'{"model_version_status": 7, "metadata": {"signature_def": {"signature_def": [1]}}}', BadResponse),
        (200, b"\xff\xfe\x00", BadResponse),
    ],
)
def test_what_is_not_serving_json_is_a_short_error(status: int, body: bytes, error: type[ClientError]) -> None:
    """A proxy's page, an empty body, JSON of another kind: one line, with the target."""
    with FakeHttp(lambda _: (status, body)) as server, PredictClient(server.target, "rest", retries=0) as client:
        for ask in (lambda: client.predict(IMAGE), client.metadata, client.status):
            with pytest.raises(error, match=server.target) as caught:
                ask()
            assert len(str(caught.value)) < LONGEST_DETAIL + 300


def test_a_sole_output_comes_under_its_name_over_rest_too() -> None:
    """TensorFlow Serving leaves the name of a sole output out of its JSON: it is asked for, and of several an error."""
    info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}
    outputs = {"y": info}
    signature = {"inputs": {"x": info}, "outputs": outputs, "method_name": "predict"}
    described = {"signature_def": {"signature_def": {"serving_default": signature}}}

    def answers(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        metadata = json.dumps({"model_spec": {"version": "1"}, "metadata": described}).encode()
        return 200, metadata if handler.path.endswith("/metadata") else b'{"outputs": [2.5]}'

    with FakeHttp(answers) as server, PredictClient(server.target, "rest", model="half") as client:
        assert client.run({"x": np.zeros(1, np.float32)})["y"].tolist() == [2.5]
        outputs["z"] = info
        with pytest.raises(BadResponse, match="an output without a name"):
            client.run({"x": np.zeros(1, np.float32)})


def test_what_is_no_message_never_becomes_an_answer() -> None:
    """Over gRPC: each beginning of a good answer, bytes of any kind, a description without signatures."""
    whole, said = as_grpc(good_outputs()), [b""]
    with FakeGrpc(lambda *_: said[0]) as server, PredictClient(server.target) as client:
        for said[0] in (whole[:end] for end in range(len(whole))):
            with pytest.raises(BadResponse):
                client.predict(IMAGE)
        with pytest.raises(BadResponse):
            client.metadata()
        said[0] = whole
        assert len(client.predict(IMAGE)) == 1
        said[0] = b"\xff\xff\xff\xff"
        for ask in (lambda: client.predict(IMAGE), client.metadata, client.status):
            with pytest.raises(BadResponse, match=server.target):
                ask()
        said[0] = b""
        with pytest.raises(BadResponse, match="no signatures"):
            client.metadata()


@pytest.mark.parametrize("transport", TRANSPORTS)
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
        client = PredictClient(target, transport, retries=0, timeout=5)
        with client, pytest.raises(CannotConnect, match=target):
            client.status()
        listener.shutdown(socket.SHUT_RDWR)
