"""model_server as a program of its own, with a model that computes x / 2 plus its version."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from seamline_client import PredictClient
from tests.faults.victims import ROOT
from tests.ports import free_port
from tests.untraced import untraced

MODEL = "half"


@dataclass(frozen=True)
class HalfServer:
    process: psutil.Process
    ports: dict[str, int]
    """By transport."""

    def client(self, transport: Any, *, model: str = MODEL) -> PredictClient:
        return PredictClient(f"127.0.0.1:{self.ports[transport]}", transport, model=model)


@contextmanager
def half_server(
    versions: Path, log: Path, *, program: tuple[str, ...] = ("model_server",), ports: dict[str, int] | None = None
) -> Iterator[HalfServer]:
    """Serves the newest of the versions in a folder, from when one is available; ended with SIGTERM."""
    ports = ports or {"grpc": free_port(), "rest": free_port()}
    flags = [f"--port={ports['grpc']}", f"--rest_api_port={ports['rest']}"]
    flags += [f"--model_name={MODEL}", f"--model_base_path={versions}"]
    command = [sys.executable, "-m", *program, *flags]
    with log.open("ab") as file:
        process = psutil.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=untraced())
    server = HalfServer(process, ports)
    try:
        with server.client("rest") as client:
            client.wait_until_available(time.monotonic() + 60)
        yield server
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
