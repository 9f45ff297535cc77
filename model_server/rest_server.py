"""Run the REST application in waitress, and stop it without cutting anyone off."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable

from waitress import wasyncore
from waitress.server import create_server

from model_server.rest_api import MAX_BODY_BYTES, RestApplication


class RestServer:
    """waitress in a thread: its loop reads whole requests, however slowly they come, before a worker gets one."""

    def __init__(self, application: RestApplication, listener: socket.socket, threads: int) -> None:
        self._application = application
        self._waitress = create_server(
            application,
            sockets=[listener],
            threads=threads,
            max_request_body_size=MAX_BODY_BYTES,
            inbuf_overflow=MAX_BODY_BYTES,  # bodies and answers stay in memory instead of temporary files
            outbuf_overflow=MAX_BODY_BYTES,
            recv_bytes=1 << 16,
            connection_limit=1000,
            asyncore_use_poll=True,
            log_socket_errors=False,
            ident=None,
        )
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue of requests is no news
        self._thread = threading.Thread(target=self._waitress.run, name="rest", daemon=True)
        self._thread.start()

    def drain(self, seconds: float) -> None:
        """Stop listening, turn new requests on open connections away, answer those in flight, close."""
        self._application.draining = True
        self._in_loop(lambda: wasyncore.dispatcher.close(self._waitress))
        deadline = time.monotonic() + seconds
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._waitress.task_dispatcher.shutdown(timeout=1)
        self._in_loop(lambda: wasyncore.close_all(self._waitress._map))
        self._thread.join(timeout=5)

    def _busy(self) -> bool:
        channels = list(self._waitress.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)

    def _in_loop(self, thunk: Callable[[], None]) -> None:
        self._waitress.trigger.pull_trigger(thunk)
