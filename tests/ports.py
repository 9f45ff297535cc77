"""Ports for the servers of tests."""

from __future__ import annotations

import socket


def free_port() -> int:
    """On the loopback, and free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
