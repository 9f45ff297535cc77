"""Servers that are not there yet, or not for long: tried again within bounds, over both transports."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
import numpy as np
import pytest

from seamline_client import AsyncPredictClient, PredictClient
from seamline_client.errors import CannotConnect, DeadlineExceeded
from seamline_client.flows import Outcome
from tests.client.client_support import IMAGE, Crowd, FakeGrpc, FakeHttp, as_grpc, as_json, good_outputs


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_grpc_tries_again_until_the_server_is_there(code: grpc.StatusCode) -> None:
    """Not there, or stopping, twice, then an answer; with a float image, larger than gRPC's default retry buffer."""

    def reply(_: bytes, context: grpc.ServicerContext) -> bytes:
        if len(server.seen) < 3:
            context.abort(code, "starting")
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
    crowd = Crowd()

    def reply(_: bytes, context: grpc.ServicerContext) -> bytes:
        if len(server.seen) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        crowd.stay(0.01)
        return as_grpc(good_outputs())

    async def ask() -> None:
        async with AsyncPredictClient(server.target, retries=2) as client:
            assert len(await client.predict(IMAGE)) == 1
            assert len(server.seen) == 3
            found = [outcome async for outcome in client.stream([IMAGE[0]] * 40, parallel=3)]
            assert [outcome.error for outcome in found] == [None] * 40
            assert 2 <= crowd.most <= 3
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


def test_a_stream_is_bounded_in_flight_and_in_what_it_takes() -> None:
    """However many photos there are: at most `parallel` requests at once, and few photos ahead of the consumer."""
    crowd = Crowd()

    def reply(_: bytes, __: grpc.ServicerContext) -> bytes:
        crowd.stay(0.01)
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
        assert 2 <= crowd.most <= 3
        half = client.stream(photos(), batch=2, parallel=3)
        next(half)
        half.close()  # type: ignore[attr-defined]
        assert taken < 250
