"""Servers that are late, busy, loading or not there yet: the client waits as long as it was told to, and no longer."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
import numpy as np
import pytest

from pipeline.background.ports import free_port
from seamline_client import AsyncPredictClient, PredictClient
from seamline_client.contract import DEFAULT
from seamline_client.errors import CannotConnect, ClientError, DeadlineExceeded, ServerBusy, ServerFailed
from tests.client.fakes import IMAGE, TRANSPORTS, FakeGrpc, FakeHttp, as_grpc, as_json, failing, good_outputs
from tests.nobody import nobody


def lost_twice(transport: str, how: str) -> Any:
    """A server that fails its first two callers, and answers the third."""
    server: Any

    def over_grpc(_: bytes, context: grpc.ServicerContext) -> bytes:
        if len(server.seen) < 3:
            context.abort(grpc.StatusCode[how], "starting")
        return as_grpc(good_outputs())

    def over_rest(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        if len(server.seen) < 3 and how == "hangs up":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return 0, b""
        return (int(how), b'{"error": "starting"}') if len(server.seen) < 3 else (200, as_json(good_outputs()))

    server = FakeGrpc(over_grpc) if transport == "grpc" else FakeHttp(over_rest)
    return server


@pytest.mark.parametrize(
    ("transport", "how"),
    [
        ("grpc", "UNAVAILABLE"),
        ("grpc", "CANCELLED"),  # how a server that is stopping ends a call that it has not begun with
        ("grpc", "RESOURCE_EXHAUSTED"),
        ("rest", "503"),
        ("rest", "429"),
        ("rest", "hangs up"),
    ],
)
def test_a_call_is_tried_again_until_the_server_is_there(transport: Any, how: str) -> None:
    """Two failures that may pass, then an answer, for a request as large as floats over gRPC make it."""
    with lost_twice(transport, how) as server, PredictClient(server.target, transport, retries=2) as client:
        pixels = IMAGE.astype(np.float32 if transport == "grpc" else np.uint8)
        assert client.run({DEFAULT.input.name: pixels}).keys() == good_outputs().keys()
        assert len(server.seen) == 3


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("code", "status", "retries", "timeout", "fewest", "most"),
    [
        ("UNAVAILABLE", 503, 0, 30, 1, 1),
        ("UNAVAILABLE", 503, 2, 30, 3, 3),
        ("UNAVAILABLE", 503, 40, 0.4, 2, 6),
        ("RESOURCE_EXHAUSTED", 429, 0, 30, 1, 1),
        ("RESOURCE_EXHAUSTED", 429, 1, 1, 3, 8),  # a busy server is asked again until the deadline
    ],
)
def test_retries_are_bounded_and_end_at_the_deadline(
    transport: Any, code: str, status: int, retries: int, timeout: float, fewest: int, most: int
) -> None:
    """One attempt and so many more, then the error; none begins after the deadline."""
    start = time.monotonic()
    with (
        failing(transport, code, status, "not now") as server,
        PredictClient(server.target, transport, retries=retries, timeout=timeout) as client,
    ):
        with pytest.raises((CannotConnect, ServerBusy), match="not now"):
            client.status()
        assert time.monotonic() - start < timeout + 1
        assert fewest <= len(server.seen) <= most


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_closed_client_fails_at_once(transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a call nor a wait for the server is tried again."""
    client = PredictClient(nobody(), transport, retries=9)
    client.close()
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it was tried again"))
    for ask in (
        client.status,
        lambda: client.predict(IMAGE),
        lambda: client.wait_until_available(time.monotonic() + 9),
    ):
        with pytest.raises(CannotConnect, match="this client is closed"):
            ask()


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_server_that_trickles_does_not_outlive_the_deadline(begun: bytes) -> None:
    """A byte of a header or of the body now and then resets every timeout of requests, but not ours."""
    enough = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        handler.wfile.write(begun)
        while not enough.wait(0.05):
            handler.wfile.write(b" ")
        return 0, b""

    with FakeHttp(trickle) as server, PredictClient(server.target, "rest", timeout=0.4) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            client.status()
        assert time.monotonic() - start < 5
        enough.set()


@pytest.fixture
def silent(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server, over the transport of the test's parameter, that does not answer before the test is over."""
    over = threading.Event()

    def reply(*_: Any) -> Any:
        over.wait(20)
        return (200, b"{}") if request.param == "rest" else b""

    server: Any = FakeHttp(reply) if request.param == "rest" else FakeGrpc(reply)
    with server:
        yield server
        over.set()


@pytest.mark.parametrize(("transport", "silent"), [(each, each) for each in TRANSPORTS], indirect=["silent"])
def test_a_server_that_is_silent_is_left_at_the_deadline(transport: Any, silent: Any) -> None:
    """No answer within the timeout: DeadlineExceeded, on time."""
    with PredictClient(silent.target, transport, timeout=0.3) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="in time"):
            client.predict(IMAGE)
        assert time.monotonic() - start < 5  # and not the server's 20


