"""One name for many servers behind the gateway, as orchestrators give them; addresses come and go."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.gateway import clusters, running
from pipeline.gateway.extensions import extension
from pipeline.settings import Replica, Settings
from seamline_client import PredictClient
from tests.client.fakes import TRANSPORTS
from tests.gateway.conftest import HALF, Door, another
from tests.model_server.servers import Server
from tests.names import Names

NAME = "tasks.models"


@pytest.mark.slow
def test_a_name_is_all_its_addresses(
    started: Callable[..., Door], server: Server, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked, over both transports; within 3 s of a change those that it has then, and no others."""
    ports = {"port": server.grpc_port, "rest_api_port": server.rest_port}
    with (
        Names("127.0.0.1", "127.0.0.2") as names,
        another(model, "model_server", bind_address="127.0.0.2", **ports),
        PredictClient(f"127.0.0.2:{server.grpc_port}") as client,
    ):
        client.wait_until_available(time.monotonic() + 60)
        here = {"socket_address": {"address": "127.0.0.1", "port_value": names.port, "protocol": "UDP"}}
        resolver = extension("network.dns_resolver.cares.v3.CaresDnsResolverConfig", resolvers=[here])
        monkeypatch.setattr(clusters, "_BY_NAME", {**clusters._BY_NAME, "typed_dns_resolver_config": resolver})
        door = started(replicas=(Replica(NAME, server.grpc_port, server.rest_port),))
        assert answering(door, server) == {"127.0.0.1", "127.0.0.2"}
        for addresses in (("127.0.0.2",), ("127.0.0.1",), ("127.0.0.1", "127.0.0.2")):
            names.addresses = addresses
            time.sleep(3)
            assert answering(door, server) == set(addresses)
        running.stop(door.settings)


def test_an_empty_setting_is_none_and_a_gateway_before_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of every other variable."""
    for name in ("SEAMLINE_REPLICAS", "SEAMLINE_GATEWAY", "SEAMLINE_GATEWAY_METRICS"):
        monkeypatch.setenv(name, "")
    found = Settings.from_environment()
    assert [each.host for each in found.replicas] == ["127.0.0.1"]
    assert (found.gateway_address, found.gateway_metrics) == (("127.0.0.1", 8443), ("127.0.0.1", 0))
    monkeypatch.setenv("SEAMLINE_REPLICAS", " , ")
    with pytest.raises(PipelineError, match="SEAMLINE_REPLICAS has ''; expected names or addresses"):
        Settings.from_environment()


def answering(door: Door, server: Server) -> set[str]:
    """The addresses that 30 calls over each transport go to, which have to be the same for both."""
    before = len(door.log.splitlines())
    for transport in TRANSPORTS:
        with door.client(transport, retries=2) as client:
            for _ in range(30):
                client.run(HALF)
    Server.wait_for(server, lambda: len(door.log.splitlines()) >= before + 60, "60 lines")
    asked = [json.loads(line)["replica"].split(":") for line in door.log.splitlines()[before:]]
    by_port = {port: {host for host, own in asked if own == port} for _, port in asked}
    over_grpc, over_rest = (by_port[str(port)] for port in (server.grpc_port, server.rest_port))
    assert over_grpc == over_rest
    return over_grpc
