"""`verify` over HTTP: how often a server is asked for a proof, and what is none."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from pipeline.background.ports import free_port
from pipeline.release import verdicts, verify_http
from pipeline.release.verdicts import Verdict
from pipeline.serving import fleet
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import CannotConnect
from tests.waiting import until


@contextmanager
def asking(port: int, *paths: str) -> Iterator[list[tuple[int, bytes]]]:
    """What is answered there, once somebody listens; then SIGTERM to this process."""
    heard: list[tuple[int, bytes]] = []
    ended = threading.Event()

    def ask() -> None:
        try:
            until(lambda: ended.is_set() or fleet.listens(f"127.0.0.1:{port}"))
            for path in paths:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                        heard.append((answer.status, answer.read()))
                except urllib.error.HTTPError as error:
                    with error:
                        heard.append((error.code, error.read()))
        finally:
            if not ended.is_set():  # the signal would end these tests
                os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield heard
    finally:
        ended.set()
        thread.join()


def test_a_proof_is_asked_for_once_however_often_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer holds for a moment, and those who come meanwhile wait for it; each server has its own."""
    asked: list[str] = []

    def ask(address: str) -> list[Verdict]:
        asked.append(address)
        time.sleep(0.1)
        return [Verdict(address, MODEL_NAME, 1)]

    answers = verify_http.Answers(ask)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(answers.of, ["", "10.0.0.1"] * 20))
    assert sorted(asked) == ["", "10.0.0.1"]
    assert {status for status, _ in found} == {200}
    monkeypatch.setattr(verify_http, "FRESH_SECONDS", 0.0)
    answers = verify_http.Answers(ask)
    answers.of("")
    answers.of("")
    assert len(asked) == 4


def test_a_probe_that_does_not_wait_for_the_answer_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback stands between what is written there; whoever asks next is answered."""
    asked, gone = threading.Event(), threading.Event()

    def ask(address: str) -> list[Verdict]:
        asked.set()
        gone.wait(10)
        return [Verdict("a:1", MODEL_NAME, 1)]

    def leave() -> None:
        with socket.create_connection(("127.0.0.1", port)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close says so at once
            probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            asked.wait(10)
        gone.set()

    port = free_port()
    with asking(port, "/") as heard:
        verify_http.serve("127.0.0.1", port, ask, lambda _: threading.Thread(target=leave).start())
    assert [status for status, _ in heard] == [200]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), CannotConnect("nobody is there")])
def test_a_store_that_cannot_be_read_is_no_proof(error: Exception) -> None:
    """Whoever asks is told what is wrong."""

    def ask(address: str) -> list[Verdict]:
        raise error

    status, body = verify_http.Answers(ask).of("")
    assert status == 500
    assert json.loads(body)["servers"][0]["error"] == str(error)


def test_no_verdict_is_no_proof() -> None:
    """Nobody was asked: that answers 500."""
    assert verify_http.Answers(lambda _: []).of("")[0] == 500
    verdicts.check([Verdict("a:1", MODEL_NAME, 1)])
