"""An address where no server is, nor will be while tests run: that of a free port may be another test's next."""

from __future__ import annotations

import socket

_taken: list[socket.socket] = []


def nobody() -> str:
    """`host:port` of this machine. Connections are refused, since nobody listens where this process has its socket."""
    _taken.append(socket.socket())
    _taken[-1].bind(("127.0.0.1", 0))
    return f"127.0.0.1:{_taken[-1].getsockname()[1]}"
