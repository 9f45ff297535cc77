"""Servers that are late, busy, loading or not there yet: the client waits as long as it was told to, and no longer."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from seamline_client import AsyncPredictClient, PredictClient
from seamline_client.errors import CannotConnect, DeadlineExceeded, ServerBusy, ServerFailed
from tests.client.client_support import (
    IMAGE,
    TRANSPORTS,
    Crowd,
    FakeGrpc,
    FakeHttp,
    as_grpc,
    as_json,
    failing,
    good_outputs,
    statuses,
)
from tests.ports import free_port


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
        assert len(client.predict(IMAGE.astype(np.float32 if transport == "grpc" else np.uint8))) == 1
        assert len(server.seen) == 3


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_retries_are_bounded_and_end_at_the_deadline(transport: Any) -> None:
    """One attempt and two more, then the error; none begins after the deadline; without retries a call is sent once."""
    with failing(transport, "UNAVAILABLE", 503, "starting") as server:
        with PredictClient(server.target, transport, retries=2) as client:
            with pytest.raises(CannotConnect, match="starting"):
                client.status()
            assert len(server.seen) == 3
        with PredictClient(server.target, transport, retries=40, timeout=0.4) as client:
            start = time.monotonic()
            with pytest.raises((CannotConnect, DeadlineExceeded)):
                client.status()
            assert time.monotonic() - start < 1
            assert 3 < len(server.seen) < 9
    with failing(transport, "RESOURCE_EXHAUSTED", 429, "queue full") as server:
        for retries, fewest, most in ((0, 1, 1), (1, 3, 8)):  # a busy server is asked again until the deadline
            server.seen.clear()
            with PredictClient(server.target, transport, retries=retries, timeout=1) as client:
                with pytest.raises(ServerBusy, match="queue full"):
                    client.status()
                assert fewest <= len(server.seen) <= most


def test_a_server_with_few_threads_loses_no_photo(tmp_path: Path, predict: Any, photo: Path) -> None:
    """`--parallel 16` at a server that takes three calls at once and refuses the rest, as the real one does."""
    crowd = Crowd()

    def reply(*_: Any) -> bytes:
        crowd.meet(3)
        return as_grpc(good_outputs())

    with FakeGrpc(reply, most_at_once=3) as server:
        ran = predict(*[photo] * 48, "--parallel", 16, "--target", server.target, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == 48
    assert crowd.most == 3


def test_a_server_that_trickles_does_not_outlive_the_deadline() -> None:
    """A byte now and then resets every timeout of requests, but not ours."""
    enough = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not enough.wait(0.05):
            handler.wfile.write(b" ")
        return 0, b""

    with FakeHttp(trickle) as server, PredictClient(server.target, "rest", timeout=0.4) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            client.status()
        assert time.monotonic() - start < 1.5
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
        assert time.monotonic() - start < 1


def test_a_stream_is_bounded_in_flight_and_in_what_it_takes() -> None:
    """However many photos there are: at most `parallel` requests at once, and few photos ahead of the consumer."""
    crowd, taken = Crowd(), 0

    def reply(*_: Any) -> bytes:
        crowd.meet(3)
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
        assert (taken, crowd.most) == (60, 3)
        half = client.stream(photos(60), batch=2, parallel=3)
        next(half)
        half.close()
        assert taken < 80
        assert asyncio.run(twin(server.target)) == 60
        assert crowd.most == 3


@pytest.mark.parametrize("silent", ["grpc"], indirect=True)
def test_an_asynchronous_call_lets_go_when_it_is_cancelled_and_does_not_wait_for_ever(silent: Any) -> None:
    """The event loop goes on, a cancelled caller is free at once, and a call that finds no thread fails in time."""

    async def ask() -> None:
        async with AsyncPredictClient(silent.target, threads=1, timeout=0.5) as client:
            start = time.monotonic()
            first = asyncio.create_task(client.status())
            waiting = asyncio.create_task(client.status(timeout=20))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first, 0.05)
            assert time.monotonic() - start < 0.4
            with pytest.raises(DeadlineExceeded, match="all threads were busy"):
                await waiting

    asyncio.run(ask())


Reply = tuple[int, bytes]


def story(*replies: Reply) -> Callable[[Any], Reply]:
    """Each reply once."""
    rest = iter(replies)
    return lambda _: next(rest)


def test_waiting_ends_as_soon_as_loading_failed() -> None:
    """START, LOADING, then END: the server's own words, long before the deadline."""
    replies = [(1, "START", "OK", ""), (1, "LOADING", "OK", ""), (1, "END", "INTERNAL", "variables are missing")]
    with FakeHttp(story(*((200, statuses(each)) for each in replies))) as server:
        start = time.monotonic()
        failed = "version 1 failed to load: INTERNAL: variables are missing"
        with PredictClient(server.target, "rest") as client, pytest.raises(ServerFailed, match=failed):
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
    port, ended = free_port(), (1, "END", "OK", "")
    replies = story(
        (404, json.dumps({"error": "Could not find any versions of model keypoints"}).encode()),
        (200, statuses((2, "LOADING", "OK", ""), ended)),
        (200, statuses((2, "AVAILABLE", "OK", ""), ended)),
    )
    with PredictClient(f"127.0.0.1:{port}", "rest", retries=0) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait_until_available, time.monotonic() + 20)
        assert not wait([waiting], 0.5).done
        with FakeHttp(replies, port):
            assert waiting.result(20).version == 2


def test_waiting_ends_at_the_deadline_with_what_was_heard_last() -> None:
    """The error says what the server, or the lack of one, said."""
    with PredictClient(f"127.0.0.1:{free_port()}") as client:
        with pytest.raises(DeadlineExceeded, match="no server is running"):
            client.wait_until_available(time.monotonic() + 0.5)
        with pytest.raises(DeadlineExceeded, match=r"time\.monotonic"):
            client.wait_until_available(-1.0)
