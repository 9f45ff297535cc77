"""Who may talk to the server, what is never shown, and names from the network that never become paths."""

from __future__ import annotations

import http.client
import itertools
import json
import logging
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
from tests.faults.conftest import Served
from tests.faults.half_server import MODEL, half_server
from tests.model_server.model_server_support import Server, publish, running, save_half_plus
from tests.ports import free_port

X = np.zeros(1, np.float32)
TOKEN = "s3cr3t-t0k3n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_half_plus(tmp_path_factory.mktemp("saved") / "1", 1.0)


def test_the_server_listens_on_this_machine_only(served: Served) -> None:
    """As `serve` starts it where nothing says otherwise."""
    assert served.listening.keys() == {served.home.grpc_port, served.home.rest_port}
    assert {address.removeprefix("::ffff:") for address in served.listening.values()} == {"127.0.0.1"}


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
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for authority in ("ours", "theirs"):
        files = ("-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}")
        openssl(folder, "req", "-x509", *key, "-days", "2", *files)
        for name in ("server", "caller"):
            made = f"{name}-{authority}"
            openssl(folder, "req", *key, "-keyout", f"{made}.key", "-out", f"{made}.csr", "-subj", f"/CN={name}")
            signed = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", "names")
            openssl(folder, "x509", "-req", "-in", f"{made}.csr", "-out", f"{made}.pem", "-days", "2", *signed)
    return folder


@pytest.fixture(scope="module")
def tls_server(pems: Path, saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """model_server with a certificate of its own, which asks callers for one that our authority signed."""
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


def test_a_caller_whose_certificate_we_signed_is_answered(tls_server: Server, pems: Path) -> None:
    """ssl_config_file with client_verify, end to end: our client, model_server, certificates of one authority."""
    tls = Tls(pems / "ours.pem", pems / "caller-ours.pem", pems / "caller-ours.key")
    with over_tls(tls_server, tls) as client:
        assert client.run({"x": X})["y"].tolist() == [1.0]
        assert client.metadata().version == 1


@pytest.mark.parametrize("who", ["no certificate", "another authority's certificate", "no TLS"])
def test_any_other_caller_is_turned_away(tls_server: Server, pems: Path, who: str) -> None:
    """It gets no answer, its token is not shown, and the server goes on."""
    theirs = (pems / "caller-theirs.pem", pems / "caller-theirs.key")
    offers = {
        "no certificate": Tls(pems / "ours.pem"),
        "another authority's certificate": Tls(pems / "ours.pem", *theirs),
        "no TLS": None,
    }
    with over_tls(tls_server, offers[who]) as client, pytest.raises(CannotConnect) as refused:
        client.run({"x": X})
    assert TOKEN not in str(refused.value)
    assert tls_server.process.poll() is None


def test_the_client_does_not_talk_to_a_server_of_another_authority(tls_server: Server, pems: Path) -> None:
    """Trust goes both ways: the authority that the caller names has not signed the server's certificate."""
    tls = Tls(pems / "theirs.pem", pems / "caller-ours.pem", pems / "caller-ours.key")
    with over_tls(tls_server, tls) as client, pytest.raises(CannotConnect, match=r"(?i)certificate"):
        client.run({"x": X})


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


def rest_code(port: int, method: str, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, b"{}")
        return connection.getresponse().status


def test_names_from_requests_never_become_paths(saved: Path, tmp_path: Path) -> None:
    """Models, labels and signatures named like paths are unknown, and nobody looks there, not even at a real model."""
    publish(saved, tmp_path / MODEL, 1)
    publish(saved, tmp_path / "outside", 1)
    seen, refused = tmp_path / "seen", pytest.raises((NotFound, InvalidInput))
    with half_server(tmp_path / MODEL, tmp_path / "log", program=("tests.faults.watched_server", str(seen))) as server:
        for transport, name in itertools.product(server.ports, NAMES):
            with server.client(transport, model=name) as client:
                for question in (client.status, client.metadata, lambda client=client: client.run({"x": X})):
                    with refused:
                        question()
            with server.client(transport) as client:
                for named in ({"label": name}, {"signature": name}):
                    with refused:
                        client.run({"x": X}, **named)
        for method, path in itertools.product(("GET", "POST"), PATHS):
            assert rest_code(server.ports["rest"], method, path) in (400, 404)
        with server.client("grpc") as client:
            assert [each.state for each in client.status()] == ["AVAILABLE"]
    looked_at = seen.read_text()
    assert str(tmp_path / MODEL) in looked_at
    assert [name for name in (MARK, "outside", "/etc/passwd") if name in looked_at] == []
