"""Ports of this machine: can one be had, which is free, and does what listens there answer over HTTP?"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping

LOOPBACK = "127.0.0.1"


def refusal(address: tuple[str, int]) -> str | None:
    """Why nobody can listen there now; None where somebody can."""
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error.strerror or str(error)
    return None


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answers(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET of the path is answered with 200. The connection is closed."""
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
