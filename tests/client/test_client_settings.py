"""What a connection is told: tokens, headers, proxies and ports, and what is refused before the first call."""

from __future__ import annotations

from typing import Any

import pytest

from seamline_client import PredictClient
from seamline_client.errors import InvalidInput
from tests.client.client_support import FakeGrpc, FakeHttp, statuses
from tests.ports import free_port


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_token_and_metadata_go_with_every_call(transport: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """As authorization and headers; a .netrc that knows the host does not take the token's place."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = FakeHttp(lambda _: (200, statuses())) if transport == "rest" else FakeGrpc(lambda *_: b"")
    with server, PredictClient(server.target, transport, token="s3cret", metadata=[("X-Team", "fit")]) as client:
        assert client.status() == []
        assert server.seen[0]["authorization"] == "Bearer s3cret"
        assert server.seen[0]["x-team"] == "fit"
        assert "s3cret" not in repr(client._connection)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_proxy_in_the_environment_is_passed_by_for_this_machine(transport: Any, monkeypatch: Any) -> None:
    """http_proxy set for the outside world does not break a client of 127.0.0.1."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server = FakeHttp(lambda _: (200, statuses())) if transport == "rest" else FakeGrpc(lambda *_: b"")
    with server, PredictClient(server.target, transport, retries=0) as client:
        assert client.status() == []


BAD_SETTINGS = [{"transport": "soap"}, {"retries": 9}, {"timeout": 0}, {"token": "a\nb"}, {"token": "né"}]


@pytest.mark.parametrize("options", BAD_SETTINGS)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """At once, not when the first call fails."""
    with pytest.raises(InvalidInput):
        PredictClient(**options)


def test_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEAMLINE_GRPC_PORT and SEAMLINE_REST_PORT move the default target only."""
    monkeypatch.setenv("SEAMLINE_GRPC_PORT", "1234")
    monkeypatch.setenv("SEAMLINE_REST_PORT", "none")
    with PredictClient() as client, PredictClient("127.0.0.1:8500") as other:
        assert (client.target, other.target) == ("127.0.0.1:1234", "127.0.0.1:8500")
    with PredictClient("somewhere") as client:
        assert client.target == "somewhere:1234"
    with pytest.raises(InvalidInput, match="SEAMLINE_REST_PORT"):
        PredictClient(transport="rest")
