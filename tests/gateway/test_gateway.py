"""What callers meet at the gateway: who may pass, with what, and what they are told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import grpc
import numpy as np
import pytest
import requests

from pipeline.gateway.files import Files
from pipeline.page.assets import HEADERS, assets
from seamline_client.errors import AccessDenied, CannotConnect, InvalidInput, ServerBusy
from tests.client.fakes import TRANSPORTS
from tests.gateway.conftest import HALF, Door, ask
from tests.homes import ROOT, Seamline
from tests.model_server.servers import Server

LARGE = {"x": np.full(400_000, 0.123, np.float32)}
"""More than the gateway of these tests passes on, and more than a socket takes at once."""
Transport = Literal["grpc", "rest"]


def answer(door: Door, method: str, path: str, **options: Any) -> requests.Response:
    """To a good token, by HTTP/1.1."""
    headers = {"Authorization": f"Bearer {door.files.token('camera-7', 1)}", **options.pop("headers", {})}
    return requests.request(
        method, door.url + path, verify=str(door.files.authority), headers=headers, timeout=20, **options
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_has_a_token_is_answered(door: Door, transport: Transport) -> None:
    """Predict, metadata and status, over both transports on one port, for the model and its canary."""
    with door.client(transport) as client:
        assert client.run(HALF, signature="serving_default")["y"].tolist() == [2.0]
        assert client.metadata().version == 1
        assert [each.state for each in client.status()] == ["AVAILABLE"]
    assert ask(door.client(transport, model="keypoints-canary")) == 12.0


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("none", "a token is needed"),
        ("expired", "the token has expired"),
        ("junk", "is the token right"),
        ("another issuer's", "is the token right"),
    ],
)
def test_who_has_none_is_told_why(door: Door, transport: Transport, token: str, reason: str) -> None:
    """401, or UNAUTHENTICATED: without a token, with one that has expired, or that was signed by somebody else."""
    import jwt

    signing = next(door.files.signing.iterdir())
    tokens = {
        "none": None,
        "expired": jwt.encode(
            {"iss": "seamline", "sub": "camera-7", "exp": 1_000_000_000}, signing.read_text(), "ES256", {"kid": "1"}
        ),
        "junk": "e30.e30.e30",
        "another issuer's": jwt.encode({"iss": "seamline", "sub": "camera-7", "exp": 4_000_000_000}, 32 * "k", "HS256"),
    }
    for inputs in (HALF, LARGE):
        with door.client(transport, tokens[token]) as client, pytest.raises(AccessDenied, match=reason):
            client.run(inputs, signature="serving_default")
    if transport == "rest":
        headers = {"Authorization": f"Bearer {tokens[token]}" if token != "none" else ""}
        assert answer(door, "GET", "/v1/models/keypoints", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/keypoints", 200),
        ("GET", "/v1/models/keypoints/versions/1/metadata", 200),
        ("POST", "/v1/models/keypoints/versions/7:predict", 404),
        ("GET", "/v1/models/other", 404),
        ("POST", "/v1/models/keypoints:classify", 404),
        ("GET", "/v1/models/keypoints:predict", 404),
        ("GET", "/monitoring/prometheus/metrics", 404),
        ("GET", "/v1/models/keypoints/../../../monitoring/prometheus/metrics", 404),
        ("GET", "/v1/models/keypoints%2f..%2f..", 400),
        ("GET", "/models.config", 404),
        ("GET", "/stats", 404),
        ("POST", "/tensorflow.serving.ModelService/HandleReloadConfigRequest", 403),
        ("POST", "/tensorflow.ProfilerService/Profile", 404),
    ],
)
def test_only_questions_about_the_model_pass(door: Door, method: str, path: str, status: int) -> None:
    """Other models, other methods, metrics, administration, and ways round by dots and escapes do not."""
    url = requests.Request(method, door.url).prepare()
    url.url = door.url + path  # as it stands: requests would resolve the dots
    url.headers["Authorization"] = f"Bearer {door.files.token('camera-7', 1)}"
    with requests.Session() as session:
        assert session.send(url, verify=str(door.files.authority), timeout=20).status_code == status


def test_the_page_loads_without_a_token(door: Door) -> None:
    """Its files do, to be read and no more; and who they were sent to is not what a stranger says."""
    stranger: dict[str, Any] = {
        "verify": str(door.files.authority),
        "headers": {"x-seamline-caller": "somebody"},
        "timeout": 20,
    }
    for path, asset in assets().items():
        found = requests.get(door.url + path, **stranger)
        assert (found.status_code, found.text) == (200, asset.text)
        assert found.headers["Content-Type"] == asset.kind
        assert {name: found.headers[name] for name in HEADERS} == HEADERS
    assert requests.get(door.url + "/v1/models/keypoints", **stranger).status_code == 401
    assert requests.post(door.url + "/", data="x", **stranger).status_code == 404
    door.logs("/page.json")
    assert "somebody" not in door.log


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("tensorflow.serving.ModelService/HandleReloadConfigRequest", "PERMISSION_DENIED"),
        ("tensorflow.serving.PredictionService/Classify", "UNIMPLEMENTED"),
        ("tensorflow.ProfilerService/Profile", "UNIMPLEMENTED"),
        ("grpc.health.v1.Health/Check", "OK"),
    ],
)
def test_only_three_methods_and_health_pass(door: Door, method: str, code: str) -> None:
    """Nobody changes what is served through the gateway."""
    credentials = grpc.ssl_channel_credentials(door.files.authority.read_bytes())
    with grpc.secure_channel(door.url[len("https://") :], credentials) as channel:
        metadata = (("authorization", f"Bearer {door.files.token('camera-7', 1)}"),)
        try:
            channel.unary_unary(f"/{method}")(b"", timeout=20, metadata=metadata)
            found = "OK"
        except grpc.RpcError as error:
            found = error.code().name
    assert found == code


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_too_large_is_refused(door: Door, transport: Transport) -> None:
    """413, and words for people over both transports, although Envoy hangs up before HTTP/1.1 has sent all of it."""
    with door.client(transport) as client, pytest.raises((InvalidInput, CannotConnect), match="larger than"):
        client.run(LARGE, signature="serving_default")
    status = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--http1.1", "--data-binary", "@-"]
    assert curl(door, *status, "/v1/models/keypoints:predict", body=bytes(1_100_000)) == "413"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_caller_has_a_rate_of_its_own(started: Callable[..., Door], server: Server, transport: Transport) -> None:
    """Who asks too often is told so, over both transports, while others are answered."""
    door = started(server, gateway_rate=3)
    with door.client(transport) as client, pytest.raises(ServerBusy, match="too many requests with this token"):
        deque((client.run(HALF, signature="serving_default") for _ in range(50)), 0)
    assert ask(door.client(transport, door.files.token("camera-8", 1))) == 2.0


def test_a_token_is_in_no_log(door: Door) -> None:
    """Neither one that came in its header, nor one that somebody put into an address; a caller's name is."""
    token = door.files.token("camera-9", 1)
    headers = {"Authorization": f"Bearer {token}", "x-seamline-caller": "somebody-else"}
    assert answer(door, "GET", f"/v1/models/keypoints?access_token={token}", headers=headers).status_code != 401
    assert (
        answer(door, "GET", f"/v1/models/keypoints?access_token={token}", headers={"Authorization": ""}).status_code
        == 401
    )
    door.logs("camera-9")
    assert token not in door.log
    assert token.split(".")[2] not in door.log
    assert "somebody-else" not in door.log


