"""Fixtures of the model_server tests: SavedModels made once, and one server of each kind for tests that only ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.model_server.saved_models import publish, save_half_plus, save_zoo
from tests.model_server.servers import Server, available_servers, running


@dataclass(frozen=True)
class Saved:
    """Paths of SavedModels. `half[n]` computes x / 2 + n."""

    half: dict[int, Path]
    zoo: Path


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    directory = tmp_path_factory.mktemp("saved")
    half = {number: save_half_plus(directory / f"half{number}", float(number)) for number in (1, 2, 3)}
    return Saved(half, save_zoo(directory / "zoo"))


@pytest.fixture(scope="session", params=available_servers())
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of server that this machine has, the stand-in first."""
    return str(request.param)


class Shared:
    """One server for many tests. That in which it ends fails with its last lines; the next gets another."""

    def __init__(self, start: Callable[[], AbstractContextManager[Server]]) -> None:
        self._start = start
        self._stack = ExitStack()
        self._server: Server | None = None

    @contextmanager
    def lend(self) -> Iterator[Server]:
        if self._server and self._server.process.poll() is not None:
            self.close()
        server = self._server = self._server or self._stack.enter_context(self._start())
        try:
            yield server
        finally:
            ended = server.process.poll()
            if ended is not None:
                self.close()
                pytest.fail(f"The server ended in this test, with {ended}\n{server.log.read_text()[-3000:]}")

    def close(self) -> None:
        self._server = None
        self._stack.close()


@pytest.fixture(scope="session")
def shared(kind: str, saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with closing(Shared(lambda: zoo_server(kind, saved, tmp_path_factory.mktemp(f"server-{kind}")))) as shared:
        yield shared


@pytest.fixture
def server(shared: Shared) -> Iterator[Server]:
    """A server of `zoo` (version 1) and `half` (versions 1 stable, 2, 3 canary), with everything switched on."""
    with shared.lend() as server:
        yield server


@contextmanager
def zoo_server(kind: str, saved: Saved, directory: Path, **more: Any) -> Iterator[Server]:
    """See `server`. `more` are flags."""
    publish(saved.zoo, directory / "zoo", 1)
    for number, path in saved.half.items():
        publish(path, directory / "half", number)
    (directory / "models.config").write_text(
        f"""model_config_list {{
          config {{ name: "zoo" base_path: "{directory}/zoo" model_platform: "tensorflow" }}
          config {{
            name: "half" base_path: "{directory}/half" model_platform: "tensorflow"
            model_version_policy {{ all {{}} }}
            version_labels {{ key: "stable" value: 1 }}
            version_labels {{ key: "canary" value: 3 }}
            version_labels {{ key: "gone" value: 9 }}
          }}
        }}"""
    )
    (directory / "monitoring.config").write_text('prometheus_config { enable: true path: "/metrics" }')
    flags = {
        "model_config_file": directory / "models.config",
        "allow_version_labels_for_unavailable_models": True,
        "monitoring_config_file": directory / "monitoring.config",
        "rest_api_enable_cors_support": True,
        "enable_grpc_healthcheck_service": True,
        **more,
    }
    with running(kind, directory, **flags) as server:
        server.wait_available("zoo")
        server.wait_available("half", 3)
        yield server
