"""A store whose version n answers n, a server of it, and callers that never stop asking."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from model_server import flags
from model_server.server import serve
from pipeline.background.ports import free_port
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, write_checksums
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import CannotConnect, ClientError, NotFound

DEADLINE = 60.0


class Constant(tf.Module):
    """Answers one number, whatever is asked."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self._number = tf.constant(number)

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec([None], tf.float32, "x")]
    )
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.zeros_like(x) + self._number}


class World:
    """`releases` knows the server while it runs, and `offline` never does."""

    def __init__(self, folder: Path, *, served: bool) -> None:
        self.store = ModelStore(folder / "models", MODEL_NAME)
        self.grpc_port, self.rest_port = free_port(), free_port()
        self.offline = Releases(self.store, None)
        self.releases = self.offline
        self._served = served
        self._published = 0
        self._stop = threading.Event()
        self._server: threading.Thread | None = None

    def publish(self) -> int:
        """The next version, which nobody is answered by yet."""
        self._published += 1
        with self.store.stage() as staging:
            (staging / "1" / "assets.extra").mkdir(parents=True)
            if self._served:
                model = Constant(float(self._published))
                tf.saved_model.save(model, str(staging / "1"), signatures={"serving_default": model.answer})
            write_checksums(staging / "1")
            assert self.releases.publish(staging / "1").number == self._published
        return self._published

    def export(self) -> int:
        """Published and promoted, as `make export` does once a candidate is proven."""
        number = self.publish()
        self.releases.promote(number, what="export", wait=True)
        return number

    def start(self) -> None:
        target = f"127.0.0.1:{self.grpc_port}"
        arguments = (
            f"--port={self.grpc_port}",
            f"--rest_api_port={self.rest_port}",
            f"--model_config_file={self.offline.config().resolve()}",
            "--model_config_file_poll_wait_seconds=1",
        )
        self._stop = threading.Event()
        self._server = threading.Thread(target=serve, args=(flags.parse(arguments), self._stop))
        self._server.start()
        with self.client("rest") as client:
            client.wait_until_available(time.monotonic() + DEADLINE)
        self.releases = Releases(self.store, target, wait_seconds=DEADLINE)

    @contextmanager
    def serving(self) -> Iterator[World]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        self.releases = self.offline
        self._stop.set()
        if self._server:
            self._server.join(DEADLINE)
            assert not self._server.is_alive()
            self._server = None

    def client(self, transport: str, model: str = MODEL_NAME) -> PredictClient:
        port = self.grpc_port if transport == "grpc" else self.rest_port
        return PredictClient(f"127.0.0.1:{port}", transport, model=model, retries=0)  # type: ignore[arg-type]

    def answer(self, model: str = MODEL_NAME) -> int | None:
        """The version that answers callers who name none, over both transports; None where there is no such model."""
        answers: set[int | None] = set()
        for transport in ("grpc", "rest"):
            with self.client(transport, model) as client:
                try:
                    answers.add(ask(client))
                except NotFound:
                    answers.add(None)
        (version,) = answers
        return version


def ask(client: PredictClient) -> int:
    return round(float(client.run({"x": np.zeros(1, np.float32)})["y"][0]))


class Callers:
    """A caller over each transport who names no version. `version` may answer; `rule` says which may from now on.

    As a context manager it fails at its end when a request failed, or was answered by a version that the rule did not
    allow at any moment while it lasted, or when too few were answered to say so.
    """

    def __init__(self, world: World, version: int) -> None:
        self.answers = Counter({"grpc": 0, "rest": 0})
        self._world = world
        self._rules = [(0.0, frozenset({version}))]
        self._outages: list[tuple[float, float]] = []
        self._heard: list[tuple[float, float, str, int | ClientError]] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(each,)) for each in self.answers]

    def rule(self, *versions: int) -> None:
        self._rules.append((time.monotonic(), frozenset(versions)))

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The server is away: requests that overlap with this find no connection."""
        began = time.monotonic()
        self._outages.append((began, math.inf))
        yield
        self._outages[-1] = (began, time.monotonic())

    def _ask(self, transport: str) -> None:
        while not self._done.is_set():
            with self._world.client(transport) as client:
                heard: int | ClientError = 0
                while not (self._done.is_set() or isinstance(heard, ClientError)):
                    began = time.monotonic()
                    try:
                        heard = ask(client)
                    except ClientError as error:
                        heard = error
                    self._heard.append((began, time.monotonic(), transport, heard))
                    self._done.wait(0.002)

    def check(self) -> None:
        """Whether all that was heard until now was right."""
        heard, self._heard = self._heard, []
        for began, ended, transport, what in heard:
            if isinstance(what, CannotConnect) and any(b <= ended and began <= e for b, e in self._outages):
                continue
            until = [*(at for at, _ in self._rules[1:]), math.inf]
            rules = [rule for (at, rule), end in zip(self._rules, until) if at <= ended and began <= end]
            allowed = set().union(*rules)
            assert what in allowed, f"{what} answered, {allowed} might ({ended - began:.2f} s)"
            self.answers[transport] += 1

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(DEADLINE)
        self.check()
        assert min(self.answers.values()) > 100, self.answers
