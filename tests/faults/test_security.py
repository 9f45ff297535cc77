"""Who may talk to the server, what is never shown, and names and numbers that are not taken for what they are not."""

from __future__ import annotations

import itertools
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.serving import process
from seamline_client import PredictClient, Tls
from seamline_client.command import main
from seamline_client.errors import CannotConnect, ClientError, InvalidInput, NotFound
from tests.certificates import certify
from tests.client.fakes import TRANSPORTS, FakeGrpc, FakeHttp, failing
from tests.homes import Seamline
from tests.model_server.saved_models import publish, save_half_plus
from tests.model_server.servers import running
from tests.nobody import nobody

MODEL = "half"
X = np.zeros(1, np.float32)
TOKEN = "s3cr3t-t0k3n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_half_plus(tmp_path_factory.mktemp("saved") / "1", 1.0)


def test_the_server_listens_on_this_machine_only(seamline: Seamline) -> None:
    """As `make serve` starts it where nothing says otherwise."""
    server = process.running(seamline.home / "server")
    assert server
    connections = psutil.Process(server.pid).net_connections()
    listening = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]
    assert {port for _, port in listening} == {seamline.grpc_port, seamline.rest_port}
    assert {address.removeprefix("::ffff:") for address, _ in listening} == {"127.0.0.1"}


def test_the_server_is_known_by_more_than_the_number_of_its_process(
    seamline: Seamline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By when it began or, as that moves when the clock is set, by its command line; else it is another process."""
    began = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: began(process) + 3600)
    assert str(seamline.grpc_port) in seamline.pipeline("status")
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: ["another", "program"])
    seamline.pipeline("status", code=6)


def test_only_a_caller_with_a_trusted_certificate_is_answered(saved: Path, tmp_path: Path) -> None:
    """`client_verify: true` in the file of --ssl_config_file: without one, or with another's, nobody gets in."""
    names = ("server", "caller", "stranger")
    certify(tmp_path, *names, of="IP:127.0.0.1")
    pems = {name: (tmp_path / f"{name}.pem", tmp_path / f"{name}.key") for name in names}
    files = {"server_cert": pems["server"][0], "server_key": pems["server"][1], "custom_ca": pems["caller"][0]}
    lines = [f"{name}: {json.dumps(file.read_text())}" for name, file in files.items()]
    (tmp_path / "ssl.config").write_text("\n".join([*lines, "client_verify: true"]))
    publish(saved, tmp_path / MODEL, 1)
    named = {"model_name": MODEL, "model_base_path": tmp_path / MODEL, "ssl_config_file": tmp_path / "ssl.config"}
    with running("model_server", tmp_path, **named) as server:
        server.wait_available(MODEL)
        for shown in ((), pems["stranger"], pems["caller"]):
            tls = Tls(pems["server"][0], *shown)
            with PredictClient(f"127.0.0.1:{server.grpc_port}", model=MODEL, tls=tls, retries=0, timeout=10) as client:
                if shown == pems["caller"]:
                    assert client.run({"x": X})["y"].tolist() == [1.0]
                else:
                    with pytest.raises(CannotConnect):
                        client.run({"x": X})


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_token_is_in_no_error_log_or_repr(
    transport: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """However a call fails, with logging at its most talkative; nor is it on the screen, where the command asks."""
    caplog.set_level(logging.DEBUG)
    file, picture = tmp_path / "token", tmp_path / "a.png"
    file.write_text(TOKEN)
    Image.new("RGB", (8, 8)).save(picture)
    nonsense: Any = FakeGrpc(lambda *_: b"\xff") if transport == "grpc" else FakeHttp(lambda _: (200, b"<html>"))
    said: list[str] = []
    with failing(transport, "UNAUTHENTICATED", 401, "who are you?") as denying, nonsense as mad:
        for target in (denying.target, mad.target, nobody()):
            with PredictClient(target, transport, token=TOKEN, retries=1, timeout=5) as client:
                said += [repr(client), str(vars(client))]
                for question in (client.status, client.metadata, lambda client=client: client.run({"x": X})):
                    with pytest.raises(ClientError) as failed:
                        question()
                    said += [f"{each} {each!r}" for each in causes(failed.value)]
            assert main([f"--{transport}", "--token-file", str(file), "--target", target, str(picture)]) in (4, 8, 10)
    with pytest.raises(InvalidInput) as bad:
        PredictClient("localhost", transport, token=f"{TOKEN}\n")
    said += [str(bad.value), repr(bad.value), *caplog.messages, *capsys.readouterr()]
    assert [text for text in said if TOKEN in text] == []


MARK = "seamline-mark"
NAMES = [
    "../outside",
    f"../../{MARK}",
    f"/etc/{MARK}",
    f"..%2f..%2f{MARK}",
    f"{MODEL}/../../outside",
    f"C:\\{MARK}",
    f"{MARK}\0.pb",
    ".",
    "..",
    "~root",
    "file:///etc/passwd",
]
PATHS = [f"/v1/models/../{MARK}", f"/v1/models/{MODEL}/versions/../../{MARK}", f"/../../../etc/{MARK}"]


@contextmanager
def paths_looked_at() -> Iterator[list[str]]:
    """What Python code of this process opens, lists or changes meanwhile. An audit hook cannot be taken off again."""
    seen: list[str] = []
    watching = True

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove"):
            seen.append(str(arguments[0]))

    sys.addaudithook(see)
    try:
        yield seen
    finally:
        watching = False


def test_names_from_requests_never_become_paths(saved: Path, tmp_path: Path) -> None:
    """Models, labels and signatures named like paths are unknown, and nobody looks there, not even at a real model."""
    publish(saved, tmp_path / MODEL, 1)
    publish(saved, tmp_path / "outside", 1)
    unknown = pytest.raises((NotFound, InvalidInput))
    flags = {"model_name": MODEL, "model_base_path": tmp_path / MODEL}
    with paths_looked_at() as seen, running("model_server", tmp_path, **flags) as server:
        server.wait_available(MODEL)
        for transport in TRANSPORTS:
            target = f"127.0.0.1:{server.grpc_port if transport == 'grpc' else server.rest_port}"
            for name in NAMES:
                with PredictClient(target, transport, model=name) as client:
                    for question in (client.status, client.metadata, lambda client=client: client.run({"x": X})):
                        with unknown:
                            question()
            with PredictClient(target, transport, model=MODEL) as client:
                for name in NAMES:
                    with unknown:
                        client.run({"x": X}, label=name)
                    with unknown:
                        client.run({"x": X}, signature=name)
                assert [each.state for each in client.status()] == ["AVAILABLE"]
        for method, path in itertools.product(("GET", "POST"), PATHS):
            assert server.request(method, path, b"{}")[0] in (400, 404)
    assert str(tmp_path / MODEL) in seen
    assert [path for path in seen if MARK in path or "outside" in path or path == "/etc/passwd"] == []
