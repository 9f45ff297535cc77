"""Servers that refuse, lie, trickle and break, over both transports: each a short clear error, in time."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
import numpy as np
import pytest

from client import AsyncPredictClient, PredictClient, grpc_calls
from client.answers import check_outputs
from client.errors import (
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
from client.flows import Outcome
from client.tensors import encode
from client.transport import ModelSpec
from client.wire import serving_pb2 as pb
from tests.client.client_support import FakeGrpc, FakeHttp, free_port

IMAGE = np.zeros((1, 384, 384, 3), np.uint8)


def good_outputs(count: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """An answer that keeps the contract."""
    ratios = np.linspace(0, 1, 24, dtype=np.float32)[None].repeat(count, 0)
    return {"pred_x_ratio": ratios, "pred_y_ratio": ratios, "pred_v": np.full((count, 24), 2)}


def as_grpc(outputs: dict[str, np.ndarray[Any, Any]]) -> bytes:
    return pb.PredictResponse(outputs={name: encode(array) for name, array in outputs.items()}).SerializeToString()


def as_json(outputs: dict[str, np.ndarray[Any, Any]]) -> bytes:
    return json.dumps({"outputs": {name: array.tolist() for name, array in outputs.items()}}).encode()


def test_grpc_tries_again_until_the_server_is_there() -> None:
    """UNAVAILABLE twice, then an answer; with a float image, which is larger than gRPC's default retry buffer."""

    def reply(_: bytes, context: grpc.ServicerContext) -> bytes:
        if len(server.seen) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return as_grpc(good_outputs())

    with FakeGrpc(reply) as server, PredictClient(server.target, retries=2) as client:
        assert len(client.predict(IMAGE.astype(np.float32))) == 1
        assert len(server.seen) == 3


def test_rest_tries_again_until_the_server_is_there() -> None:
    """503 twice, then an answer."""
    replies = iter([(503, b'{"error": "starting"}'), (503, b""), (200, as_json(good_outputs()))])
    with FakeHttp(lambda _: next(replies)) as server, PredictClient(server.target, "rest", retries=2) as client:
        assert len(client.predict(IMAGE)) == 1
        assert len(server.seen) == 3


def test_the_asynchronous_twin_tries_again_too_and_keeps_its_bounds() -> None:
    """The same channel options, the same limit of requests in flight, the same errors."""
    lock, running, most = threading.Lock(), 0, 0

    def reply(_: bytes, context: grpc.ServicerContext) -> bytes:
        nonlocal running, most
        if len(server.seen) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return as_grpc(good_outputs())

    async def ask() -> None:
        async with AsyncPredictClient(server.target, retries=2) as client:
            assert len(await client.predict(IMAGE)) == 1
            assert len(server.seen) == 3
            found = [outcome async for outcome in client.stream([IMAGE[0]] * 40, parallel=3)]
            assert [outcome.error for outcome in found] == [None] * 40
            assert 2 <= most <= 3
            with pytest.raises(DeadlineExceeded):
                await client.predict(IMAGE, timeout=0.002)

    with FakeGrpc(reply) as server:
        asyncio.run(ask())


def test_a_connection_that_broke_is_made_anew() -> None:
    """REST, too, tries again when the server hangs up without an answer, as one that restarts does."""

    def reply(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        if len(server.seen) < 3:
            handler.connection.shutdown(socket.SHUT_RDWR)
            return 0, b""
        return 200, as_json(good_outputs())

    with FakeHttp(reply) as server, PredictClient(server.target, "rest", retries=2) as client:
        assert len(client.predict(IMAGE)) == 1


def unavailable(transport: str) -> Any:
    """A server that always says that it is not there yet."""
    if transport == "rest":
        return FakeHttp(lambda _: (503, b'{"error": "starting"}'))
    return FakeGrpc(lambda _, context: context.abort(grpc.StatusCode.UNAVAILABLE, "starting"))


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_retries_are_bounded_and_end_at_the_deadline(transport: Any) -> None:
    """One attempt and two more, then the error; and none begins after the deadline, whatever is left of them."""
    with unavailable(transport) as server, PredictClient(server.target, transport, retries=2) as client:
        with pytest.raises(CannotConnect, match="starting"):
            client.status()
        assert len(server.seen) == 3
    with unavailable(transport) as server, PredictClient(server.target, transport, retries=4, timeout=0.3) as client:
        start = time.monotonic()
        with pytest.raises((CannotConnect, DeadlineExceeded)):
            client.status()
        assert time.monotonic() - start < 0.6
        attempts = len(server.seen)
        assert attempts < 5
        time.sleep(0.8)
        assert len(server.seen) == attempts


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("INVALID_ARGUMENT", 400, InvalidInput),
        ("NOT_FOUND", 404, NotFound),
        ("RESOURCE_EXHAUSTED", 429, ServerBusy),
        ("UNAUTHENTICATED", 401, AccessDenied),
        ("PERMISSION_DENIED", 403, AccessDenied),
        ("UNAVAILABLE", 503, CannotConnect),
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


def test_a_server_that_trickles_does_not_outlive_the_deadline() -> None:
    """A byte now and then resets every timeout of requests, but not ours."""

    def trickle(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" ")
            time.sleep(0.1)
        return 0, b""

    with FakeHttp(trickle) as server, PredictClient(server.target, "rest", timeout=0.4) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            client.status()
        assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_server_that_is_silent_is_left_at_the_deadline(transport: Any) -> None:
    """No answer within the timeout: DeadlineExceeded, on time."""

    def slow(*_: Any) -> Any:
        time.sleep(1)
        return (200, b"{}") if transport == "rest" else b""

    server: Any = FakeHttp(slow) if transport == "rest" else FakeGrpc(slow)
    with server, PredictClient(server.target, transport, timeout=0.3) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="in time"):
            client.predict(IMAGE)
        assert time.monotonic() - start < 0.8


