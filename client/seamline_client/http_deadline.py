"""requests, but with a timeout that bounds an answer as a whole: its own starts again with every byte that comes.

Of it, a connection may take CONNECT_SECONDS to come about.
"""

from __future__ import annotations

import http.client
import socket
import time
from typing import Any

import requests
import urllib3.connection

from seamline_client.patience import CONNECT_SECONDS


class _Response(http.client.HTTPResponse):
    """Read within the timeout that its socket has when the request was sent."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        deadline = time.monotonic() + (sock.gettimeout() or 0)
        raw: Any = self.fp.raw
        receive = raw.readinto

        def readinto(buffer: memoryview) -> int | None:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            return receive(buffer)  # type: ignore[no-any-return]

        raw.readinto = readinto


class _Http(urllib3.connection.HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        whole: Any = self.timeout
        self.timeout = min(whole, CONNECT_SECONDS)
        try:
            connected = super()._new_conn()
        finally:
            self.timeout = whole
        connected.settimeout(whole)
        return connected


class _Https(_Http, urllib3.connection.HTTPSConnection):
    pass


class DeadlineAdapter(requests.adapters.HTTPAdapter):
    """For a session's `mount`; give each request a urllib3.Timeout, whose `total` is then kept."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _Https if pool.scheme == "https" else _Http
        return pool
