"""Versions that tell who they are, a server of them that can be restarted, and callers that never stop asking."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from pipeline.release import models_config as policy
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, Version, write_checksums
from pipeline.serving import process
from pipeline.serving.server import wait_until_available
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import CannotConnect, ClientError
from tests.model_server.model_server_support import save_half_plus
from tests.ports import free_port


class Fleet:
    """Version n of the store answers x / 2 + n."""

    def __init__(self, folder: Path) -> None:
        self.store = ModelStore(folder / "models", MODEL_NAME)
        self.grpc, self.rest = free_port(), free_port()
        self._log = folder / "server" / "log"
        self.server: process.ServerProcess | None = None

    def make(self) -> Version:
        """Publishes the next version, and tells no server."""
        latest = self.store.latest()
        number = latest.number + 1 if latest else 1
        with self.store.stage() as staging:
            folder = save_half_plus(staging / "1", float(number))
            (folder / "assets.extra").mkdir()
            write_checksums(folder)
            version = self.store.publish(folder)
        assert version.number == number
        return version

    def start(self) -> process.ServerProcess:
        flags = (
            f"--model_config_file={policy.path(self.store)}",
            "--model_config_file_poll_wait_seconds=1",
            "--allow_version_labels_for_unavailable_models=true",
        )
        self.server = process.start(flags, self._log, self.grpc, self.rest, leashed=True)
        wait_until_available(self.server, MODEL_NAME, 120)
        return self.server

    @property
    def releases(self) -> Releases:
        """Those of the running server."""
        return Releases(self.store, f"127.0.0.1:{self.grpc}")

    @property
    def process(self) -> psutil.Process:
        assert self.server
        return psutil.Process(self.server.pid)

    def client(self, transport: str) -> PredictClient:
        port = self.grpc if transport == "grpc" else self.rest
        return PredictClient(f"127.0.0.1:{port}", transport)  # type: ignore[arg-type]


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """With version 1 and a server of it."""
    made = Fleet(folder)
    Releases(made.store, None).published(made.make())
    try:
        made.start()
        yield made
    finally:
        if made.server:
            made.server.stop()


def ask(client: PredictClient, x: float, *, label: str | None = None, version: int | None = None) -> int:
    """The version that the answer is of. Fails when it is none's."""
    (y,) = client.run({"x": np.array([x], np.float32)}, label=label, version=version)["y"]
    number = float(y) - x / 2
    assert number == round(number), f"x={x} was answered by {y}"
    return round(number)


@dataclass
class Callers:
    """Threads that repeat what they were given until `stop`. Whatever is raised is a failure, and they go on."""

    answers: int = 0
    failures: list[str] = field(default_factory=list)
    excused: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)
    _outage: bool = False
    _outages: int = 0

    def repeat(self, what: Callable[[], object]) -> None:
        def loop() -> None:
            while not self._done.is_set():
                outage, outages = self._outage, self._outages
                try:
                    what()
                    self.answers += 1
                except (CannotConnect, OSError) as error:
                    if outage or outages != self._outages:
                        self.excused += 1
                        time.sleep(0.05)
                    else:
                        self.failures.append(repr(error))
                except (ClientError, AssertionError) as error:
                    self.failures.append(repr(error))

        self._threads.append(threading.Thread(target=loop))

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The server is away: requests in flight or begun now may find no connection."""
        self._outages += 1
        self._outage = True
        yield
        self._outage = False

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)


def cut_off(port: int, data: bytes) -> None:
    """A client whose cable is cut in the middle of what it says."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.05)
