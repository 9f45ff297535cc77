"""What the client's tests share: where the repository is, free ports, a server's addresses."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """Where a server answers."""

    grpc: str
    rest: str

    def target(self, transport: str) -> str:
        return self.grpc if transport == "grpc" else self.rest


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
