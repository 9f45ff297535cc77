"""Who may talk to the server, what is never said aloud, and names from the network that never become paths."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from seamline_client import PredictClient, Tls
from seamline_client.command import main
from seamline_client.errors import CannotConnect, ClientError, InvalidInput, NotFound
from tests.client.client_support import FakeGrpc, FakeHttp
from tests.model_server.model_server_support import ROOT, Server, publish, running, save_half_plus
from tests.ports import free_port
from tests.untraced import untraced

MODEL = "half"
X = np.zeros(1, np.float32)
TOKEN = "s3cr3t-t0k3n"
MARK = "seamline-mark"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_half_plus(tmp_path_factory.mktemp("saved") / "1", 1.0)


# TLS


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, each with a server and a caller whose certificates it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    folder = tmp_path_factory.mktemp("pems")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ours", "theirs"):
        files = ("-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}")
        openssl(folder, "req", "-x509", *key, "-days", "2", *files)
        for name in ("server", "caller"):
            made = f"{name}-{authority}"
            openssl(folder, "req", *key, "-keyout", f"{made}.key", "-out", f"{made}.csr", "-subj", f"/CN={name}")
            (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
            signed = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", "names")
            openssl(folder, "x509", "-req", "-in", f"{made}.csr", "-out", f"{made}.pem", "-days", "2", *signed)
    return folder


@pytest.fixture(scope="module")
def tls_server(pems: Path, saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """model_server that shows its certificate and asks callers for one that our authority signed."""
    folder = tmp_path_factory.mktemp("tls")
    publish(saved, folder / MODEL, 1)
    texts = {"server_key": "server-ours.key", "server_cert": "server-ours.pem", "custom_ca": "ours.pem"}
    lines = [f"{name}: {json.dumps((pems / file).read_text())}" for name, file in texts.items()]
    (folder / "ssl.config").write_text("\n".join([*lines, "client_verify: true"]))
    flags = {"model_name": MODEL, "model_base_path": folder / MODEL, "ssl_config_file": folder / "ssl.config"}
    with running("model_server", folder, **flags) as server:
        server.wait_available(MODEL)
        yield server


def over_tls(server: Server, tls: Tls | None) -> PredictClient:
    return PredictClient(f"127.0.0.1:{server.grpc_port}", model=MODEL, tls=tls, retries=0, timeout=10, token=TOKEN)


def test_a_caller_with_a_certificate_of_ours_is_answered(tls_server: Server, pems: Path) -> None:
    """ssl_config_file with client_verify, end to end: our client, model_server, certificates of one authority."""
    tls = Tls(pems / "ours.pem", pems / "caller-ours.pem", pems / "caller-ours.key")
    with over_tls(tls_server, tls) as client:
        assert client.run({"x": X})["y"].tolist() == [1.0]
        assert client.metadata().version == 1


@pytest.mark.parametrize("who", ["no certificate", "another authority's certificate", "no TLS"])
def test_any_other_caller_is_not_answered(tls_server: Server, pems: Path, who: str) -> None:
    """Nor told anything, while the server goes on."""
    tls = {
        "no certificate": Tls(pems / "ours.pem"),
        "another authority's certificate": Tls(
            pems / "ours.pem", pems / "caller-theirs.pem", pems / "caller-theirs.key"
        ),
        "no TLS": None,
    }[who]
    with over_tls(tls_server, tls) as client, pytest.raises(CannotConnect) as refused:
        client.run({"x": X})
    assert TOKEN not in str(refused.value)
    assert tls_server.process.poll() is None


def test_a_server_of_another_authority_is_not_talked_to(tls_server: Server, pems: Path) -> None:
    """The caller's trust counts too: the server's certificate is not theirs."""
    tls = Tls(pems / "theirs.pem", pems / "caller-ours.pem", pems / "caller-ours.key")
    with over_tls(tls_server, tls) as client, pytest.raises(CannotConnect, match=r"(?i)certificate"):
        client.run({"x": X})


# The token


def refuse_over_grpc(_: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    raise AssertionError


@contextmanager
def everything_that_refuses(transport: str) -> Iterator[list[str]]:
    """Targets that deny access, talk nonsense, or are not there."""
    if transport == "grpc":
        with FakeGrpc(refuse_over_grpc) as denying, FakeGrpc(lambda *_: b"\xff") as mad:
            yield [denying.target, mad.target, f"127.0.0.1:{free_port()}"]
    else:
        with FakeHttp(lambda _: (401, b"who are you?")) as denying, FakeHttp(lambda _: (200, b"<html>")) as mad:
            yield [denying.target, mad.target, f"127.0.0.1:{free_port()}"]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_the_token_is_in_no_error_log_or_repr(transport: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With logging at its most talkative, however the call fails, down to the errors below ours."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with everything_that_refuses(transport) as targets:
        for target in targets:
            with PredictClient(target, transport, token=TOKEN, retries=1, timeout=5) as client:
                said += [repr(client), str(vars(client))]
                for question in (client.status, client.metadata, lambda client=client: client.run({"x": X})):
                    with pytest.raises(ClientError) as failed:
                        question()
                    said += [f"{each} {each!r}" for each in chain(failed.value)]
    with pytest.raises(InvalidInput) as bad:
        PredictClient("localhost", transport, token=f"{TOKEN}\n")
    assert [text for text in [*said, *caplog.messages, str(bad.value), repr(bad.value)] if TOKEN in text] == []


@pytest.mark.parametrize("how", ["--grpc", "--rest"])
def test_the_command_does_not_show_the_token(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--token-file`, with a server that refuses it and with none: nothing on the screen."""
    (tmp_path / "token").write_text(TOKEN)
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    with everything_that_refuses(how.strip("-")) as targets:
        for target in targets:
            command = [how, "--token-file", str(tmp_path / "token"), "--target", target, str(picture)]
            assert ended(command) in (4, 8, 10)
    out = capsys.readouterr()
    assert TOKEN not in out.out + out.err