@pytest.mark.parametrize("silent", ["grpc"], indirect=True)
def test_an_asynchronous_call_lets_go_when_it_is_cancelled_and_does_not_wait_for_ever(silent: Any) -> None:
    """The event loop goes on, a cancelled caller is free at once, and a call that finds no thread fails in time."""

    async def ask() -> None:
        async with AsyncPredictClient(silent.target, threads=1, timeout=1) as client:
            start = time.monotonic()
            first = asyncio.create_task(client.status())
            waiting = asyncio.create_task(client.status(timeout=20))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first, 0.05)
            assert time.monotonic() - start < 0.9
            with pytest.raises(DeadlineExceeded, match="all threads were busy"):
                await waiting

    asyncio.run(ask())


def test_a_stream_is_bounded_in_flight_and_in_what_it_takes() -> None:
    """However many photos there are: at most `parallel` requests at once, and few photos ahead of the consumer."""
    change, there, most, taken = threading.Condition(), 0, 0, 0

    def reply(*_: Any) -> bytes:
        """Stays until three are there at once, or a moment if they do not come."""
        nonlocal there, most
        with change:
            there += 1
            most = max(most, there)
            change.notify_all()
            change.wait_for(lambda: most >= 3, 1)
            there -= 1
        return as_grpc(good_outputs(2))

    def photos(count: int) -> Iterator[np.ndarray[Any, Any]]:
        nonlocal taken
        for _ in range(count):
            taken += 1
            yield IMAGE[0]

    async def twin(target: str) -> int:
        async with AsyncPredictClient(target) as client:
            return len([one async for one in client.stream(photos(60), batch=2, parallel=3) if one.prediction])

    with FakeGrpc(reply) as server, PredictClient(server.target) as client:
        for done, outcome in enumerate(client.stream(photos(60), batch=2, parallel=3)):
            assert outcome.error is None
            assert taken - done <= 2 * 3 * 2
        assert (taken, most) == (60, 3)
        half = client.stream(photos(60), batch=2, parallel=3)
        next(half)
        half.close()
        assert taken < 80
        assert asyncio.run(twin(server.target)) == 60
        assert most == 3


def listed(*versions: tuple[int, str, str]) -> tuple[int, bytes]:
    """A status answer over REST."""
    statuses = [
        {"version": str(version), "state": state, "status": {"error_code": code, "error_message": "what went wrong"}}
        for version, state, code in versions
    ]
    return 200, json.dumps({"model_version_status": statuses}).encode()


LOADING, ENDED, BROKEN = (1, "LOADING", "OK"), (1, "END", "OK"), (1, "END", "INTERNAL")


@pytest.mark.parametrize(
    ("replies", "version", "seconds", "error", "message"),
    [
        ([LOADING, BROKEN], None, 60, ServerFailed, "version 1 failed to load: INTERNAL: what went wrong"),
        ([ENDED], 1, 60, ServerFailed, "version 1 was unloaded"),
        ([LOADING, ENDED], None, 0.5, DeadlineExceeded, "last heard: version 1 is END"),  # another may yet come
        ([], None, -1, DeadlineExceeded, r"time\.monotonic"),
    ],
)
def test_waiting_ends_with_the_reason(
    replies: list[Any], version: int | None, seconds: float, error: type[ClientError], message: str
) -> None:
    """At once where loading has failed, in the server's own words; otherwise at the deadline, with the last news."""
    rest = iter(replies)
    with FakeHttp(lambda _: listed(next(rest, replies[-1]))) as server, PredictClient(server.target, "rest") as client:
        start = time.monotonic()
        with pytest.raises(error, match=message):
            client.wait_until_available(start + seconds, version=version)
        assert time.monotonic() - start < 5


def test_waiting_outlasts_a_server_that_is_not_there_yet() -> None:
    """No connection, then an unknown model, then an old version's END beside a new one that loads: the wait goes on."""
    port = free_port()
    replies = iter(
        [
            (404, json.dumps({"error": "Could not find any versions of model keypoints"}).encode()),
            listed((2, "LOADING", "OK"), ENDED),
            listed((2, "AVAILABLE", "OK"), ENDED),
        ]
    )
    with PredictClient(f"127.0.0.1:{port}", "rest", retries=0) as client, ThreadPoolExecutor(1) as pool:
        with pytest.raises(DeadlineExceeded, match="no server is running"):
            client.wait_until_available(time.monotonic() + 0.3)
        waiting = pool.submit(client.wait_until_available, time.monotonic() + 20)
        assert not wait([waiting], 0.3).done
        with FakeHttp(lambda _: next(replies), port):
            assert waiting.result(20).version == 2
