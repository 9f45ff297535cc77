"""Servers that are late, silent or still loading: the client waits as long as it was told to, and no longer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from seamline_client import PredictClient
from seamline_client.errors import DeadlineExceeded, ServerFailed
from tests.client.client_support import IMAGE, FakeGrpc, FakeHttp, statuses
from tests.ports import free_port


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
