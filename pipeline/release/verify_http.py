"""`verify` over HTTP, for what decides by itself whether a server gets traffic: 200, or 500 with the difference.

    /         every server that is asked about
    /caller   the server at the address that asks: how one that has come up has itself proven, before it gets traffic

An answer holds for a moment, and while one is being found all who ask wait for it: however often somebody asks, a
server is asked for a proof every few seconds at most.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.errors import PipelineError, ServingError
from pipeline.release.verdicts import Verdict
from seamline_client.errors import ClientError

FRESH_SECONDS = 5.0
SILENT_SECONDS = 10.0
"""How long a caller may take to say what it wants."""

Ask = Callable[[str], Sequence[Verdict]]
"""The verdicts on the servers that answer at this address; on all of them where it is empty."""


class Answers:
    """Safe to use from several threads."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._found: dict[str, tuple[float, int, bytes]] = {}

    def of(self, address: str) -> tuple[int, bytes]:
        """Status and JSON."""
        with self._lock:
            own = self._locks.setdefault(address, threading.Lock())
        with own:
            until, status, body = self._found.get(address, (0.0, 0, b""))
            if time.monotonic() >= until:
                status, body = self._answer(address)
                self._found[address] = time.monotonic() + FRESH_SECONDS, status, body
            return status, body

    def _answer(self, address: str) -> tuple[int, bytes]:
        try:
            found = self._ask(address)
        except (ClientError, PipelineError) as error:
            found = [Verdict(address, "", error=error)]
        except OSError as error:  # of the disk that the store is on
            found = [Verdict(address, "", error=ServingError(str(error)))]
        good = bool(found) and not any(each.error for each in found)
        servers = [
            {
                "server": each.server,
                "model": each.model,
                "version": each.version,
                "difference": each.difference,
                "error": str(each.error) if each.error else None,
            }
            for each in found
        ]
        return 200 if good else 500, json.dumps({"as_trained": good, "servers": servers}, indent=1).encode() + b"\n"


def serve(host: str, port: int, ask: Ask, ready: Callable[[int], None]) -> None:
    """Answers until SIGTERM or Ctrl-C; `ready` is told the port. Raises ServingError where it cannot be had."""
    answers = Answers(ask)

    class Handler(BaseHTTPRequestHandler):
        timeout = SILENT_SECONDS

        def do_GET(self) -> None:
            address = {"/": "", "/caller": self.client_address[0]}.get(self.path.partition("?")[0])
            status, body = (404, b"") if address is None else answers.of(address)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: probes come every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A probe that did not wait for the answer is no news; anything else is a line."""
            error = sys.exc_info()[1]
            if not isinstance(error, (ConnectionError, TimeoutError)):
                print(f"Error: {error!r}", file=sys.stderr)

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise ServingError(
            f"--listen {host}:{port}: cannot be used ({error.strerror or error}); name another address"
        ) from error
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with server:
        serving = threading.Thread(target=server.serve_forever, args=(0.1,))
        serving.start()
        ready(server.server_address[1])
        try:
            ended.wait()
        finally:
            server.shutdown()
            serving.join()
            signal.signal(signal.SIGTERM, before)
