"""The server that is measured: one that runs already, an official binary, a container, or the stand-in."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import ROOT
from benchmarks.report import Report
from seamline_client import ClientError, PredictClient
from seamline_client.contract import GRPC_PORT, MODEL_NAME, REST_PORT

EXECUTABLE = "TENSORFLOW_MODEL_SERVER"
"""Names the official binary, where there is one."""
IMAGE = "TENSORFLOW_SERVING_IMAGE"
"""Names an image that Docker has."""
CONTAINER = "seamline-benchmark"
"""Names of containers begin like this; then comes the number of the process that measures them."""
LOOPBACK = "127.0.0.1"
FLAGS = ("--max_num_load_retries=0", "--grpc_max_threads=64")
"""By default a server refuses more than four gRPC calls per core at a time."""
START_SECONDS, STOP_SECONDS = 120.0, 40.0


@dataclass(frozen=True)
class Server:
    """Where it answers, as `host:port`, and the process that does, if it is one of this machine."""

    grpc: str
    rest: str
    pid: int | None = None

    @property
    def process(self) -> psutil.Process:
        """Raises SystemExit where it cannot be seen, as when Docker runs in a virtual machine."""
        if self.pid is None:
            raise SystemExit(f"{self.grpc}: the server's process cannot be seen from here, so it cannot be measured.")
        return psutil.Process(self.pid)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For `running`."""
    parser.add_argument("--target", help="gRPC host:port of a running server; without it one is started")
    parser.add_argument("--rest-target", help="REST host:port of the same server")


@contextmanager
def running(arguments: argparse.Namespace, base: Path, report: Report) -> Iterator[Server]:
    """The server that the command line names, or else one that is started for this."""
    report.state(server=arguments.target or name())
    if bool(arguments.target) != bool(arguments.rest_target):
        raise SystemExit("--target and --rest-target name the two ports of one server: give both or neither")
    if arguments.target:
        yield Server(arguments.target, arguments.rest_target)
        return
    with started(base) as server:
        yield server


def name() -> str:
    """What `started` starts. Raises SystemExit if the environment names two."""
    image, executable = os.environ.get(IMAGE), os.environ.get(EXECUTABLE)
    if image and executable:
        raise SystemExit(f"{IMAGE} and {EXECUTABLE} both name a server: unset one.")
    return f"a container of {image}" if image else executable or "model_server (stand-in)"


@contextmanager
def started(base: Path, *flags: str) -> Iterator[Server]:
    """A server of the versions below `base`, on free ports of the loopback, ready to answer; stopped at the end.

    Raises SystemExit with the end of its log if it does not come up.
    """
    ports = _free_port(), _free_port()
    container = f"{CONTAINER}-{os.getpid()}-{ports[0]}" if os.environ.get(IMAGE) else None
    if container:
        _sweep()
    program = _container(container, base, ports) if container else _program(ports)
    model = [f"--model_name={MODEL_NAME}", f"--model_base_path={base.resolve()}"]
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(
            [*program, *model, *FLAGS, *flags], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            grpc, rest = (f"{LOOPBACK}:{port}" for port in ports)
            if not _answers(rest, child):
                log.seek(0)
                raise SystemExit(f"{name()}: did not come up. The end of its log:\n{log.read()[-2000:]}")
            yield Server(grpc, rest, _pid_in(container) if container else child.pid)
        finally:
            _stop(child, container)


def _program(ports: tuple[int, int]) -> list[str]:
    executable = os.environ.get(EXECUTABLE)
    program = [executable] if executable else [sys.executable, "-m", "model_server"]
    return [*program, f"--port={ports[0]}", f"--rest_api_port={ports[1]}"]


def _container(container: str, base: Path, ports: tuple[int, int]) -> list[str]:
    """Ports are published as Compose does it; files have the same paths inside, since flags name some."""
    folders = base.resolve(), ROOT / "config"
    return [
        *("docker", "run", "--rm", "--pull=never", f"--name={container}", "--no-healthcheck"),
        *(f"--publish={LOOPBACK}:{outer}:{inner}" for outer, inner in zip(ports, (GRPC_PORT, REST_PORT))),
        *(f"--volume={folder}:{folder}:ro" for folder in folders),
        *(f"--workdir={ROOT}", f"--user={os.getuid()}:{os.getgid()}", "--entrypoint=tensorflow_model_server"),
        *(os.environ[IMAGE], f"--port={GRPC_PORT}", f"--rest_api_port={REST_PORT}"),
    ]


def _sweep() -> None:
    """Removes what benchmarks that were killed have left behind."""
    command = ["docker", "ps", "--all", f"--filter=name=^{CONTAINER}-", "--format={{.Names}}"]
    for name in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split():
        if not psutil.pid_exists(int(name.split("-")[2])):
            subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def _pid_in(container: str) -> int | None:
    command = ["docker", "inspect", "--format={{.State.Pid}}", container]
    pid = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    visible = psutil.pid_exists(pid) and f"--port={GRPC_PORT}" in psutil.Process(pid).cmdline()
    return pid if visible else None


def _answers(rest: str, child: subprocess.Popen[bytes]) -> bool:
    """Waits until it does; False if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    with PredictClient(rest, "rest") as client:
        while child.poll() is None and time.monotonic() < deadline:
            try:
                client.wait_until_available(time.monotonic() + 1)
            except ClientError:
                continue
            return True
    return False


def _stop(child: subprocess.Popen[bytes], container: str | None) -> None:
    if container:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)
    else:
        child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
