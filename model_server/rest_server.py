"""Run the REST application in waitress, and stop it without cutting anyone off."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from waitress import wasyncore
from waitress.server import create_server

from model_server.errors import cannot_listen
from model_server.rest_api import MAX_BODY_BYTES, RestApplication

_LOOK_SECONDS = 0.05
"""How soon the loop finds that it is to stop listening, or to end. A request wakes it at once."""


def listen(address: str, port: int) -> socket.socket:
    """A bound TCP socket that does not accept connections yet. Raises UNAVAILABLE."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise cannot_listen(f"{address} port {port}", error.strerror or str(error)) from error
    return listener


class RestServer:
    """waitress in a thread: its loop reads whole requests, however slowly they come, before a worker gets one.

    The loop looks up by itself. waitress's own way to wake it, a pipe, may be closed by the loop before whoever asked
    it to end has written there: that raises, or writes into a file that has got the number of the pipe meanwhile.
    """

    def __init__(self, application: RestApplication, listener: socket.socket, threads: int = 0) -> None:
        self._application = application
        self._sockets: dict[int, wasyncore.dispatcher] = {}
        self._ended = threading.Event()
        self._waitress = create_server(
            application,
            self._sockets,
            sockets=[listener],
            threads=threads or max(16, 4 * (os.cpu_count() or 1)),
            max_request_body_size=MAX_BODY_BYTES,
            max_request_header_size=1 << 20,
            inbuf_overflow=MAX_BODY_BYTES,  # bodies and answers stay in memory instead of temporary files
            outbuf_overflow=MAX_BODY_BYTES,
            recv_bytes=1 << 16,
            connection_limit=1000,
            log_socket_errors=False,
            ident=None,
        )
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue of requests is no news
        self._thread = threading.Thread(target=self._loop, name="rest", daemon=True)
        self._thread.start()

    def drain(self, seconds: float) -> None:
        """Stop listening, turn away new requests on open connections, and wait until those in flight are answered."""
        self._application.draining = True
        deadline = time.monotonic() + seconds
        while (self._waitress.socket or self._busy()) and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        """End the threads and close every socket. Raises nothing, whatever state waitress is in."""
        self._waitress.task_dispatcher.shutdown(timeout=1)
        self._ended.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        """All reading, accepting and closing of sockets."""
        while not self._ended.is_set():
            wasyncore.loop(_LOOK_SECONDS, use_poll=True, map=self._sockets, count=1)
            if self._application.draining and self._waitress.socket:
                wasyncore.dispatcher.close(self._waitress)  # the listener alone; its own close takes more with it
        wasyncore.close_all(self._sockets, ignore_all=True)

    def _busy(self) -> bool:
        channels = list(self._waitress.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)
