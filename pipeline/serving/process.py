"""A model server as a process of this machine, where there is no Docker: for a while, or in the background."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import psutil

from pipeline.atomic import write_atomically
from pipeline.background import ports
from pipeline.background.ports import LOOPBACK, free_port
from pipeline.errors import ServingError
from pipeline.gpu import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 40.0
"""A little more than the server gives the requests in flight."""
LOG_LINES = 15
STAND_IN = (sys.executable, "-m", "model_server")
GRPC_THREADS = max(64, 16 * (os.cpu_count() or 1))
"""For --grpc_max_threads. The official server's own default, four for each core, counts callers that wait: the fifth
is refused on a machine of one core."""
BATCHING = ("--enable_batching=true", f"--batching_parameters_file={ROOT / 'config' / 'batching.config'}")
_STATE = "server.json"


@dataclass(frozen=True)
class ServerProcess:
    """A server that runs, or ran."""

    pid: int
    created: float
    """When the process began, in seconds since 1970."""
    grpc_port: int
    rest_port: int
    log: str
    program: str = ""
    """The executable, or the module of the stand-in."""
    batching: bool = False
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)
    """Set in the process that started the server, which has to reap it."""

    @property
    def grpc_target(self) -> str:
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def rest_target(self) -> str:
        return f"{LOOPBACK}:{self.rest_port}"

    def ended(self) -> str | None:
        return None if self._process() else f"process {self.pid} is gone"

    def log_tail(self) -> str:
        lines = Path(self.log).read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([f"Last lines of {self.log}:", *lines])

    def stop(self) -> None:
        """Lets it finish the requests in flight, then ends it."""
        process = self._process()
        if process:
            with suppress(psutil.NoSuchProcess):
                try:
                    process.terminate()
                    process.wait(STOP_SECONDS)
                except psutil.TimeoutExpired:
                    process.kill()
        if self.child:
            self.child.wait()

    def _process(self) -> psutil.Process | None:
        """None when it is gone. A number that is used again belongs to another process."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            # When it began moves with the clock whenever that is set; its ports stay.
            ours = abs(process.create_time() - self.created) < 1 or f"--port={self.grpc_port}" in process.cmdline()
        except psutil.Error:
            return None
        return process if ours else None


def program(executable: Path | None) -> tuple[str, ...]:
    """The command to start: that executable, or the stand-in. Raises ServingError when it cannot be run."""
    if executable is None:
        return STAND_IN
    if not os.access(executable, os.X_OK) or executable.is_dir():
        raise ServingError(f"TENSORFLOW_MODEL_SERVER is {executable}, which is not a program that can be run.")
    return (str(executable.resolve()),)


def start(program: tuple[str, ...], flags: tuple[str, ...], log: Path, grpc_port: int, rest_port: int) -> ServerProcess:
    """Starts a server with the official binary's own flags. It lives on when this process ends.

    Raises ServingError when a port is taken, the log cannot be written or the program cannot be run.
    """
    for port, variable in ((grpc_port, "SEAMLINE_GRPC_PORT"), (rest_port, "SEAMLINE_REST_PORT")):
        if refused := ports.refusal((LOOPBACK, port)):
            raise ServingError(
                f"Port {port} cannot be used ({refused}): {_owner(port)}. End that, or set {variable} to a free port."
            )
    command = [
        *program,
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--grpc_max_threads={GRPC_THREADS}",
        *flags,
    ]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**ENVIRONMENT, **os.environ},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise ServingError(f"{error.filename or log}: no server can be started: {error.strerror or error}") from error
    created = psutil.Process(child.pid).create_time()
    batching = BATCHING[0] in flags
    return ServerProcess(child.pid, created, grpc_port, rest_port, str(log), program[-1], batching, child)


@contextmanager
def throw_away(
    program: tuple[str, ...], base: Path, model: str, log: Path, flags: tuple[str, ...] = ()
) -> Iterator[ServerProcess]:
    """A server of the newest version below `base`, on free ports, stopped at the end.

    It gives up on a broken model at once, and ends with this process even where that is killed.
    """
    flags = (f"--model_name={model}", f"--model_base_path={base.absolute()}", "--max_num_load_retries=0", *flags)
    leashed = (sys.executable, "-m", "pipeline.serving.leash", str(os.getpid()), *program)
    server = start(leashed, flags, log, free_port(), free_port())
    try:
        yield server
    finally:
        server.stop()


def remember(server: ServerProcess, folder: Path) -> None:
    """Writes the background server down, for `running`."""
    known = {each.name: getattr(server, each.name) for each in fields(server) if each.name != "child"}
    write_atomically(folder / _STATE, json.dumps(known))


def running(folder: Path) -> ServerProcess | None:
    """The background server, where one was started from here and still runs."""
    try:
        server = ServerProcess(**json.loads((folder / _STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return None if server.ended() else server


def _owner(port: int) -> str:
    with suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.pid and each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port:
                command = " ".join(psutil.Process(each.pid).cmdline())[:120]
                return f"process {each.pid} ({command}) listens there"
    return "a process that cannot be seen from here listens there"