def ended(command: list[str]) -> Any:
    try:
        return main(command)
    except SystemExit as error:
        return error.code


# Paths


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


@pytest.fixture
def watched(saved: Path, tmp_path: Path) -> Iterator[Server]:
    """A server whose every look at the file system is written down; beside its model lies one that it was not given."""
    publish(saved, tmp_path / MODEL, 1)
    publish(saved, tmp_path / "outside", 1)
    grpc_port, rest_port = free_port(), free_port()
    command = [sys.executable, "-m", "tests.faults.watched_server", str(tmp_path / "seen")]
    command += [f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
    command += [f"--model_name={MODEL}", f"--model_base_path={tmp_path / MODEL}"]
    log = tmp_path / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=ROOT, env=untraced())
    server = Server("model_server", process, grpc_port, rest_port, log, "")
    try:
        server.wait_available(MODEL)
        yield server
    finally:
        server.stop()


def test_names_from_requests_never_become_paths(watched: Server, tmp_path: Path) -> None:
    """Models, labels and signatures called like paths: unknown, each of them, and nothing there was looked at."""
    for transport, port in (("grpc", watched.grpc_port), ("rest", watched.rest_port)):
        target = f"127.0.0.1:{port}"
        for name in NAMES:
            with PredictClient(target, transport, model=name) as client:  # type: ignore[arg-type]
                for question in (client.status, client.metadata, lambda client=client: client.run({"x": X})):
                    with pytest.raises((NotFound, InvalidInput)):
                        question()
            with PredictClient(target, transport, model=MODEL) as client:  # type: ignore[arg-type]
                with pytest.raises((NotFound, InvalidInput)):
                    client.run({"x": X}, label=name)
                with pytest.raises((NotFound, InvalidInput)):
                    client.run({"x": X}, signature=name)
    for path in (f"/v1/models/../{MARK}", f"/v1/models/{MODEL}/versions/../../{MARK}", f"/../../../etc/{MARK}"):
        for method in ("GET", "POST"):
            assert watched.request(method, path, b"{}")[0] in (400, 404)
    seen = (tmp_path / "seen").read_text()
    assert str(tmp_path / MODEL) in seen
    for forbidden in (MARK, "outside", "/etc/passwd"):
        assert forbidden not in seen
    assert watched.states(MODEL) == {1: "AVAILABLE"}
