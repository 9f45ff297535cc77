"""Who may talk to the server, what is never shown, and names from the network that never become paths."""

from __future__ import annotations

import http.client
import itertools
import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from PIL import Image

from model_server import flags
from model_server.server import serve
from seamline_client import PredictClient, Tls
from seamline_client.command import main
from seamline_client.errors import CannotConnect, ClientError, InvalidInput, NotFound
from tests.client.fakes import FakeGrpc, FakeHttp
from tests.faults.conftest import Served
from tests.model_server.support import Server, publish, running, save_half_plus
from tests.ports import free_port

MODEL = "half"
X = np.zeros(1, np.float32)
TOKEN = "s3cr3t-t0k3n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_half_plus(tmp_path_factory.mktemp("saved") / "1", 1.0)


def test_the_server_listens_on_this_machine_only(served: Served) -> None:
    """As `serve` starts it where nothing says otherwise."""
    listening = [each.laddr for each in served.process.net_connections() if each.status == psutil.CONN_LISTEN]
    assert {port for _, port in listening} == {served.home.grpc_port, served.home.rest_port}
    assert {address.removeprefix("::ffff:") for address, _ in listening} == {"127.0.0.1"}


# TLS


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for 127.0.0.1, which vouch for themselves, and their keys: of a server, a caller and a stranger."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    folder = tmp_path_factory.mktemp("pems")
    new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("server", "caller", "stranger"):
        subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        subprocess.run([*new, *subject, *files], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def tls_server(pems: Path, saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """model_server with a certificate, which lets in only callers that show the caller's."""
    folder = tmp_path_factory.mktemp("tls")
    publish(saved, folder / MODEL, 1)
    texts = {"server_key": "server.key", "server_cert": "server.pem", "custom_ca": "caller.pem"}
    lines = [f"{name}: {json.dumps((pems / file).read_text())}" for name, file in texts.items()]
    (folder / "ssl.config").write_text("\n".join([*lines, "client_verify: true"]))
    named = {"model_name": MODEL, "model_base_path": folder / MODEL, "ssl_config_file": folder / "ssl.config"}
    with running("model_server", folder, **named) as server:
        server.wait_available(MODEL)
        yield server


@pytest.mark.parametrize(
    ("trusts", "shows", "answered"),
    [
        ("server", "caller", True),
        ("server", "stranger", False),
        ("server", None, False),
        ("stranger", "caller", False),
        (None, None, False),
    ],
    ids=["let in", "shows another's certificate", "shows none", "does not trust the server", "speaks no TLS"],
)
def test_only_a_caller_that_trusts_and_is_trusted_is_answered(
    tls_server: Server, pems: Path, trusts: str | None, shows: str | None, answered: bool
) -> None:
    """ssl_config_file with client_verify, end to end. Anyone else gets CannotConnect, and the server goes on."""
    shown = (pems / f"{shows}.pem", pems / f"{shows}.key") if shows else ()
    tls = Tls(pems / f"{trusts}.pem", *shown) if trusts else None
    target = f"127.0.0.1:{tls_server.grpc_port}"
    with PredictClient(target, model=MODEL, tls=tls, retries=0, timeout=10, token=TOKEN) as client:
        if answered:
            assert client.run({"x": X})["y"].tolist() == [1.0]
            assert client.metadata().version == 1
            return
        with pytest.raises(CannotConnect) as refused:
            client.run({"x": X})
    assert TOKEN not in str(refused.value)
    assert tls_server.process.poll() is None


# The token


def deny(_: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    raise AssertionError


@contextmanager
def servers_that_refuse(transport: str) -> Iterator[list[str]]:
    """Targets that deny access, talk nonsense, or are not there."""
    if transport == "grpc":
        with FakeGrpc(deny) as denying, FakeGrpc(lambda *_: b"\xff") as mad:
            yield [denying.target, mad.target, f"127.0.0.1:{free_port()}"]
    else:
        with FakeHttp(lambda _: (401, b"who are you?")) as denying, FakeHttp(lambda _: (200, b"<html>")) as mad:
            yield [denying.target, mad.target, f"127.0.0.1:{free_port()}"]


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_the_token_is_in_no_error_log_or_repr(transport: Any, caplog: pytest.LogCaptureFixture) -> None:
    """However a call fails, in our error and in those that caused it, and with logging at its most talkative."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with servers_that_refuse(transport) as targets:
        for target in targets:
            with PredictClient(target, transport, token=TOKEN, retries=1, timeout=5) as client:
                said += [repr(client), str(vars(client))]
                for question in (client.status, client.metadata, lambda client=client: client.run({"x": X})):
                    with pytest.raises(ClientError) as failed:
                        question()
                    said += [f"{each} {each!r}" for each in causes(failed.value)]
    with pytest.raises(InvalidInput) as bad:
        PredictClient("localhost", transport, token=f"{TOKEN}\n")
    assert [text for text in [*said, *caplog.messages, str(bad.value), repr(bad.value)] if TOKEN in text] == []


@pytest.mark.parametrize("how", ["--grpc", "--rest"])
def test_the_command_does_not_show_the_token(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--token-file`, whoever refuses it or does not answer: the token is not on the screen."""
    (tmp_path / "token").write_text(TOKEN)
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    with servers_that_refuse(how.strip("-")) as targets:
        for target in targets:
            try:
                code = main([how, "--token-file", str(tmp_path / "token"), "--target", target, str(picture)])
            except SystemExit as ended:
                code = int(ended.code or 0)
            assert code in (4, 8, 10)
    out = capsys.readouterr()
    assert TOKEN not in out.out + out.err


# Paths


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


@contextmanager
def in_a_thread(base: Path) -> Iterator[dict[str, int]]:
    """The ports, by transport, of a model_server in this process that serves what is in `base`."""
    ports, stop = {"grpc": free_port(), "rest": free_port()}, threading.Event()
    arguments = [f"--port={ports['grpc']}", f"--rest_api_port={ports['rest']}"]
    arguments += [f"--model_name={MODEL}", f"--model_base_path={base}"]
    server = threading.Thread(target=serve, args=(flags.parse(arguments), stop))
    server.start()
    try:
        with PredictClient(f"127.0.0.1:{ports['rest']}", "rest", model=MODEL) as client:
            client.wait_until_available(time.monotonic() + 60)
        yield ports
    finally:
        stop.set()
        server.join(60)


def test_names_from_requests_never_become_paths(saved: Path, tmp_path: Path) -> None:
    """Models, labels and signatures named like paths are unknown, and nobody looks there, not even at a real model."""
    publish(saved, tmp_path / MODEL, 1)
    publish(saved, tmp_path / "outside", 1)
    unknown = pytest.raises((NotFound, InvalidInput))
    with paths_looked_at() as seen, in_a_thread(tmp_path / MODEL) as ports:
        for (transport, port), name in itertools.product(ports.items(), NAMES):
            with PredictClient(f"127.0.0.1:{port}", transport, model=name) as client:  # type: ignore[arg-type]
                for question in (client.status, client.metadata, lambda client=client: client.run({"x": X})):
                    with unknown:
                        question()
            with PredictClient(f"127.0.0.1:{port}", transport, model=MODEL) as client:  # type: ignore[arg-type]
                with unknown:
                    client.run({"x": X}, label=name)
                with unknown:
                    client.run({"x": X}, signature=name)
                assert [each.state for each in client.status()] == ["AVAILABLE"]
        for method, path in itertools.product(("GET", "POST"), PATHS):
            connection = http.client.HTTPConnection("127.0.0.1", ports["rest"], timeout=30)
            connection.request(method, path, b"{}")
            assert connection.getresponse().status in (400, 404)
            connection.close()
    assert str(tmp_path / MODEL) in seen
    assert [path for path in seen if MARK in path or "outside" in path or path == "/etc/passwd"] == []
