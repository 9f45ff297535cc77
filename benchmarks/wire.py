"""Counts what goes over the wire: a relay between a client and a server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16


@dataclass
class Wire:
    """Bytes that went up to the server and down to the client so far, protocol overhead included, TCP's not."""

    target: str
    up: int = 0
    down: int = 0
    _sockets: list[socket.socket] = field(default_factory=list, repr=False)

    def per_call(self, ask: Callable[[], object], calls: int) -> tuple[float, float]:
        """Bytes up and down of one call. The first one opens the connection and does not count."""
        ask()
        up, down = self.up, self.down
        for _ in range(calls):
            ask()
        return (self.up - up) / calls, (self.down - down) / calls


@contextmanager
def counted(target: str) -> Iterator[Wire]:
    """A `host:port` of this machine that leads to `target`."""
    host, _, port = target.rpartition(":")
    with socket.create_server((LOOPBACK, 0)) as listener:
        wire = Wire(f"{LOOPBACK}:{listener.getsockname()[1]}")

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                server = socket.create_connection((host, int(port)))
                wire._sockets += [client, server]
                for source, sink, name in ((client, server, "up"), (server, client, "down")):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=_pump, args=(wire, source, sink, name), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield wire
        finally:
            # close() alone would leave a thread waiting in accept() or recv().
            for each in (listener, *wire._sockets):
                _shut(each)


def _pump(wire: Wire, source: socket.socket, sink: socket.socket, name: str) -> None:
    try:
        while data := source.recv(CHUNK):
            # Before it is passed on: whoever has the answer finds it counted.
            setattr(wire, name, getattr(wire, name) + len(data))
            sink.sendall(data)
    except OSError:
        pass
    _shut(sink)


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        each.close()
