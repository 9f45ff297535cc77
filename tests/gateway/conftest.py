"""A gateway of the real Envoy on the loopback, before servers of small SavedModels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from pipeline.background.ports import free_port
from pipeline.gateway import running
from pipeline.gateway.files import Files
from pipeline.settings import Replica, Settings
from seamline_client import PredictClient, Tls
from seamline_client.errors import AccessDenied, CannotConnect
from tests.model_server import servers
from tests.model_server.saved_models import save_half_plus
from tests.model_server.servers import Server
from tests.waiting import until

HALF = {"x": np.array([2.0], np.float32)}


@dataclass(frozen=True)
class Door:
    """A gateway that runs, and the ways to ask through it."""

    settings: Settings
    url: str

    @property
    def files(self) -> Files:
        return Files(self.settings.gateway)

    @property
    def log(self) -> str:
        return (self.settings.gateway / "gateway.log").read_text()

    def logs(self, text: str) -> None:
        """Envoy writes its log once a second."""
        until(lambda: text in self.log)

    def passes(self, token: str) -> bool:
        """On a new connection."""
        try:
            with self.client("rest", token) as client:
                return bool(client.status())
        except (AccessDenied, CannotConnect):
            return False

    def client(self, transport: Literal["grpc", "rest"], token: str | None = "", **options: Any) -> PredictClient:
        """With a good token, unless another is given, or None."""
        given = self.files.token("camera-7", 1) if token == "" else token
        how = {"retries": 0, "timeout": 20.0, **options}
        return PredictClient(self.url, transport, token=given, tls=Tls(self.files.authority), **how)


def ask(client: PredictClient) -> float:
    with client:
        return float(client.run(HALF, signature="serving_default")["y"][0])


@pytest.fixture(scope="session")
def envoy() -> None:
    """Only these tests need what requirements/gateway.lock brings."""
    for package in ("cryptography", "envoy", "jwt"):
        pytest.importorskip(
            package, reason=f"{package} is not installed; `make test` installs it, on Python 3.10 or newer"
        )


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of a model that answers x / 2 + 1."""
    base = tmp_path_factory.mktemp("gateway") / "keypoints"
    save_half_plus(base / "1", 1.0)
    return base


def another(model: Path, kind: str = "process", **flags: Any) -> AbstractContextManager[Server]:
    """A server of the model for the gateway, which asks it how it is, in a process of its own, to be killed."""
    named = {"model_name": "keypoints", "model_base_path": model, "enable_grpc_healthcheck_service": True}
    return servers.running(kind, model.parent, **named, **flags)


@pytest.fixture(scope="session")
def server(envoy: None, model: Path) -> Iterator[Server]:
    """With a canary beside it, which is called so and answers the same plus 10."""
    save_half_plus(model.with_name("canary") / "2", 11.0)
    config = servers.models_config(model.parent, {"keypoints": model, "keypoints-canary": model.with_name("canary")})
    flags = {"model_config_file": config, "enable_grpc_healthcheck_service": True}
    with servers.running("model_server", model.parent, **flags) as found:
        found.wait_available("keypoints")
        yield found


@pytest.fixture(scope="session")
def started(envoy: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Door]]:
    """Starts a gateway before these servers, with settings of its own and in a folder of its own."""
    doors: list[Door] = []

    def start(*servers: Server, share: int = 0, **settings: Any) -> Door:
        replicas = tuple(Replica("127.0.0.1", each.grpc_port, each.rest_port) for each in servers)
        settings = {"gateway_rate": 10_000, "replicas": replicas, **settings}
        known = replace(
            Settings.from_environment(),
            gateway=tmp_path_factory.mktemp("door") / "gateway",
            gateway_address=("127.0.0.1", free_port()),
            **settings,
        )
        door = Door(known, running.serve(known, share).url)
        doors.append(door)
        return door

    yield start
    for door in doors:
        running.stop(door.settings)


@pytest.fixture(scope="session")
def door(started: Callable[..., Door], server: Server) -> Door:
    """Before one server; it passes on 1 MB."""
    return started(server, gateway_body_mb=1)
