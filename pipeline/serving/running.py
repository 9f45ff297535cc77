"""Where the background server is, in either runtime."""

from __future__ import annotations

import socket

from pipeline.serving import process
from pipeline.settings import Settings

CONNECT_SECONDS = 3.0


def grpc_target(settings: Settings) -> str | None:
    """Its gRPC `host:port`; None when none runs. In a container that is whether compose's server takes connections."""
    if settings.serving_target is None:
        server = process.running(settings.server)
        return server.grpc_target if server else None
    host, _, port = settings.serving_target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError:
        return None
    return settings.serving_target
