"""Several servers behind one gateway, of which one dies."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from seamline_client import PredictClient
from seamline_client.errors import ClientError
from tests.client.fakes import TRANSPORTS
from tests.gateway.conftest import HALF, Door, another
from tests.model_server.servers import Server
from tests.waiting import until

OUT_SECONDS = 2.0


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.slow
def test_no_call_fails_when_a_server_dies(
    started: Callable[..., Door], server: Server, model: Path, transport: Literal["grpc", "rest"]
) -> None:
    """Callers with the client's usual retries are all answered; within 2 s none is sent to the dead one any more.

    When it is back, it gets its share again.
    """
    with another(model) as other:
        other.wait_available("keypoints")
        door = started(server, other)
        ports = {"grpc": other.grpc_port, "rest": other.rest_port}
        with Callers(door, transport) as callers:
            door.logs(f"127.0.0.1:{ports[transport]}")
            other.process.kill()
            time.sleep(OUT_SECONDS)
            before = len(lines(door))
            time.sleep(OUT_SECONDS)
        assert callers.failed == []
        assert callers.answered > 20
        late = lines(door)[before + callers.count :]
        assert late
        assert not [line for line in late if f":{ports[transport]}" in line]
        with another(model, port=other.grpc_port, rest_api_port=other.rest_port), Callers(door, transport):
            until(lambda: f":{ports[transport]}" in "".join(lines(door)[before + len(late) :]))


@pytest.mark.slow
def test_a_server_that_says_nothing_is_out(started: Callable[..., Door], server: Server, model: Path) -> None:
    """Within 2 s of when it fell silent, its ports open, as a machine that hangs; no call waits for it after that."""
    with another(model) as other:
        other.wait_available("keypoints")
        door = started(server, other)
        until(lambda: asked(door, other.grpc_port, other.rest_port))
        other.process.send_signal(signal.SIGSTOP)
        time.sleep(OUT_SECONDS + 1)  # of a machine that has much else to do
        for transport in TRANSPORTS:
            with door.client(transport, timeout=5.0) as client:
                assert [client.run(HALF)["y"][0] for _ in range(20)] == [2.0] * 20
        other.process.kill()


def asked(door: Door, *ports: int) -> bool:
    """Whether calls were sent to each of these ports."""
    for transport in TRANSPORTS:
        with door.client(transport) as client:
            for _ in range(8):
                client.run(HALF)
    said = "".join(lines(door))
    return all(f":{port}" in said for port in ports)


class Callers:
    """Some that ask without a pause."""

    count = 3

    def __init__(self, door: Door, transport: Literal["grpc", "rest"]) -> None:
        self.failed: list[ClientError] = []
        self.answered = 0
        self._client = door.client(transport, retries=2)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(self._client,)) for _ in range(self.count)]

    def __enter__(self) -> Callers:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for each in self._threads:
            each.join()
        self._client.close()

    def _ask(self, client: PredictClient) -> None:
        while not self._ended.wait(0.02):
            try:
                assert client.run(HALF)["y"].tolist() == [2.0]
                self.answered += 1
            except ClientError as error:
                self.failed.append(error)


def lines(door: Door) -> list[str]:
    """Of the access log, which is a second behind."""
    time.sleep(1.2)
    return door.log.splitlines()
