"""How a server is reached: targets, ports, proxies, tokens, headers and TLS, over both transports."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from seamline_client import PredictClient, Tls, run
from seamline_client.errors import CannotConnect, InvalidInput
from tests.certificates import certify
from tests.client.fakes import TRANSPORTS, FakeGrpc, FakeHttp
from tests.homes import PREDICT, ROOT
from tests.nobody import nobody

NO_VERSIONS = b'{"model_version_status": []}'


def fake(transport: str) -> Any:
    """A server without any version."""
    return FakeHttp(lambda _: (200, NO_VERSIONS)) if transport == "rest" else FakeGrpc(lambda *_: b"")


@pytest.mark.parametrize(
    ("text", "transport", "target"),
    [
        (None, None, "127.0.0.1:8500"),
        (None, "rest", "127.0.0.1:8501"),
        ("somewhere", "grpc", "somewhere:8500"),
        ("somewhere:1/", None, "somewhere:1"),
        ("::1", None, "[::1]:8500"),
        ("[::1]", "rest", "[::1]:8501"),
        ("[::1]:1234", None, "[::1]:1234"),
        ("unix:/run/serving", None, "unix:/run/serving"),
        ("http://127.0.0.1:8501/v1/models/keypoints", None, "http://127.0.0.1:8501"),
        ("http://127.0.0.1:8501/v1/models/keypoints:predict", "rest", "http://127.0.0.1:8501"),
        ("https://example.org/serving/v1/", None, "https://example.org/serving"),
        ("http://[::1]:8501//", None, "http://[::1]:8501"),
        ("https://example.org:8443/v1/models/keypoints", "grpc", "example.org:8443"),
        ("https://[::1]/", "grpc", "[::1]:443"),
        ("HTTP://somewhere:8501/v1/models/keypoints", None, "HTTP://somewhere:8501"),
    ],
)
def test_targets_are_understood_as_people_paste_them(text: Any, transport: Any, target: str) -> None:
    """Host, port or neither, IPv6, a slash behind it, and the URL of a server or of its model."""
    with PredictClient(text, transport) as client:
        assert client.target == target


@pytest.mark.parametrize(
    ("text", "options", "form"),
    [
        ("two words", {}, "host:port, or http://host:port for REST$"),
        ("ftp://host", {}, "host:port"),
        ("host:99999", {}, "host:port"),
        ("host:0", {}, "host:port"),
        ("host:²", {}, "host:port"),
        ("caf\udce9", {}, r"caf.*udce9.*host:port"),
        ("someone@host", {}, "host:port"),
        ("http://host:8501/v1/models/keypoints?x=1", {}, "http://host:port"),
        ("http://host:8501", {"transport": "grpc"}, "host:port$"),
        ("https://host/prefix", {"transport": "grpc"}, "host:port$"),
        ("http://host/v1/models/keypoints/versions/3", {}, "http://host:port"),
        ("unix:/run/serving", {"transport": "rest"}, "http://host:port$"),
        ("http://host/v1/models/keypoints", {"model": "other"}, "names the model keypoints"),
        (None, {"transport": "soap"}, "grpc or rest"),
        (None, {"retries": -1}, "retries"),
        (None, {"timeout": 0}, "timeout"),
        (None, {"token": "a\nb"}, "token"),
        (None, {"token": "né"}, "token"),
    ],
)
def test_settings_that_make_no_sense_are_refused(text: Any, options: dict[str, Any], form: str) -> None:
    """At once, not when the first call fails, in one line with the right form."""
    with pytest.raises(InvalidInput, match=form) as caught:
        PredictClient(text, **options)
    assert "\n" not in str(caught.value)


def test_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEAMLINE_GRPC_PORT and SEAMLINE_REST_PORT are for targets that name no port."""
    monkeypatch.setenv("SEAMLINE_GRPC_PORT", "1234")
    monkeypatch.setenv("SEAMLINE_REST_PORT", "none")
    for text, target in ((None, "127.0.0.1:1234"), ("somewhere", "somewhere:1234"), ("127.0.0.1:1", "127.0.0.1:1")):
        with PredictClient(text) as client:
            assert client.target == target
    with pytest.raises(InvalidInput, match="SEAMLINE_REST_PORT"):
        PredictClient(transport="rest")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_token_and_metadata_go_with_every_call(transport: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the environment holds: a .netrc that knows the host, and proxies for the outside world."""
    (tmp_path / "netrc").write_text("machine localhost login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://{nobody()}")
    with fake(transport) as server:
        target = server.target.replace("127.0.0.1", "localhost")
        with PredictClient(target, transport, token="s3cret", metadata=[("X-Team", "fit")], retries=0) as client:
            assert client.status() == []
            assert server.seen[0]["authorization"] == "Bearer s3cret"
            assert server.seen[0]["x-team"] == "fit"


def test_a_token_may_come_through_a_pipe() -> None:
    """As in `--token-file <(pass show token)`; a pipe that brings none is an error, and not waited for."""
    for written in (b"s3cret\n", b""):
        reading, writing = os.pipe()
        os.write(writing, written)
        os.close(writing)
        pipe = Path(f"/dev/fd/{reading}")
        if written:
            assert run.token_in(pipe) == "s3cret"
        else:
            with pytest.raises(InvalidInput, match="there is no token in it"):
                run.token_in(pipe)
        os.close(reading)


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two self-signed certificates for 127.0.0.1 and one for a caller, each with its key."""
    folder = tmp_path_factory.mktemp("pems")
    certify(folder, "server", "other", "caller", of="IP:127.0.0.1")
    return folder


def over_tls(transport: str, pems: Path, asks: bool) -> Any:
    """A fake server with the server's certificate, that asks its caller for one or does not."""
    key, certificate, caller = pems / "server.key", pems / "server.pem", pems / "caller.pem"
    if transport == "grpc":
        pair = [(key.read_bytes(), certificate.read_bytes())]
        return FakeGrpc(lambda *_: b"", grpc.ssl_server_credentials(pair, caller.read_bytes() if asks else None, asks))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if asks:
        context.load_verify_locations(caller)
        context.verify_mode = ssl.CERT_REQUIRED
    return FakeHttp(lambda _: (200, NO_VERSIONS), tls=context)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("ca", "ours", "asks", "refusal"),
    [
        ("server", False, False, None),
        ("server", True, True, None),
        ("other", False, False, "its certificate is not trusted"),
        (None, False, False, "its certificate is not trusted"),
        ("server", False, True, "127.0.0.1"),
    ],
)
def test_tls_answers_where_both_sides_trust_the_other(
    transport: Any, ca: Any, ours: bool, asks: bool, refusal: Any, pems: Path
) -> None:
    """The server by its authority, ours or the system's; we by our certificate, where it asks. The token goes along."""
    pair = (pems / "caller.pem", pems / "caller.key") if ours else ()
    tls = Tls(pems / f"{ca}.pem" if ca else None, *pair)
    with (
        over_tls(transport, pems, asks) as server,
        PredictClient(server.target, transport, tls=tls, retries=0, token="t") as client,
    ):
        if refusal is None:
            assert client.status() == []
            assert server.seen[0]["authorization"] == "Bearer t"
            return
        with pytest.raises(CannotConnect, match=refusal):
            client.status()
        assert server.seen == []