def statuses(*versions: tuple[int, str, str, str]) -> bytes:
    """A status answer over REST."""
    listed = [
        {"version": str(version), "state": state, "status": {"error_code": code, "error_message": message}}
        for version, state, code, message in versions
    ]
    return json.dumps({"model_version_status": listed}).encode()


def test_waiting_ends_as_soon_as_loading_failed() -> None:
    """START, LOADING, then END: the server's own words, long before the deadline."""
    story = iter(
        [
            statuses((1, "START", "OK", "")),
            statuses((1, "LOADING", "OK", "")),
            statuses((1, "END", "INTERNAL", "variables are missing")),
        ]
    )
    with FakeHttp(lambda _: (200, next(story))) as server, PredictClient(server.target, "rest") as client:
        start = time.monotonic()
        with pytest.raises(ServerFailed, match="version 1 failed to load: INTERNAL: variables are missing"):
            client.wait_until_available(start + 60)
        assert time.monotonic() - start < 5


def test_waiting_for_a_version_that_was_unloaded_ends_at_once() -> None:
    """END without an error is final for the version that was asked for, and is no reason to give up on any other."""
    ended = statuses((1, "END", "OK", ""))
    with FakeHttp(lambda _: (200, ended)) as server, PredictClient(server.target, "rest") as client:
        with pytest.raises(ServerFailed, match="version 1 was unloaded"):
            client.wait_until_available(time.monotonic() + 60, version=1)
        with pytest.raises(DeadlineExceeded, match="version 1 is END"):
            client.wait_until_available(time.monotonic() + 0.3)


def test_waiting_outlasts_a_server_that_is_not_there_yet() -> None:
    """No connection, then an unknown model, then an old version's END beside a new one that loads: the wait goes on."""
    port = free_port()
    story = iter(
        [
            (404, b'{"error": "Could not find any versions of model keypoints"}'),
            (200, statuses((2, "LOADING", "OK", ""), (1, "END", "OK", ""))),
            (200, statuses((2, "AVAILABLE", "OK", ""), (1, "END", "OK", ""))),
        ]
    )
    with PredictClient(f"127.0.0.1:{port}", "rest", retries=0) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait_until_available, time.monotonic() + 20)
        time.sleep(0.5)
        with FakeHttp(lambda _: next(story), port):
            assert waiting.result(20).version == 2


def test_waiting_ends_at_the_deadline_with_what_was_heard_last() -> None:
    """The error says what the server, or the lack of one, said."""
    with PredictClient(f"127.0.0.1:{free_port()}") as client:
        with pytest.raises(DeadlineExceeded, match="refused"):
            client.wait_until_available(time.monotonic() + 0.5)
        with pytest.raises(DeadlineExceeded, match=r"time\.monotonic"):
            client.wait_until_available(-1.0)


def test_a_stream_is_bounded_in_flight_and_in_what_it_takes() -> None:
    """However many photos there are: at most `parallel` requests at once, and few photos ahead of the consumer."""
    lock, running, most = threading.Lock(), 0, 0

    def reply(_: bytes, __: grpc.ServicerContext) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return as_grpc(good_outputs(2))

    taken = 0

    def photos() -> Iterator[np.ndarray[Any, Any]]:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield IMAGE[0]

    with FakeGrpc(reply) as server, PredictClient(server.target) as client:
        done = 0
        for outcome in client.stream(photos(), batch=2, parallel=3):
            assert isinstance(outcome, Outcome)
            done += 1
            assert taken - done <= 2 * 3 * 2
        assert done == 200
        assert 2 <= most <= 3
        half = client.stream(photos(), batch=2, parallel=3)
        next(half)
        half.close()  # type: ignore[attr-defined]
        assert taken < 250


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_token_and_metadata_go_with_every_call(transport: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """As authorization and headers; a .netrc that knows the host does not take the token's place."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = FakeHttp(lambda _: (200, statuses())) if transport == "rest" else FakeGrpc(lambda *_: b"")
    with server, PredictClient(server.target, transport, token="s3cret", metadata=[("X-Team", "fit")]) as client:
        assert client.status() == []
        assert server.seen[0]["authorization"] == "Bearer s3cret"
        assert server.seen[0]["x-team"] == "fit"
        assert "s3cret" not in repr(client._connection)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_proxy_in_the_environment_is_passed_by_for_this_machine(transport: Any, monkeypatch: Any) -> None:
    """http_proxy set for the outside world does not break a client of 127.0.0.1."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server = FakeHttp(lambda _: (200, statuses())) if transport == "rest" else FakeGrpc(lambda *_: b"")
    with server, PredictClient(server.target, transport, retries=0) as client:
        assert client.status() == []


BAD_SETTINGS = [{"transport": "soap"}, {"retries": 9}, {"timeout": 0}, {"token": "a\nb"}, {"token": "né"}]


@pytest.mark.parametrize("options", BAD_SETTINGS)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """At once, not when the first call fails."""
    with pytest.raises(InvalidInput):
        PredictClient(**options)


def test_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEAMLINE_GRPC_PORT and SEAMLINE_REST_PORT move the default target only."""
    monkeypatch.setenv("SEAMLINE_GRPC_PORT", "1234")
    monkeypatch.setenv("SEAMLINE_REST_PORT", "none")
    with PredictClient() as client, PredictClient("127.0.0.1:8500") as other:
        assert (client.target, other.target) == ("127.0.0.1:1234", "127.0.0.1:8500")
    with PredictClient("somewhere") as client:
        assert client.target == "somewhere:1234"
    with pytest.raises(InvalidInput, match="SEAMLINE_REST_PORT"):
        PredictClient(transport="rest")
