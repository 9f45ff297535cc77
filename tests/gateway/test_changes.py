"""What changes while the gateway runs: settings, keys, certificates, shares. No connection is asked to begin anew."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from pipeline.background.ports import free_port
from pipeline.errors import ServingError
from pipeline.gateway import running
from seamline_client.contract import ANSWERED_BY
from seamline_client.errors import AccessDenied, CannotConnect
from tests.gateway.conftest import HALF, Door, ask
from tests.model_server.servers import Server
from tests.waiting import until


def test_settings_of_now_count_without_a_restart(started: Callable[..., Door], server: Server) -> None:
    """Another port, limit and rate, of the process that runs."""
    door = started(server)
    before = running.find(door.settings)
    other = replace(door.settings, gateway_address=("127.0.0.1", free_port()), gateway_body_mb=1)
    after = running.serve(other)
    assert before
    assert (after.pid, after.started) == (before.pid, False)
    assert after.url != before.url
    assert ask(replace(door, url=after.url).client("grpc")) == 2.0
    with door.client("grpc", retries=0) as client, pytest.raises(CannotConnect):
        client.status()


def test_a_setting_that_cannot_be_followed_changes_nothing(
    started: Callable[..., Door], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that is taken, and what Envoy is told at its start alone: one line names it, and callers are answered."""
    door = started(server)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        elsewhere = replace(door.settings, gateway_address=taken.getsockname()[:2])
        with pytest.raises(ServingError, match=r"cannot be used by the gateway .* SEAMLINE_GATEWAY names another"):
            running.serve(elsewhere)
    with pytest.raises(ServingError, match="SEAMLINE_GATEWAY_METRICS counts from the gateway's start on"):
        running.serve(replace(door.settings, gateway_metrics=("127.0.0.1", free_port())))
    with monkeypatch.context() as changed:
        changed.setenv("SEAMLINE_LOGS", "json")
        with pytest.raises(ServingError, match="SEAMLINE_LOGS counts from"):
            running.serve(door.settings)
    found = running.find(door.settings)
    assert found
    assert found.url == door.url
    assert ask(door.client("grpc")) == 2.0


@pytest.mark.slow
def test_a_token_ends_while_it_is_in_use(door: Door) -> None:
    """Its signature is checked once and remembered, its end each time: it counts for 5 s more, as clocks differ."""
    brief = door.files.token("camera-7", 2 / 86_400)
    assert door.passes(brief)
    until(lambda: not door.passes(brief))


def test_keys_rotate_without_a_restart(started: Callable[..., Door], server: Server) -> None:
    """On open connections: tokens of the new key count at once, those of the last one too, those before no longer."""
    door = started(server)
    first, client = door.files.token("camera-7", 1), door.client("grpc")
    with client:
        assert client.status()
        door.files.rotate()
        second = door.files.token("camera-7", 1)
        until(lambda: door.passes(second))
        assert client.status()  # with a token of the first key
        door.files.rotate()
        until(lambda: not door.passes(first))
        with pytest.raises(AccessDenied):
            client.status()
    assert door.passes(second)


def test_certificates_change_without_a_restart(started: Callable[..., Door], server: Server, tmp_path: Path) -> None:
    """New connections get the new one, and clients that trust the old one alone do not connect."""
    from pipeline.gateway import certificates

    door = started(server)
    old = tmp_path / "old.pem"
    old.write_bytes(door.files.authority.read_bytes())
    door.files.certify(*certificates.own(["127.0.0.1", "models.example.com"]))
    until(lambda: door.passes(door.files.token("camera-7", 1)))
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(door.url, verify=str(old), timeout=20)


def predicted(door: Door) -> tuple[float, str | None]:
    """What is answered over REST, and by which model where that is not the one that was asked."""
    headers = {"Authorization": f"Bearer {door.files.token('camera-7', 1)}"}
    url, asked = f"{door.url}/v1/models/keypoints:predict", {"instances": [{"x": 2.0}]}
    answer = requests.post(url, json=asked, headers=headers, verify=str(door.files.authority), timeout=20)
    return answer.json()["predictions"][0], answer.headers.get(ANSWERED_BY)


def test_a_share_of_rest_asks_the_canary(started: Callable[..., Door], server: Server) -> None:
    """As much of it as is said, on connections that were open before, too; over gRPC nobody does.

    An answer of the canary's tells that it is.
    """
    door = started(server, share=50)
    with door.client("rest") as client:
        answers = [float(client.run(HALF, signature="serving_default")["y"][0]) for _ in range(100)]
        assert set(answers) == {2.0, 12.0}
        assert 20 < answers.count(12.0) < 80
        said = [predicted(door) for _ in range(20)]
        assert {*said} == {(2.0, None), (12.0, "keypoints-canary")}
        assert ask(door.client("grpc")) == 2.0
        door.files.write(door.settings, 0)
        until(lambda: [client.run(HALF)["y"][0] for _ in range(10)] == [2.0] * 10)
