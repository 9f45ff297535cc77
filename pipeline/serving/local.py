"""The background server: where it is, and in the local runtime how to start it, end it and ask how it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.atomic import locked
from pipeline.errors import ServingError
from pipeline.serving import fleet, process
from pipeline.serving.process import BATCHING, ROOT, ServerProcess
from pipeline.serving.server import wait_until_available
from pipeline.settings import Settings
from seamline_client.contract import MODEL_NAME, REST_PORT

START_SECONDS = 120.0


@dataclass(frozen=True)
class Served:
    """The server that runs now, the version that answers there, and whether it was started just now."""

    server: ServerProcess
    version: int
    started: bool


def target(settings: Settings, *, rest: bool = False) -> str | None:
    """`host:port` of the background server, for gRPC or for REST; None when none runs.

    Where SEAMLINE_SERVER names servers, as Compose does in a container, it is all of them, with commas between them: a
    name stands for each of its addresses. They run if one of them accepts connections.
    """
    if settings.serving_target is None:
        server = process.running(settings.server)
        return (server.rest_target if rest else server.grpc_target) if server else None
    port = REST_PORT if rest else None
    found = [each for named in fleet.replicas(settings.serving_target) for each in fleet.addresses(named, port)]
    return ",".join(found) if fleet.any_listens(found) else None


def serve(settings: Settings, config: Path, *, batching: bool = False) -> Served:
    """Starts a server of what `config`, a models.config, names, unless one runs, and waits until it answers.

    One that runs with batching where none is asked for, or without it where it is, gives way to another.

    Raises ServingError when a port is taken or the model does not become available.
    """
    settings.server.mkdir(parents=True, exist_ok=True)
    with locked(settings.server / "lock"):  # of two that start at once the second finds the first one's server
        running = process.running(settings.server)
        if running and running.batching != batching:
            running.stop()
            running = None
        server = running or _start(settings, config, batching)
        try:
            return Served(server, wait_until_available(server, MODEL_NAME, START_SECONDS), started=not running)
        except ServingError:
            if not running:
                server.stop()
            raise


def stop(settings: Settings) -> ServerProcess | None:
    """Ends the server that was started from here and returns it; None when there is none."""
    server = process.running(settings.server)
    if server:
        server.stop()
    return server


def _start(settings: Settings, config: Path, batching: bool) -> ServerProcess:
    flags = (
        f"--model_config_file={config.absolute()}",
        "--model_config_file_poll_wait_seconds=1",
        f"--monitoring_config_file={ROOT / 'config' / 'monitoring.config'}",
        "--enable_grpc_healthcheck_service=true",
        *(BATCHING if batching else ()),
    )
    log, program = settings.server / "server.log", process.program(settings.model_server)
    server = process.start(program, flags, log, settings.grpc_port, settings.rest_port)
    try:
        process.remember(server, settings.server)
    except OSError:  # nobody would find it again
        server.stop()
        raise
    return server