def test_private_keys_are_private(door: Door) -> None:
    """Only their owner reads the keys that sign, and that of the certificate."""
    folder = door.settings.gateway
    assert folder.stat().st_mode & 0o077 == 0
    secret = [*door.files.signing.iterdir(), folder / "secret.json"]
    assert len(secret) >= 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


def test_a_copy_of_a_key_is_no_key_of_ours(envoy: None, tmp_path: Path) -> None:
    """Keys that sign are numbered: what else somebody keeps beside them is in nobody's way, and stays."""
    files = Files(tmp_path)
    files.rotate()
    copy = files.signing / "1.old.pem"
    copy.write_bytes((files.signing / "1.pem").read_bytes())
    assert [files.rotate(), files.rotate()] == ["2", "3"]
    assert sorted(path.name for path in files.signing.iterdir()) == ["1.old.pem", "2.pem", "3.pem"]


def test_a_certificate_that_is_no_pem_is_one_line(tmp_path: Path) -> None:
    """As DER and PKCS #12 are, in files and on standard input."""
    der = tmp_path / "server.p12"
    der.write_bytes(b"0\x82\x01\xff\xfe")
    seamline = Seamline(tmp_path / "home")
    said = seamline.pipeline("certificate", "--cert", str(der), "--key", str(der), code=6)
    command = [sys.executable, "-m", "pipeline", "certificate", "--cert", "-"]
    piped = subprocess.run(
        command, input=der.read_bytes(), cwd=ROOT, env=seamline.environment, capture_output=True, check=False
    )
    for each in (said, piped.stderr.decode()):
        assert each == "Error: --cert, --key: expected a certificate and its key, both PEM, the key unencrypted\n"


def curl(door: Door, *arguments: str, body: bytes) -> str:
    """What curl says to a path, the last argument, with a good token."""
    *options, path = arguments
    token = door.files.token("curl", 1)
    command = ["curl", "--cacert", str(door.files.authority), "-H", f"Authorization: Bearer {token}", *options]
    return subprocess.run([*command, door.url + path], input=body, capture_output=True, check=True).stdout.decode()


def test_curl(door: Door) -> None:
    """Over HTTP/2 and HTTP/1.1, as curl likes best."""
    for version in ("--http2", "--http1.1"):
        said = curl(door, version, "-d@-", "/v1/models/keypoints:predict", body=b'{"instances": [{"x": 2.0}]}')
        assert json.loads(said) == {"predictions": [2.0]}