def test_a_certificate_that_is_not_trusted_is_one_line(pems: Path, photo: Path) -> None:
    """Of the command: gRPC's own notes on the handshake are left out."""
    with over_tls("grpc", pems, asks=False) as server:
        command = [*PREDICT, photo, "--target", server.target, "--tls-ca", pems / "other.pem", "--retries", "0"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == CannotConnect.exit_code
    assert done.stderr.startswith(f"predict: {server.target}: its certificate is not trusted (--tls-ca names a file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_missing_certificate_and_a_port_without_tls_are_named(transport: Any, tmp_path: Path) -> None:
    """The file that is not there, or no PEM; and what is wrong with a plain port is the port, not the certificate."""
    tls = Tls(tmp_path / "missing.pem")
    with pytest.raises(InvalidInput, match=r"missing\.pem"), PredictClient("localhost", transport, tls=tls) as client:
        client.status()
    (tmp_path / "empty.pem").touch()
    for none in (Tls(tmp_path / "empty.pem"), Tls(None, tmp_path / "empty.pem", tmp_path / "empty.pem")):
        with pytest.raises(InvalidInput, match=r"empty\.pem: not a .* in PEM|empty\.pem: not a PEM file"):
            PredictClient("localhost", transport, tls=none)
    with (
        fake(transport) as server,
        PredictClient(server.target, transport, tls=Tls()) as client,
        pytest.raises(CannotConnect, match=f"^{server.target}: this port does not speak TLS"),
    ):
        client.status(timeout=5)
