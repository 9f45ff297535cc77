"""TLS over both transports: the right authority is trusted, another is not, and our own certificate is shown."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from seamline_client import PredictClient, Tls
from seamline_client.errors import CannotConnect, InvalidInput
from tests.client.client_support import FakeGrpc, FakeHttp

NO_VERSIONS = b'{"model_version_status": []}'


def openssl(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two self-signed certificates for 127.0.0.1 and one for a caller, each with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    folder = tmp_path_factory.mktemp("pems")
    for name in ("server", "other", "caller"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        openssl(*new, *files, *subject, folder=folder)
    return folder


def serving(transport: str, pems: Path, ask_for_certificate: bool = False) -> Any:
    """A fake server that speaks TLS with the server's certificate."""
    key, certificate, caller = pems / "server.key", pems / "server.pem", pems / "caller.pem"
    if transport == "grpc":
        pair = [(key.read_bytes(), certificate.read_bytes())]
        roots = caller.read_bytes() if ask_for_certificate else None
        return FakeGrpc(lambda *_: b"", grpc.ssl_server_credentials(pair, roots, ask_for_certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if ask_for_certificate:
        context.load_verify_locations(caller)
        context.verify_mode = ssl.CERT_REQUIRED
    return FakeHttp(lambda _: (200, NO_VERSIONS), tls=context)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_trusted_server_answers_and_gets_the_token(transport: Any, pems: Path) -> None:
    """With its authority given, calls go through, token included."""
    tls = Tls(ca=pems / "server.pem")
    with serving(transport, pems) as server, PredictClient(server.target, transport, tls=tls, token="t") as client:
        assert client.status() == []
        assert server.seen[0]["authorization"] == "Bearer t"


@pytest.mark.parametrize("transport", ["grpc", "rest"])
@pytest.mark.parametrize("ca", ["other.pem", None])
def test_an_untrusted_server_is_refused(transport: Any, ca: Any, pems: Path) -> None:
    """Another authority, or the system's own, does not vouch for it: CannotConnect that speaks of the certificate."""
    tls = Tls(ca=pems / ca if ca else None)
    with serving(transport, pems) as server, PredictClient(server.target, transport, tls=tls, retries=0) as client:
        with pytest.raises(CannotConnect, match=r"(?i)certificate"):
            client.status()
        assert server.seen == []


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_our_certificate_is_shown_where_the_server_asks(transport: Any, pems: Path) -> None:
    """Mutual TLS: with the caller's pair it answers, without it does not."""
    pair = Tls(pems / "server.pem", pems / "caller.pem", pems / "caller.key")
    with serving(transport, pems, ask_for_certificate=True) as server:
        with PredictClient(server.target, transport, tls=pair) as client:
            assert client.status() == []
        bare = Tls(pems / "server.pem")
        with PredictClient(server.target, transport, tls=bare, retries=0) as client, pytest.raises(CannotConnect):
            client.status()


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_certificate_file_that_is_not_there_is_invalid_input(transport: Any, tmp_path: Path) -> None:
    """The file is named."""
    tls = Tls(tmp_path / "missing.pem")
    with pytest.raises(InvalidInput, match=r"missing\.pem"), PredictClient("localhost", transport, tls=tls) as client:
        client.status()
