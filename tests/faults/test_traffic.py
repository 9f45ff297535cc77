"""Good and bad requests over both transports while versions, labels and the server itself come and go."""

from __future__ import annotations

import gc
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from pipeline.release import models_config as policy
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import CannotConnect, ClientError, InvalidInput, NotFound
from tests.faults.fleet import Callers, Fleet, ask, cut_off, fleet
from tests.model_server.model_server_support import predict_request

GROWTH_MB = 60
GROWTH_OF_HANDLES = 8
X = np.zeros(1, np.float32)
PREDICT = f"POST /v1/models/{MODEL_NAME}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n".encode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Fleet]:
    """Versions 1 and 2 answer, stable is 1."""
    with fleet(tmp_path) as made:
        made.releases.promote(1)
        made.releases.published(made.make())
        yield made


class Label:
    """Which versions `stable` may be on just now: one, or two while it moves."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.may_be = frozenset({1})

    def move(self, number: int) -> None:
        self.may_be |= {number}
        self._fleet.releases.promote(number)
        self.may_be = frozenset({number})

    def back(self) -> None:
        self.may_be |= {1}
        assert self._fleet.releases.rollback() == 1
        self.may_be = frozenset({1})


def on_the_label(client: PredictClient, label: Label, chance: random.Random) -> None:
    """The answer is of a version that the label was on at some time between question and answer."""
    before = label.may_be
    number = ask(client, float(chance.randrange(1000)), label="stable")
    assert number in before | label.may_be, f"stable was answered by version {number}"


def as_the_reply_says(stub: Any, chance: random.Random) -> None:
    """The reply names the version that answered; its answer is that version's."""
    x = float(chance.randrange(1000))
    request = predict_request(MODEL_NAME, {"x": np.array([x], np.float32)})
    try:
        reply = stub.Predict(request, timeout=30, wait_for_ready=True)
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            raise CannotConnect(error.details()) from error
        raise AssertionError(f"{error.code()}: {error.details()}") from error
    assert list(reply.outputs["y"].float_val or np.frombuffer(reply.outputs["y"].tensor_content, np.float32)) == [
        x / 2 + reply.model_spec.version.value
    ]


def bad(client: PredictClient) -> Iterator[tuple[type[ClientError], Callable[[], object]]]:
    """What must be refused, and how."""
    yield InvalidInput, lambda: client.run({"z": X})
    yield InvalidInput, lambda: client.run({})
    yield InvalidInput, lambda: client.run({"x": np.array([b"no number"], object)})
    yield NotFound, lambda: client.run({"x": X}, signature="nope")
    yield NotFound, lambda: client.run({"x": X}, version=10**6)
    yield NotFound, lambda: client.run({"x": X}, label="nope")
    yield NotFound, lambda: client.run({"x": X}, label="../../etc/passwd")


def refused(questions: Iterator[tuple[type[ClientError], Callable[[], object]]]) -> None:
    expected, question = next(questions)
    try:
        question()
    except expected:
        return
    raise AssertionError(f"what should be {expected.__name__} was answered")


def traffic(served: Fleet, label: Label, seconds: float, *, restart: bool) -> Callers:
    """Everything at once, for so long."""
    callers, chance = Callers(), random.Random(7)
    address = f"127.0.0.1:{served.grpc}"
    with served.client("grpc") as over_grpc, served.client("rest") as over_rest, grpc.insecure_channel(address) as raw:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(raw)
        for client in (over_grpc, over_rest):
            callers.repeat(partial(on_the_label, client, label, chance))
            wrong = itertools.chain.from_iterable(bad(client) for _ in itertools.count())
            callers.repeat(partial(refused, wrong))
        callers.repeat(lambda: as_the_reply_says(stub, chance))
        callers.repeat(lambda: cut_off(served.rest, PREDICT + b'{"inst'))
        callers.repeat(lambda: cut_off(served.grpc, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\4"))
        callers.repeat(lambda: cancelled(stub))
        with callers:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                version = served.make()
                served.releases.published(version)
                label.move(version.number)
                policy.write(served.store, policy.read(served.store))  # read again, and the same
                label.back()
            if restart:
                with callers.outage():
                    assert served.server
                    served.server.stop()
                    served.start()
                    time.sleep(2)  # channels pause before they try again
                time.sleep(2)
    return callers


def cancelled(stub: Any) -> None:
    """A caller that has lost its patience."""
    call = stub.Predict.future(predict_request(MODEL_NAME, {"x": np.zeros(100_000, np.float32)}), timeout=30)
    time.sleep(0.002)
    call.cancel()
    time.sleep(0.05)


def idle(served: Fleet) -> tuple[float, int, int]:
    """Megabytes, file descriptors and threads of the server once nobody asks any more."""
    process = served.process
    deadline = time.monotonic() + 20
    gc.collect()  # a call that was cancelled holds on to its connection as long as it is somewhere in a cycle
    while open_ := [each for each in process.net_connections() if each.status == "ESTABLISHED"]:
        ours = [each for each in psutil.Process().net_connections() if each.status == "ESTABLISHED"]
        assert time.monotonic() < deadline, f"the server still has {open_}, we have {ours}"
        time.sleep(0.2)
    time.sleep(1.5)  # one more look at the store
    return process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()


def test_no_good_request_fails_and_nothing_grows(served: Fleet, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Through publishes, promotes, rollbacks, reloads and clients that are cut off; a restart fails those it meets.

    Each answer is that of the version which the reply names, or which the label was on.
    """
    label = Label(served)
    first = traffic(served, label, 60 if soak else 8, restart=False)
    before = idle(served)
    second = traffic(served, label, 540 if soak else 16, restart=False)
    after = idle(served)
    third = traffic(served, label, 1, restart=True)
    answers = first.answers + second.answers + third.answers
    with capsys.disabled():
        print(f"\n{answers} requests, {third.excused} cut by the restart; MB, descriptors, threads {before} -> {after}")
    assert first.failures + second.failures + third.failures == []
    assert after[0] - before[0] < GROWTH_MB
    assert after[1] - before[1] < GROWTH_OF_HANDLES
    assert after[2] - before[2] < GROWTH_OF_HANDLES
    assert threading.active_count() < 50
