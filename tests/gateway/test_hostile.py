"""Good callers beside hostile ones: a few seconds here, ten minutes with `--soak`."""

from __future__ import annotations

import contextlib
import random
import re
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.background import bounded_log
from pipeline.gateway import files, listener, running
from tests.gateway.conftest import Door, another
from tests.gateway.test_replicas import Callers
from tests.homes import ROOT
from tests.model_server.servers import Server
from tests.waiting import until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAMES = 10
"""Kinds of frames that HTTP/2 has; others have to be ignored."""
GROWTH = 1.3
"""Of memory, from when a tenth of the time is over to the end."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_good_callers_do_not_notice_hostile_ones(
    started: Callable[..., Door], server: Server, model: Path, soak: bool
) -> None:
    """Broken frames and requests, slow bodies, half-open connections and bad tokens, while a server is killed and back.

    Good callers, with the client's usual retries, are all answered over both transports, and Envoy's memory is flat.
    """
    seconds = 600 if soak else 8
    with another(model) as other:
        other.wait_available("keypoints")
        door = started(server, other)
        gateway = running.find(door.settings)
        assert gateway
        envoy = psutil.Process(gateway.pid)
        with Hostile(door) as hostile, Callers(door, "grpc") as grpc, Callers(door, "rest") as rest:
            time.sleep(seconds / 10)
            before = envoy.memory_info().rss
            ends = time.monotonic() + seconds
            other.process.kill()
            while time.monotonic() < ends:
                with another(model, port=other.grpc_port, rest_api_port=other.rest_port) as back:
                    back.wait_for(back.listens, "listening")
                    time.sleep(min(20.0, max(ends - time.monotonic(), 0)))
                    back.process.kill()
            after = envoy.memory_info().rss
        assert grpc.failed == []
        assert rest.failed == []
        assert min(grpc.answered, rest.answered) > 20
        assert min(hostile.done.values()) > 5, hostile.done
        assert after < GROWTH * before, f"{before / 1e6:.0f} MB, then {after / 1e6:.0f} MB"
        print(f"{grpc.answered} + {rest.answered} answers, {before / 1e6:.0f} MB, then {after / 1e6:.0f} MB")
    assert running.find(door.settings) == gateway


class Hostile:
    """One thread for each kind of nuisance, over TLS where it is one that speaks it."""

    def __init__(self, door: Door) -> None:
        self._address = ("127.0.0.1", int(door.url.rpartition(":")[2]))
        self._random = random.Random(1)
        self._ended = threading.Event()
        self._held: list[socket.socket] = []
        kinds = (self._junk, self._frames, self._requests, self._slow, self._half_open)
        self.done = Counter({kind.__name__: 0 for kind in kinds})
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in kinds]

    def __enter__(self) -> Hostile:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for held in self._held:
            held.close()

    def _run(self, kind: Callable[[], None]) -> None:
        while not self._ended.wait(0.02):
            with contextlib.suppress(OSError):
                kind()
                self.done[kind.__name__] += 1

    def _connect(self, *protocols: str) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols([*protocols])
        return context.wrap_socket(socket.create_connection(self._address, 5))

    def _junk(self) -> None:
        """Not even TLS."""
        with socket.create_connection(self._address, 5) as connection:
            connection.sendall(self._random.randbytes(500))

    def _frames(self) -> None:
        """HTTP/2 whose frames are of any kind and length, for any stream."""
        with self._connect("h2") as connection:
            connection.sendall(PREFACE + bytes(3) + b"\x04" + bytes(5))
            for _ in range(20):
                length = self._random.randrange(200)
                head = length.to_bytes(3, "big") + bytes([self._random.randrange(FRAMES + 2)])
                head += bytes([self._random.randrange(256)]) + self._random.randrange(1 << 31).to_bytes(4, "big")
                connection.sendall(head + self._random.randbytes(length))

    def _requests(self) -> None:
        """HTTP/1.1 with heads that lie, are broken or never end, and tokens of all sorts."""
        heads = (
            "GET /v1/models/keypoints HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
            "POST /v1/models/keypoints:predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX-Long: {0}{0}{0}{0}{0}{0}{0}{0}\r\n\r\n",
            "{} {} HTTP/9.9\r\n\r\n",
        )
        with self._connect("http/1.1") as connection:
            junk = self._random.randbytes(self._random.randrange(3000)).hex()
            connection.sendall(self._random.choice(heads).format(junk, junk).encode())
            connection.settimeout(0.2)
            connection.recv(4096)

    def _slow(self) -> None:
        """Requests that begin, and go on by a byte now and then."""
        if len(self._held) < 100:
            connection = self._connect("http/1.1")
            self._held.append(connection)
            connection.sendall(b"POST /v1/models/keypoints:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n")
        with contextlib.suppress(OSError):
            self._random.choice(self._held).sendall(b"x")

    def _half_open(self) -> None:
        """Connections that say nothing."""
        if len(self._held) < 200:
            self._held.append(socket.create_connection(self._address, 5))


@pytest.mark.slow
def test_a_slow_request_a_silent_connection_and_one_too_many_end(
    started: Callable[..., Door], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the seconds that all of a request may take, and that nothing may be heard; the limits are short here."""
    monkeypatch.setattr(listener, "BODY_SECONDS", 1)
    monkeypatch.setattr(listener, "IDLE_SECONDS", 2)
    monkeypatch.setattr(files, "MOST_CONNECTIONS", 5)
    door = started(server)
    address = ("127.0.0.1", int(door.url.rpartition(":")[2]))
    with contextlib.ExitStack() as connections:
        opened = [connections.enter_context(socket.create_connection(address, 5)) for _ in range(20)]
        until(lambda: len(select.select(opened, [], [], 0)[0]) >= 15)
        assert len(select.select(opened, [], [], 0)[0]) < 20
    context = ssl.create_default_context(cafile=str(door.files.authority))
    token = f"Authorization: Bearer {door.files.token('camera-7', 1)}"
    slow = f"POST /v1/models/keypoints:predict HTTP/1.1\r\nHost: x\r\n{token}\r\nContent-Length: 9\r\n\r\n"
    for sent, answer in ((slow, b"HTTP/1.1 408 "), ("", b"")):
        with context.wrap_socket(socket.create_connection(address, 5), server_hostname="127.0.0.1") as connection:
            connection.sendall(sent.encode())
            assert connection.recv(4096)[:13] == answer


def test_the_gateways_limits_are_those_that_its_page_names() -> None:
    """Seconds, connections, and how much its log may hold, in docs/second-week.md."""
    pages = (ROOT / "docs" / "second-week.md").read_text().split("\n\n")
    for word, limits in (
        ("TLS is 1.2", {listener.HEADER_SECONDS, listener.BODY_SECONDS, listener.IDLE_SECONDS, files.MOST_CONNECTIONS}),
        ("gateway.log.1", {bounded_log.FULL_BYTES >> 20}),
    ):
        (paragraph,) = (each for each in pages if word in each)
        assert limits <= {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", paragraph)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a head", "TLS"])
def test_a_connection_that_does_not_go_on_ends(door: Door, kind: str) -> None:
    """Within the seconds that a head, or TLS, may take."""
    connection = socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])), 5)
    if kind == "a head":
        context = ssl.create_default_context(cafile=str(door.files.authority))
        connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
        connection.sendall(b"GET /v1/models/keypoints HTTP/1.1\r\n")
    with connection:
        connection.settimeout(20)
        began = time.monotonic()
        while connection.recv(4096):
            pass
        assert 8 < time.monotonic() - began < 15
